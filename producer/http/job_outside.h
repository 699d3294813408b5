/* Jobs run by programs outside: PATCH /jobs/{id}, and what they write about steps and logs. */
#ifndef JM_HTTP_JOB_OUTSIDE_H
#define JM_HTTP_JOB_OUTSIDE_H

#include "producer/http/request.h"

void jm_job_patch(jm_req *req);
void jm_job_write_step(jm_req *req);
void jm_job_write_logs(jm_req *req);

#endif
