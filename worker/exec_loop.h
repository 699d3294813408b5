/* The executor exec with mode "loop": children that stay for one job after the other, in a pool for
 * each step of a definition. All of it is the runner's thread's. */
#ifndef JM_EXEC_LOOP_H
#define JM_EXEC_LOOP_H

#include "worker/executor.h"

typedef struct jm_exec_pools jm_exec_pools;

jm_exec_pools *jm_exec_pools_new(jm_loop *loop, const jm_executor_env *env);
/* Gives idle children a moment to leave by themselves. No job may be running; NULL is fine. */
void jm_exec_pools_free(jm_exec_pools *pools);
/* As start and stop of an executor. */
void jm_exec_pools_start(jm_exec_pools *pools, jm_step_run *run);
void jm_exec_pools_stop(jm_step_run *run);
/* Ends idle children now, and busy ones after their job: files of their programs may be new. */
void jm_exec_pools_reload(jm_exec_pools *pools);

#endif
