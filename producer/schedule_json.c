/* Schedules as JSON documents, by the table of their columns. */
#include "producer/schedule_json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json_exact.h"
#include "common/json_scan.h"
#include "common/nearest.h"
#include "producer/schedule_columns.h"

/* Of params and metadata together: with the other fields a message stays below 1 MiB. */
#define JSON_MAX_BYTES ((size_t)1000 * 1024)

/* ---- reading ---- */

static const jm_schedule_column *find_column(const char *name)
{
    const jm_schedule_column *c = jm_schedule_column_table;
    while (c->name && (!c->defined || strcmp(c->name, name) != 0))
        c++;
    return c->name ? c : NULL;
}

/* What is known of a schedule and not part of its definition, beside the columns that say so. */
static const char *const kept[] = {"last_run_at",  "last_status",         "last_job_id",
                                   "total_runs",   "successful_runs",     "failed_runs",
                                   "skipped_runs", "recent_success_rate", "next_skip_at",
                                   "created_at",   "updated_at",          NULL};

static bool is_kept(const char *name)
{
    for (const char *const *k = kept; *k; k++)
        if (!strcmp(*k, name))
            return true;
    const jm_schedule_column *c = jm_schedule_column_table;
    while (c->name && strcmp(c->name, name) != 0)
        c++;
    return c->name && !c->defined;
}

void jm_schedule_drop_kept(json_t *object)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(object, next, name, value)
    {
        if (is_kept(name))
            json_object_del(object, name);
    }
}

static int unknown_member(const char *name, jm_err *err)
{
    const char *names[64];
    size_t n = 0;
    if (is_kept(name))
        return jm_err_field(err, name, "it is not for people to set");
    for (const jm_schedule_column *c = jm_schedule_column_table; c->name; c++)
        if (c->defined)
            names[n++] = c->name;
    assert(n < sizeof names / sizeof *names);
    const char *near = jm_nearest(name, names, n);
    return jm_err_field(err, name, "schedules have no such field%s%s%s",
                        near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static const char *kind_of(const json_t *value)
{
    static const char *const kinds[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null"};
    return jm_json_exact_number(value) ? "a number" : kinds[json_typeof(value)];
}

static int wrong_kind(const char *name, const char *expected, const json_t *value, jm_err *err)
{
    return jm_err_field(err, name, "%s expected, not %s", expected, kind_of(value));
}

static int apply_choice(const jm_schedule_column *c, const char *text, void *field, jm_err *err)
{
    int i = jm_choice_find(c->choices, text);
    char words[160] = "";
    if (i >= 0) {
        memcpy(field, &i, sizeof i); /* enums are ints here */
        return 0;
    }
    for (const char *const *w = c->choices; *w; w++) {
        if (**w)
            snprintf(words + strlen(words), sizeof words - strlen(words), "%s%s",
                     !*words ? ""
                     : w[1]  ? ", "
                             : " or ",
                     *w);
    }
    return jm_err_field(err, c->name, "%s expected, not \"%.40s\"", words, text);
}

static int apply_number(const jm_schedule_column *c, const json_t *value, void *field, jm_err *err)
{
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value))
        return wrong_kind(c->name, "a whole number", value, err);
    if (c->type == JM_COLUMN_LONG) {
        *(int64_t *)field = n;
        return 0;
    }
    if (n < INT32_MIN || n > INT32_MAX)
        return jm_err_field(err, c->name, "a number of at most %d expected", INT32_MAX);
    *(int *)field = (int)n;
    return 0;
}

static int apply_time(const jm_schedule_column *c, const char *text, int64_t *field, jm_err *err)
{
    jm_err wrong;
    if (jm_rfc3339_parse(text, strlen(text), field, &wrong))
        return jm_err_field(err, c->name, "\"%.60s\" %s", text, wrong.msg);
    return 0;
}

static int apply_json(const jm_schedule_column *c, const json_t *value, jm_arena *arena,
                      const char **field, jm_err *err)
{
    if (!json_is_object(value))
        return wrong_kind(c->name, "an object", value, err);
    char *text = jm_json_exact_dump(value, JSON_COMPACT);
    *field = jm_arena_strdup(arena, text);
    free(text);
    return 0;
}

static int apply_value(const jm_schedule_column *c, const json_t *value, jm_arena *arena,
                       void *field, jm_err *err)
{
    bool is_text = c->type == JM_COLUMN_TEXT || c->type == JM_COLUMN_CHOICE ||
                   c->type == JM_COLUMN_TIME || c->type == JM_COLUMN_ID;
    const char *text = json_string_value(value);
    if (is_text && (!text || jm_json_exact_number(value)))
        return wrong_kind(c->name, "a string", value, err);
    switch (c->type) {
    case JM_COLUMN_ID:
    case JM_COLUMN_TEXT:
        *(const char **)field = jm_arena_strdup(arena, text);
        return 0;
    case JM_COLUMN_CHOICE:
        return apply_choice(c, text, field, err);
    case JM_COLUMN_TIME:
        return apply_time(c, text, field, err);
    case JM_COLUMN_JSON:
        return apply_json(c, value, arena, field, err);
    case JM_COLUMN_INT:
    case JM_COLUMN_LONG:
        return apply_number(c, value, field, err);
    case JM_COLUMN_BOOL:
        if (!json_is_boolean(value))
            return wrong_kind(c->name, "true or false", value, err);
        *(bool *)field = json_is_true(value);
        return 0;
    }
    return 0;
}

static size_t size_of(const jm_schedule_column *c)
{
    static const size_t sizes[] = {
        [JM_COLUMN_ID] = sizeof(jm_uuid),   [JM_COLUMN_TEXT] = sizeof(char *),
        [JM_COLUMN_JSON] = sizeof(char *),  [JM_COLUMN_INT] = sizeof(int),
        [JM_COLUMN_LONG] = sizeof(int64_t), [JM_COLUMN_BOOL] = sizeof(bool),
        [JM_COLUMN_TIME] = sizeof(int64_t), [JM_COLUMN_CHOICE] = sizeof(int)};
    return sizes[c->type];
}

static int apply_member(jm_schedule *schedule, const char *name, const json_t *value,
                        jm_arena *arena, jm_err *err)
{
    const jm_schedule_column *c = find_column(name);
    if (!c)
        return unknown_member(name, err);
    void *field = (char *)schedule + c->offset;
    if (!json_is_null(value))
        return apply_value(c, value, arena, field, err);
    jm_schedule defaults;
    jm_schedule_init(&defaults);
    memcpy(field, (const char *)&defaults + c->offset, size_of(c));
    return 0;
}

/* ---- when: one of three ---- */

typedef struct kind_member {
    const char *name;
    jm_recurrence_kind kind;
} kind_member;

static const kind_member kind_members[] = {{"cron_expression", JM_RECURRENCE_CRON},
                                           {"interval_seconds", JM_RECURRENCE_INTERVAL},
                                           {"run_at", JM_RECURRENCE_ONCE}};

static bool is_given(const json_t *changes, const char *name)
{
    const json_t *value = json_object_get(changes, name);
    return value && !json_is_null(value);
}

/* Which kind the changes ask for; none: *given stays NULL. */
static int read_kind(const json_t *changes, const kind_member **given, jm_err *err)
{
    *given = NULL;
    for (size_t i = 0; i < sizeof kind_members / sizeof *kind_members; i++) {
        if (!is_given(changes, kind_members[i].name))
            continue;
        if (*given)
            return jm_err_field(err, kind_members[i].name, "a schedule has only one of it and %s",
                                (*given)->name);
        *given = &kind_members[i];
    }
    return 0;
}

/* "@every 90s" as an interval; everything else stays as it is. */
static int apply_every(jm_schedule *schedule, jm_err *err)
{
    int64_t s = 0;
    int code = jm_cron_every(schedule->when.cron_expression, &s, err);
    if (!code && s) {
        schedule->when.kind = JM_RECURRENCE_INTERVAL;
        schedule->when.interval_s = s;
        schedule->when.cron_expression = NULL;
    }
    return code;
}

/* Makes the kind agree with the one member that says when. */
static int settle_kind(jm_schedule *schedule, const json_t *changes, const kind_member *given,
                       jm_err *err)
{
    jm_recurrence_spec *when = &schedule->when;
    if (given && is_given(changes, "kind") && when->kind != given->kind)
        return jm_err_field(err, "kind", "%s says that it is %s", given->name,
                            jm_recurrence_kind_text(given->kind));
    if (given)
        when->kind = given->kind;
    if (when->kind == JM_RECURRENCE_CRON && when->cron_expression && apply_every(schedule, err))
        return err->code;
    if (when->kind != JM_RECURRENCE_CRON)
        when->cron_expression = NULL;
    if (when->kind != JM_RECURRENCE_INTERVAL)
        when->interval_s = when->anchor_at_us = 0;
    if (when->kind != JM_RECURRENCE_ONCE)
        when->run_at_us = 0;
    return 0;
}

int jm_schedule_apply(jm_schedule *schedule, const json_t *changes, jm_arena *arena, jm_err *err)
{
    const kind_member *given;
    const char *name;
    json_t *value;
    if (!json_is_object(changes))
        return jm_err_set(err, JM_ERR_INVALID, "a schedule is a JSON object, not %s",
                          kind_of(changes));
    int code = read_kind(changes, &given, err);
    json_object_foreach((json_t *)changes, name, value)
    {
        if (code)
            return code;
        code = apply_member(schedule, name, value, arena, err);
    }
    return code ? code : settle_kind(schedule, changes, given, err);
}

/* ---- checking ---- */

static int check_text(const char *text, const char *field, jm_err *err)
{
    if (text && !jm_utf8_is_valid(text, strlen(text), NULL))
        return jm_err_field(err, field, "it is not valid UTF-8");
    return 0;
}

/* No control characters but those of allowed: a terminal would obey them. */
static int check_printable(const char *text, const char *field, const char *allowed, jm_err *err)
{
    int n = 1; /* characters */
    for (const char *p = text; p && *p; p++) {
        unsigned char c = (unsigned char)*p;
        if ((c < 0x20 || c == 0x7f) && !strchr(allowed, c))
            return jm_err_field(err, field, "character %d: control characters (U+%04X) are refused",
                                n, c);
        n += (p[1] & 0xc0) != 0x80;
    }
    return 0;
}

/* A JSON object; with scalars, one without objects and arrays in it. */
static int check_object(const char *text, const char *field, bool scalars, jm_err *err)
{
    jm_json json;
    jm_err wrong;
    int code = jm_json_scan(&json, text, strlen(text), JM_JSON_DEPTH_MAX - 1, &wrong);
    if (code)
        jm_err_field(err, field, "%s", wrong.msg);
    else if (json.root.kind != JM_JSON_OBJECT)
        code = jm_err_field(err, field, "a JSON object expected, not %s",
                            jm_json_kind_text(json.root.kind));
    for (size_t i = 0; !code && scalars && i < json.n_members; i++) {
        if (json.members[i].value.kind >= JM_JSON_ARRAY)
            code = jm_err_field(err, field, "scalars expected, not %s",
                                jm_json_kind_text(json.members[i].value.kind));
    }
    jm_json_fini(&json);
    return code;
}

int jm_schedule_check_contents(const jm_schedule *s, jm_err *err)
{
    size_t bytes = strlen(s->params) + (s->metadata ? strlen(s->metadata) : 0);
    if (bytes > JSON_MAX_BYTES)
        return jm_err_field(err, "params", "%zu bytes with the metadata; at most %zu expected",
                            bytes, JSON_MAX_BYTES);
    int code = check_object(s->params, "params", false, err);
    if (!code && s->metadata)
        code = check_object(s->metadata, "metadata", true, err);
    if (!code)
        code = check_text(s->name, "name", err);
    if (!code)
        code = check_text(s->description, "description", err);
    if (!code)
        code = check_printable(s->name, "name", "", err);
    if (!code)
        code = check_printable(s->description, "description", "\n\t", err);
    if (!code && s->profile && (!*s->profile || strlen(s->profile) > 100))
        code = jm_err_field(err, "profile", "1 to 100 characters expected");
    return code ? code : check_text(s->profile, "profile", err);
}

/* ---- writing ---- */

static bool is_default(const jm_schedule_column *c, const void *field, const void *usual)
{
    if (c->type != JM_COLUMN_TEXT && c->type != JM_COLUMN_JSON)
        return !memcmp(field, usual, size_of(c));
    const char *text = *(const char *const *)field, *other = *(const char *const *)usual;
    return !text || (other && !strcmp(text, other));
}

static json_t *time_value(int64_t us)
{
    char text[JM_RFC3339_TEXT];
    jm_rfc3339_format(us, text);
    return json_string(text);
}

/* The text was an object when it was checked, or came out of a jsonb column. */
static json_t *object_value(const char *text)
{
    json_t *value = NULL;
    if (jm_json_exact_load(text, strlen(text), &value, NULL))
        value = json_object();
    return value;
}

static json_t *value_of(const jm_schedule_column *c, const void *field)
{
    int choice;
    switch (c->type) {
    case JM_COLUMN_INT:
        return json_integer(*(const int *)field);
    case JM_COLUMN_LONG:
        return json_integer(*(const int64_t *)field);
    case JM_COLUMN_BOOL:
        return json_boolean(*(const bool *)field);
    case JM_COLUMN_TIME:
        return time_value(*(const int64_t *)field);
    case JM_COLUMN_CHOICE:
        memcpy(&choice, field, sizeof choice);
        return json_string(c->choices[choice]);
    case JM_COLUMN_JSON:
        return object_value(*(const char *const *)field);
    case JM_COLUMN_ID:
    case JM_COLUMN_TEXT:
        break;
    }
    return json_string(*(const char *const *)field);
}

json_t *jm_schedule_to_json(const jm_schedule *schedule)
{
    jm_schedule usual;
    json_t *object = json_object();
    jm_schedule_init(&usual);
    for (const jm_schedule_column *c = jm_schedule_column_table; c->name; c++) {
        const void *field = (const char *)schedule + c->offset;
        /* the kind is said by the member that goes with it */
        bool said = c->offset == offsetof(jm_schedule, when.kind);
        if (c->defined && !said && !is_default(c, field, (const char *)&usual + c->offset))
            json_object_set_new(object, c->name, value_of(c, field));
    }
    return object;
}
