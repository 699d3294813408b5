/* Starts the child of a step with exec: pipes, clean environment, and what the definition wants. */
#ifndef JM_EXEC_CHILD_H
#define JM_EXEC_CHILD_H

#include "common/buf.h"
#include "worker/exec_def.h"
#include "worker/executor.h"
#include "worker/mask.h"
#include "worker/spawner.h"

enum { JM_CHILD_STDIN, JM_CHILD_STDOUT, JM_CHILD_STDERR, JM_CHILD_PROTOCOL, JM_CHILD_STREAMS };

/* What all steps with exec share. */
typedef struct jm_exec_shared {
    char *sdk_dir;               /* of jobmill.py and jobmill.mjs, or NULL when there is none */
    struct jm_exec_pools *pools; /* worker/exec_loop.h */
} jm_exec_shared;

/* Starts it; ours are our ends of its descriptors 0 to 3, which do not block. With mode "loop" the
 * environment has nothing of this one job. The secrets in it are added to mask. fn as in
 * jm_spawner_spawn. JM_ERR_IO, JM_ERR_INVALID, JM_ERR_NOT_FOUND. */
int jm_exec_child_start(jm_step_run *run, int ours[JM_CHILD_STREAMS], jm_mask *mask,
                        jm_spawn_end_fn *fn, void *ctx, uint64_t *id, jm_err *err);

/* Why it never ran, in words. */
void jm_exec_child_say_failed(const jm_exec_def *def, const jm_spawn_end *end, jm_buf *error);

#endif
