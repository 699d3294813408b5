/* What is asked before something runs: whether params fit the type's schema, and whether the
 * conditions of a step hold. Steps that are skipped are recorded. */
#include <stdio.h>
#include <string.h>

#include "common/json_value.h"
#include "common/params_schema.h"
#include "worker/attempt_state.h"
#include "worker/when.h"

int jm_attempt_check_params(const jm_attempt *attempt, jm_err *err)
{
    const jm_step_run *run = &attempt->run;
    if (!attempt->type->schema)
        return JM_OK;
    json_t *params = jm_json_load(run->params, run->params_len);
    if (!params)
        return jm_err_field(err, "params", "params have a number that is too large to be checked");
    int rc = jm_params_schema_check(attempt->type->schema, params, err);
    json_decref(params);
    if (!rc)
        return JM_OK;
    char place[sizeof err->field + 8];
    snprintf(place, sizeof place, "/params%s", err->field);
    return jm_err_prefix(err, "params do not fit params_schema: %s", place);
}

int jm_attempt_check_documents(const jm_attempt *attempt, jm_err *err)
{
    const jm_job *job = attempt->job;
    if (!job->no_document)
        return JM_OK;
    const char *project = job->project ? job->project : "default";
    return jm_err_field(err, "documents",
                        "project %.100s has no document \"%.100s\", which type %.100s names: make "
                        "it (jobmill document set %.100s --project %.100s) and retry the job",
                        project, job->no_document, attempt->type->name, job->no_document, project);
}

bool jm_attempt_has_documents(const jm_attempt *attempt)
{
    return !attempt->type->documents[0] || attempt->job->documents || attempt->job->no_document;
}

void jm_attempt_add_outcome(jm_attempt *attempt, const char *name, const char *outcome)
{
    if (!attempt->type->has_when)
        return;
    jm_buf_add_json(&attempt->outcomes, name, strlen(name));
    jm_buf_addf(&attempt->outcomes, ":\"%s\",", outcome);
}

/* The object of members that each have a comma behind them, in *text. */
static jm_raw object_of(const jm_buf *members, jm_buf *text)
{
    jm_buf_addf(text, "{%.*s}", members->len ? (int)(members->len - 1) : 0, jm_buf_str(members));
    return (jm_raw){text->data, text->len};
}

static bool ask(jm_attempt *attempt, const jm_when *when, jm_buf *why)
{
    jm_buf set = {0}, steps = {0}, outcomes = {0};
    const jm_job *job = attempt->job;
    jm_when_scope scope = {.params = {attempt->run.params, attempt->run.params_len},
                           .metadata = {job->metadata, job->metadata_len},
                           .set = object_of(&attempt->journal.all_set, &set),
                           .steps = object_of(&attempt->done, &steps),
                           .outcomes = object_of(&attempt->outcomes, &outcomes)};
    bool holds = jm_when_holds(when, &scope, why);
    jm_buf_fini(&set);
    jm_buf_fini(&steps);
    jm_buf_fini(&outcomes);
    return holds;
}

static void record_skipped(jm_attempt *attempt, const char *name, const char *why)
{
    int64_t now_us = jm_loop_now_us(attempt->env->loop);
    jm_buf text = {0};
    jm_journal_step_begin(&attempt->journal, &attempt->row, name, now_us);
    jm_journal_step_row(&attempt->journal, &attempt->row, "skipped", 0, now_us, NULL, 0, NULL);
    jm_buf_addf(&text, "step %s: skipped, when does not hold: %s", name, why);
    jm_journal_note(&attempt->journal, JM_INFO, false, name, now_us, text.data);
    jm_buf_fini(&text);
    jm_attempt_add_outcome(attempt, name, "skipped");
}

bool jm_attempt_is_due(jm_attempt *attempt)
{
    const jm_step_def *def = &attempt->type->steps[attempt->step];
    jm_buf why = {0};
    if (!def->when)
        return true;
    bool due = ask(attempt, def->when, &why);
    if (!due)
        record_skipped(attempt, def->name, jm_buf_str(&why));
    jm_buf_fini(&why);
    return due;
}
