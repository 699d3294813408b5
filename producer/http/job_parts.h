/* One job and what belongs to it. */
#ifndef JM_HTTP_JOB_PARTS_H
#define JM_HTTP_JOB_PARTS_H

#include "common/uuid7.h"
#include "producer/http/request.h"

/* The job that the path names, by id or external id; its row too where job is not NULL. false:
 * answered. */
bool jm_job_find(jm_req *req, struct jm_pg **pg, jm_uuid *id, json_t **job);

void jm_job_show_parts(jm_req *req);
void jm_job_steps(jm_req *req);
void jm_job_logs(jm_req *req);
void jm_job_attempts(jm_req *req);
void jm_job_result(jm_req *req);

#endif
