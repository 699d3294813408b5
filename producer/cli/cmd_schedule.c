/* jobmill schedule: what is to run when. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/json_exact.h"
#include "common/rows.h"
#include "producer/cli/change.h"
#include "producer/cli/confirm.h"
#include "producer/cli/metadata.h"
#include "producer/cli/schedule_files.h"
#include "producer/cli/schedule_options.h"
#include "producer/cli/table.h"
#include "producer/service/jobs.h"
#include "producer/service/schedule_diff.h"
#include "producer/service/schedule_run.h"
#include "producer/service/schedule_save.h"
#include "producer/service/schedule_why.h"
#include "producer/service/schedules.h"

enum {
    PREVIEW_ROWS = 3,  /* after a change */
    PREVIEW_LOOK = 400 /* instants looked at for them: the calendar may leave many out */
};

static const jm_cli_column list_columns[] = {{"NAME", "name", JM_CLI_TEXT},
                                             {"PROJECT", "project", JM_CLI_TEXT},
                                             {"TYPE", "type", JM_CLI_TEXT},
                                             {"WHEN", "when", JM_CLI_TEXT},
                                             {"TIMEZONE", "timezone", JM_CLI_TEXT},
                                             {"STATE", "state", JM_CLI_STATE},
                                             {"NEXT RUN", "next_run_at", JM_CLI_TIME},
                                             {"LAST RUN", "last_run_at", JM_CLI_TIME},
                                             {"LAST STATUS", "last_status", JM_CLI_STATE},
                                             {"OF 20", "rate", JM_CLI_RIGHT},
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
    {"Exclusive", "exclusive", JM_CLI_TEXT},
    {"Callback", "callback_url", JM_CLI_TEXT},
    {"External id", "external_id", JM_CLI_TEXT},
    {"Source", "source", JM_CLI_TEXT},
    {"Version", "version", JM_CLI_TEXT},
    {"When", "when", JM_CLI_TEXT},
    {"That is", "sentence", JM_CLI_TEXT},
    {"Timezone", "timezone", JM_CLI_TEXT},
    {"Anchor", "anchor_at", JM_CLI_TIME},
    {"DST gap", "dst_gap", JM_CLI_TEXT},
    {"DST fold", "dst_fold", JM_CLI_TEXT},
    {"Calendar", "calendar", JM_CLI_TEXT},
    {"Starts", "starts_at", JM_CLI_TIME},
    {"Ends", "ends_at", JM_CLI_TIME},
    {"Jitter (s)", "jitter_seconds", JM_CLI_TEXT},
    {"State", "state", JM_CLI_STATE},
    {"Next run", "next_run_at", JM_CLI_TIME},
    {"Last run", "last_run_at", JM_CLI_TIME},
    {"Last job", "last_job_id", JM_CLI_TEXT},
    {"Last status", "last_status", JM_CLI_STATE},
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
static const jm_cli_column ticks_columns[] = {{"DUE", "due_at", JM_CLI_TIME},
                                              {"UNTIL", "until", JM_CLI_TIME},
                                              {"COUNT", "count", JM_CLI_RIGHT},
                                              {"KIND", "kind", JM_CLI_TEXT},
                                              {"OUTCOME", "outcome", JM_CLI_STATE},
                                              {"REASON", "reason", JM_CLI_TEXT},
                                              {"JOB STATUS", "job_status", JM_CLI_STATE},
                                              {"JOB", "job_id", JM_CLI_TEXT},
                                              {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column versions_columns[] = {{"VERSION", "version", JM_CLI_RIGHT},
                                                 {"AT", "at", JM_CLI_TIME},
                                                 {"ACTION", "action", JM_CLI_TEXT},
                                                 {"BY", "actor", JM_CLI_TEXT},
                                                 {"REASON", "reason", JM_CLI_TEXT},
                                                 {"CHANGES", "changes", JM_CLI_WIDE},
                                                 {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column history_columns[] = {{"ID", "id", JM_CLI_TEXT},
                                                {"STATUS", "status", JM_CLI_STATE},
                                                {"DUE", "due_at", JM_CLI_TIME},
                                                {"STARTED", "started_at", JM_CLI_TIME},
                                                {"DURATION", "duration_ms", JM_CLI_MS},
                                                {"ERROR", "error", JM_CLI_WIDE},
                                                {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column preview_columns[] = {{"AT", "at", JM_CLI_TIME},
                                                {"LOCAL", "local", JM_CLI_TEXT},
                                                {"NOTE", "note", JM_CLI_TEXT},
                                                {NULL, NULL, JM_CLI_TEXT}};

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

/* The sentence for when it runs. */
static void add_sentence(json_t *schedule)
{
    jm_buf sentence = {0};
    if (!jm_schedule_sentence(schedule, &sentence))
        json_object_set_new(schedule, "sentence", json_string(jm_buf_str(&sentence)));
    jm_buf_fini(&sentence);
}

/* Why what is defined so does not run for now; NULL: it does. */
static const char *idle_state(const json_t *schedule)
{
    return json_is_false(json_object_get(schedule, "enabled")) ? "disabled"
           : json_is_true(json_object_get(schedule, "paused")) ? "paused"
                                                               : NULL;
}

/* Adds the members "when", "sentence", "rate" and "state", in words; not to what scripts read. */
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
    add_sentence(schedule);
    const char *rate = jm_json_exact_number(json_object_get(schedule, "recent_success_rate"));
    json_object_set_new(schedule, "rate", rate ? json_sprintf("%s %%", rate) : json_null());
    const char *state = idle_state(schedule);
    if (!state)
        state = json_is_null(json_object_get(schedule, "next_run_at")) ? "ended" : "active";
    json_object_set_new(schedule, "state", json_string(state));
}

/* ---- commands ---- */

static const char *project_of(const jm_cli *cli)
{
    return jm_cli_option_text(cli, "project");
}

/* Prints what was saved: the id (or all of it), and what it means on stderr. */
static int print_saved(jm_cli *cli, struct jm_pg *pg, const jm_uuid *id, bool with_id)
{
    char text[JM_UUID_TEXT];
    json_t *schedule = NULL, *items = NULL;
    jm_err err;
    jm_uuid_format(id, text);
    if (jm_schedules_preview(pg, text, NULL, 0, jm_cli_json(cli) ? PREVIEW_ROWS : PREVIEW_LOOK,
                             &items, &err) ||
        jm_schedules_show(pg, text, NULL, &schedule, &err)) {
        json_decref(items);
        return jm_cli_schedule_fail(cli, &err);
    }
    if (jm_cli_json(cli)) {
        json_object_set_new(schedule, "preview", items);
        return jm_cli_print_json(cli, schedule);
    }
    describe(schedule);
    fprintf(stderr, "%s: %s\n", text_of(schedule, "name"), text_of(schedule, "sentence"));
    if (!strcmp(text_of(schedule, "state"), "active"))
        jm_cli_schedule_print_preview(items, PREVIEW_ROWS);
    else
        fprintf(stderr, "it is %s\n", text_of(schedule, "state"));
    json_decref(items);
    if (with_id)
        return jm_cli_print_value(cli, schedule, "id");
    json_decref(schedule);
    return JM_EXIT_OK;
}

static void say_sentence(const json_t *definition)
{
    jm_buf sentence = {0};
    if (!jm_schedule_sentence(definition, &sentence))
        fprintf(stderr, "%s\n", jm_buf_str(&sentence));
    jm_buf_fini(&sentence);
}

/* What a dry run says: the sentence and the instants of what would have been saved. */
static int print_dry(jm_cli *cli, struct jm_pg *pg, const json_t *definition)
{
    json_t *items;
    jm_err err;
    const char *idle = idle_state(definition);
    int64_t count = jm_cli_json(cli) ? PREVIEW_ROWS : PREVIEW_LOOK;
    if (jm_schedule_preview_json(pg, definition, jm_utc_us(), count, &items, &err))
        return jm_cli_schedule_fail(cli, &err);
    if (jm_cli_json(cli))
        return jm_cli_print_list(cli, items, preview_columns, "");
    say_sentence(definition);
    jm_cli_schedule_print_preview(items, PREVIEW_ROWS);
    if (idle)
        fprintf(stderr, "it would be %s: none of these before that ends\n", idle);
    json_decref(items);
    return JM_EXIT_OK;
}

static int add(jm_cli *cli)
{
    jm_uuid id;
    jm_err err;
    jm_change change;
    int code = JM_EXIT_OK;
    json_t *definition = jm_cli_schedule_definition(cli, &code);
    if (!definition)
        return code;
    if (json_object_set_new(definition, "name", json_string(jm_cli_operand(cli, 0))))
        code = jm_cli_usage(cli, "NAME: it is not valid UTF-8");
    if (jm_cli_option_flag(cli, "disabled"))
        json_object_set_new(definition, "enabled", json_false());
    bool when = json_object_get(definition, "cron_expression") ||
                json_object_get(definition, "interval_seconds") ||
                json_object_get(definition, "run_at");
    if (!code && !when)
        code = jm_cli_usage(cli, "give one of --cron, --every and --at");
    struct jm_pg *pg = code ? NULL : jm_cli_pg(cli);
    if (!code && !pg)
        code = JM_EXIT_FAILURE;
    jm_cli_change(cli, &change);
    if (!code && jm_schedules_add(pg, definition, NULL, &change, &id, &err))
        code = jm_cli_schedule_fail(cli, &err);
    else if (!code)
        code = change.dry_run ? print_dry(cli, pg, definition) : print_saved(cli, pg, &id, true);
    json_decref(definition);
    return code;
}

/* What an edit means, made or only tried. */
static int print_edited(jm_cli *cli, struct jm_pg *pg, const jm_uuid *id, jm_edited *edited)
{
    if (!edited->would)
        return print_saved(cli, pg, id, false);
    int code = print_dry(cli, pg, edited->would);
    json_decref(edited->would);
    return code;
}

/* Edits, and says what it means now. */
static int edit(jm_cli *cli, const json_t *definition, const char *action, int if_version)
{
    struct jm_pg *pg;
    jm_uuid id;
    jm_err err;
    jm_change change;
    jm_edited edited;
    int code = jm_cli_schedule_find(cli, &pg, &id);
    if (code)
        return code;
    jm_cli_change(cli, &change);
    jm_edit how = {.definition = definition, .action = action, .if_version = if_version};
    if (jm_schedules_edit(pg, &id, &how, &change, &edited, &err))
        return jm_cli_schedule_fail(cli, &err);
    if (!edited.changed)
        fprintf(stderr, "nothing changes: version %d is like that\n", edited.version);
    else
        fprintf(stderr, "%s version %d\n", change.dry_run ? "would make" : "made", edited.version);
    return print_edited(cli, pg, &id, &edited);
}

/* --clear a,b: those members are as by default again. */
static int read_clear(jm_cli *cli, json_t *definition)
{
    const char *p = jm_cli_option_text(cli, "clear");
    while (p && *p) {
        size_t len = strcspn(p, ",");
        char name[80];
        snprintf(name, sizeof name, "%.*s", (int)(len < sizeof name ? len : sizeof name - 1), p);
        for (char *c = name; *c; c++)
            *c = *c == '-' ? '_' : *c;
        if (json_object_get(definition, name))
            return jm_cli_usage(cli, "--clear %s: another option sets it", name);
        if (json_object_set_new(definition, name, json_null()))
            return jm_cli_usage(cli, "--clear: it is not valid UTF-8");
        p += len + (p[len] == ',');
    }
    return JM_EXIT_OK;
}

static int update(jm_cli *cli)
{
    int64_t version;
    int code = JM_EXIT_OK;
    json_t *definition = jm_cli_schedule_definition(cli, &code);
    if (!definition)
        return code;
    json_object_del(definition, "project"); /* says which one is meant */
    const char *name = jm_cli_option_text(cli, "name");
    if (name && json_object_set_new(definition, "name", json_string(name)))
        code = jm_cli_usage(cli, "--name: it is not valid UTF-8");
    if (jm_cli_option_flag(cli, "no-coalesce-grace") && jm_cli_option_flag(cli, "coalesce-grace"))
        code = jm_cli_usage(cli, "give one of --coalesce-grace and --no-coalesce-grace");
    else if (jm_cli_option_flag(cli, "no-coalesce-grace"))
        json_object_set_new(definition, "coalesce_grace", json_false());
    if (!code)
        code = read_clear(cli, definition);
    if (!code && jm_cli_option_int(cli, "if-version", 0, 1, INT32_MAX, &version))
        code = JM_EXIT_USAGE;
    if (!code && !json_object_size(definition))
        code = jm_cli_usage(cli, "give an option that says what is to change");
    if (!code)
        code = edit(cli, definition, "update", (int)version);
    json_decref(definition);
    return code;
}

static int set_flag(jm_cli *cli, const char *member, bool value, const char *action)
{
    json_t *definition = json_pack("{s:b}", member, value);
    int code = edit(cli, definition, action, 0);
    json_decref(definition);
    return code;
}

static int enable(jm_cli *cli)
{
    return set_flag(cli, "enabled", true, "enable");
}

static int disable(jm_cli *cli)
{
    return set_flag(cli, "enabled", false, "disable");
}

static int pause_it(jm_cli *cli)
{
    return set_flag(cli, "paused", true, "pause");
}

static int resume(jm_cli *cli)
{
    return set_flag(cli, "paused", false, "resume");
}

static int delete_it(jm_cli *cli)
{
    struct jm_pg *pg;
    jm_uuid id;
    jm_err err;
    jm_change change;
    int code = jm_cli_schedule_find(cli, &pg, &id);
    if (code)
        return code;
    code = jm_cli_confirm(cli, false, "deletes schedule %s; its jobs stay", jm_cli_operand(cli, 0));
    if (code)
        return code;
    jm_cli_change(cli, &change);
    if (jm_schedules_delete(pg, &id, 0, &change, &err))
        return jm_cli_schedule_fail(cli, &err);
    if (jm_cli_json(cli))
        return jm_cli_print_fate(cli, &change, json_pack("{s:s}", "name", jm_cli_operand(cli, 0)),
                                 "deleted");
    fprintf(stderr, "%s; its jobs stay\n", change.dry_run ? "would delete it" : "deleted");
    return JM_EXIT_OK;
}

static void describe_version(json_t *version)
{
    jm_buf changes = {0};
    const json_t *before = json_object_get(version, "before");
    jm_schedule_diff(before, json_object_get(version, "after"), &changes);
    json_object_set_new(version, "changes", json_string(jm_buf_str(&changes)));
    jm_buf_fini(&changes);
}

static int versions(jm_cli *cli)
{
    jm_page page;
    jm_uuid id;
    json_t *items;
    char *end = NULL;
    jm_err err;
    if (jm_cli_page_get(cli, &page))
        return JM_EXIT_USAGE;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    char text[24] = "";
    int64_t next = 0, before = page.cursor ? strtoll(page.cursor, &end, 10) : 0;
    if (page.cursor && (*end || before < 1))
        return jm_cli_usage(cli, "--cursor is \"%.60s\", needs what a page gave as next",
                            page.cursor);
    const jm_versions_page rows = {before, page.limit, page.offset, NULL};
    if (jm_schedules_find_gone(pg, jm_cli_operand(cli, 0), project_of(cli), &id, &err) ||
        jm_schedules_versions(pg, &id, &rows, &items, &next, &err))
        return jm_cli_schedule_fail(cli, &err);
    for (size_t i = 0; !jm_cli_json(cli) && i < json_array_size(items); i++)
        describe_version(json_array_get(items, i));
    if (next)
        snprintf(text, sizeof text, "%lld", (long long)next);
    return jm_cli_print_page(cli, items, next ? text : NULL, versions_columns, "no versions");
}

static int rollback(jm_cli *cli)
{
    struct jm_pg *pg;
    jm_uuid id;
    jm_err err;
    jm_change change;
    jm_edited edited;
    int64_t version;
    if (jm_cli_option_int(cli, "version", 0, 1, INT32_MAX, &version))
        return JM_EXIT_USAGE;
    int code = jm_cli_schedule_find(cli, &pg, &id);
    if (code)
        return code;
    jm_cli_change(cli, &change);
    if (jm_schedules_rollback(pg, &id, (int)version, 0, &change, &edited, &err))
        return jm_cli_schedule_fail(cli, &err);
    if (!edited.changed)
        fprintf(stderr, "nothing changes: version %d is like that\n", edited.version);
    else
        fprintf(stderr, "%s version %d, as version %lld was\n",
                change.dry_run ? "would make" : "made", edited.version, (long long)version);
    return print_edited(cli, pg, &id, &edited);
}

static int run_it(jm_cli *cli)
{
    struct jm_pg *pg;
    jm_uuid id, job;
    jm_err err;
    jm_change change;
    char text[JM_UUID_TEXT];
    int code = jm_cli_schedule_find(cli, &pg, &id);
    if (code)
        return code;
    jm_cli_change(cli, &change);
    if (jm_schedules_run(pg, &id, &change, &job, NULL, &err))
        return jm_cli_schedule_fail(cli, &err);
    if (change.dry_run)
        return jm_cli_print_fate(cli, &change, json_pack("{s:s}", "name", jm_cli_operand(cli, 0)),
                                 "run");
    jm_uuid_format(&job, text);
    return jm_cli_print_value(cli, json_pack("{s:s}", "job_id", text), "job_id");
}

static int history(jm_cli *cli)
{
    jm_uuid id;
    char text[JM_UUID_TEXT];
    jm_jobs_filter filter = {.status = jm_cli_option_text(cli, "status"), .schedule = text};
    struct jm_pg *pg;
    json_t *items;
    char *next;
    jm_err err;
    jm_page page;
    if (jm_cli_page_get(cli, &page))
        return JM_EXIT_USAGE;
    filter.limit = page.limit;
    filter.offset = page.offset;
    filter.cursor = page.cursor;
    int code = jm_cli_schedule_find(cli, &pg, &id);
    if (code)
        return code;
    jm_uuid_format(&id, text);
    if (jm_jobs_list(pg, &filter, &items, &next, &err))
        return jm_cli_schedule_fail(cli, &err);
    code = jm_cli_print_page(cli, items, next, history_columns, "no jobs");
    free(next);
    return code;
}

/* Why it ran, or did not, at a moment. */
static int answer_why(jm_cli *cli, struct jm_pg *pg, const jm_uuid *id, const char *at)
{
    json_t *answer;
    jm_err err;
    if (jm_schedules_why(pg, id, at, &answer, &err)) {
        if (err.code == JM_ERR_INVALID && !strcmp(err.field, "at"))
            return jm_cli_usage(cli, "--at %s", err.msg);
        return jm_cli_schedule_fail(cli, &err);
    }
    return jm_cli_print_value(cli, answer, "answer");
}

static int ticks(jm_cli *cli)
{
    struct jm_pg *pg;
    jm_uuid id;
    json_t *items;
    jm_err err;
    jm_ticks_filter filter = {.outcome = jm_cli_option_text(cli, "outcome"),
                              .kind = jm_cli_option_text(cli, "kind")};
    jm_page page;
    char next[JM_SCHEDULES_NEXT];
    const char *at = jm_cli_option_text(cli, "at");
    if (jm_cli_page_get(cli, &page) || jm_cli_option_time(cli, "from", &filter.from_us) ||
        jm_cli_option_time(cli, "to", &filter.to_us))
        return JM_EXIT_USAGE;
    filter.limit = page.limit;
    filter.offset = page.offset;
    filter.cursor = page.cursor;
    pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_schedules_find_gone(pg, jm_cli_operand(cli, 0), project_of(cli), &id, &err))
        return jm_cli_schedule_fail(cli, &err);
    if (at)
        return answer_why(cli, pg, &id, at);
    if (jm_schedules_ticks(pg, &id, &filter, &items, next, &err))
        return jm_cli_schedule_fail(cli, &err);
    return jm_cli_print_page(cli, items, *next ? next : NULL, ticks_columns,
                             "no instants have come yet");
}

static int list(jm_cli *cli)
{
    jm_schedules_filter filter = {.project = jm_cli_option_text(cli, "project"),
                                  .type = jm_cli_option_text(cli, "type"),
                                  .enabled = jm_cli_option_text(cli, "enabled"),
                                  .paused = jm_cli_option_text(cli, "paused"),
                                  .external_id = jm_cli_option_text(cli, "external-id")};
    jm_page page;
    json_t *items, *metadata = NULL;
    char next[JM_UUID_TEXT];
    jm_err err;
    if (jm_cli_page_get(cli, &page) || jm_cli_option_metadata(cli, &metadata))
        return JM_EXIT_USAGE;
    filter.limit = page.limit;
    filter.offset = page.offset;
    filter.cursor = page.cursor;
    filter.metadata = metadata;
    struct jm_pg *pg = jm_cli_pg(cli);
    int code = pg ? jm_schedules_list(pg, &filter, &items, next, &err) : 0;
    json_decref(metadata);
    if (!pg || code)
        return pg ? jm_cli_schedule_fail(cli, &err) : JM_EXIT_FAILURE;
    for (size_t i = 0; !jm_cli_json(cli) && i < json_array_size(items); i++)
        describe(json_array_get(items, i));
    return jm_cli_print_page(cli, items, *next ? next : NULL, list_columns, "no schedules");
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
        return jm_cli_schedule_fail(cli, &err);
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
        return jm_cli_schedule_fail(cli, &err);
    return JM_EXIT_OK;
}

static int preview_given(jm_cli *cli, int64_t from_us, int64_t count, json_t **items)
{
    jm_err err;
    int code = JM_EXIT_OK;
    json_t *definition = jm_cli_schedule_definition(cli, &code);
    if (!definition)
        return code;
    if (!jm_cli_option_text(cli, "cron") && !jm_cli_option_text(cli, "every") &&
        !jm_cli_option_text(cli, "at"))
        code = jm_cli_usage(cli, "give one of --cron, --every and --at");
    json_object_del(definition, "project");
    if (!code && jm_schedule_preview_json(NULL, definition, from_us ? from_us : jm_utc_us(), count,
                                          items, &err))
        code = jm_cli_schedule_fail(cli, &err);
    if (!code && !jm_cli_json(cli))
        say_sentence(definition);
    json_decref(definition);
    return code;
}

static int preview(jm_cli *cli)
{
    int64_t from_us = 0, count;
    json_t *items = NULL;
    if (jm_cli_option_time(cli, "from", &from_us) ||
        jm_cli_option_int(cli, "count", 10, 1, 1000000, &count))
        return JM_EXIT_USAGE;
    int code = jm_cli_n_operands(cli) ? preview_stored(cli, from_us, count, &items)
                                      : preview_given(cli, from_us, count, &items);
    if (code)
        return code;
    return jm_cli_print_list(cli, items, preview_columns, "no instant is to come");
}

/* ---- the table ---- */

static const char *const bool_words[] = {"true", "false", NULL};
static const char *const outcome_words[] = {"fired", "skipped", "missed", "coalesced", NULL};
static const char *const kind_words[] = {"calendar", "manual", "backfill", NULL};

#define PROJECT_OPTION                                                                             \
    {                                                                                              \
        .name = "project", .value = "P",                                                           \
        .help = "Project, where several have a schedule of that name."                             \
    }

static const jm_cli_option add_options[] = {
    {.name = "type", .value = "T", .help = "Job type that it fires.", .required = true},
    JM_CLI_SCHEDULE_OPTIONS,
    {.name = "disabled", .help = "Add it disabled: it runs once it is enabled."},
    {.name = NULL}};

static const jm_cli_option update_options[] = {
    {.name = "name", .value = "NAME", .help = "Another name."},
    {.name = "type", .value = "T", .help = "Job type that it fires."},
    JM_CLI_SCHEDULE_OPTIONS,
    {.name = "no-coalesce-grace", .help = "Takes --coalesce-grace back."},
    {.name = "clear",
     .value = "FIELD,...",
     .help = "Fields that are to be as by default again, such as calendar,ends_at."},
    {.name = "if-version",
     .value = "N",
     .help = "Only if this is its version: nobody has changed it since."},
    {.name = NULL}};

static const jm_cli_option rollback_options[] = {
    {.name = "version",
     .value = "N",
     .help = "The version to go back to (jobmill schedule versions).",
     .required = true},
    PROJECT_OPTION,
    {.name = NULL}};

static const jm_cli_option backfill_options[] = {
    {.name = "from",
     .value = "T",
     .help = "The first instant may be this one (RFC 3339).",
     .required = true},
    {.name = "to",
     .value = "T",
     .help = "Instants before this one; not in the future (RFC 3339).",
     .required = true},
    {.name = "rate", .value = "N", .help = "Jobs that may start a second (default 10)."},
    {.name = "missed", .help = "Leave out the instants that fired by the calendar."},
    PROJECT_OPTION,
    {.name = NULL}};

static const jm_cli_option history_options[] = {
    {.name = "status", .value = "S", .help = "Only jobs of this status."},
    PROJECT_OPTION,
    {.name = NULL}};

static const jm_cli_option ticks_options[] = {
    {.name = "at",
     .value = "T",
     .help = "Say in words why it ran, or did not run, at this moment: RFC 3339, or a local time "
             "of its zone such as 2026-03-29T02:30."},
    {.name = "from", .value = "T", .help = "Instants from this one on (RFC 3339)."},
    {.name = "to", .value = "T", .help = "Instants up to this one (RFC 3339)."},
    {.name = "outcome",
     .value = "O",
     .choices = outcome_words,
     .help = "Only those of which this became."},
    {.name = "kind", .value = "K", .choices = kind_words, .help = "Only those of this kind."},
    PROJECT_OPTION,
    {.name = NULL}};

static const jm_cli_option list_options[] = {
    {.name = "project", .value = "P", .help = "Only those of this project."},
    {.name = "type", .value = "T", .help = "Only those that fire this job type."},
    {.name = "enabled",
     .value = "BOOL",
     .choices = bool_words,
     .help = "Only those that are enabled, or are not."},
    {.name = "paused",
     .value = "BOOL",
     .choices = bool_words,
     .help = "Only those that are paused, or are not."},
    {.name = "external-id", .value = "ID", .help = "Only those with this id elsewhere."},
    {.name = "metadata",
     .value = JM_CLI_METADATA_VALUE,
     .help = "Only those whose metadata says so: one member, or an object of several."},
    {.name = NULL}};

static const jm_cli_option one_options[] = {PROJECT_OPTION, {.name = NULL}};

static const jm_cli_option preview_options[] = {
    JM_CLI_WHEN_OPTIONS,
    {.name = "from", .value = "T", .help = "Runs after this instant (RFC 3339; default now)."},
    {.name = "count", .value = "N", .help = "How many (default 10)."},
    PROJECT_OPTION,
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
     .shares = JM_CLI_CHANGE,
     .run = add},
    {.verb = "update",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Change a schedule",
     .description = "What no option names stays as it is. What is due by the old definition is "
                    "settled first; the new one holds from now on, in every producer, at once. "
                    "Every change is a version (jobmill schedule versions).",
     .examples = "jobmill schedule update nightly --cron '0 4 * * *' --reason 'after the backup'\n"
                 "jobmill schedule update nightly --clear calendar,ends_at",
     .options = update_options,
     .shares = JM_CLI_CHANGE,
     .run = update},
    {.verb = "enable",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Enable a schedule; what it did not run meanwhile it does not make up for",
     .options = one_options,
     .shares = JM_CLI_CHANGE,
     .run = enable},
    {.verb = "disable",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Disable a schedule until it is enabled",
     .options = one_options,
     .shares = JM_CLI_CHANGE,
     .run = disable},
    {.verb = "pause",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Hold a schedule for the moment",
     .options = one_options,
     .shares = JM_CLI_CHANGE,
     .run = pause_it},
    {.verb = "resume",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Go on with a schedule that was paused; the past is not made up for",
     .options = one_options,
     .shares = JM_CLI_CHANGE,
     .run = resume},
    {.verb = "run",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Run a schedule once, now, and print the job's id",
     .description = "Also while it is disabled or paused. Its calendar goes on as if nothing had "
                    "happened; the ledger calls the run manual.",
     .options = one_options,
     .shares = JM_CLI_CHANGE,
     .run = run_it},
    {.verb = "backfill",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Run the instants of a past range",
     .description = "Makes a job for each instant of the range and lets them start at --rate. "
                    "They run one after the other (max_instances at once) unless overlap is "
                    "allow. An instant is backfilled once: given twice, a range goes on where it "
                    "stopped. Try --dry-run first.",
     .examples = "jobmill schedule backfill nightly --from 2026-11-01T00:00:00Z --to "
                 "2026-11-08T00:00:00Z --dry-run",
     .options = backfill_options,
     .shares = JM_CLI_CHANGE,
     .run = jm_cli_schedule_backfill},
    {.verb = "list",
     .summary = "List schedules, newest first",
     .description = "OF 20 is the share of the last 20 jobs that ended which completed.",
     .options = list_options,
     .shares = JM_CLI_LIST | JM_CLI_CURSOR,
     .run = list},
    {.verb = "show",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Show one schedule",
     .options = one_options,
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
    {.verb = "ticks",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Show the instants of a schedule and what became of each, or why it ran or did not",
     .examples = "jobmill schedule ticks nightly --at 2026-03-29T02:30\n"
                 "jobmill schedule ticks nightly --outcome skipped",
     .options = ticks_options,
     .shares = JM_CLI_LIST | JM_CLI_CURSOR,
     .run = ticks},
    {.verb = "history",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "List the jobs of a schedule, newest first",
     .options = history_options,
     .shares = JM_CLI_LIST | JM_CLI_CURSOR,
     .run = history},
    {.verb = "versions",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "List the versions of a schedule: who changed what, when and why",
     .description = "Also of one that was deleted, by its id.",
     .options = one_options,
     .shares = JM_CLI_LIST | JM_CLI_CURSOR,
     .run = versions},
    {.verb = "rollback",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Make a schedule what an earlier version was",
     .options = rollback_options,
     .shares = JM_CLI_CHANGE,
     .run = rollback},
    {.verb = "delete",
     .operands = "NAME|ID",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Delete a schedule; its jobs stay",
     .options = one_options,
     .shares = JM_CLI_CHANGE | JM_CLI_YES,
     .run = delete_it},
    JM_CLI_SCHEDULE_FILE_COMMANDS,
    {.summary = NULL}};
