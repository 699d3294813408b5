/* POST /jobs. */
#ifndef JM_HTTP_JOB_SUBMIT_H
#define JM_HTTP_JOB_SUBMIT_H

#include "producer/http/request.h"

void jm_job_submit(jm_req *req);

#endif
