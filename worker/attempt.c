/* Takes an attempt from step to step to its one end. */
#include "attempt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "worker/attempt_state.h"
#include "worker/raw_json.h"

enum { RUNNING_ROW_US = 250000, FLUSH_US = 500000 };

static const jm_step_def *step_def(const jm_attempt *attempt)
{
    return &attempt->type->steps[attempt->step];
}

static int64_t now_us(const jm_attempt *attempt)
{
    return jm_loop_now_us(attempt->env->loop);
}

static void flush(jm_attempt *attempt)
{
    jm_report *report = jm_journal_take(&attempt->journal);
    if (!report)
        return;
    report->started_us = attempt->started_us;
    attempt->env->emit(attempt->env->ctx, attempt, report);
}

static void on_flush(void *ctx)
{
    flush(ctx);
}

void jm_attempt_touched(jm_attempt *attempt)
{
    if (jm_journal_is_large(&attempt->journal))
        flush(attempt);
    else if (!attempt->chore.place && attempt->state != ATTEMPT_ENDED)
        jm_timer_set(attempt->env->loop, &attempt->chore, now_us(attempt) + FLUSH_US, on_flush,
                     attempt);
}

static void on_running_row(void *ctx)
{
    jm_attempt *attempt = ctx;
    jm_journal_step_row(&attempt->journal, &attempt->row, "running", attempt->run.try, 0, NULL, 0,
                        NULL);
    flush(attempt);
}

/* ---- params and earlier steps ---- */

/* The profile's params, with those of the job in their place where both have one. The job's own
 * text is copied as it is, so that no number loses a digit. */
static void merge_params(jm_buf *out, const json_t *profile, const jm_job *job)
{
    json_t *own = json_loadb(job->params, job->params_len, JSON_DECODE_INT_AS_REAL, NULL);
    const char *key;
    json_t *value;
    jm_buf_addc(out, '{');
    json_object_foreach((json_t *)(uintptr_t)profile, key, value)
    {
        if (json_object_get(own, key))
            continue;
        char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
        jm_buf_add_json(out, key, strlen(key));
        jm_buf_addf(out, ":%s,", text);
        free(text);
    }
    const char *open = memchr(job->params, '{', job->params_len);
    const char *close = memrchr(job->params, '}', job->params_len);
    if (json_object_size(own) && open && close > open)
        jm_buf_add(out, open + 1, (size_t)(close - open - 1));
    else if (out->len > 1)
        out->len--; /* the comma */
    jm_buf_addc(out, '}');
    json_decref(own);
}

static int take_params(jm_attempt *attempt, jm_err *err)
{
    const jm_job *job = attempt->job;
    attempt->run.params = job->params;
    attempt->run.params_len = job->params_len;
    if (!job->profile)
        return JM_OK;
    const json_t *profile = json_object_get(attempt->type->profiles, job->profile);
    if (!profile)
        return jm_err_field(err, "profile", "type %s has no profile \"%.100s\"",
                            attempt->type->name, job->profile);
    merge_params(&attempt->params, profile, job);
    attempt->run.params = attempt->params.data;
    attempt->run.params_len = attempt->params.len;
    return JM_OK;
}

/* A job may have been submitted with both when nobody knew that its type orders. */
static int check_lock(const jm_attempt *attempt, jm_err *err)
{
    const jm_job *job = attempt->job;
    if (job->exclusive && job->key && attempt->type->ordered)
        return jm_err_field(
            err, "exclusive",
            "type %s orders its jobs by key, and a job holds one lock at most: leave "
            "out exclusive, or the key",
            attempt->type->name);
    return JM_OK;
}

static void add_done(jm_attempt *attempt, const char *name, const char *data, size_t len)
{
    jm_buf_add_json(&attempt->done, name, strlen(name));
    jm_buf_addc(&attempt->done, ':');
    jm_buf_add(&attempt->done, data, len);
    jm_buf_addc(&attempt->done, ',');
    jm_attempt_add_outcome(attempt, name, "success");
    if (len == 4 && !memcmp(data, "null", 4))
        return;
    jm_buf_clear(&attempt->result);
    jm_buf_add(&attempt->result, data, len);
}

/* Whether the step succeeded in an earlier attempt; its data is handed on. */
static bool was_done(jm_attempt *attempt)
{
    const char *done = attempt->job->done_steps;
    if (!done)
        return false;
    jm_raw data = jm_raw_member(done, strlen(done), step_def(attempt)->name);
    if (!data.p)
        return false;
    add_done(attempt, step_def(attempt)->name, data.p, data.len);
    return true;
}

/* ---- the end ---- */

static void copy_output(jm_attempt *attempt, jm_report *report)
{
    jm_arena *arena = report->arena;
    if (attempt->out.len)
        report->out_text = jm_arena_strndup(arena, attempt->out.data, attempt->out.len);
    if (attempt->errs.len)
        report->err_text = jm_arena_strndup(arena, attempt->errs.data, attempt->errs.len);
    report->return_code = attempt->return_code;
    report->output_files = jm_arena_strdup(arena, attempt->files);
    report->total_size = attempt->total_size;
}

/* The delay before the next try, or what the step has been told to wait if that is longer. */
static int64_t no_sooner(const jm_attempt *attempt, int64_t delay_us)
{
    int64_t asked_us = attempt->run.retry_after_us;
    return asked_us > delay_us ? asked_us : delay_us;
}

static void finish(jm_attempt *attempt, jm_end end, const char *error)
{
    jm_loop *loop = attempt->env->loop;
    jm_timer_clear(loop, &attempt->deadline);
    jm_timer_clear(loop, &attempt->chore);
    jm_attempt_close_sinks(attempt, end == JM_END_COMPLETED);
    jm_journal_report(&attempt->journal);
    jm_report *report = jm_journal_take(&attempt->journal);
    report->end = end;
    report->error = jm_arena_strdup(report->arena, error);
    report->reason = attempt->timed_out ? "timeout" : NULL;
    report->started_us = attempt->started_us;
    report->ended_us = now_us(attempt);
    if (end == JM_END_RETRY)
        report->retry_in_us =
            no_sooner(attempt, jm_job_type_backoff_us(attempt->type, attempt->job->attempt));
    if (end == JM_END_COMPLETED && attempt->result.len)
        report->result = jm_arena_strndup(report->arena, attempt->result.data, attempt->result.len);
    copy_output(attempt, report);
    attempt->state = ATTEMPT_ENDED;
    if (attempt->stuck)
        attempt->env->stuck(attempt->env->ctx, false);
    attempt->env->emit(attempt->env->ctx, attempt, report);
}

static bool has_attempts_left(const jm_attempt *attempt)
{
    int max = attempt->job->max_attempts ? attempt->job->max_attempts : attempt->type->max_attempts;
    return attempt->job->attempt < max;
}

/* The step's error, with the step's name where the job has several. */
static void finish_failed(jm_attempt *attempt, bool permanent)
{
    jm_buf text = {0};
    if (attempt->type->n_steps > 1)
        jm_buf_addf(&text, "step %s: ", step_def(attempt)->name);
    jm_buf_add(&text, attempt->error.data, attempt->error.len);
    finish(attempt, permanent || !has_attempts_left(attempt) ? JM_END_FAILED : JM_END_RETRY,
           jm_buf_str(&text));
    jm_buf_fini(&text);
}

/* ---- rows ---- */

static long long step_ms(const jm_attempt *attempt)
{
    return (long long)((now_us(attempt) - attempt->row.started_us) / 1000);
}

static void close_row(jm_attempt *attempt, const char *status)
{
    bool success = !strcmp(status, "success");
    jm_journal_step_row(&attempt->journal, &attempt->row, status, attempt->run.try, now_us(attempt),
                        attempt->has_data ? attempt->data.data : NULL, attempt->data.len,
                        success ? NULL : jm_buf_str(&attempt->error));
}

/* One row for each try that failed: what happened, and what comes next. */
static void note_failure(jm_attempt *attempt, bool permanent, bool again)
{
    const jm_step_def *def = step_def(attempt);
    jm_buf text = {0};
    jm_buf_addf(&text, "step %s: failed in %lld ms: ", def->name, step_ms(attempt));
    jm_buf_add(&text, attempt->error.data, attempt->error.len);
    int max = attempt->job->max_attempts ? attempt->job->max_attempts : attempt->type->max_attempts;
    bool retry = !permanent && has_attempts_left(attempt);
    if (again)
        jm_buf_addf(&text, " (try %d of %d, next in %g s)", attempt->run.try, def->retry,
                    (double)no_sooner(attempt, (int64_t)(def->retry_delay_s * 1e6)) / 1e6);
    else if (retry)
        jm_buf_addf(&text, " (attempt %d of %d, to be tried again)", attempt->job->attempt, max);
    else if (permanent)
        jm_buf_adds(&text, " (permanent)");
    jm_journal_note(&attempt->journal, again || retry ? JM_WARNING : JM_ERROR, true, def->name,
                    now_us(attempt), text.data);
    jm_buf_fini(&text);
}

/* ---- actions: what a state does on an event ---- */

static void set_error(jm_attempt *attempt, const char *text)
{
    jm_buf_clear(&attempt->error);
    jm_buf_adds(&attempt->error, text);
}

static void on_deadline(void *ctx);

/* The job's timeout, and the step's while a try runs. */
static void set_deadline(jm_attempt *attempt, int step_s)
{
    int job_s = attempt->job->timeout_s ? attempt->job->timeout_s : attempt->type->timeout_s;
    int64_t job_at = attempt->started_us + (int64_t)job_s * 1000000;
    int64_t step_at = now_us(attempt) + (int64_t)step_s * 1000000;
    attempt->job_timed_out = job_s && (!step_s || job_at <= step_at);
    if (job_s || step_s)
        jm_timer_set(attempt->env->loop, &attempt->deadline,
                     attempt->job_timed_out ? job_at : step_at, on_deadline, attempt);
}

static void start_try(jm_attempt *attempt)
{
    jm_step_run *run = &attempt->run;
    const jm_step_def *def = step_def(attempt);
    jm_loop *loop = attempt->env->loop;
    attempt->state = ATTEMPT_RUNNING;
    attempt->has_data = attempt->timed_out = false;
    jm_buf_clear(&attempt->data);
    jm_buf_clear(&attempt->error);
    run->try++;
    run->def = def;
    run->state = NULL;
    run->retry_after_us = 0;
    set_deadline(attempt, def->timeout_s);
    if (run->try == 1) {
        char text[160];
        snprintf(text, sizeof text, "step %s: start", def->name);
        jm_journal_note(&attempt->journal, JM_DEBUG, false, def->name, now_us(attempt), text);
    }
    if (attempt->row.open_no < 0)
        jm_timer_set(loop, &attempt->chore, attempt->row.started_us + RUNNING_ROW_US,
                     on_running_row, attempt);
    jm_buf steps = {0};
    jm_buf_addf(&steps, "{%.*s}", attempt->done.len ? (int)(attempt->done.len - 1) : 0,
                jm_buf_str(&attempt->done));
    run->steps_data = steps.data;
    jm_err err = {0};
    if (jm_executors_get(attempt->env->executors, def->executor, run, &err))
        jm_step_end(run, JM_STEP_FAILURE, NULL, 0, err.msg);
    else
        def->executor->start(run);
    run->steps_data = NULL;
    jm_buf_fini(&steps);
}

static void next_step(jm_attempt *attempt)
{
    while (attempt->step < attempt->type->n_steps &&
           (was_done(attempt) || !jm_attempt_is_due(attempt)))
        attempt->step++;
    if (attempt->step == attempt->type->n_steps) {
        finish(attempt, JM_END_COMPLETED, NULL);
        return;
    }
    jm_journal_step_begin(&attempt->journal, &attempt->row, step_def(attempt)->name,
                          now_us(attempt));
    attempt->run.try = 0;
    start_try(attempt);
}

static void set_from_data(jm_attempt *attempt)
{
    const char *key;
    json_t *pointer;
    json_object_foreach(step_def(attempt)->set, key, pointer)
    {
        jm_raw value = {NULL, 0};
        if (attempt->has_data)
            value =
                jm_raw_at(attempt->data.data, attempt->data.len, json_string_value(pointer), false);
        jm_buf name = {0};
        jm_buf_add_json(&name, key, strlen(key));
        if (!value.p || *value.p == '{' || *value.p == '[' ||
            !jm_journal_set(&attempt->journal, name.data, name.len, value.p, value.len)) {
            jm_buf_clear(&name);
            jm_buf_addf(&name, "metadata %s is not set: the step's data has no scalar at \"%s\"",
                        key, json_string_value(pointer));
            jm_journal_note(&attempt->journal, JM_WARNING, true, step_def(attempt)->name,
                            now_us(attempt), name.data);
        }
        jm_buf_fini(&name);
    }
}

static void step_succeeded(jm_attempt *attempt)
{
    const char *name = step_def(attempt)->name;
    char text[160];
    close_row(attempt, "success");
    set_from_data(attempt);
    snprintf(text, sizeof text, "step %s: success in %lld ms", name, step_ms(attempt));
    jm_journal_note(&attempt->journal, JM_INFO, false, name, now_us(attempt), text);
    if (attempt->has_data)
        add_done(attempt, name, attempt->data.data, attempt->data.len);
    else
        add_done(attempt, name, "null", 4);
    attempt->step++;
    attempt->state = ATTEMPT_BETWEEN;
    attempt->event = EVENT_GO;
    if (jm_journal_is_large(&attempt->journal))
        flush(attempt);
}

static void on_delay_over(void *ctx);

static void wait_for_next_try(jm_attempt *attempt)
{
    int64_t delay_us = no_sooner(attempt, (int64_t)(step_def(attempt)->retry_delay_s * 1e6));
    attempt->state = ATTEMPT_WAITING;
    jm_timer_clear(attempt->env->loop, &attempt->chore);
    if (attempt->row.open_no < 0)
        jm_journal_step_row(&attempt->journal, &attempt->row, "running", attempt->run.try, 0, NULL,
                            0, NULL);
    flush(attempt);
    if (delay_us <= 0) {
        attempt->event = EVENT_GO;
        return;
    }
    set_deadline(attempt, 0);
    jm_timer_set(attempt->env->loop, &attempt->chore, now_us(attempt) + delay_us, on_delay_over,
                 attempt);
}

static void step_failed(jm_attempt *attempt)
{
    bool again = attempt->run.try < step_def(attempt)->retry &&
                 !(attempt->timed_out && attempt->job_timed_out);
    note_failure(attempt, false, again);
    if (again) {
        wait_for_next_try(attempt);
        return;
    }
    close_row(attempt, "failed");
    finish_failed(attempt, false);
}

static void step_failed_for_good(jm_attempt *attempt)
{
    note_failure(attempt, true, false);
    close_row(attempt, "failed");
    finish_failed(attempt, true);
}

/* Neither SIGTERM nor SIGKILL nor whatever its executor does has ended it: nothing more can be done
 * than to say so. */
static void on_stuck(void *ctx)
{
    jm_attempt *attempt = ctx;
    char id[JM_UUID_TEXT], text[200];
    jm_uuid_format(&attempt->job->id, id);
    snprintf(text, sizeof text,
             "step %s was told to end %d ms ago and has not: its slot stays taken until it does",
             step_def(attempt)->name, attempt->env->kill_grace_ms + attempt->env->stuck_ms);
    jm_log_kv(JM_ERROR, "watchdog", text, "job_id", id, NULL);
    attempt->stuck = true;
    if (attempt->env->stuck)
        attempt->env->stuck(attempt->env->ctx, true);
}

/* jm_step_end clears the deadline. */
static void begin_stopping(jm_attempt *attempt)
{
    jm_loop *loop = attempt->env->loop;
    attempt->state = ATTEMPT_STOPPING;
    jm_timer_set(loop, &attempt->deadline,
                 now_us(attempt) +
                     (int64_t)(attempt->env->kill_grace_ms + attempt->env->stuck_ms) * 1000,
                 on_stuck, attempt);
    step_def(attempt)->executor->stop(&attempt->run);
}

static void say_timeout(jm_attempt *attempt)
{
    char text[80];
    int job_s = attempt->job->timeout_s ? attempt->job->timeout_s : attempt->type->timeout_s;
    if (attempt->job_timed_out)
        snprintf(text, sizeof text, "timed out: the job took longer than %d s", job_s);
    else
        snprintf(text, sizeof text, "timed out: the step took longer than %d s",
                 step_def(attempt)->timeout_s);
    set_error(attempt, text);
}

static void running_timed_out(jm_attempt *attempt)
{
    attempt->timed_out = true;
    begin_stopping(attempt);
}

static void waiting_timed_out(jm_attempt *attempt)
{
    attempt->timed_out = attempt->job_timed_out = true;
    say_timeout(attempt);
    step_failed(attempt);
}

static void end_as_asked(jm_attempt *attempt)
{
    const char *name = step_def(attempt)->name;
    char text[300];
    set_error(attempt, attempt->stop_error);
    attempt->timed_out = false;
    close_row(attempt, "cancelled");
    snprintf(text, sizeof text, "step %s: stopped after %lld ms: %.120s", name, step_ms(attempt),
             attempt->stop_error);
    jm_journal_note(&attempt->journal, JM_WARNING, true, name, now_us(attempt), text);
    finish(attempt, attempt->stop_end, attempt->stop_error);
}

/* Its executor is asked again, with no grace left. */
static void hurry(jm_attempt *attempt)
{
    step_def(attempt)->executor->stop(&attempt->run);
}

/* However the try ended after it was told to: what counts is why it was told. A handler that leaves
 * with 0 on SIGTERM has not done its work. */
static void stopped(jm_attempt *attempt)
{
    if (attempt->stop_end) {
        end_as_asked(attempt);
        return;
    }
    say_timeout(attempt);
    step_failed(attempt);
}

typedef void action(jm_attempt *attempt);

/* Events that a state has no action for are late news and change nothing. */
static action *const table[ATTEMPT_STATES][ATTEMPT_EVENTS] = {
    [ATTEMPT_BETWEEN] = {[EVENT_GO] = next_step},
    [ATTEMPT_RUNNING] = {[EVENT_SUCCESS] = step_succeeded,
                         [EVENT_FAILURE] = step_failed,
                         [EVENT_PERMANENT] = step_failed_for_good,
                         [EVENT_TIMEOUT] = running_timed_out,
                         [EVENT_STOP] = begin_stopping},
    [ATTEMPT_STOPPING] = {[EVENT_SUCCESS] = stopped,
                          [EVENT_FAILURE] = stopped,
                          [EVENT_PERMANENT] = stopped,
                          [EVENT_HURRY] = hurry},
    [ATTEMPT_WAITING] =
        {[EVENT_GO] = start_try, [EVENT_TIMEOUT] = waiting_timed_out, [EVENT_STOP] = end_as_asked},
};

static void attempt_free(jm_attempt *attempt)
{
    jm_journal_fini(&attempt->journal);
    jm_buf_fini(&attempt->params);
    jm_buf_fini(&attempt->done);
    jm_buf_fini(&attempt->outcomes);
    jm_buf_fini(&attempt->data);
    jm_buf_fini(&attempt->error);
    jm_buf_fini(&attempt->result);
    jm_buf_fini(&attempt->line);
    jm_mask_fini(&attempt->mask);
    jm_attempt_free_sinks(attempt);
    free(attempt->stop_error);
    jm_job_type_unref(attempt->type);
    free(attempt);
}

/* Handles one event after the other, also those that actions bring about, without recursion. */
static void post(jm_attempt *attempt, attempt_event event)
{
    attempt->event = event;
    if (attempt->driving)
        return;
    attempt->driving = true;
    while (attempt->event != EVENT_NONE && attempt->state != ATTEMPT_ENDED) {
        action *act = table[attempt->state][attempt->event];
        attempt->event = EVENT_NONE;
        if (act)
            act(attempt);
    }
    attempt->driving = false;
    if (attempt->state == ATTEMPT_ENDED)
        attempt_free(attempt);
}

static void on_deadline(void *ctx)
{
    post(ctx, EVENT_TIMEOUT);
}

static void on_delay_over(void *ctx)
{
    post(ctx, EVENT_GO);
}

/* ---- interface ---- */

jm_attempt *jm_attempt_new(const jm_attempt_env *env, jm_job *job)
{
    jm_attempt *attempt = jm_calloc(1, sizeof *attempt);
    attempt->env = env;
    attempt->job = job;
    attempt->type = jm_job_type_ref(job->job_type);
    attempt->started_us = jm_loop_now_us(env->loop);
    attempt->return_code = -1;
    attempt->run =
        (jm_step_run){.attempt = attempt,
                      .loop = env->loop,
                      .spawner = env->spawner,
                      .job = job,
                      .kill_grace_ms = job->lock_token ? env->lock_grace_ms : env->kill_grace_ms};
    jm_journal_init(&attempt->journal, job, attempt->type);
    return attempt;
}

jm_attempt_links *jm_attempt_get_links(jm_attempt *attempt)
{
    return &attempt->links;
}

const jm_job *jm_attempt_job(const jm_attempt *attempt)
{
    return attempt->job;
}

void jm_attempt_describe(const jm_attempt *attempt, jm_arena *arena, jm_running_job *out)
{
    const jm_job *job = attempt->job;
    const char *step = attempt->step < attempt->type->n_steps ? step_def(attempt)->name : NULL;
    *out = (jm_running_job){.id = job->id,
                            .type = jm_arena_strdup(arena, job->type),
                            .queue = jm_arena_strdup(arena, job->queue),
                            .project = jm_arena_strdup(arena, job->project),
                            .step = jm_arena_strdup(arena, step),
                            .attempt = job->attempt,
                            .started_us = attempt->started_us,
                            .items_total = attempt->journal.items_total,
                            .items_ok = attempt->journal.items_ok,
                            .items_failed = attempt->journal.items_failed,
                            .stopping = attempt->state == ATTEMPT_STOPPING};
}

void jm_attempt_begin(jm_attempt *attempt)
{
    jm_err err;
    if (!jm_attempt_has_documents(attempt)) { /* the worker was told to stop before it could look */
        finish(attempt, JM_END_RETURNED, "the worker stops");
        attempt_free(attempt);
        return;
    }
    if (check_lock(attempt, &err) || take_params(attempt, &err) ||
        jm_attempt_check_documents(attempt, &err) || jm_attempt_check_params(attempt, &err)) {
        jm_journal_note(&attempt->journal, JM_ERROR, true, NULL, now_us(attempt), err.msg);
        finish(attempt, JM_END_FAILED, err.msg);
        attempt_free(attempt);
        return;
    }
    post(attempt, EVENT_GO);
}

void jm_attempt_stop(jm_attempt *attempt, jm_end end, const char *error, bool at_once)
{
    bool was_stopping = attempt->state == ATTEMPT_STOPPING;
    bool was_asked = attempt->stop_end != 0;
    if (at_once)
        attempt->run.kill_grace_ms = 0;
    if (!was_asked) {
        attempt->stop_end = end;
        attempt->stop_error = jm_strdup(error ? error : "stopped");
    }
    if (!was_stopping && !was_asked)
        post(attempt, EVENT_STOP);
    else if (was_stopping && at_once)
        post(attempt, EVENT_HURRY);
}

void jm_step_end(jm_step_run *run, jm_verdict verdict, const char *data, size_t data_len,
                 const char *error)
{
    static const attempt_event events[] = {
        [JM_STEP_SUCCESS] = EVENT_SUCCESS,
        [JM_STEP_FAILURE] = EVENT_FAILURE,
        [JM_STEP_PERMANENT] = EVENT_PERMANENT,
    };
    jm_attempt *attempt = run->attempt;
    jm_timer_clear(run->loop, &attempt->deadline);
    jm_timer_clear(run->loop, &run->timer);
    attempt->has_data = data != NULL;
    if (data)
        jm_attempt_masked(attempt, data, data_len, &attempt->data);
    jm_buf_clear(&attempt->error);
    jm_mask_text(&attempt->mask, error ? error : "", error ? strlen(error) : 0, &attempt->error);
    post(attempt, events[verdict]);
}
