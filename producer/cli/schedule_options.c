/* Options that say what a schedule is, as a JSON definition. */
#include "producer/cli/schedule_options.h"

#include <string.h>

#include "common/clock.h"
#include "common/json_exact.h"
#include "producer/service/schedules.h"

const char *const jm_cli_overlap_words[] = {"skip", "queue", "allow", "cancel_running", NULL};
const char *const jm_cli_catch_up_words[] = {"skip", "one", "all", NULL};
const char *const jm_cli_gap_words[] = {"after", "skip", NULL};
const char *const jm_cli_fold_words[] = {"first", "second", "both", NULL};

typedef enum option_kind { TEXT, JSON, INT, SECONDS } option_kind;

/* Which member an option sets. */
typedef struct option {
    const char *name, *member;
    option_kind kind;
} option;

static const option options[] = {
    {"type", "type", TEXT},
    {"cron", "cron_expression", TEXT},
    {"every", "interval_seconds", SECONDS},
    {"at", "run_at", TEXT},
    {"timezone", "timezone", TEXT},
    {"dst-gap", "dst_gap", TEXT},
    {"dst-fold", "dst_fold", TEXT},
    {"params", "params", JSON},
    {"profile", "profile", TEXT},
    {"metadata", "metadata", JSON},
    {"queue", "queue", TEXT},
    {"priority", "priority", INT},
    {"exclusive", "exclusive", TEXT},
    {"callback-url", "callback_url", TEXT},
    {"external-id", "external_id", TEXT},
    {"project", "project", TEXT},
    {"calendar", "calendar", TEXT},
    {"overlap", "overlap", TEXT},
    {"max-instances", "max_instances", INT},
    {"misfire-grace", "misfire_grace_seconds", SECONDS},
    {"catch-up", "catch_up", TEXT},
    {"catch-up-limit", "catch_up_limit", INT},
    {"jitter", "jitter_seconds", SECONDS},
    {"starts-at", "starts_at", TEXT},
    {"ends-at", "ends_at", TEXT},
    {"description", "description", TEXT},
};
enum { N_OPTIONS = sizeof options / sizeof *options };

int jm_cli_schedule_fail(jm_cli *cli, jm_err *err)
{
    bool named = err->code == JM_ERR_INVALID || err->code == JM_ERR_UNSUPPORTED;
    const char *name = named && *err->field ? err->field : NULL;
    for (int i = 0; name && i < N_OPTIONS; i++) {
        if (!strcmp(options[i].member, err->field)) {
            jm_err_prefix(err, "--%s", options[i].name);
            return jm_cli_fail(cli, err);
        }
    }
    if (name)
        jm_err_prefix(err, "%s%s", jm_cli_has_option(cli, name) ? "--" : "", name);
    return jm_cli_fail(cli, err);
}

int jm_cli_schedule_find(jm_cli *cli, struct jm_pg **pg, jm_uuid *id)
{
    jm_err err;
    *pg = jm_cli_pg(cli);
    if (!*pg)
        return JM_EXIT_FAILURE;
    if (jm_schedules_find(*pg, jm_cli_operand(cli, 0), jm_cli_option_text(cli, "project"), id,
                          &err))
        return jm_cli_schedule_fail(cli, &err);
    return JM_EXIT_OK;
}

/* ---- values ---- */

static json_t *seconds_value(jm_cli *cli, const char *name, const char *text)
{
    int64_t us;
    jm_err err;
    if (jm_duration_parse(text, &us, &err))
        jm_cli_usage(cli, "--%s: %s", name, err.msg);
    else if (us % 1000000 || us < 0)
        jm_cli_usage(cli, "--%s: whole seconds expected", name);
    else
        return json_integer(us / 1000000);
    return NULL;
}

static json_t *int_value(jm_cli *cli, const char *name)
{
    int64_t value;
    if (jm_cli_option_int(cli, name, 0, INT32_MIN, INT32_MAX, &value))
        return NULL;
    return json_integer(value);
}

static json_t *json_value(jm_cli *cli, const char *name, const char *text)
{
    json_t *value = NULL;
    jm_err err;
    if (jm_json_exact_load(text, strlen(text), &value, &err))
        jm_cli_usage(cli, "--%s: %s", name, err.msg);
    return value;
}

static json_t *text_value(jm_cli *cli, const char *name, const char *text)
{
    json_t *value = json_string(text);
    if (!value)
        jm_cli_usage(cli, "--%s: it is not valid UTF-8", name);
    return value;
}

static json_t *value_of(jm_cli *cli, const option *o, const char *text)
{
    switch (o->kind) {
    case TEXT:
        return text_value(cli, o->name, text);
    case JSON:
        return json_value(cli, o->name, text);
    case INT:
        return int_value(cli, o->name);
    case SECONDS:
        return seconds_value(cli, o->name, text);
    }
    return NULL;
}

json_t *jm_cli_schedule_definition(jm_cli *cli, int *code)
{
    int ways = (jm_cli_option_text(cli, "cron") != NULL) +
               (jm_cli_option_text(cli, "every") != NULL) + (jm_cli_option_text(cli, "at") != NULL);
    if (ways > 1) {
        *code = jm_cli_usage(cli, "give one of --cron, --every and --at");
        return NULL;
    }
    json_t *definition = json_object();
    for (int i = 0; i < N_OPTIONS; i++) {
        if (!jm_cli_has_option(cli, options[i].name))
            continue;
        const char *text = jm_cli_option_text(cli, options[i].name);
        json_t *value = text ? value_of(cli, &options[i], text) : NULL;
        if (text && !value) {
            json_decref(definition);
            *code = JM_EXIT_USAGE;
            return NULL;
        }
        if (value)
            json_object_set_new(definition, options[i].member, value);
    }
    if (jm_cli_has_option(cli, "coalesce-grace") && jm_cli_option_flag(cli, "coalesce-grace"))
        json_object_set_new(definition, "coalesce_grace", json_true());
    return definition;
}

/* ---- what it means ---- */

static const char *text_in(const json_t *item, const char *member)
{
    return json_string_value(json_object_get(item, member));
}

/* Those that the calendar leaves out, from the i-th on, in one line. Returns the first behind them.
 */
static size_t pass_excluded(const json_t *items, size_t i)
{
    size_t first = i;
    while (i < json_array_size(items) &&
           strstr(text_in(json_array_get(items, i), "note"), "excluded"))
        i++;
    if (i - first == 1)
        fprintf(stderr, "not   %s  (excluded by calendar)\n",
                text_in(json_array_get(items, first), "local"));
    else if (i > first)
        fprintf(stderr, "not   %s to %s: %zu excluded by calendar\n",
                text_in(json_array_get(items, first), "local"),
                text_in(json_array_get(items, i - 1), "local"), i - first);
    return i;
}

void jm_cli_schedule_print_preview(const json_t *items, int rows)
{
    size_t n = json_array_size(items);
    for (size_t i = 0; rows > 0; rows--, i++) {
        i = pass_excluded(items, i);
        if (i >= n)
            break;
        const json_t *item = json_array_get(items, i);
        const char *note = text_in(item, "note");
        fprintf(stderr, "runs  %s%s%s%s\n", text_in(item, "local"), *note ? "  (" : "", note,
                *note ? ")" : "");
    }
    if (!n)
        fprintf(stderr, "it does not run any more\n");
}
