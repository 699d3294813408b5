/* The thread that runs jobs: it takes them in, lets attempts run, and pushes their reports. */
#include "runner.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "worker/attempt.h"
#include "worker/executor.h"
#include "worker/loop.h"
#include "worker/output_dir.h"
#include "worker/spawner.h"

enum { TURN_MS = 1000, STUCK_MS = 10000 };

/* Jobs that ended in this turn, by type. The reference keeps the type past its jobs' last reports.
 */
typedef struct freed_slots {
    jm_job_type *type;
    int n;
} freed_slots;

/* Somebody wants jobs to end. */
typedef struct stop_request {
    struct stop_request *next;
    bool all, locked, at_once; /* all jobs, or those that hold a lock */
    jm_uuid id;
    int attempt;
    jm_end end;
    char *error;
} stop_request;

struct jm_runner {
    jm_runner_options options;
    jm_queue *inbox;
    pthread_t thread;
    bool started;
    _Atomic int running;
    _Atomic bool closing;
    _Atomic int stuck; /* attempts that do not end although told to */
    _Atomic int64_t stuck_ever;
    _Atomic bool reload; /* asked for */

    pthread_mutex_t lock; /* of stops */
    stop_request *stops, **last_stop;

    /* The thread's own. */
    jm_loop *loop;
    jm_spawner *spawner;
    jm_executors *executors;
    jm_output_dirs *output_dirs;
    jm_watch *inbox_watch;
    jm_attempt_env env;
    jm_attempt *attempts; /* in flight */
    int n_locked;         /* of them, those that hold a lock */
    jm_timer lock_timer;
    jm_chain arrivals;
    jm_chain reports; /* of this turn */
    int n_ended;      /* of them, those that end their job */
    freed_slots *freed;
    int n_freed, cap_freed;
};

/* ---- reports ---- */

static void count_freed(jm_runner *runner, jm_job_type *type)
{
    runner->n_ended++;
    for (int i = 0; i < runner->n_freed; i++) {
        if (runner->freed[i].type == type) {
            runner->freed[i].n++;
            return;
        }
    }
    if (runner->n_freed == runner->cap_freed) {
        runner->cap_freed = runner->cap_freed ? runner->cap_freed * 2 : 8;
        runner->freed = jm_realloc(runner->freed, (size_t)runner->cap_freed * sizeof(freed_slots));
    }
    runner->freed[runner->n_freed++] = (freed_slots){jm_job_type_ref(type), 1};
}

static void emit(void *ctx, jm_attempt *attempt, jm_report *report)
{
    jm_runner *runner = ctx;
    if (report->end != JM_END_NONE) {
        jm_attempt_links *links = jm_attempt_get_links(attempt);
        if (links->prev)
            jm_attempt_get_links(links->prev)->next = links->next;
        else
            runner->attempts = links->next;
        if (links->next)
            jm_attempt_get_links(links->next)->prev = links->prev;
        count_freed(runner, report->job->job_type);
        runner->n_locked -= report->job->lock_token != 0;
    }
    jm_chain_add(&runner->reports, &report->node);
}

/* Slots first: the store may hand out the next jobs while these are being recorded. */
static void end_turn(jm_runner *runner)
{
    for (int i = 0; i < runner->n_freed; i++) {
        if (runner->options.slots_free)
            runner->options.slots_free(runner->options.ctx, runner->freed[i].type,
                                       runner->freed[i].n);
        jm_job_type_unref(runner->freed[i].type);
    }
    runner->n_freed = 0;
    int n_ended = runner->n_ended;
    runner->n_ended = 0;
    if (runner->reports.n && jm_queue_push(runner->options.reports, &runner->reports))
        for (jm_node *node; (node = jm_chain_take(&runner->reports));)
            jm_report_free((jm_report *)node);
    atomic_fetch_sub(&runner->running, n_ended);
}

/* ---- stopping ---- */

static bool is_meant(const stop_request *stop, const jm_job *job)
{
    if (stop->locked)
        return job->lock_token != 0;
    return stop->all || (job->attempt == stop->attempt && !jm_uuid_cmp(&job->id, &stop->id));
}

static void end_unstarted(jm_runner *runner, jm_job *job, const stop_request *stop)
{
    jm_report *report = jm_report_new(job);
    report->arena = jm_arena_new(512);
    report->end = stop->end;
    report->error = jm_arena_strdup(report->arena, stop->error);
    report->started_us = report->ended_us = jm_loop_now_us(runner->loop);
    count_freed(runner, job->job_type);
    jm_chain_add(&runner->reports, &report->node);
}

static void stop_jobs(jm_runner *runner, const stop_request *stop)
{
    jm_chain left = {0};
    for (jm_node *node; (node = jm_chain_take(&runner->arrivals));) {
        if (is_meant(stop, (jm_job *)node))
            end_unstarted(runner, (jm_job *)node, stop);
        else
            jm_chain_add(&left, node);
    }
    runner->arrivals = left;
    for (jm_attempt *attempt = runner->attempts, *next; attempt; attempt = next) {
        next = jm_attempt_get_links(attempt)->next;
        if (is_meant(stop, jm_attempt_job(attempt)))
            jm_attempt_stop(attempt, stop->end, stop->error, stop->at_once);
    }
}

static void free_stop(stop_request *stop)
{
    free(stop->error);
    free(stop);
}

static void take_stops(jm_runner *runner)
{
    pthread_mutex_lock(&runner->lock);
    stop_request *stops = runner->stops;
    runner->stops = NULL;
    runner->last_stop = &runner->stops;
    pthread_mutex_unlock(&runner->lock);
    for (stop_request *stop = stops, *next; stop; stop = next) {
        next = stop->next;
        stop_jobs(runner, stop);
        free_stop(stop);
    }
}

/* ---- jobs that hold a lock ---- */

/* They must be dead before anybody can take this worker for lost and give their locks to others. */
static const stop_request cut_off = {
    .locked = true,
    .end = JM_END_RETURNED,
    .error = (char *)(uintptr_t) "stopped: its worker is cut off from the database, and others may "
                                 "get its lock"};

enum { LOCK_CHECK_US = 100000 };

static int64_t locks_left_us(const jm_runner *runner)
{
    const _Atomic int64_t *until_us = runner->options.locks_until_us;
    return until_us ? atomic_load(until_us) - jm_boot_us() : INT64_MAX;
}

static void watch_locks(jm_runner *runner);

static void on_lock_timer(void *ctx)
{
    jm_runner *runner = ctx;
    if (runner->n_locked && locks_left_us(runner) <= 0)
        stop_jobs(runner, &cut_off);
    watch_locks(runner);
}

static void watch_locks(jm_runner *runner)
{
    int64_t left_us = locks_left_us(runner);
    if (!runner->n_locked || left_us == INT64_MAX || runner->lock_timer.place)
        return;
    jm_timer_set(runner->loop, &runner->lock_timer,
                 jm_loop_now_us(runner->loop) + (left_us > 0 ? left_us : LOCK_CHECK_US),
                 on_lock_timer, runner);
}

/* ---- starting ---- */

/* The common job: one step that does nothing. It takes one allocation and no attempt. */
static bool is_trivial(const jm_job *job)
{
    const jm_job_type *type = job->job_type;
    const jm_step_def *step = type->steps;
    return type->n_steps == 1 && !type->schema && step->executor->trivial && !step->set &&
           !step->when && !job->profile && !job->done_steps &&
           (type->log_off || type->log_level > JM_DEBUG) && strlen(step->name) < 32;
}

static void run_trivial(jm_runner *runner, jm_job *job)
{
    static const char head[] = "step ", tail[] = ": success in 0 ms";
    const jm_job_type *type = job->job_type;
    const char *name = type->steps->name;
    jm_report *report = jm_report_new(job);
    int64_t now_us = jm_loop_now_us(runner->loop);
    report->end = JM_END_COMPLETED;
    report->started_us = report->ended_us = now_us;
    report->one_step = (jm_step_row){.seq = 1,
                                     .name = name,
                                     .status = "success",
                                     .attempts = 1,
                                     .started_us = now_us,
                                     .ended_us = now_us};
    report->steps = &report->one_step;
    report->n_steps = 1;
    if (!type->log_off && type->log_level == JM_INFO) {
        char *end = mempcpy(report->one_text, head, sizeof head - 1);
        end = mempcpy(end, name, strlen(name));
        memcpy(end, tail, sizeof tail);
        report->one_log = (jm_log_row){
            .seq = 1, .step = name, .at_us = now_us, .level = JM_INFO, .message = report->one_text};
        report->logs = &report->one_log;
        report->n_logs = 1;
    }
    count_freed(runner, job->job_type);
    jm_chain_add(&runner->reports, &report->node);
}

static void start_job(jm_runner *runner, jm_job *job)
{
    assert(job->job_type);
    if (job->lock_token && locks_left_us(runner) <= 0) {
        end_unstarted(runner, job, &cut_off);
        return;
    }
    if (is_trivial(job)) {
        run_trivial(runner, job);
        return;
    }
    jm_attempt *attempt = jm_attempt_new(&runner->env, job);
    jm_attempt_links *links = jm_attempt_get_links(attempt);
    links->next = runner->attempts;
    if (links->next)
        jm_attempt_get_links(links->next)->prev = attempt;
    runner->attempts = attempt;
    if (job->lock_token) {
        runner->n_locked++;
        watch_locks(runner);
    }
    jm_attempt_begin(attempt);
}

/* ---- lists ---- */

/* Somebody wants to know what runs; shared by the two threads, freed by the last of them. */
typedef struct list_request {
    jm_post post;
    jm_runner *runner;
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool is_done, is_left; /* is_left: nobody waits any more */
    jm_running_list list;
} list_request;

static void free_request(list_request *request)
{
    jm_arena_free(request->list.arena);
    pthread_mutex_destroy(&request->lock);
    pthread_cond_destroy(&request->done);
    free(request);
}

static void write_list(jm_runner *runner, jm_running_list *list)
{
    int n = 0;
    for (jm_attempt *a = runner->attempts; a; a = jm_attempt_get_links(a)->next)
        n++;
    list->arena = jm_arena_new(0);
    list->jobs = jm_arena_alloc(list->arena, ((size_t)n + 1) * sizeof *list->jobs);
    for (jm_attempt *a = runner->attempts; a; a = jm_attempt_get_links(a)->next)
        jm_attempt_describe(a, list->arena, &list->jobs[list->n++]);
}

static void on_list(void *ctx)
{
    list_request *request = ctx;
    pthread_mutex_lock(&request->lock);
    bool left = request->is_left;
    if (!left)
        write_list(request->runner, &request->list);
    request->is_done = true;
    pthread_cond_signal(&request->done);
    pthread_mutex_unlock(&request->lock);
    if (left)
        free_request(request);
}

int jm_runner_list(jm_runner *runner, int timeout_ms, jm_running_list *out, jm_err *err)
{
    list_request *request = jm_calloc(1, sizeof *request);
    int64_t by_us = jm_mono_us() + timeout_ms * INT64_C(1000);
    request->post = (jm_post){.fn = on_list, .ctx = request};
    request->runner = runner;
    pthread_mutex_init(&request->lock, NULL);
    jm_cond_init(&request->done);
    jm_loop_post(runner->loop, &request->post);
    pthread_mutex_lock(&request->lock);
    while (!request->is_done && jm_cond_wait_until(&request->done, &request->lock, by_us))
        ;
    bool done = request->is_done;
    request->is_left = !done;
    *out = done ? request->list : (jm_running_list){0};
    request->list.arena = NULL;
    pthread_mutex_unlock(&request->lock);
    if (!done)
        return jm_err_set(err, JM_ERR_TIMEOUT, "the runner does not answer");
    free_request(request);
    return JM_OK;
}

static void on_stuck(void *ctx, bool stuck)
{
    jm_runner *runner = ctx;
    atomic_fetch_add(&runner->stuck, stuck ? 1 : -1);
    if (stuck)
        atomic_fetch_add(&runner->stuck_ever, 1);
}

int jm_runner_stuck(const jm_runner *runner)
{
    return atomic_load(&runner->stuck);
}

int64_t jm_runner_stuck_ever(const jm_runner *runner)
{
    return atomic_load(&runner->stuck_ever);
}

/* ---- the thread ---- */

/* The inbox is emptied before requests to stop are taken, so a request finds every job that was
 * pushed before it. */
static void on_inbox(void *ctx, uint32_t events)
{
    jm_runner *runner = ctx;
    (void)events;
    jm_queue_pop_all(runner->inbox, &runner->arrivals, 0);
    take_stops(runner);
    if (atomic_exchange(&runner->reload, false))
        jm_executors_reload(runner->executors);
    for (jm_node *node; (node = jm_chain_take(&runner->arrivals));)
        start_job(runner, (jm_job *)node);
}

static void *run(void *arg)
{
    jm_runner *runner = arg;
    sigset_t pipe_signal;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE); /* a child need not read its stdin to the end */
    pthread_sigmask(SIG_BLOCK, &pipe_signal, NULL);
    pthread_setname_np(pthread_self(), "runner");
    while (!atomic_load(&runner->closing)) {
        jm_pulse_beat(runner->options.pulse);
        jm_loop_turn(runner->loop, TURN_MS);
        end_turn(runner);
    }
    jm_pulse_rest(runner->options.pulse);
    return NULL;
}

/* ---- interface ---- */

static const char *default_work_dir(void)
{
    const char *dir = getenv("TMPDIR");
    return dir && *dir ? dir : "/tmp";
}

/* Said at the start rather than by every job. */
static int check_work_dir(const char *path, jm_err *err)
{
    if (mkdir(path, 0711) && errno != EEXIST)
        return jm_err_errno(err, JM_ERR_IO, "cannot make [worker] work_dir %s", path);
    if (access(path, W_OK | X_OK))
        return jm_err_errno(err, JM_ERR_IO, "cannot write to [worker] work_dir %s", path);
    return JM_OK;
}

int jm_runner_new(const jm_runner_options *options, jm_runner **out, jm_err *err)
{
    jm_runner *runner = jm_calloc(1, sizeof *runner);
    runner->options = *options;
    const char *work_dir = options->work_dir ? options->work_dir : default_work_dir();
    runner->last_stop = &runner->stops;
    pthread_mutex_init(&runner->lock, NULL);
    runner->inbox = jm_queue_new(0);
    if (check_work_dir(work_dir, err) || jm_spawner_new(&runner->spawner, err) ||
        jm_loop_new(&runner->loop, err) || jm_spawner_attach(runner->spawner, runner->loop, err)) {
        jm_runner_free(runner);
        return err->code;
    }
    runner->inbox_watch =
        jm_loop_watch(runner->loop, jm_queue_fd(runner->inbox), EPOLLIN, on_inbox, runner);
    if (!runner->inbox_watch) {
        jm_err_errno(err, JM_ERR_IO, "cannot watch the runner's queue");
        jm_runner_free(runner);
        return err->code;
    }
    runner->executors = jm_executors_new(runner->loop, options->executor_env);
    runner->output_dirs = jm_output_dirs_new(work_dir);
    runner->env = (jm_attempt_env){.loop = runner->loop,
                                   .spawner = runner->spawner,
                                   .executors = runner->executors,
                                   .output_dirs = runner->output_dirs,
                                   .kill_grace_ms = options->kill_grace_ms,
                                   .stuck_ms = options->stuck_ms ? options->stuck_ms : STUCK_MS,
                                   .stuck = on_stuck,
                                   .lock_grace_ms = options->lock_grace_ms,
                                   .emit = emit,
                                   .ctx = runner};
    *out = runner;
    return JM_OK;
}

int jm_runner_start(jm_runner *runner, jm_err *err)
{
    int rc = pthread_create(&runner->thread, NULL, run, runner);
    if (rc) {
        errno = rc;
        return jm_err_errno(err, JM_ERR_IO, "cannot start the runner's thread");
    }
    runner->started = true;
    return JM_OK;
}

int jm_runner_push(jm_runner *runner, jm_chain *jobs)
{
    int n = (int)jobs->n;
    atomic_fetch_add(&runner->running, n);
    int rc = jm_queue_push(runner->inbox, jobs);
    if (rc)
        atomic_fetch_sub(&runner->running, n);
    return rc;
}

static void request_stop(jm_runner *runner, const stop_request *wanted, const char *error)
{
    stop_request *stop = jm_malloc(sizeof *stop);
    *stop = *wanted;
    stop->error = jm_strdup(error ? error : "stopped");
    pthread_mutex_lock(&runner->lock);
    *runner->last_stop = stop;
    runner->last_stop = &stop->next;
    pthread_mutex_unlock(&runner->lock);
    jm_queue_wake(runner->inbox);
}

void jm_runner_stop_job(jm_runner *runner, const jm_uuid *id, int attempt, jm_end end,
                        const char *error)
{
    request_stop(runner, &(stop_request){.id = *id, .attempt = attempt, .end = end}, error);
}

void jm_runner_stop_all(jm_runner *runner, jm_end end, const char *error, bool at_once)
{
    request_stop(runner, &(stop_request){.all = true, .end = end, .at_once = at_once}, error);
}

void jm_runner_reload(jm_runner *runner)
{
    atomic_store(&runner->reload, true);
    jm_queue_wake(runner->inbox);
}

int jm_runner_running(const jm_runner *runner)
{
    return atomic_load(&runner->running);
}

void jm_runner_free(jm_runner *runner)
{
    if (!runner)
        return;
    if (runner->started) {
        atomic_store(&runner->closing, true);
        jm_queue_wake(runner->inbox);
        pthread_join(runner->thread, NULL);
    }
    jm_executors_free(runner->executors);
    if (runner->loop)
        jm_timer_clear(runner->loop, &runner->lock_timer);
    jm_watch_free(runner->inbox_watch);
    jm_spawner_free(runner->spawner);
    jm_loop_free(runner->loop);
    for (stop_request *stop = runner->stops, *next; stop; stop = next) {
        next = stop->next;
        free_stop(stop);
    }
    jm_queue_free(runner->inbox);
    pthread_mutex_destroy(&runner->lock);
    free(runner->freed);
    jm_output_dirs_free(runner->output_dirs);
    free(runner);
}
