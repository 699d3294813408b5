/* jobmill schedule: what is to run when. */
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "producer/cli/commands.h"
#include "producer/cli/table.h"
#include "producer/service/schedules.h"

static const jm_cli_column list_columns[] = {{"NAME", "name", JM_CLI_TEXT},
                                             {"PROJECT", "project", JM_CLI_TEXT},
                                             {"TYPE", "type", JM_CLI_TEXT},
                                             {"WHEN", "when", JM_CLI_TEXT},
                                             {"TIMEZONE", "timezone", JM_CLI_TEXT},
                                             {"STATE", "state", JM_CLI_TEXT},
                                             {"NEXT RUN", "next_run_at", JM_CLI_TIME},
                                             {"LAST RUN", "last_run_at", JM_CLI_TIME},
                                             {"LAST STATUS", "last_status", JM_CLI_TEXT},
                                             {"ID", "id", JM_CLI_TEXT},
                                             {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column show_columns[] = {
    {"Id", "id", JM_CLI_TEXT},
    {"Name", "name", JM_CLI_TEXT},
    {"Project", "project", JM_CLI_TEXT},
    {"Description", "description", JM_CLI_TEXT},
    {"Type", "type", JM_CLI_TEXT},
    {"Profile", "profile", JM_CLI_TEXT},
    {"Params", "params", JM_CLI_TEXT},
    {"Metadata", "metadata", JM_CLI_TEXT},
    {"Queue", "queue", JM_CLI_TEXT},
    {"Priority", "priority", JM_CLI_TEXT},
    {"When", "when", JM_CLI_TEXT},
    {"Timezone", "timezone", JM_CLI_TEXT},
    {"Anchor", "anchor_at", JM_CLI_TIME},
    {"DST gap", "dst_gap", JM_CLI_TEXT},
    {"DST fold", "dst_fold", JM_CLI_TEXT},
    {"Starts", "starts_at", JM_CLI_TIME},
    {"Ends", "ends_at", JM_CLI_TIME},
    {"Jitter (s)", "jitter_seconds", JM_CLI_TEXT},
    {"State", "state", JM_CLI_TEXT},
    {"Next run", "next_run_at", JM_CLI_TIME},
    {"Last run", "last_run_at", JM_CLI_TIME},
    {"Last job", "last_job_id", JM_CLI_TEXT},
    {"Last status", "last_status", JM_CLI_TEXT},
    {"Overlap", "overlap", JM_CLI_TEXT},
    {"Max. instances", "max_instances", JM_CLI_TEXT},
    {"Misfire grace (s)", "misfire_grace_seconds", JM_CLI_TEXT},
    {"Catch up", "catch_up", JM_CLI_TEXT},
    {"Catch-up limit", "catch_up_limit", JM_CLI_TEXT},
    {"Coalesce grace", "coalesce_grace", JM_CLI_TEXT},
    {"Runs", "total_runs", JM_CLI_TEXT},
    {"Successful", "successful_runs", JM_CLI_TEXT},
    {"Failed", "failed_runs", JM_CLI_TEXT},
    {"Skipped", "skipped_runs", JM_CLI_TEXT},
    {"Created", "created_at", JM_CLI_TIME},
    {"Updated", "updated_at", JM_CLI_TIME},
    {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column preview_columns[] = {{"AT", "at", JM_CLI_TIME},
                                                {"LOCAL", "local", JM_CLI_TEXT},
                                                {"NOTE", "note", JM_CLI_TEXT},
                                                {NULL, NULL, JM_CLI_TEXT}};

/* ---- reading options ---- */

/* The option a column is set by. */
static const char *option_of(const char *field)
{
    static const struct {
        const char *field, *option;
    } options[] = {{"cron_expression", "--cron"},
                   {"interval_seconds", "--every"},
                   {"run_at", "--at"},
                   {"timezone", "--timezone"},
                   {"params", "--params"},
                   {"metadata", "--metadata"},
                   {"type", "--type"},
                   {"profile", "--profile"},
                   {"project", "--project"},
                   {"queue", "--queue"},
                   {"priority", "--priority"},
                   {"overlap", "--overlap"},
                   {"starts_at", "--starts-at"},
                   {"ends_at", "--ends-at"},
                   {"jitter_seconds", "--jitter"},
                   {"misfire_grace_seconds", "--misfire-grace"},
                   {"catch_up_limit", "--catch-up-limit"},
                   {"max_instances", "--max-instances"},
                   {"description", "--description"}};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (!strcmp(options[i].field, field))
            return options[i].option;
    return *field ? field : NULL;
}

/* As jm_cli_fail, with the option at fault in front. */
static int fail(jm_cli *cli, jm_err *err)
{
    bool named = err->code == JM_ERR_INVALID || err->code == JM_ERR_UNSUPPORTED;
    const char *option = named ? option_of(err->field) : NULL;
    if (option)
        jm_err_prefix(err, "%s", option);
    return jm_cli_fail(cli, err);
}

static int read_time(jm_cli *cli, const char *option, int64_t *out_us)
{
    const char *text = jm_cli_option_text(cli, option);
    jm_err err;
    if (text && jm_rfc3339_parse(text, strlen(text), out_us, &err))
        return jm_cli_usage(cli, "--%s \"%s\" %s", option, text, err.msg);
    return JM_EXIT_OK;
}

static int read_seconds(jm_cli *cli, const char *option, int64_t max_s, int64_t *out_s)
{
    const char *text = jm_cli_option_text(cli, option);
    int64_t us;
    jm_err err;
    if (!text)
        return JM_EXIT_OK;
    if (jm_duration_parse(text, &us, &err))
        return jm_cli_usage(cli, "--%s: %s", option, err.msg);
    if (us % 1000000 || us < 0 || us / 1000000 > max_s)
        return jm_cli_usage(cli, "--%s: whole seconds expected, at most %lld", option,
                            (long long)max_s);
    *out_s = us / 1000000;
    return JM_EXIT_OK;
}

/* --cron "@every 5m" is --every 5m. */
static int read_cron_every(jm_cli *cli, jm_recurrence_spec *when)
{
    jm_err err;
    if (jm_cron_every(when->cron_expression, &when->interval_s, &err))
        return jm_cli_usage(cli, "--cron: %s", err.msg);
    if (when->interval_s) {
        when->kind = JM_RECURRENCE_INTERVAL;
        when->cron_expression = NULL;
    }
    return JM_EXIT_OK;
}

/* --cron, --every, --at, --timezone, --dst-gap, --dst-fold. */
static int read_when(jm_cli *cli, jm_recurrence_spec *when)
{
    const char *zone = jm_cli_option_text(cli, "timezone");
    when->cron_expression = jm_cli_option_text(cli, "cron");
    bool every = jm_cli_option_text(cli, "every"), at = jm_cli_option_text(cli, "at");
    if ((when->cron_expression != NULL) + every + at != 1)
        return jm_cli_usage(cli, "give one of --cron, --every and --at");
    when->kind = every ? JM_RECURRENCE_INTERVAL : at ? JM_RECURRENCE_ONCE : JM_RECURRENCE_CRON;
    if (read_seconds(cli, "every", INT32_MAX * 2LL, &when->interval_s) ||
        read_time(cli, "at", &when->run_at_us))
        return JM_EXIT_USAGE;
    if (every && !when->interval_s)
        return jm_cli_usage(cli, "--every: at least 1s expected");
    if (when->cron_expression && read_cron_every(cli, when))
        return JM_EXIT_USAGE;
    if (zone)
        when->timezone = zone;
    /* the words have been checked against the table of options */
    (void)jm_dst_gap_parse(jm_cli_option_text(cli, "dst-gap"), &when->dst_gap);
    (void)jm_dst_fold_parse(jm_cli_option_text(cli, "dst-fold"), &when->dst_fold);
    return JM_EXIT_OK;
}

static int read_int(jm_cli *cli, const char *option, int min, int max, int *value)
{
    int64_t got;
    if (jm_cli_option_int(cli, option, *value, min, max, &got))
        return JM_EXIT_USAGE;
    *value = (int)got;
    return JM_EXIT_OK;
}

static int read_policy(jm_cli *cli, jm_schedule *s)
{
    int64_t grace_s = s->misfire_grace_s, jitter_s = 0;
    if (jm_cli_option_text(cli, "overlap"))
        (void)jm_overlap_parse(jm_cli_option_text(cli, "overlap"), &s->overlap);
    if (jm_cli_option_text(cli, "catch-up"))
        (void)jm_catch_up_parse(jm_cli_option_text(cli, "catch-up"), &s->catch_up);
    s->coalesce_grace = jm_cli_option_flag(cli, "coalesce-grace");
    if (read_int(cli, "max-instances", 1, INT32_MAX, &s->max_instances) ||
        read_int(cli, "catch-up-limit", 1, INT32_MAX, &s->catch_up_limit) ||
        read_int(cli, "priority", 0, 9, &s->priority) ||
        read_seconds(cli, "misfire-grace", INT32_MAX, &grace_s) ||
        read_seconds(cli, "jitter", 86400, &jitter_s))
        return JM_EXIT_USAGE;
    s->misfire_grace_s = (int)grace_s;
    s->jitter_s = (int)jitter_s;
    return JM_EXIT_OK;
}

static int read_schedule(jm_cli *cli, jm_schedule *s)
{
    const char *text;
    jm_schedule_init(s);
    s->name = jm_cli_operand(cli, 0);
    s->type = jm_cli_option_text(cli, "type");
    s->profile = jm_cli_option_text(cli, "profile");
    s->description = jm_cli_option_text(cli, "description");
    text = jm_cli_option_text(cli, "project");
    s->project = text ? text : s->project;
    text = jm_cli_option_text(cli, "queue");
    s->queue = text ? text : s->queue;
    text = jm_cli_option_text(cli, "params");
    s->params = text ? text : s->params;
    s->metadata = jm_cli_option_text(cli, "metadata");
    if (read_when(cli, &s->when) || read_time(cli, "starts-at", &s->when.starts_at_us) ||
        read_time(cli, "ends-at", &s->when.ends_at_us))
        return JM_EXIT_USAGE;
    return read_policy(cli, s);
}

/* ---- for people ---- */

/* "90 s", "5 min", "6 h", "30 d": the largest unit that divides it. */
static void add_duration(jm_buf *buf, int64_t s)
{
    static const struct {
        int64_t s;
        const char *unit;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (s % units[i].s == 0) {
            jm_buf_addf(buf, "%lld %s", (long long)(s / units[i].s), units[i].unit);
            return;
        }
    }
}

static const char *text_of(const json_t *schedule, const char *member)
{
    const char *text = json_string_value(json_object_get(schedule, member));
    return text ? text : "";
}

/* Adds the members "when" and "state", in words; not to what scripts read. */
static void describe(json_t *schedule)
{
    jm_buf when = {0};
    const char *kind = text_of(schedule, "kind");
    if (!strcmp(kind, "interval")) {
        jm_buf_adds(&when, "every ");
        add_duration(&when, json_integer_value(json_object_get(schedule, "interval_seconds")));
    } else if (!strcmp(kind, "once")) {
        jm_buf_addf(&when, "once at %.19sZ", text_of(schedule, "run_at"));
    } else {
        jm_buf_adds(&when, text_of(schedule, "cron_expression"));
    }
    json_object_set_new(schedule, "when", json_string(jm_buf_str(&when)));
    jm_buf_fini(&when);
    const char *state = "active";
    if (!json_is_true(json_object_get(schedule, "enabled")))
        state = "disabled";
    else if (json_is_true(json_object_get(schedule, "paused")))
        state = "paused";
    else if (json_is_null(json_object_get(schedule, "next_run_at")))
        state = "ended";
    json_object_set_new(schedule, "state", json_string(state));
}

/* ---- commands ---- */

static int add(jm_cli *cli)
{
    jm_schedule schedule;
    jm_uuid id;
    jm_err err;
    char text[JM_UUID_TEXT];
    int code = read_schedule(cli, &schedule);
    if (code)
        return code;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_schedules_add(pg, &schedule, &id, &err))
        return fail(cli, &err);
    jm_uuid_format(&id, text);
    json_t *value = NULL;
    if (jm_cli_json(cli) && jm_schedules_show(pg, text, NULL, &value, &err))
        return fail(cli, &err);
    if (!value)
        value = json_pack("{s:s}", "id", text);
    return jm_cli_print_value(cli, value, "id");
}

static int list(jm_cli *cli)
{
    jm_schedules_filter filter = {.project = jm_cli_option_text(cli, "project"),
                                  .type = jm_cli_option_text(cli, "type"),
                                  .enabled = jm_cli_option_text(cli, "enabled")};
    json_t *items;
    jm_err err;
    if (jm_cli_option_int(cli, "limit", 50, 1, 10000, &filter.limit) ||
        jm_cli_option_int(cli, "offset", 0, 0, INT32_MAX, &filter.offset))
        return JM_EXIT_USAGE;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_schedules_list(pg, &filter, &items, &err))
        return fail(cli, &err);
    for (size_t i = 0; !jm_cli_json(cli) && i < json_array_size(items); i++)
        describe(json_array_get(items, i));
    return jm_cli_print_list(cli, items, list_columns, "no schedules");
}

static int show(jm_cli *cli)
{
    json_t *schedule;
    jm_err err;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_schedules_show(pg, jm_cli_operand(cli, 0), jm_cli_option_text(cli, "project"), &schedule,
                          &err))
        return fail(cli, &err);
    if (!jm_cli_json(cli))
        describe(schedule);
    return jm_cli_print_object(cli, schedule, show_columns);
}

static int preview_stored(jm_cli *cli, int64_t from_us, int64_t count, json_t **items)
{
    jm_err err;
    static const char *const others[] = {"cron", "every", "at", "timezone", "dst-gap", "dst-fold"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (jm_cli_option_text(cli, others[i]))
            return jm_cli_usage(cli, "--%s says another schedule than the name", others[i]);
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_schedules_preview(pg, jm_cli_operand(cli, 0), jm_cli_option_text(cli, "project"),
                             from_us, count, items, &err))
        return fail(cli, &err);
    return JM_EXIT_OK;
}

static int preview_given(jm_cli *cli, int64_t from_us, int64_t count, json_t **items)
{
    jm_err err;
    jm_recurrence_spec when = {0};
    int code = read_when(cli, &when);
    if (code)
        return code;
    if (!from_us)
        from_us = jm_utc_us();
    when.anchor_at_us = from_us; /* as if it were made at that moment */
    return jm_schedule_preview(&when, from_us, count, items, &err) ? fail(cli, &err) : JM_EXIT_OK;
}

static int preview(jm_cli *cli)
{
    int64_t from_us = 0, count;
    json_t *items = NULL;
    if (read_time(cli, "from", &from_us) || jm_cli_option_int(cli, "count", 10, 1, 1000000, &count))
        return JM_EXIT_USAGE;
    int code = jm_cli_n_operands(cli) ? preview_stored(cli, from_us, count, &items)
                                      : preview_given(cli, from_us, count, &items);
    if (code)
        return code;
    return jm_cli_print_list(cli, items, preview_columns, "no instant is to come");
}

/* ---- the table ---- */

static const char *const overlap_words[] = {"skip", "queue", "allow", "cancel_running", NULL};
static const char *const catch_up_words[] = {"skip", "one", "all", NULL};
static const char *const gap_words[] = {"after", "skip", NULL};
static const char *const fold_words[] = {"first", "second", "both", NULL};
static const char *const bool_words[] = {"true", "false", NULL};

#define WHEN_OPTIONS                                                                               \
    {.name = "cron",                                                                               \
     .value = "E",                                                                                 \
     .help = "Cron expression: minute, hour, day of month, month, day of week; or @hourly, "       \
             "@daily, @weekly, @monthly, @yearly, or @every 5m (as --every 5m)."},                 \
        {.name = "every",                                                                          \
         .value = "DURATION",                                                                      \
         .help = "Elapsed time between runs, such as 90s, 5m or 1h30m."},                          \
        {.name = "at", .value = "T", .help = "Once, at this instant (RFC 3339)."},                 \
        {.name = "timezone",                                                                       \
         .value = "Z",                                                                             \
         .help = "Time zone in which the cron expression is read, such as Europe/Paris "           \
                 "(default UTC)."},                                                                \
        {.name = "dst-gap",                                                                        \
         .value = "RULE",                                                                          \
         .choices = gap_words,                                                                     \
         .help = "For local times that a clock change leaves out: run at the first instant after " \
                 "the gap, or not at all. Default: after for fixed times, skip for times with a "  \
                 "star as minute or hour."},                                                       \
    {                                                                                              \
        .name = "dst-fold", .value = "RULE", .choices = fold_words,                                \
        .help = "For local times that come twice. Default: first for fixed times, both for times " \
                "with a star as minute or hour."                                                   \
    }

static const jm_cli_option add_options[] = {
    {.name = "type", .value = "T", .help = "Job type that it fires.", .required = true},
    WHEN_OPTIONS,
    {.name = "params", .value = "JSON", .help = "Params of its jobs (default {})."},
    {.name = "profile", .value = "NAME", .help = "Named set of default params of the type."},
    {.name = "metadata", .value = "JSON", .help = "Metadata of its jobs."},
    {.name = "queue", .value = "Q", .help = "Queue of its jobs (default \"default\")."},
    {.name = "priority", .value = "N", .help = "Priority of its jobs, 0 to 9 (default 4)."},
    {.name = "project", .value = "P", .help = "Project (default \"default\")."},
    {.name = "overlap",
     .value = "POLICY",
     .choices = overlap_words,
     .help = "When earlier jobs of it are unfinished (default skip)."},
    {.name = "max-instances",
     .value = "N",
     .help = "Unfinished jobs at once, except with --overlap allow (default 1)."},
    {.name = "misfire-grace",
     .value = "DURATION",
     .help = "A run found late by at most this is still made (default 300s)."},
    {.name = "catch-up",
     .value = "POLICY",
     .choices = catch_up_words,
     .help = "For runs missed by more: none of them, one for all, or each (default one)."},
    {.name = "catch-up-limit",
     .value = "N",
     .help = "At most this many with --catch-up all (default 100)."},
    {.name = "coalesce-grace", .help = "Several late runs inside the grace become one."},
    {.name = "jitter",
     .value = "DURATION",
     .help = "Jobs are published up to this much later, always the same for an instant."},
    {.name = "starts-at", .value = "T", .help = "No run before this instant (RFC 3339)."},
    {.name = "ends-at", .value = "T", .help = "No run after this instant (RFC 3339)."},
    {.name = "description", .value = "TEXT", .help = "For people."},
    {.name = NULL}};

static const jm_cli_option list_options[] = {
    {.name = "project", .value = "P", .help = "Only those of this project."},
    {.name = "type", .value = "T", .help = "Only those that fire this job type."},
    {.name = "enabled",
     .value = "BOOL",
     .choices = bool_words,
     .help = "Only those that are enabled, or are not."},
    {.name = "limit", .value = "N", .help = "At most this many (default 50, up to 10000)."},
    {.name = "offset", .value = "N", .help = "Leave out the first N."},
    {.name = NULL}};

static const jm_cli_option show_options[] = {
    {.name = "project",
     .value = "P",
     .help = "Project, where several have a schedule of that name."},
    {.name = NULL}};

static const jm_cli_option preview_options[] = {
    WHEN_OPTIONS,
    {.name = "from", .value = "T", .help = "Runs after this instant (RFC 3339; default now)."},
    {.name = "count", .value = "N", .help = "How many (default 10)."},
    {.name = "project",
     .value = "P",
     .help = "Project, where several have a schedule of that name."},
    {.name = NULL}};

const jm_cli_command jm_cli_schedule_commands[] = {
    {.verb = "add",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Add a schedule and print its id",
     .description = "Its first run is the first one from now on. Give one of --cron, --every and "
                    "--at.",
     .examples =
         "jobmill schedule add nightly --cron '30 3 * * *' --timezone Europe/Paris --type report\n"
         "jobmill schedule add poll --every 5m --type import --params '{\"source\":\"a\"}'",
     .options = add_options,
     .run = add},
    {.verb = "list",
     .summary = "List schedules, newest first",
     .options = list_options,
     .run = list},
    {.verb = "show",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Show one schedule",
     .options = show_options,
     .run = show},
    {.verb = "preview",
     .operands = "[NAME|ID]",
     .min_operands = 0,
     .max_operands = 1,
     .summary = "Show when a schedule runs, with notes on clock changes",
     .description = "Of a schedule that exists, or of what --cron, --every or --at say; the latter "
                    "needs no database. Notes: dst gap (stands for a local time that a clock "
                    "change leaves out), dst fold (the local time comes twice).",
     .examples = "jobmill schedule preview --cron '30 2 * * *' --timezone America/New_York "
                 "--from 2026-03-07T00:00:00Z",
     .options = preview_options,
     .run = preview},
    {.summary = NULL}};
