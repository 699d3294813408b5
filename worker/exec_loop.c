/* Pools of children with mode "loop": which child gets which job, when there are more, and when
 * they go. */
#include "exec_loop.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/mem.h"
#include "worker/handler_protocol.h"
#include "worker/loop_child.h"

enum {
    IDLE_MS = 60000,
    /* A handler that is faster than this is worth waiting for: a new process takes longer to start
     * than the queue to empty. */
    FAST_US = 20000,
    GROW_US = 100000, /* but no longer than this, */
    COLD_US = 250000, /* or this while it is not known how fast it is, */
    /* or this once there are enough to use up the processors: more only help if some jobs are slow.
     */
    MANY_US = 1000000,
    MAX_HAND_BACKS = 3,
    FAREWELL_MS = 500
};

/* A job for which no child is free. */
typedef struct waiting {
    jm_step_run *run;
    jm_buf line; /* of its handler's input */
    int64_t since_us;
    int handed_back;
    struct waiting *next;
} waiting;

typedef struct pool {
    struct pool *next;
    jm_exec_pools *pools;
    jm_job_type *type; /* counted: the pool may outlive the last job of a definition */
    const jm_step_def *def;
    bool stale;               /* there is a newer definition of the step */
    unsigned generation;      /* children of an earlier one leave after their job */
    jm_loop_child *idle;      /* the latest first, so that those too many stay idle ... */
    jm_loop_child *idle_last; /* ... and are found here */
    int n_children;           /* but those that are leaving */
    int n_leaving;
    waiting *first, **last;
    int64_t best_us; /* the shortest of the latest jobs: what the handler takes when nothing is in
                        its way; -1: none has ended yet */
    int64_t grown_us;
    jm_timer grow, rest;
    bool settling;
} pool;

struct jm_exec_pools {
    jm_loop *loop;
    int max_children; /* 0: no bound */
    int64_t idle_us;
    int cores;
    pool *pools;
    jm_loop_child *children; /* of all pools */
    int n_children;          /* but those that are leaving */
};

/* ---- lists ---- */

static void idle_add(pool *p, jm_loop_child *child)
{
    child->idle_prev = NULL;
    child->idle_next = p->idle;
    if (p->idle)
        p->idle->idle_prev = child;
    else
        p->idle_last = child;
    p->idle = child;
}

static void idle_remove(pool *p, jm_loop_child *child)
{
    if (child != p->idle && !child->idle_prev)
        return; /* it is busy */
    *(child->idle_prev ? &child->idle_prev->idle_next : &p->idle) = child->idle_next;
    *(child->idle_next ? &child->idle_next->idle_prev : &p->idle_last) = child->idle_prev;
    child->idle_prev = child->idle_next = NULL;
}

static void children_add(jm_exec_pools *pools, jm_loop_child *child)
{
    child->next = pools->children;
    if (child->next)
        child->next->prev = child;
    pools->children = child;
}

static void children_remove(jm_exec_pools *pools, const jm_loop_child *child)
{
    *(child->prev ? &child->prev->next : &pools->children) = child->next;
    if (child->next)
        child->next->prev = child->prev;
}

static void queue_put(pool *p, jm_step_run *run, jm_buf *line, int handed_back)
{
    waiting *w = jm_malloc(sizeof *w);
    *w = (waiting){.run = run,
                   .line = *line,
                   .since_us = jm_loop_now_us(p->pools->loop),
                   .handed_back = handed_back};
    *line = (jm_buf){0};
    run->state = NULL;
    waiting **at = handed_back ? &p->first : p->last; /* who has waited before does not again */
    w->next = *at;
    *at = w;
    if (!w->next)
        p->last = &w->next;
}

static void queue_remove(pool *p, waiting **at)
{
    waiting *w = *at;
    *at = w->next;
    if (!w->next)
        p->last = at;
    jm_buf_fini(&w->line);
    free(w);
}

/* To a child that is idle. */
static void give_first(pool *p, jm_loop_child *child)
{
    jm_step_run *run = p->first->run;
    jm_buf line = p->first->line;
    child->handed_back = p->first->handed_back;
    p->first->line = (jm_buf){0};
    queue_remove(p, &p->first);
    jm_loop_child_give(child, run, &line);
}

/* ---- when children go ---- */

static void leave_all_idle(pool *p)
{
    while (p->idle)
        jm_loop_child_leave(p->idle);
}

static void on_rest(void *ctx)
{
    pool *p = ctx;
    int64_t now_us = jm_loop_now_us(p->pools->loop);
    while (p->idle_last && p->idle_last->idle_us + p->pools->idle_us <= now_us)
        jm_loop_child_leave(p->idle_last);
    if (p->idle_last)
        jm_timer_set(p->pools->loop, &p->rest, p->idle_last->idle_us + p->pools->idle_us, on_rest,
                     p);
}

/* Makes room below the bound on all pools, at the cost of an idle child of another. */
static void make_room(jm_exec_pools *pools)
{
    if (!pools->max_children || pools->n_children < pools->max_children)
        return;
    for (pool *p = pools->pools; p; p = p->next) {
        if (p->idle_last) {
            jm_loop_child_leave(p->idle_last);
            return;
        }
    }
}

/* ---- which child gets which job ---- */

static void settle(pool *p);

static void on_idle(jm_loop_child *child)
{
    pool *p = child->pool;
    int64_t now_us = jm_loop_now_us(p->pools->loop), took_us = now_us - child->began_us;
    if (child->n_jobs > 1) /* the first has the start of its program in it */
        p->best_us = p->best_us < 0 || took_us < p->best_us
                         ? took_us
                         : p->best_us + (took_us - p->best_us) / 64;
    child->idle_us = now_us;
    idle_add(p, child);
    if (p->stale || child->generation != p->generation)
        jm_loop_child_leave(child);
    else if (!p->rest.place)
        jm_timer_set(p->pools->loop, &p->rest, now_us + p->pools->idle_us, on_rest, p);
    settle(p);
}

static void on_left(jm_loop_child *child)
{
    pool *p = child->pool;
    idle_remove(p, child);
    p->n_children--;
    p->n_leaving++;
    p->pools->n_children--;
}

static void on_unread(jm_loop_child *child, jm_step_run *run)
{
    if (child->handed_back < MAX_HAND_BACKS)
        queue_put(child->pool, run, &child->input, child->handed_back + 1);
    else
        jm_step_end(run, JM_STEP_FAILURE, NULL, 0,
                    "the handler's processes end again and again before they read their job");
}

static void on_gone(jm_loop_child *child)
{
    pool *p = child->pool;
    children_remove(p->pools, child);
    p->n_leaving--;
    settle(p);
}

static const jm_loop_child_events events = {on_idle, on_left, on_unread, on_gone};

static void on_grow(void *ctx)
{
    settle(ctx);
}

/* How many children may be started now for the jobs that wait. For a slow handler one for each job;
 * for a fast one twice as many as there are, once waiting has not helped. */
static int may_grow(pool *p)
{
    int enough = 2 * p->pools->cores;
    int64_t now_us = jm_loop_now_us(p->pools->loop);
    if (p->best_us >= FAST_US)
        return 1 << 20;
    if (p->n_children < enough)
        return enough - p->n_children;
    int64_t since_us = p->first->since_us > p->grown_us ? p->first->since_us : p->grown_us;
    int64_t patience_us = p->best_us < 0                        ? COLD_US
                          : p->n_children < 8 * p->pools->cores ? GROW_US
                                                                : MANY_US;
    if (now_us - since_us >= patience_us)
        return p->n_children;
    jm_timer_set(p->pools->loop, &p->grow, since_us + patience_us, on_grow, p);
    return 0;
}

/* Starts a child for the first in the queue. What cannot be started fails its job. */
static void grow(pool *p)
{
    jm_loop_child *child;
    jm_err err;
    jm_step_run *run = p->first->run;
    make_room(p->pools);
    p->grown_us = jm_loop_now_us(p->pools->loop);
    if (jm_loop_child_new(run, &events, p, &child, &err)) {
        queue_remove(p, &p->first);
        jm_step_end(run, JM_STEP_FAILURE, NULL, 0, err.msg);
        return;
    }
    children_add(p->pools, child);
    child->generation = p->generation;
    p->n_children++;
    p->pools->n_children++;
    give_first(p, child);
}

static void pool_free(pool *p)
{
    pool **at = &p->pools->pools;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    jm_timer_clear(p->pools->loop, &p->grow);
    jm_timer_clear(p->pools->loop, &p->rest);
    jm_job_type_unref(p->type);
    free(p);
}

/* Gives waiting jobs to idle children and to new ones, as far as may be. The pool may be gone
 * afterwards. What it calls may end jobs, and start some: they only join the queue. */
static void settle(pool *p)
{
    if (p->settling)
        return;
    p->settling = true;
    for (int room = 0; p->first;) {
        if (p->idle) {
            jm_loop_child *child = p->idle;
            idle_remove(p, child);
            give_first(p, child);
            continue;
        }
        if (!room && !(room = may_grow(p)))
            break;
        room--;
        grow(p);
    }
    p->settling = false;
    if (!p->n_children && !p->n_leaving && !p->first)
        pool_free(p);
}

static void replace_older(const pool *p)
{
    for (pool *other = p->next, *next; other; other = next) {
        next = other->next;
        if (other->stale || strcmp(other->type->name, p->type->name) != 0 ||
            strcmp(other->def->name, p->def->name) != 0)
            continue;
        other->stale = true;
        leave_all_idle(other);
    }
}

static pool *find_pool(jm_exec_pools *pools, const jm_step_run *run)
{
    for (pool *p = pools->pools; p; p = p->next)
        if (p->def == run->def)
            return p;
    pool *p = jm_calloc(1, sizeof *p);
    *p = (pool){.next = pools->pools,
                .pools = pools,
                .type = jm_job_type_ref(run->job->job_type),
                .def = run->def,
                .last = &p->first,
                .best_us = -1};
    pools->pools = p;
    replace_older(p);
    return p;
}

/* ---- interface ---- */

jm_exec_pools *jm_exec_pools_new(jm_loop *loop, const jm_executor_env *env)
{
    jm_exec_pools *pools = jm_calloc(1, sizeof *pools);
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    pools->loop = loop;
    pools->max_children = env->processes;
    pools->idle_us = (int64_t)(env->loop_idle_ms ? env->loop_idle_ms : IDLE_MS) * 1000;
    pools->cores = cores > 0 ? (int)cores : 1;
    return pools;
}

static void wait_for_all(const jm_exec_pools *pools)
{
    for (int64_t by_ms = jm_mono_ms() + FAREWELL_MS; pools->children && jm_mono_ms() < by_ms;)
        jm_loop_turn(pools->loop, 20);
}

void jm_exec_pools_free(jm_exec_pools *pools)
{
    if (!pools)
        return;
    jm_exec_pools_reload(pools);
    wait_for_all(pools);
    for (jm_loop_child *child = pools->children; child; child = child->next)
        jm_spawner_kill(child->spawner, child->id, SIGKILL);
    wait_for_all(pools);
    for (jm_loop_child *child = pools->children, *next; child; child = next) {
        next = child->next;
        jm_loop_child_free(child);
    }
    while (pools->pools)
        pool_free(pools->pools);
    free(pools);
}

void jm_exec_pools_start(jm_exec_pools *pools, jm_step_run *run)
{
    pool *p = find_pool(pools, run);
    run->output_dir = jm_step_output_path(run);
    jm_buf line = {0};
    jm_handler_input(&line, run);
    queue_put(p, run, &line, 0);
    settle(p);
}

void jm_exec_pools_stop(jm_step_run *run)
{
    const jm_exec_shared *shared = run->shared;
    if (run->state) {
        jm_loop_child_stop(run->state);
        return;
    }
    pool *p = find_pool(shared->pools, run);
    waiting **at = &p->first;
    while (*at && (*at)->run != run)
        at = &(*at)->next;
    assert(*at);
    queue_remove(p, at);
    jm_step_end(run, JM_STEP_FAILURE, NULL, 0, "stopped before a handler was free");
}

void jm_exec_pools_reload(jm_exec_pools *pools)
{
    for (pool *p = pools->pools; p; p = p->next) {
        p->generation++;
        leave_all_idle(p);
    }
}
