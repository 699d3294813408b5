/* Takes what executors report about an attempt: logs, lines of handlers, output. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_scan.h"
#include "common/mem.h"
#include "worker/attempt_state.h"
#include "worker/handler_protocol.h"
#include "worker/output_dir.h"
#include "worker/secrets.h"
#include "worker/text.h"

enum { MAX_OUTPUT_BYTES = 1 << 20 };

static int64_t now_us(const jm_attempt *attempt)
{
    return jm_loop_now_us(attempt->env->loop);
}

/* ---- secrets ---- */

int jm_step_secret(jm_step_run *run, const char *name, const char **value, size_t *len, jm_err *err)
{
    const char *path = strcmp(name, "callback") ? NULL : run->env->callback_secret_file;
    if (jm_secrets_get(run->secrets, name, path, value, len, err)) {
        err->retriable = true; /* the file may be put right */
        return err->code;
    }
    jm_mask_add(&run->attempt->mask, *value, *len);
    return JM_OK;
}

static int scope_secret(void *ctx, const char *name, const char **value, size_t *len, jm_err *err)
{
    return jm_step_secret(ctx, name, value, len, err);
}

jm_template_scope jm_step_scope(jm_step_run *run)
{
    return (jm_template_scope){.job = run->job,
                               .params = run->params,
                               .params_len = run->params_len,
                               .steps_data = run->steps_data,
                               .step = run->def->name,
                               .try = run->try,
                               .secret = scope_secret,
                               .ctx = run};
}

void jm_step_mask(jm_step_run *run, const jm_mask *mask)
{
    jm_mask_merge(&run->attempt->mask, mask);
}

void jm_attempt_masked(const jm_attempt *attempt, const char *text, size_t len, jm_buf *out)
{
    jm_json json;
    jm_err err;
    if (!attempt->mask.n) {
        jm_buf_add(out, text, len);
        return;
    }
    if (jm_json_scan(&json, text, len, JM_JSON_DEPTH_MAX, &err))
        jm_mask_text(&attempt->mask, text, len, out);
    else
        jm_mask_json(&attempt->mask, text, len, out);
    jm_json_fini(&json);
}

/* ---- logs and output ---- */

void jm_step_log(jm_step_run *run, jm_log_level level, const char *message, size_t len,
                 const char *details)
{
    jm_attempt *attempt = run->attempt;
    jm_buf clean = {0}, clean_details = {0};
    if (attempt->mask.n) {
        jm_mask_text(&attempt->mask, message, len, &clean);
        if (details)
            jm_attempt_masked(attempt, details, strlen(details), &clean_details);
        message = jm_buf_str(&clean);
        len = clean.len;
        details = clean_details.data;
    }
    jm_journal_handler_log(&attempt->journal, level, run->def->name, now_us(attempt), message, len,
                           details, details ? strlen(details) : 0);
    jm_attempt_touched(attempt);
    jm_buf_fini(&clean);
    jm_buf_fini(&clean_details);
}

static void add_output(jm_buf *all, const char *text, const jm_step_run *run, bool first)
{
    if (!text || !*text || all->len > MAX_OUTPUT_BYTES)
        return;
    if (!first)
        jm_buf_addf(all, "--- step %s, try %d ---\n", run->def->name, run->try);
    jm_mask_text(&run->attempt->mask, text, strlen(text), all);
    if (all->data[all->len - 1] != '\n')
        jm_buf_addc(all, '\n');
}

void jm_step_put_output(jm_step_run *run, const jm_step_output *output)
{
    jm_attempt *attempt = run->attempt;
    add_output(&attempt->out, output->out_text, run, !attempt->n_outputs);
    add_output(&attempt->errs, output->err_text, run, !attempt->n_outputs);
    attempt->n_outputs++;
    attempt->return_code = output->return_code;
}

const char *jm_step_output_path(jm_step_run *run)
{
    jm_attempt *attempt = run->attempt;
    if (!attempt->output_dir)
        attempt->output_dir = jm_output_dirs_path(attempt->env->output_dirs, attempt->job);
    return attempt->output_dir;
}

const char *jm_step_output_dir(jm_step_run *run, jm_err *err)
{
    jm_attempt *attempt = run->attempt;
    bool maybe_there = attempt->output_dir != NULL; /* a step before may have made it */
    const char *path = jm_step_output_path(run);
    if (!attempt->output_dir_made &&
        jm_output_dirs_make(attempt->env->output_dirs, path, maybe_there, err))
        return NULL;
    attempt->output_dir_made = true;
    return path;
}

/* ---- lines of the handler ---- */

/* It stands in the job's log, where the handler's author looks. */
void jm_step_complain(jm_step_run *run, const char *what, const char *why, const char *line,
                      size_t len)
{
    jm_buf text = {0};
    jm_buf_addf(&text, "%s: %s", what, why);
    if (line) {
        jm_buf_adds(&text, ": ");
        jm_buf_add(&text, line, jm_text_cut(line, len, 200));
    }
    jm_step_log(run, JM_WARNING, text.data, text.len, NULL);
    jm_buf_fini(&text);
}

/* The step of that name that is under way; the same name after its end is another step. */
static handler_step *find_step(jm_attempt *attempt, const char *name)
{
    handler_step *step = attempt->handler_steps;
    while (step && (step->over || strcmp(step->name, name) != 0))
        step = step->next;
    return step;
}

static handler_step *add_step(jm_attempt *attempt, const char *name)
{
    handler_step *step = jm_calloc(1, sizeof *step);
    step->name = jm_strdup(name);
    jm_journal_step_begin(&attempt->journal, &step->row, step->name, now_us(attempt));
    step->next = attempt->handler_steps;
    attempt->handler_steps = step;
    attempt->n_handler_steps++;
    return step;
}

static bool goes_on(const char *status)
{
    return !strcmp(status, "running") || !strcmp(status, "pending");
}

static void take_step(jm_step_run *run, const jm_handler_step *found)
{
    jm_attempt *attempt = run->attempt;
    for (int i = 0; i < attempt->type->n_steps; i++) {
        /* Its success would make a later attempt skip the step of that name. */
        if (!strcmp(attempt->type->steps[i].name, found->name)) {
            jm_step_complain(run, "a step on descriptor 3 is left out",
                             "it has the name of a step of the definition", found->name,
                             strlen(found->name));
            return;
        }
    }
    handler_step *step = find_step(attempt, found->name);
    if (!step) {
        if (attempt->n_handler_steps >= JM_JOURNAL_MAX_STEPS) {
            if (attempt->n_handler_steps++ == JM_JOURNAL_MAX_STEPS)
                jm_step_complain(run, "a step on descriptor 3 is left out", "there are too many",
                                 NULL, 0);
            return;
        }
        step = add_step(attempt, found->name);
    }
    step->over = !goes_on(found->status);
    jm_journal_step_row(&attempt->journal, &step->row, found->status, 1,
                        step->over ? now_us(attempt) : 0, found->data.p, found->data.len,
                        found->error);
}

static void take_set(jm_step_run *run, jm_raw set)
{
    jm_raw key, value;
    for (size_t pos = 0; jm_raw_next(set.p, set.len, &pos, &key, &value);)
        if (!jm_journal_set(&run->attempt->journal, key.p, key.len, value.p, value.len))
            jm_step_complain(run, "metadata is not set", "there is too much of it", key.p, key.len);
}

void jm_step_take_line(jm_step_run *run, const jm_handler_line *line)
{
    jm_attempt *attempt = run->attempt;
    if (line->log.message)
        jm_journal_handler_log(&attempt->journal, line->log.level, run->def->name, now_us(attempt),
                               line->log.message, line->log.len, line->log.details.p,
                               line->log.details.len);
    if (line->has_progress)
        jm_journal_progress(&attempt->journal, line->total, line->ok, line->failed);
    if (line->set.p)
        take_set(run, line->set);
    if (line->step.name)
        take_step(run, &line->step);
    jm_attempt_touched(attempt);
}

const char *jm_step_masked_line(jm_step_run *run, const char *text, size_t *len)
{
    jm_attempt *attempt = run->attempt;
    if (!attempt->mask.n)
        return text;
    jm_buf_clear(&attempt->line);
    jm_attempt_masked(attempt, text, *len, &attempt->line);
    *len = attempt->line.len;
    return jm_buf_str(&attempt->line);
}

jm_raw jm_step_handler_line(jm_step_run *run, const char *text, size_t len)
{
    jm_handler_line line;
    jm_err err;
    text = jm_step_masked_line(run, text, &len);
    if (jm_handler_line_parse(text, len, &line, &err)) {
        jm_step_complain(run, JM_HANDLER_NOT_UNDERSTOOD, err.msg, text, len);
        return (jm_raw){NULL, 0};
    }
    if (line.end.given)
        jm_step_complain(
            run, JM_HANDLER_NOT_UNDERSTOOD,
            "end is for handlers with mode \"loop\"; here the exit status ends the job", text, len);
    else
        jm_step_take_line(run, &line);
    jm_raw result = line.end.given ? (jm_raw){NULL, 0} : line.result;
    jm_handler_line_fini(&line);
    return result;
}

/* ---- the end ---- */

static char *masked_list(const jm_attempt *attempt, const jm_buf *list)
{
    jm_buf out = {0};
    jm_attempt_masked(attempt, list->data, list->len, &out);
    return jm_buf_take(&out);
}

void jm_attempt_close_sinks(jm_attempt *attempt, bool success)
{
    for (handler_step *step = attempt->handler_steps; step; step = step->next)
        if (!step->over)
            jm_journal_step_row(&attempt->journal, &step->row, success ? "success" : "failed", 1,
                                now_us(attempt), NULL, 0,
                                success ? NULL : "the job ended meanwhile");
    if (!attempt->output_dir)
        return;
    jm_buf list = {0};
    jm_output_dirs_close(attempt->env->output_dirs, attempt->output_dir, &list,
                         &attempt->total_size);
    if (list.len)
        attempt->files = masked_list(attempt, &list);
    jm_buf_fini(&list);
}

void jm_attempt_free_sinks(jm_attempt *attempt)
{
    for (handler_step *step = attempt->handler_steps, *next; step; step = next) {
        next = step->next;
        free(step->name);
        free(step);
    }
    jm_buf_fini(&attempt->out);
    jm_buf_fini(&attempt->errs);
    free(attempt->output_dir);
    free(attempt->files);
}
