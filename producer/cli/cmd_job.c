/* jobmill job: submitting jobs and looking at them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/job_fields.h"
#include "common/rows.h"
#include "producer/cli/cleanup.h"
#include "producer/cli/change.h"
#include "producer/cli/commands.h"
#include "producer/cli/metadata.h"
#include "producer/cli/job_update.h"
#include "producer/cli/confirm.h"
#include "producer/cli/job_logs.h"
#include "producer/cli/table.h"
#include "producer/service/job_actions.h"
#include "producer/service/job_search.h"
#include "producer/service/jobs.h"
#include "producer/service/publish.h"

static const jm_cli_column list_columns[] = {{"ID", "id", JM_CLI_TEXT},
                                             {"TYPE", "type", JM_CLI_TEXT},
                                             {"STATUS", "status", JM_CLI_STATE},
                                             {"QUEUE", "queue", JM_CLI_TEXT},
                                             {"ATTEMPT", "attempt", JM_CLI_RIGHT},
                                             {"CREATED", "created_at", JM_CLI_TIME},
                                             {"DURATION", "duration_ms", JM_CLI_MS},
                                             {"ERROR", "error", JM_CLI_WIDE},
                                             {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column show_columns[] = {{"Id", "id", JM_CLI_TEXT},
                                             {"External id", "external_id", JM_CLI_TEXT},
                                             {"Type", "type", JM_CLI_TEXT},
                                             {"Status", "status", JM_CLI_STATE},
                                             {"Error", "error", JM_CLI_TEXT},
                                             {"Project", "project", JM_CLI_TEXT},
                                             {"Queue", "queue", JM_CLI_TEXT},
                                             {"Priority", "priority", JM_CLI_TEXT},
                                             {"Key", "ordering_key", JM_CLI_TEXT},
                                             {"Dedup key", "dedup_key", JM_CLI_TEXT},
                                             {"Depends on", "depends_on", JM_CLI_TEXT},
                                             {"Profile", "profile", JM_CLI_TEXT},
                                             {"Params", "params", JM_CLI_TEXT},
                                             {"Metadata", "metadata", JM_CLI_TEXT},
                                             {"Schedule", "schedule_id", JM_CLI_TEXT},
                                             {"Due", "due_at", JM_CLI_TIME},
                                             {"Retry of", "retry_of", JM_CLI_TEXT},
                                             {"Callback of", "callback_of", JM_CLI_TEXT},
                                             {"Callback to", "callback_url", JM_CLI_TEXT},
                                             {"Callback", "callback_status", JM_CLI_STATE},
                                             {"Callback error", "callback_error", JM_CLI_TEXT},
                                             {"Submitted by", "submitted_by", JM_CLI_TEXT},
                                             {"Created", "created_at", JM_CLI_TIME},
                                             {"Not before", "run_at", JM_CLI_TIME},
                                             {"Start by", "start_by", JM_CLI_TIME},
                                             {"Attempt", "attempt", JM_CLI_TEXT},
                                             {"Of at most", "max_attempts", JM_CLI_TEXT},
                                             {"Worker", "worker_id", JM_CLI_TEXT},
                                             {"Started", "started_at", JM_CLI_TIME},
                                             {"Ended", "completed_at", JM_CLI_TIME},
                                             {"Took", "duration_ms", JM_CLI_MS},
                                             {"Cancel asked", "cancel_requested", JM_CLI_TEXT},
                                             {"Progress", "progress", JM_CLI_TEXT},
                                             {"Result", "result", JM_CLI_TEXT},
                                             {"Errors", "errors", JM_CLI_TEXT},
                                             {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column waiting_columns[] = {{"Waits as", "state", JM_CLI_STATE},
                                                {"Not before", "visible_at", JM_CLI_TIME},
                                                {"Because", "reason", JM_CLI_TEXT},
                                                {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column step_columns[] = {
    {"ATTEMPT", "attempt", JM_CLI_RIGHT},   {"SEQ", "seq", JM_CLI_RIGHT},
    {"STEP", "name", JM_CLI_TEXT},          {"STATUS", "status", JM_CLI_STATE},
    {"TRIES", "attempts", JM_CLI_RIGHT},    {"STARTED", "started_at", JM_CLI_TIME},
    {"DURATION", "duration_ms", JM_CLI_MS}, {"DATA", "data", JM_CLI_WIDE},
    {"ERROR", "error", JM_CLI_WIDE},        {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column attempt_columns[] = {{"ATTEMPT", "attempt", JM_CLI_RIGHT},
                                                {"OUTCOME", "outcome", JM_CLI_STATE},
                                                {"STARTED", "started_at", JM_CLI_TIME},
                                                {"ENDED", "completed_at", JM_CLI_TIME},
                                                {"EXIT", "return_code", JM_CLI_RIGHT},
                                                {"ERROR", "error", JM_CLI_WIDE},
                                                {NULL, NULL, JM_CLI_TEXT}};

static const jm_cli_column stats_columns[] = {{"Ended", "total", JM_CLI_TEXT},
                                              {"Completed", "completed", JM_CLI_TEXT},
                                              {"Failed", "failed", JM_CLI_TEXT},
                                              {"Cancelled", "cancelled", JM_CLI_TEXT},
                                              {"Expired", "expired", JM_CLI_TEXT},
                                              {"Success rate", "success_rate", JM_CLI_TEXT},
                                              {"Took on average", "average_duration_ms", JM_CLI_MS},
                                              {"95 % took at most", "p95_duration_ms", JM_CLI_MS},
                                              {"Sum", "sum", JM_CLI_TEXT},
                                              {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column stats_type_columns[] = {{"TYPE", "type", JM_CLI_TEXT},
                                                   {"ENDED", "jobs", JM_CLI_RIGHT},
                                                   {"COMPLETED", "completed", JM_CLI_RIGHT},
                                                   {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column stats_trend_columns[] = {{"FROM", "at", JM_CLI_TIME},
                                                    {"ENDED", "jobs", JM_CLI_RIGHT},
                                                    {"COMPLETED", "completed", JM_CLI_RIGHT},
                                                    {"FAILED", "failed", JM_CLI_RIGHT},
                                                    {NULL, NULL, JM_CLI_TEXT}};

/* ---- submit ---- */

static void add_member(jm_buf *options, const char *name, const char *text, bool raw)
{
    jm_buf_addf(options, "%s\"%s\":", options->len > 1 ? "," : "", name);
    if (raw)
        jm_buf_adds(options, text);
    else
        jm_buf_add_json(options, text, strlen(text));
}

/* One field as the user gave it, checked as far as it can be without the database. */
static int add_field(jm_cli *cli, const jm_field *field, jm_buf *options)
{
    int64_t number;
    jm_err err;
    char name[JM_CLI_NAME_MAX];
    const char *text = jm_cli_option_text(cli, field->name);
    if (!text)
        return JM_EXIT_OK;
    int rc = JM_EXIT_OK;
    bool raw = false;
    switch (field->kind) {
    case JM_FIELD_INTEGER:
        rc = jm_cli_option_int(cli, field->name, 0, field->min, field->max, &number);
        raw = true;
        break;
    case JM_FIELD_OBJECT:
    case JM_FIELD_SCALARS:
    case JM_FIELD_JOBS:
        rc = jm_cli_option_json(cli, field->name,
                                field->kind == JM_FIELD_JOBS ? JSON_ARRAY : JSON_OBJECT, &text);
        raw = true;
        break;
    case JM_FIELD_TIME:
        if (jm_rfc3339_parse(text, strlen(text), &number, &err))
            rc = jm_cli_usage(cli, "--%s \"%s\" %s",
                              jm_cli_option_name(&(jm_cli_option){.name = field->name}, name), text,
                              err.msg);
        break;
    case JM_FIELD_NAME:
    case JM_FIELD_ID:
    case JM_FIELD_STRING:
    case JM_FIELD_URL:
        break;
    }
    if (!rc)
        add_member(options, field->name, text, raw);
    return rc;
}

static int print_id(jm_cli *cli, const jm_change *change, const char *id)
{
    return jm_cli_print_changed(cli, change, json_pack("{s:s}", "id", id), "id", "submitted");
}

/* Into the database, by submit(). */
static int submit_row(jm_cli *cli, const char *params, const char *options)
{
    jm_change change;
    struct jm_pg *pg = jm_cli_change_begin(cli, &change);
    jm_uuid id;
    jm_err err;
    char text[JM_UUID_TEXT];
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_jobs_submit(pg, &change, jm_cli_option_text(cli, "type"), params, options, &id, &err))
        return jm_cli_fail(cli, &err);
    jm_uuid_format(&id, text);
    return print_id(cli, &change, text);
}

/* Into Kafka, where there is no database. fields: "{...}", all but type and params. */
static int submit_message(jm_cli *cli, const char *params, const char *fields)
{
    jm_err err = {0};
    jm_change change;
    jm_buf message = {0};
    char id[JM_UUID_TEXT];
    const char *type = jm_cli_option_text(cli, "type"), *own_id = jm_cli_option_text(cli, "id");
    jm_buf_adds(&message, "{\"type\":");
    jm_buf_add_json(&message, type, strlen(type));
    jm_buf_addf(&message, ",\"params\":%s", params ? params : "{}");
    if (!own_id) {
        jm_uuid made = jm_uuid7_new();
        jm_uuid_format(&made, id);
        jm_buf_addf(&message, ",\"id\":\"%s\"", id);
    }
    jm_buf_addf(&message, "%s%s", strlen(fields) > 2 ? "," : "", fields + 1);
    jm_cli_change(cli, &change);
    int rc = change.dry_run ? jm_publish_check(message.data, &err)
                            : jm_publish(jm_cli_config(cli), jm_cli_option_text(cli, "queue"),
                                         message.data, &err);
    jm_buf_fini(&message);
    return rc ? jm_cli_fail(cli, &err) : print_id(cli, &change, own_id ? own_id : id);
}

static int submit(jm_cli *cli)
{
    jm_buf options = {0};
    const char *params = NULL, *queue = jm_cli_option_text(cli, "queue");
    int rc = jm_cli_option_json(cli, "params", JSON_OBJECT, &params);
    jm_buf_addc(&options, '{');
    for (int f = 0; !rc && f < JM_JOB_FIELDS; f++)
        if (f != JM_JOB_FIELD_TYPE && f != JM_JOB_FIELD_PARAMS && jm_job_fields[f].supported)
            rc = add_field(cli, &jm_job_fields[f], &options);
    bool has_database = jm_config_bool(jm_cli_config(cli), "database.enabled");
    if (queue && has_database)
        add_member(&options, "queue", queue, false);
    jm_buf_addc(&options, '}');
    if (!rc)
        rc = has_database ? submit_row(cli, params, options.data)
                          : submit_message(cli, params, options.data);
    jm_buf_fini(&options);
    return rc;
}

/* ---- looking ---- */

enum { PART_MAX = 1000 }; /* steps or attempts that are shown with their job */

/* The error of a job that has not ended is an earlier attempt's. */
static void mark_errors(json_t *items)
{
    size_t i;
    json_t *job;
    json_array_foreach(items, i, job)
    {
        const char *status = json_string_value(json_object_get(job, "status"));
        const char *error = json_string_value(json_object_get(job, "error"));
        if (!error || !status || (strcmp(status, "pending") != 0 && strcmp(status, "running") != 0))
            continue;
        json_object_set_new(job, "error", json_sprintf("(an earlier attempt) %s", error));
    }
}

static int filter_options(jm_cli *cli, jm_jobs_filter *filter)
{
    const struct {
        const char *name;
        int64_t *us;
    } times[] = {
        {"created-from", &filter->created.from},     {"created-to", &filter->created.to},
        {"started-from", &filter->started.from},     {"started-to", &filter->started.to},
        {"completed-from", &filter->completed.from}, {"completed-to", &filter->completed.to}};
    int rc = JM_EXIT_OK;
    for (size_t i = 0; !rc && i < sizeof times / sizeof *times; i++)
        rc = jm_cli_option_time(cli, times[i].name, times[i].us);
    return rc;
}

/* A list under its own heading, left out when there is nothing in it. */
static void print_part(const jm_cli *cli, json_t *items, const jm_cli_column *columns)
{
    if (json_array_size(items)) {
        putchar('\n');
        jm_cli_print_table(cli, items, columns);
    }
}

/* The jobs that the options name: search NULL lists them. */
static int print_jobs(jm_cli *cli, jm_jobs_filter *filter, const jm_search *search)
{
    json_t *items = NULL;
    char *next = NULL;
    jm_err err;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    int rc = search ? jm_jobs_search(pg, filter, search, &items, &next, &err)
                    : jm_jobs_list(pg, filter, &items, &next, &err);
    if (rc)
        return jm_cli_fail(cli, &err);
    if (!jm_cli_json(cli))
        mark_errors(items);
    rc = jm_cli_print_page(cli, items, next, list_columns, "no such jobs");
    free(next);
    return rc;
}

static int read_filter(jm_cli *cli, jm_jobs_filter *filter)
{
    jm_page page;
    *filter = (jm_jobs_filter){.status = jm_cli_option_text(cli, "status"),
                               .type = jm_cli_option_text(cli, "type"),
                               .project = jm_cli_option_text(cli, "project"),
                               .queue = jm_cli_option_text(cli, "queue"),
                               .schedule = jm_cli_option_text(cli, "schedule"),
                               .callbacks = jm_cli_option_flag(cli, "callbacks")};
    if (jm_cli_page_get(cli, &page) || filter_options(cli, filter))
        return JM_EXIT_USAGE;
    filter->limit = page.limit;
    filter->offset = page.offset;
    filter->cursor = page.cursor;
    return JM_EXIT_OK;
}

static int list(jm_cli *cli)
{
    jm_jobs_filter filter;
    json_t *metadata;
    if (read_filter(cli, &filter) || jm_cli_option_metadata(cli, &metadata))
        return JM_EXIT_USAGE;
    filter.metadata = metadata;
    int rc = print_jobs(cli, &filter, NULL);
    json_decref(metadata);
    return rc;
}

static int search(jm_cli *cli)
{
    jm_jobs_filter filter;
    const char *match = jm_cli_option_text(cli, "match");
    jm_search by = {.key = jm_cli_operand(cli, 0), .value = jm_cli_operand(cli, 1)};
    if (read_filter(cli, &filter))
        return JM_EXIT_USAGE;
    if (match)
        (void)jm_match_parse(match, &by.match); /* the table has the words */
    return print_jobs(cli, &filter, &by);
}

static int recent(jm_cli *cli)
{
    jm_jobs_filter filter = {.project = jm_cli_option_text(cli, "project")};
    if (jm_cli_option_int(cli, "limit", 10, 1, 1000, &filter.limit))
        return JM_EXIT_USAGE;
    return print_jobs(cli, &filter, NULL);
}

/* For people: a sum with what it is of, and no rate of nothing. */
static void put_into_words(json_t *found)
{
    const json_t *sum = json_object_get(found, "sum");
    char *value = jm_cli_table_cell(json_object_get(sum, "value"), JM_CLI_TEXT);
    if (json_is_object(sum))
        json_object_set_new(
            found, "sum",
            json_sprintf("%s of %lld%s jobs with %s", value,
                         (long long)json_integer_value(json_object_get(sum, "jobs")),
                         json_is_false(json_object_get(sum, "complete")) ? " of the newest" : "",
                         json_string_value(json_object_get(sum, "key"))));
    free(value);
    if (!json_integer_value(json_object_get(found, "total")))
        json_object_set_new(found, "success_rate", json_null());
}

static int stats(jm_cli *cli)
{
    const char *by = jm_cli_option_text(cli, "by");
    jm_stats_filter filter = {.project = jm_cli_option_text(cli, "project"),
                              .type = jm_cli_option_text(cli, "type"),
                              .schedule = jm_cli_option_text(cli, "schedule"),
                              .status = jm_cli_option_text(cli, "status"),
                              .sum = jm_cli_option_text(cli, "sum"),
                              .by_day = by && !strcmp(by, "day")};
    json_t *found;
    jm_err err;
    if (jm_cli_option_time(cli, "from", &filter.from) || jm_cli_option_time(cli, "to", &filter.to))
        return JM_EXIT_USAGE;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_jobs_stats(pg, &filter, &found, &err))
        return jm_cli_fail(cli, &err);
    if (jm_cli_json(cli))
        return jm_cli_print_json(cli, found);
    put_into_words(found);
    jm_cli_print_fields(cli, found, stats_columns);
    print_part(cli, json_object_get(found, "types"), stats_type_columns);
    print_part(cli, json_object_get(found, "trend"), stats_trend_columns);
    json_decref(found);
    return JM_EXIT_OK;
}

/* The job that the first operand names; its row too where job is not NULL. */
static int find_job(jm_cli *cli, struct jm_pg **pg, jm_uuid *id, json_t **job)
{
    jm_err err;
    *pg = jm_cli_pg(cli);
    if (!*pg)
        return JM_EXIT_FAILURE;
    json_t *row = NULL;
    if (jm_jobs_resolve(*pg, jm_cli_operand(cli, 0), NULL, id, &err) ||
        jm_jobs_show(*pg, id, &row, &err))
        return jm_cli_fail(cli, &err);
    if (job)
        *job = row;
    else
        json_decref(row);
    return JM_EXIT_OK;
}

/* The first page, and where there are more the cursor of the second. */
static void add_part(json_t *job, const char *name, json_t *items, const char *next)
{
    char name_next[40];
    snprintf(name_next, sizeof name_next, "%s_next", name);
    json_object_set(job, name, items);
    if (next)
        json_object_set_new(job, name_next, json_string(next));
}

static int show(jm_cli *cli)
{
    struct jm_pg *pg;
    jm_uuid id;
    json_t *job = NULL, *steps = NULL, *attempts = NULL, *waiting = NULL;
    char *next_steps = NULL, *next_attempts = NULL;
    const jm_page page = {.limit = PART_MAX};
    jm_err err;
    int rc = find_job(cli, &pg, &id, &job);
    if (rc)
        return rc;
    if (jm_jobs_steps(pg, &id, &page, &steps, &next_steps, &err) ||
        jm_jobs_attempts(pg, &id, &page, &attempts, &next_attempts, &err) ||
        (!jm_cli_json(cli) && jm_jobs_waiting(pg, &id, &waiting, &err))) {
        rc = jm_cli_fail(cli, &err);
    } else if (jm_cli_json(cli)) {
        add_part(job, "steps", steps, next_steps);
        add_part(job, "attempts", attempts, next_attempts);
        rc = jm_cli_print_json(cli, json_incref(job));
    } else {
        rc = jm_cli_print_object(cli, json_incref(job), show_columns);
        if (waiting)
            jm_cli_print_fields(cli, waiting, waiting_columns);
        print_part(cli, steps, step_columns);
        print_part(cli, attempts, attempt_columns);
        if (next_steps)
            jm_cli_say(cli, JM_EXIT_OK, "more steps with jobmill job steps --cursor %s",
                       next_steps);
    }
    free(next_steps);
    free(next_attempts);
    json_decref(job);
    json_decref(steps);
    json_decref(attempts);
    json_decref(waiting);
    return rc;
}

static int steps(jm_cli *cli)
{
    struct jm_pg *pg;
    jm_uuid id;
    json_t *items;
    char *next;
    jm_page page;
    jm_err err;
    int rc = jm_cli_page_get(cli, &page);
    rc = rc ? rc : find_job(cli, &pg, &id, NULL);
    if (rc)
        return rc;
    rc = jm_jobs_steps(pg, &id, &page, &items, &next, &err)
             ? jm_cli_fail(cli, &err)
             : jm_cli_print_page(cli, items, next, step_columns, "no steps yet");
    free(next);
    return rc;
}

static int result(jm_cli *cli)
{
    struct jm_pg *pg;
    jm_uuid id;
    json_t *job = NULL;
    int rc = find_job(cli, &pg, &id, &job);
    if (rc)
        return rc;
    const char *status = json_string_value(json_object_get(job, "status"));
    json_t *value = json_incref(json_object_get(job, "result"));
    if (json_is_null(value) && strcmp(status, "completed") != 0) {
        bool over = strcmp(status, "pending") != 0 && strcmp(status, "running") != 0;
        rc = jm_cli_say(cli, JM_EXIT_FAILURE, "the job is %s and has no result%s", status,
                        over ? "" : ": jobmill job wait waits until it has ended");
        json_decref(value);
    } else {
        rc = jm_cli_print_json(cli, value);
    }
    json_decref(job);
    return rc;
}

/* ---- wait ---- */

static int wait_timeout(jm_cli *cli, int64_t *ms)
{
    const char *text = jm_cli_option_text(cli, "timeout");
    char *end;
    jm_err err;
    *ms = -1;
    if (!text)
        return JM_EXIT_OK;
    double seconds = strtod(text, &end);
    if (end != text && !*end && seconds >= 0 && seconds < 1e9) {
        *ms = (int64_t)(seconds * 1000);
        return JM_EXIT_OK;
    }
    int64_t us;
    if (jm_duration_parse(text, &us, &err))
        return jm_cli_usage(cli, "--timeout is \"%s\", needs seconds, or a duration such as 5m",
                            text);
    *ms = us / 1000;
    return JM_EXIT_OK;
}

static int say_ended(jm_cli *cli, const json_t *job)
{
    const char *status = json_string_value(json_object_get(job, "status"));
    const char *error = json_string_value(json_object_get(job, "error"));
    if (!strcmp(status, "completed"))
        return JM_EXIT_OK;
    return jm_cli_say(cli, JM_EXIT_FAILURE, "the job is %s%s%s", status, error ? ": " : "",
                      error ? error : "");
}

static int wait_for(jm_cli *cli)
{
    int64_t timeout_ms;
    jm_uuid id;
    json_t *job = NULL;
    jm_err err;
    if (wait_timeout(cli, &timeout_ms))
        return JM_EXIT_USAGE;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    int rc = jm_jobs_resolve(pg, jm_cli_operand(cli, 0), NULL, &id, &err);
    if (!rc)
        rc = jm_jobs_wait(pg, &id, timeout_ms, &job, &err);
    if (rc == JM_ERR_TIMEOUT)
        rc = jm_cli_say(cli, JM_EXIT_FAILURE, "the time is over and the job is %s",
                        job ? json_string_value(json_object_get(job, "status"))
                            : "not known: the database is away");
    else
        rc = rc ? jm_cli_fail(cli, &err) : say_ended(cli, job);
    if (job && jm_cli_json(cli))
        jm_cli_print_json(cli, json_incref(job));
    json_decref(job);
    return rc;
}

/* ---- cancel, retry, delete ---- */

/* The connection and the id that the first operand names. */
static int find_id(jm_cli *cli, struct jm_pg **pg, jm_uuid *id)
{
    jm_err err;
    *pg = jm_cli_pg(cli);
    if (!*pg)
        return JM_EXIT_FAILURE;
    return jm_jobs_resolve(*pg, jm_cli_operand(cli, 0), NULL, id, &err) ? jm_cli_fail(cli, &err)
                                                                        : JM_EXIT_OK;
}

/* What became of it, or would. */
static int print_fate(jm_cli *cli, const jm_uuid *id, const jm_change *change, const char *fate)
{
    char text[JM_UUID_TEXT];
    jm_uuid_format(id, text);
    return jm_cli_print_fate(cli, change, json_pack("{s:s}", "id", text), fate);
}

static int cancel(jm_cli *cli)
{
    jm_change change;
    struct jm_pg *pg;
    jm_uuid id;
    jm_err err;
    bool running;
    int rc = find_id(cli, &pg, &id);
    if (rc)
        return rc;
    jm_cli_change(cli, &change);
    if (jm_jobs_cancel(pg, &id, &change, &running, NULL, &err))
        return jm_cli_fail(cli, &err);
    return print_fate(cli, &id, &change, running ? "requested" : "cancelled");
}

static int retry(jm_cli *cli)
{
    jm_change change;
    struct jm_pg *pg;
    jm_uuid id, again;
    jm_err err;
    char text[JM_UUID_TEXT];
    int rc = find_id(cli, &pg, &id);
    if (rc)
        return rc;
    jm_cli_change(cli, &change);
    if (jm_jobs_retry(pg, &id, &change, &again, NULL, &err))
        return jm_cli_fail(cli, &err);
    jm_uuid_format(&again, text);
    if (change.dry_run)
        return print_fate(cli, &id, &change, "retried");
    return jm_cli_print_value(cli, json_pack("{s:s}", "id", text), "id");
}

static int delete_job(jm_cli *cli)
{
    jm_change change;
    struct jm_pg *pg;
    jm_uuid id;
    jm_err err;
    bool old = jm_cli_option_text(cli, "older-than") != NULL;
    if (old == (jm_cli_n_operands(cli) == 1))
        return jm_cli_usage(cli, "give the id of a job, or --older-than");
    if (old)
        return jm_cli_delete_jobs(cli);
    if (jm_cli_option_text(cli, "project") || jm_cli_option_text(cli, "status"))
        return jm_cli_usage(cli, "--project and --status go with --older-than");
    int rc = find_id(cli, &pg, &id);
    if (rc)
        return rc;
    if ((rc = jm_cli_confirm(cli, false, "deletes the job with its steps, logs and attempts")))
        return rc;
    jm_cli_change(cli, &change);
    if (jm_jobs_delete(pg, &id, &change, &err))
        return jm_cli_fail(cli, &err);
    return print_fate(cli, &id, &change, "deleted");
}

/* ---- the table ---- */

static const char *const status_words[] = {"pending",   "running", "completed", "failed",
                                           "cancelled", "expired", NULL};

static const jm_cli_option submit_options[] = {
    {.name = "queue", .value = "Q", .help = "Queue it belongs to (default default)."},
    {.name = NULL}};
static const jm_cli_option delete_options[] = {
    {.name = "older-than",
     .value = "DURATION",
     .help = "Instead of one: all that were made before, and have ended."},
    {.name = "project", .value = "P", .help = "Of these, only jobs of this project."},
    {.name = "status",
     .value = "S[,S...]",
     .help = "Of these, only jobs that ended so: completed, failed, cancelled, expired."},
    {.name = NULL}};
/* Which jobs a list is about. */
#define FILTERS                                                                                    \
    {.name = "status", .value = "S", .help = "Only jobs that are so.", .choices = status_words},   \
        {.name = "type", .value = "T", .help = "Only jobs of this type."},                         \
        {.name = "project", .value = "P", .help = "Only jobs of this project."},                   \
        {.name = "queue", .value = "Q", .help = "Only jobs of this queue."},                       \
        {.name = "schedule",                                                                       \
         .value = "S",                                                                             \
         .help = "Only jobs that this schedule fired; its name or id."},                           \
        {.name = "created-from",                                                                   \
         .value = "T",                                                                             \
         .help = "Submitted at or after: a time, or a duration such as 2h: so long ago."},         \
        {.name = "created-to", .value = "T", .help = "Submitted before."},                         \
        {.name = "started-from", .value = "T", .help = "Last started at or after."},               \
        {.name = "started-to", .value = "T", .help = "Last started before."},                      \
        {.name = "completed-from", .value = "T", .help = "Ended at or after."},                    \
        {.name = "completed-to", .value = "T", .help = "Ended before."},                           \
    {                                                                                              \
        .name = "callbacks", .help = "Also jobs that report the end of others to a callback_url."  \
    }

static const jm_cli_option list_options[] = {
    {.name = "metadata",
     .value = JM_CLI_METADATA_VALUE,
     .help = "Only jobs whose metadata says so: one member, or an object of several; fast for keys "
             "that types declare searchable."},
    FILTERS,
    {.name = NULL}};
static const char *const match_words[] = {"exact", "prefix", "part", NULL};
static const jm_cli_option search_options[] = {
    {.name = "match",
     .value = "HOW",
     .help = "Whether VALUE is all of it (exact, the default), how it begins, or a part of it.",
     .choices = match_words},
    FILTERS,
    {.name = NULL}};
static const jm_cli_option recent_options[] = {
    {.name = "project", .value = "P", .help = "Only jobs of this project."},
    {.name = "limit", .value = "N", .help = "At most this many (default 10, up to 1000)."},
    {.name = NULL}};
static const char *const by_words[] = {"hour", "day", NULL};
static const jm_cli_option stats_options[] = {
    {.name = "type", .value = "T", .help = "Only jobs of this type."},
    {.name = "project", .value = "P", .help = "Only jobs of this project."},
    {.name = "schedule", .value = "S", .help = "Only jobs that this schedule fired."},
    {.name = "status", .value = "S", .help = "Only jobs that ended so."},
    {.name = "from",
     .value = "T",
     .help = "From the hour of this time on; a duration such as 7d: so long ago."},
    {.name = "to", .value = "T", .help = "Before this time."},
    {.name = "by",
     .value = "STEP",
     .help = "Steps of the trend (default hour).",
     .choices = by_words},
    {.name = "sum",
     .value = "KEY",
     .help = "Add up the numbers under this key of the metadata, of the newest 20,000 jobs."},
    {.name = NULL}};
static const jm_cli_option update_options[] = {
    {.name = "metadata",
     .value = "JSON",
     .help = "An object: its members are set, all others stay."},
    {.name = "priority", .value = "N", .help = "0 to 9, of a job that waits; higher first."},
    {.name = NULL}};
static const jm_cli_option wait_options[] = {
    {.name = "timeout", .value = "S", .help = "Give up after so many seconds (or 5m, 1h30m)."},
    {.name = NULL}};

#define ONE_JOB .operands = "ID", .min_operands = 1, .max_operands = 1

const jm_cli_command jm_cli_job_commands[] = {
    {.verb = "submit",
     .summary = "Submit a job",
     .description =
         "Prints the job's id, alone. The job is accepted once that is printed: it survives "
         "whatever stops "
         "after that. An --id or --dedup-key that is taken gives the id of the job that has it. "
         "With --dry-run the id is that of no job, unless one was given or taken.",
     .examples = "jobmill job submit --type noop\n"
                 "jobmill job submit --type mail --params '{\"to\": \"you@example.org\"}' "
                 "--dedup-key mail-7",
     .options = submit_options,
     .job_fields = true,
     .shares = JM_CLI_DRY_RUN,
     .run = submit},
    {.verb = "list",
     .summary = "List jobs, newest first",
     .options = list_options,
     .shares = JM_CLI_LIST | JM_CLI_CURSOR,
     .run = list,
     .examples = "jobmill job list --status failed --limit 10"},
    {.verb = "search",
     .operands = "KEY VALUE",
     .min_operands = 2,
     .max_operands = 2,
     .summary = "Search jobs by a searchable key of their metadata, newest first",
     .description =
         "Whatever the case of letters. A beginning or a part is looked for in the last 30 days, "
         "unless --created-from says otherwise.",
     .options = search_options,
     .shares = JM_CLI_LIST | JM_CLI_CURSOR,
     .run = search,
     .examples = "jobmill job search order A-17 --match prefix --status failed"},
    {.verb = "recent",
     .summary = "List the newest jobs",
     .options = recent_options,
     .shares = JM_CLI_WATCH,
     .run = recent},
    {.verb = "stats",
     .summary = "Show what became of jobs",
     .description = "Counts are by the hour in which jobs ended. What 95 % took at most is of the "
                    "newest 5,000.",
     .options = stats_options,
     .shares = JM_CLI_WATCH,
     .run = stats,
     .examples = "jobmill job stats --from 7d --by day"},
    {.verb = "show",
     ONE_JOB,
     .summary = "Show a job with its steps",
     .description = "ID is the job's id or its external id. With --json: the columns of table "
                    "jobs, and steps.",
     .run = show},
    {.verb = "steps",
     ONE_JOB,
     .summary = "Show the steps of a job",
     .shares = JM_CLI_LIST | JM_CLI_CURSOR,
     .run = steps},
    {.verb = "logs",
     ONE_JOB,
     .summary = "Show the log lines of a job, by time",
     .description =
         "With --follow, exits 0 once the job has ended, whatever became of it (which is "
         "said on standard error).",
     .examples = "jobmill job logs 01946c1e-7d4f-7a61-9f0a-1c2b3d4e5f60 --follow --level warning",
     .options = jm_cli_job_logs_options,
     .run = jm_cli_job_logs},
    {.verb = "result", ONE_JOB, .summary = "Print the result of a job, as JSON", .run = result},
    {.verb = "wait",
     ONE_JOB,
     .summary = "Wait until a job has ended",
     .description = "Exits 0 when it completed; 1 when it failed, expired or was cancelled, or "
                    "when the time is over "
                    "(which is said on standard error); 3 when there is no such job.",
     .options = wait_options,
     .run = wait_for},
    {.verb = "update",
     ONE_JOB,
     .summary = "Change metadata or priority of a job",
     .examples = "jobmill job update 01946c1e-7d4f-7a61-9f0a-1c2b3d4e5f60 --metadata '{\"owner\": "
                 "\"ops\"}'",
     .options = update_options,
     .shares = JM_CLI_CHANGE,
     .run = jm_cli_update_job},
    {.verb = "cancel",
     ONE_JOB,
     .summary = "Cancel a job",
     .description = "One that has not started ends at once (prints cancelled). Of one that runs "
                    "the cancellation is requested (prints requested): its worker sends SIGTERM "
                    "and, after a grace, SIGKILL. Exits 1 when it has ended already.",
     .examples = "jobmill job cancel 01946c1e-7d4f-7a61-9f0a-1c2b3d4e5f60 --reason 'not needed'",
     .shares = JM_CLI_CHANGE,
     .run = cancel},
    {.verb = "retry",
     ONE_JOB,
     .summary = "Run an ended job again, as a new job",
     .description =
         "Prints the new job's id. The old one stays as it is; retry_of of the new one "
         "names it. External id, dedup key, run_at, start_by and depends_on are not taken "
         "over.",
     .shares = JM_CLI_CHANGE,
     .run = retry},
    {.verb = "delete",
     .operands = "[ID]",
     .max_operands = 1,
     .summary = "Delete an ended job, or old ones, with their steps, logs and attempts",
     .description = "What the statistics count stays counted. Exits 1 when it has not ended. With "
                    "--older-than it prints how many were deleted; jobmill cleanup takes more than "
                    "jobs.",
     .examples = "jobmill job delete --older-than 30d --status completed --yes",
     .options = delete_options,
     .shares = JM_CLI_CHANGE | JM_CLI_YES,
     .run = delete_job},
    {.summary = NULL}};
