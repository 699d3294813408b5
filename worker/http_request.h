/* Makes the request of one try of an http step: its plan with the job's values in it. */
#ifndef JM_HTTP_REQUEST_H
#define JM_HTTP_REQUEST_H

#include "worker/executor.h"
#include "worker/http_client.h"
#include "worker/http_plan.h"

/* Fills the request. JM_ERR_INVALID when the values do not do (for good, unless err->retriable). */
int jm_http_request_make(jm_http_request *request, const jm_http_plan *plan, jm_step_run *run,
                         jm_err *err);

/* "t=<unix>,v1=<hex>": the HMAC-SHA-256 by the secret of "<unix>.<body>". */
void jm_http_sign(const char *secret, size_t len, int64_t unix_s, const char *body, size_t body_len,
                  char out[100]);
/* A W3C trace context with a new span for the request; false when the given one is none. */
bool jm_http_child_trace(const char *trace_context, char out[56]);

#endif
