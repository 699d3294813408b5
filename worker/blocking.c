/* A step whose work blocks a thread of a pool. */
#include "blocking.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"

static void do_work(jm_pool_task *task)
{
    jm_blocking *step = (jm_blocking *)task;
    step->ops->work(step);
}

static void take_note(jm_pool_task *task, jm_pool_note *note)
{
    jm_blocking *step = (jm_blocking *)task;
    step->ops->take(step, note);
}

static void end(jm_pool_task *task)
{
    jm_blocking *step = (jm_blocking *)task;
    jm_step_run *run = step->run;
    run->state = NULL;
    if (task->refused) {
        jm_step_end(run, JM_STEP_FAILURE, NULL, 0, "all threads are stuck: restart the worker");
        return;
    }
    jm_step_end(run, step->verdict, step->data.len ? step->data.data : NULL, step->data.len,
                step->error.len ? step->error.data : NULL);
}

static void step_free(jm_pool_task *task)
{
    jm_blocking *step = (jm_blocking *)task;
    jm_buf_fini(&step->data);
    jm_buf_fini(&step->error);
    step->ops->free(step);
}

void jm_blocking_start(jm_blocking *step, const jm_blocking_ops *ops, jm_pool *pool,
                       jm_step_run *run)
{
    static const jm_pool_ops pool_ops = {do_work, take_note, end, step_free};
    jm_err err;
    step->ops = ops;
    step->run = run;
    jm_uuid_format(&run->job->id, step->id);
    if (jm_pool_submit(pool, &step->task, &pool_ops, &err)) {
        step_free(&step->task);
        jm_step_end(run, JM_STEP_FAILURE, NULL, 0, err.msg);
        return;
    }
    run->state = step;
}

/* It cannot be killed: what it does may still happen. */
static void tell_stuck(jm_step_run *run, const char *name, const char *id, jm_pool_counts counts)
{
    char text[160], stuck[16], total[24];
    snprintf(text, sizeof text,
             "%s did not return within %g s after it was told to stop, and cannot be killed: its "
             "thread is given up",
             name, run->kill_grace_ms / 1e3);
    jm_step_log(run, JM_ERROR, text, strlen(text), NULL);
    snprintf(stuck, sizeof stuck, "%d", counts.stuck);
    snprintf(total, sizeof total, "%lld", counts.stuck_total);
    jm_log_kv(JM_ERROR, name, "does not return and cannot be killed: thread given up", "job_id", id,
              "step", run->def->name, "stuck", stuck, "stuck_total", total, NULL);
}

static void on_grace_over(void *ctx)
{
    jm_blocking *step = ctx;
    jm_step_run *run = step->run;
    jm_pool *pool = step->task.pool;
    const char *name = step->ops->name;
    char id[JM_UUID_TEXT];
    memcpy(id, step->id, sizeof id);
    run->state = NULL;
    if (jm_pool_abandon(&step->task)) /* step may be gone */
        tell_stuck(run, name, id, jm_pool_get_counts(pool));
    jm_step_end(run, JM_STEP_FAILURE, NULL, 0, "it did not return after it was told to stop");
}

void jm_blocking_stop(jm_step_run *run)
{
    jm_blocking *step = run->state;
    jm_pool_cancel(&step->task);
    jm_timer_set(run->loop, &run->timer,
                 jm_loop_now_us(run->loop) + (int64_t)run->kill_grace_ms * 1000, on_grace_over,
                 step);
}
