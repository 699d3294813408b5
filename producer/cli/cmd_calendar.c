/* jobmill calendar: days on which schedules do not run, or to which they keep. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/rows.h"
#include "producer/calendar_ical.h"
#include "producer/calendar_rule.h"
#include "producer/cli/change.h"
#include "producer/cli/commands.h"
#include "producer/cli/confirm.h"
#include "producer/cli/input.h"
#include "producer/cli/table.h"
#include "producer/service/calendars.h"

enum { FILE_BYTES_MAX = 8 << 20, YEARS = 5 };

static const jm_cli_column list_columns[] = {{"NAME", "name", JM_CLI_TEXT},
                                             {"PROJECT", "project", JM_CLI_TEXT},
                                             {"EXCLUDE", "exclude", JM_CLI_RIGHT},
                                             {"INCLUDE", "include", JM_CLI_RIGHT},
                                             {"SCHEDULES", "schedules", JM_CLI_RIGHT},
                                             {"UPDATED", "updated_at", JM_CLI_TIME},
                                             {"DESCRIPTION", "description", JM_CLI_WIDE},
                                             {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column show_columns[] = {{"Name", "name", JM_CLI_TEXT},
                                             {"Project", "project", JM_CLI_TEXT},
                                             {"Description", "description", JM_CLI_TEXT},
                                             {"Definition", "definition", JM_CLI_TEXT},
                                             {"Schedules", "schedules", JM_CLI_TEXT},
                                             {"Version", "version", JM_CLI_TEXT},
                                             {"Created", "created_at", JM_CLI_TIME},
                                             {"Updated", "updated_at", JM_CLI_TIME},
                                             {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column day_columns[] = {{"DATE", "date", JM_CLI_TEXT},
                                            {"DAY", "weekday", JM_CLI_TEXT},
                                            {"OPEN", "open", JM_CLI_TEXT},
                                            {NULL, NULL, JM_CLI_TEXT}};

/* ---- reading what is given ---- */

/* Rules separated by commas, as an array of JSON strings. */
static void add_rules(jm_buf *json, const char *rules)
{
    jm_buf_addc(json, '[');
    for (const char *p = rules;; p++) {
        p += strspn(p, " \t\n");
        size_t len = strcspn(p, ","), trimmed = len;
        while (trimmed && strchr(" \t\n", p[trimmed - 1]))
            trimmed--;
        jm_buf_add_json(json, p, trimmed);
        p += len;
        if (!*p)
            break;
        jm_buf_addc(json, ',');
    }
    jm_buf_addc(json, ']');
}

static void from_lists(jm_buf *json, const char *exclude, const char *include)
{
    jm_buf_addc(json, '{');
    if (exclude) {
        jm_buf_adds(json, "\"exclude\":");
        add_rules(json, exclude);
    }
    if (include) {
        jm_buf_adds(json, exclude ? ",\"include\":" : "\"include\":");
        add_rules(json, include);
    }
    jm_buf_addc(json, '}');
}

/* --definition, or --exclude and --include. Exit code. */
static int read_definition(jm_cli *cli, jm_buf *json)
{
    const char *exclude = jm_cli_option_text(cli, "exclude");
    const char *include = jm_cli_option_text(cli, "include");
    const char *definition = jm_cli_option_text(cli, "definition");
    if (!definition == !(exclude || include))
        return jm_cli_usage(cli, "give --exclude, --include or both, or --definition");
    if (!definition)
        from_lists(json, exclude, include);
    else if (*definition == '@')
        return jm_cli_read_file(cli, definition + 1, FILE_BYTES_MAX, json);
    else
        jm_buf_adds(json, definition);
    return JM_EXIT_OK;
}

static int read_day(jm_cli *cli, const char *option, int64_t *day)
{
    const char *text = jm_cli_option_text(cli, option);
    jm_calendar_rule rule;
    jm_err err;
    if (!text)
        return JM_EXIT_OK;
    if (jm_calendar_rule_parse(&rule, text, &err))
        return jm_cli_usage(cli, "--%s \"%s\": %s", option, text, err.msg);
    if (rule.kind != JM_CALENDAR_DATES || rule.first != rule.last)
        return jm_cli_usage(cli, "--%s \"%s\" is no date such as 2026-12-25", option, text);
    *day = rule.first;
    return JM_EXIT_OK;
}

/* ---- commands ---- */

/* Of lists from options the place begins with the option's name: exclude[1] "...". */
static void name_option(jm_err *err)
{
    jm_err was = *err;
    if (!strncmp(was.msg, "exclude[", 8) || !strncmp(was.msg, "include[", 8)) {
        const char *rest = strchr(was.msg, ']');
        int nth = (int)strtol(was.msg + 8, NULL, 10) + 1;
        jm_err_set(err, was.code, "--%.7s: rule %d%s", was.msg, nth, rest ? rest + 1 : "");
    }
}

/* As jm_cli_fail, with the option at fault in front. */
static int fail(jm_cli *cli, jm_err *err, const char *source)
{
    if (err->code == JM_ERR_INVALID && !strcmp(err->field, "definition") && source)
        jm_err_prefix(err, "%s", source);
    else if (err->code == JM_ERR_INVALID && !strcmp(err->field, "definition"))
        name_option(err);
    else if (err->code == JM_ERR_INVALID && !strcmp(err->field, "name"))
        jm_err_prefix(err, "NAME");
    return jm_cli_fail(cli, err);
}

static int save(jm_cli *cli, const char *definition, const char *source)
{
    json_t *calendar;
    jm_err err = {0};
    jm_calendars_entry entry = {.project = jm_cli_project(cli),
                                .name = jm_cli_operand(cli, 0),
                                .definition = definition,
                                .description = jm_cli_option_text(cli, "description")};
    jm_change change;
    struct jm_pg *pg = jm_cli_change_begin(cli, &change);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_calendars_save(pg, &entry, jm_cli_option_flag(cli, "replace"), &change, &calendar,
                          &err)) {
        return fail(cli, &err, source);
    }
    return jm_cli_print_changed(cli, &change, calendar, "name", "saved");
}

static int add(jm_cli *cli)
{
    jm_buf json = {0};
    int code = read_definition(cli, &json);
    if (!code)
        code = save(cli, jm_buf_str(&json),
                    jm_cli_option_text(cli, "definition") ? "--definition" : NULL);
    jm_buf_fini(&json);
    return code;
}

/* The year in which the computer takes itself to be, by UTC. */
static int this_year(void)
{
    int64_t year;
    int month, mday;
    jm_civil_from_days(jm_utc_us() / 86400000000, &year, &month, &mday);
    return (int)year;
}

static int read_ical(jm_cli *cli, const char *path, int from_year, int to_year, json_t **out)
{
    jm_buf text = {0};
    jm_err err;
    int code = jm_cli_read_file(cli, path, FILE_BYTES_MAX, &text);
    if (!code &&
        jm_calendar_from_ical(jm_buf_str(&text), text.len, from_year, to_year, out, &err)) {
        jm_err_prefix(&err, "%s", path);
        code = jm_cli_fail(cli, &err);
    }
    jm_buf_fini(&text);
    return code;
}

static int import(jm_cli *cli)
{
    int64_t from_year, to_year;
    json_t *definition = NULL;
    const char *path = jm_cli_operand(cli, 1);
    if (jm_cli_option_int(cli, "from-year", this_year(), JM_CALENDAR_ICAL_YEAR_MIN,
                          JM_CALENDAR_ICAL_YEAR_MAX, &from_year) ||
        jm_cli_option_int(cli, "to-year", from_year + YEARS - 1, from_year,
                          JM_CALENDAR_ICAL_YEAR_MAX, &to_year))
        return JM_EXIT_USAGE;
    int code = read_ical(cli, path, (int)from_year, (int)to_year, &definition);
    if (code)
        return code;
    if (jm_cli_option_flag(cli, "dry-run"))
        return jm_cli_print_json(cli, definition);
    char *text = json_dumps(definition, JSON_COMPACT);
    json_decref(definition);
    code = save(cli, text, path);
    free(text);
    return code;
}

static int list(jm_cli *cli)
{
    jm_page page;
    json_t *items;
    char *next;
    jm_err err;
    if (jm_cli_page_get(cli, &page))
        return JM_EXIT_USAGE;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_calendars_list(pg, jm_cli_option_text(cli, "project"), &page, &items, &next, &err))
        return jm_cli_fail(cli, &err);
    int code = jm_cli_print_page(cli, items, next, list_columns, "no calendars");
    free(next);
    return code;
}

static int show(jm_cli *cli)
{
    int64_t from_day = jm_utc_us() / 86400000000, days;
    bool listed = jm_cli_option_text(cli, "from") || jm_cli_option_text(cli, "days");
    json_t *value;
    jm_err err;
    if (read_day(cli, "from", &from_day) ||
        jm_cli_option_int(cli, "days", 31, 1, JM_CALENDARS_DAYS_MAX, &days))
        return JM_EXIT_USAGE;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    const char *name = jm_cli_operand(cli, 0);
    int rc = listed ? jm_calendars_days(pg, jm_cli_project(cli), name, from_day, days, &value, &err)
                    : jm_calendars_show(pg, jm_cli_project(cli), name, &value, &err);
    if (rc)
        return jm_cli_fail(cli, &err);
    return listed ? jm_cli_print_list(cli, value, day_columns, "no days")
                  : jm_cli_print_object(cli, value, show_columns);
}

static int delete (jm_cli *cli)
{
    jm_err err;
    jm_change change;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    int code = jm_cli_confirm(cli, false, "deletes calendar %s", jm_cli_operand(cli, 0));
    if (code)
        return code;
    jm_cli_change(cli, &change);
    if (jm_calendars_delete(pg, jm_cli_project(cli), jm_cli_operand(cli, 0), &change, &err))
        return jm_cli_fail(cli, &err);
    return jm_cli_print_fate(
        cli, &change,
        json_pack("{s:s, s:s}", "project", jm_cli_project(cli), "name", jm_cli_operand(cli, 0)),
        "deleted");
}

/* ---- the table ---- */

#define PROJECT                                                                                    \
    {                                                                                              \
        .name = "project", .value = "P", .help = "Project of the calendar (default: default)."     \
    }
#define DESCRIPTION                                                                                \
    {                                                                                              \
        .name = "description", .value = "TEXT", .help = "For people."                              \
    }
#define REPLACE                                                                                    \
    {                                                                                              \
        .name = "replace",                                                                         \
        .help = "Where there is a calendar of that name, give it this definition instead. "        \
                "Schedules that use it follow at once."                                            \
    }

static const jm_cli_option add_options[] = {
    {.name = "exclude",
     .value = "R[,R...]",
     .help = "Days that are closed: dates (2026-12-25), ranges (2026-12-24..2027-01-02), those of "
             "every year (12-25, 12-24..01-02), weekdays (sat, mon-fri), one of the month (fri#2, "
             "fri#-1), \"business-day 1\" or \"business-day -1\" of the month."},
    {.name = "include",
     .value = "R[,R...]",
     .help = "No other days than these are open. Rules as for --exclude, which wins."},
    {.name = "definition",
     .value = "JSON|@FILE",
     .help = "Both lists as JSON: {\"exclude\": [\"sat-sun\"], \"include\": []}."},
    DESCRIPTION,
    REPLACE,
    PROJECT,
    {.name = NULL}};
static const jm_cli_option import_options[] = {
    {.name = "from-year", .value = "Y", .help = "First year to take days of (default this one)."},
    {.name = "to-year", .value = "Y", .help = "Last year (default four years later)."},
    {.name = "dry-run", .help = "Only print the definition; needs no database."},
    DESCRIPTION,
    REPLACE,
    PROJECT,
    {.name = NULL}};
static const jm_cli_option list_options[] = {
    {.name = "project", .value = "P", .help = "Only those of this project."}, {.name = NULL}};
static const jm_cli_option show_options[] = {
    {.name = "from",
     .value = "DATE",
     .help = "List days from this one on, open or not (default today, by UTC)."},
    {.name = "days", .value = "N", .help = "List so many days (default 31)."},
    PROJECT,
    {.name = NULL}};
static const jm_cli_option delete_options[] = {PROJECT, {.name = NULL}};

const jm_cli_command jm_cli_calendar_commands[] = {
    {.verb = "add",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Add a calendar",
     .description = "A day is open when no rule of --exclude names it and, if --include is given, "
                    "one of its rules does. Days are those of a schedule's time zone.",
     .examples = "jobmill calendar add office --exclude sat-sun,12-24..01-01,2026-05-01\n"
                 "jobmill calendar add payday --include 'business-day -1' --exclude 12-25,12-26",
     .options = add_options,
     .shares = JM_CLI_CHANGE,
     .run = add},
    {.verb = "import",
     .operands = "NAME FILE",
     .min_operands = 2,
     .max_operands = 2,
     .summary = "Add a calendar that excludes the days of an iCalendar file",
     .description = "FILE - is standard input. Events that recur are expanded between the years, "
                    "cancelled ones left out.",
     .examples = "jobmill calendar import holidays holidays.ics --to-year 2030",
     .options = import_options,
     .shares = JM_CLI_REASON,
     .run = import},
    {.verb = "list",
     .summary = "List calendars",
     .options = list_options,
     .shares = JM_CLI_LIST | JM_CLI_CURSOR,
     .run = list},
    {.verb = "show",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Show one calendar, or which of its days are open",
     .examples = "jobmill calendar show office --from 2026-12-01 --days 31",
     .options = show_options,
     .run = show},
    {.verb = "delete",
     .operands = "NAME",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Delete a calendar that no schedule uses",
     .options = delete_options,
     .shares = JM_CLI_CHANGE | JM_CLI_YES,
     .run = delete},
    {.summary = NULL}};
