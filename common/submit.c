/* New jobs become rows: a batch of jobs with what makes them start, as one statement. */
#include "submit.h"

#include <stdlib.h>
#include <string.h>

#include "job_message.h"
#include "mem.h"

/* In the order of the statement's parameters. */
enum {
    C_ID,
    C_EXTERNAL_ID,
    C_PROJECT,
    C_TYPE,
    C_QUEUE,
    C_PROFILE,
    C_PARAMS,
    C_MAX_ATTEMPTS,
    C_TIMEOUT_S,
    C_PRIORITY,
    C_ORDERING_KEY,
    C_EXCLUSIVE,
    C_SCHEDULE_ID,
    C_DUE_AT,
    C_DEDUP_KEY,
    C_METADATA,
    C_CALLBACK_URL,
    C_TRACE_CONTEXT,
    C_SUBMITTED_BY,
    C_RUN_AT,
    C_START_BY,
    C_STATE,
    C_VISIBLE_AT,
    C_REASON,
    C_MESSAGE,
    C_DEPENDS_ON,
    C_REQUEST_ID,
    N_COLUMNS
};

static const jm_col_type column_types[N_COLUMNS] = {
    [C_ID] = JM_COL_UUID,           [C_EXTERNAL_ID] = JM_COL_TEXT,  [C_PROJECT] = JM_COL_TEXT,
    [C_TYPE] = JM_COL_TEXT,         [C_QUEUE] = JM_COL_TEXT,        [C_PROFILE] = JM_COL_TEXT,
    [C_PARAMS] = JM_COL_JSONB,      [C_MAX_ATTEMPTS] = JM_COL_I32,  [C_TIMEOUT_S] = JM_COL_I32,
    [C_PRIORITY] = JM_COL_I16,      [C_ORDERING_KEY] = JM_COL_TEXT, [C_EXCLUSIVE] = JM_COL_TEXT,
    [C_SCHEDULE_ID] = JM_COL_UUID,  [C_DUE_AT] = JM_COL_TS,         [C_DEDUP_KEY] = JM_COL_TEXT,
    [C_METADATA] = JM_COL_JSONB,    [C_CALLBACK_URL] = JM_COL_TEXT, [C_TRACE_CONTEXT] = JM_COL_TEXT,
    [C_SUBMITTED_BY] = JM_COL_TEXT, [C_RUN_AT] = JM_COL_TS,         [C_START_BY] = JM_COL_TS,
    [C_STATE] = JM_COL_TEXT,        [C_VISIBLE_AT] = JM_COL_TS,     [C_REASON] = JM_COL_TEXT,
    [C_MESSAGE] = JM_COL_TEXT,      [C_DEPENDS_ON] = JM_COL_JSONB,  [C_REQUEST_ID] = JM_COL_TEXT,
};

struct jm_submit {
    jm_col cols[N_COLUMNS];
    jm_buf message; /* of the job added last */
    jm_pg_args args;
};

jm_submit *jm_submit_new(void)
{
    jm_submit *submit = jm_calloc(1, sizeof *submit);
    for (int i = 0; i < N_COLUMNS; i++)
        jm_col_init(&submit->cols[i], column_types[i]);
    return submit;
}

void jm_submit_free(jm_submit *submit)
{
    if (!submit)
        return;
    for (int i = 0; i < N_COLUMNS; i++)
        jm_col_fini(&submit->cols[i]);
    jm_buf_fini(&submit->message);
    free(submit);
}

void jm_submit_reset(jm_submit *submit)
{
    for (int i = 0; i < N_COLUMNS; i++)
        jm_col_reset(&submit->cols[i]);
}

size_t jm_submit_count(const jm_submit *submit)
{
    return (size_t)submit->cols[C_ID].n;
}

jm_submit_way jm_submit_way_of(const jm_job *job, int64_t now_us)
{
    return job->depends_on || job->exclusive || job->priority != JM_PRIORITY_DEFAULT ||
                   job->run_at_us > now_us
               ? JM_SUBMIT_READY
               : JM_SUBMIT_PUBLISH;
}

/* What the job is. */
static void add_job(jm_col *cols, const jm_job *job)
{
    jm_col_add_uuid(&cols[C_ID], &job->id);
    jm_col_add_str(&cols[C_EXTERNAL_ID], job->external_id);
    jm_col_add_str(&cols[C_PROJECT], job->project);
    jm_col_add_str(&cols[C_TYPE], job->type);
    jm_col_add_str(&cols[C_QUEUE], job->queue);
    jm_col_add_str(&cols[C_PROFILE], job->profile);
    if (job->params)
        jm_col_add_bytes(&cols[C_PARAMS], job->params, job->params_len);
    else
        jm_col_add_str(&cols[C_PARAMS], "{}");
    jm_col_add_i32(&cols[C_MAX_ATTEMPTS], job->max_attempts);
    jm_col_add_i32(&cols[C_TIMEOUT_S], job->timeout_s);
    jm_col_add_i32(&cols[C_PRIORITY], job->priority);
    jm_col_add_str(&cols[C_ORDERING_KEY], job->key);
    jm_col_add_str(&cols[C_EXCLUSIVE], job->exclusive);
    jm_col_add_uuid(&cols[C_SCHEDULE_ID], job->has_schedule ? &job->schedule_id : NULL);
    jm_col_add_time(&cols[C_DUE_AT], job->due_at_us);
    jm_col_add_str(&cols[C_DEDUP_KEY], job->dedup_key);
    jm_col_add_bytes(&cols[C_METADATA], job->metadata, job->metadata_len);
    jm_col_add_str(&cols[C_CALLBACK_URL], job->callback_url);
    jm_col_add_str(&cols[C_TRACE_CONTEXT], job->trace_context);
    jm_col_add_str(&cols[C_SUBMITTED_BY], job->submitted_by);
    jm_col_add_time(&cols[C_RUN_AT], job->run_at_us);
    jm_col_add_time(&cols[C_START_BY], job->start_by_us);
    jm_col_add_str(&cols[C_DEPENDS_ON], job->depends_on);
    jm_col_add_str(&cols[C_REQUEST_ID], job->request_id);
}

/* Why a job does not go through Kafka, for people who look at what waits. */
static const char *reason_of(const jm_job *job, jm_submit_way way)
{
    if (way == JM_SUBMIT_PUBLISH)
        return NULL;
    if (job->depends_on)
        return "depends_on"; /* the statement goes by it */
    if (job->exclusive)
        return "waits for its lock";
    if (job->priority != JM_PRIORITY_DEFAULT)
        return "priority";
    return job->run_at_us ? "run_at" : "delayed";
}

void jm_submit_add(jm_submit *submit, const jm_job *job, jm_submit_way way, int64_t visible_us,
                   const jm_buf **message)
{
    jm_col *cols = submit->cols;
    jm_buf_clear(&submit->message);
    jm_job_message_write(job, &submit->message);
    add_job(cols, job);
    jm_col_add_str(&cols[C_STATE], way == JM_SUBMIT_PUBLISH ? "unpublished" : "ready");
    jm_col_add_ts(&cols[C_VISIBLE_AT], visible_us);
    jm_col_add_str(&cols[C_REASON], reason_of(job, way));
    /* The row of a job that never goes through Kafka need not carry its message. */
    if (way == JM_SUBMIT_PUBLISH)
        jm_col_add_bytes(&cols[C_MESSAGE], jm_buf_str(&submit->message), submit->message.len);
    else
        jm_col_add_null(&cols[C_MESSAGE]);
    if (message)
        *message = &submit->message;
}

jm_pg_call jm_submit_call(jm_submit *submit)
{
    jm_pg_args_init(&submit->args);
    for (int i = 0; i < N_COLUMNS; i++)
        jm_pg_arg_col(&submit->args, &submit->cols[i]);
    return (jm_pg_call){.sql = &jm_sql_submit_jobs, .args = &submit->args};
}
