/* Schedules in memory: rows to structs, spellings, validation, jitter. */
#include "producer/schedule.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "common/job.h"
#include "common/pg.h"
#include "common/url.h"
#include "producer/schedule_columns.h"

/* ---- spellings ---- */

static const char *const kind_texts[] = {"cron", "interval", "once", NULL};
static const char *const gap_texts[] = {"", "after", "skip", NULL};
static const char *const fold_texts[] = {"", "first", "second", "both", NULL};
static const char *const overlap_texts[] = {"skip", "queue", "allow", "cancel_running", NULL};
static const char *const catch_up_texts[] = {"skip", "one", "all", NULL};

int jm_choice_find(const char *const texts[], const char *text)
{
    if (!text)
        return *texts[0] ? -1 : 0;
    for (int i = 0; texts[i]; i++) {
        if (*text && !strcmp(texts[i], text))
            return i;
    }
    return -1;
}

const char *jm_recurrence_kind_text(jm_recurrence_kind kind)
{
    return kind_texts[kind];
}

const char *jm_dst_gap_text(jm_dst_gap gap)
{
    return gap == JM_DST_GAP_CRON ? NULL : gap_texts[gap];
}

const char *jm_dst_fold_text(jm_dst_fold fold)
{
    return fold == JM_DST_FOLD_CRON ? NULL : fold_texts[fold];
}

const char *jm_overlap_text(jm_overlap overlap)
{
    return overlap_texts[overlap];
}

const char *jm_catch_up_text(jm_catch_up catch_up)
{
    return catch_up_texts[catch_up];
}

bool jm_recurrence_kind_parse(const char *text, jm_recurrence_kind *out)
{
    int i = jm_choice_find(kind_texts, text);
    if (i >= 0)
        *out = (jm_recurrence_kind)i;
    return i >= 0;
}

bool jm_dst_gap_parse(const char *text, jm_dst_gap *out)
{
    int i = jm_choice_find(gap_texts, text);
    if (i >= 0)
        *out = (jm_dst_gap)i;
    return i >= 0;
}

bool jm_dst_fold_parse(const char *text, jm_dst_fold *out)
{
    int i = jm_choice_find(fold_texts, text);
    if (i >= 0)
        *out = (jm_dst_fold)i;
    return i >= 0;
}

bool jm_overlap_parse(const char *text, jm_overlap *out)
{
    int i = jm_choice_find(overlap_texts, text);
    if (i >= 0)
        *out = (jm_overlap)i;
    return i >= 0;
}

bool jm_catch_up_parse(const char *text, jm_catch_up *out)
{
    int i = jm_choice_find(catch_up_texts, text);
    if (i >= 0)
        *out = (jm_catch_up)i;
    return i >= 0;
}

/* ---- rows ---- */

void jm_schedule_init(jm_schedule *out)
{
    *out = (jm_schedule){.project = "default",
                         .params = "{}",
                         .queue = "default",
                         .priority = 4,
                         .when = {.timezone = "UTC"},
                         .enabled = true,
                         .max_instances = 1,
                         .misfire_grace_s = 300,
                         .catch_up = JM_CATCH_UP_ONE,
                         .catch_up_limit = 100,
                         .version = 1};
}

#define AT(field) offsetof(jm_schedule, field)
#define DEFINED(name, type, field, choices)                                                        \
    {                                                                                              \
        name, JM_COLUMN_##type, AT(field), choices, true                                           \
    }

const jm_schedule_column jm_schedule_column_table[] = {
    {"id", JM_COLUMN_ID, AT(id), NULL, false},
    DEFINED("name", TEXT, name, NULL),
    DEFINED("project", TEXT, project, NULL),
    DEFINED("external_id", TEXT, external_id, NULL),
    DEFINED("description", TEXT, description, NULL),
    DEFINED("type", TEXT, type, NULL),
    DEFINED("profile", TEXT, profile, NULL),
    DEFINED("params", JSON, params, NULL),
    DEFINED("queue", TEXT, queue, NULL),
    DEFINED("priority", INT, priority, NULL),
    DEFINED("exclusive", TEXT, exclusive, NULL),
    DEFINED("metadata", JSON, metadata, NULL),
    DEFINED("callback_url", TEXT, callback_url, NULL),
    DEFINED("kind", CHOICE, when.kind, kind_texts),
    DEFINED("cron_expression", TEXT, when.cron_expression, NULL),
    DEFINED("interval_seconds", LONG, when.interval_s, NULL),
    DEFINED("anchor_at", TIME, when.anchor_at_us, NULL),
    DEFINED("run_at", TIME, when.run_at_us, NULL),
    DEFINED("timezone", TEXT, when.timezone, NULL),
    DEFINED("dst_gap", CHOICE, when.dst_gap, gap_texts),
    DEFINED("dst_fold", CHOICE, when.dst_fold, fold_texts),
    DEFINED("jitter_seconds", INT, jitter_s, NULL),
    DEFINED("starts_at", TIME, when.starts_at_us, NULL),
    DEFINED("ends_at", TIME, when.ends_at_us, NULL),
    DEFINED("calendar", TEXT, calendar, NULL),
    DEFINED("enabled", BOOL, enabled, NULL),
    DEFINED("paused", BOOL, paused, NULL),
    DEFINED("overlap", CHOICE, overlap, overlap_texts),
    DEFINED("max_instances", INT, max_instances, NULL),
    DEFINED("misfire_grace_seconds", INT, misfire_grace_s, NULL),
    DEFINED("catch_up", CHOICE, catch_up, catch_up_texts),
    DEFINED("catch_up_limit", INT, catch_up_limit, NULL),
    DEFINED("coalesce_grace", BOOL, coalesce_grace, NULL),
    {"source", JM_COLUMN_TEXT, AT(source), NULL, false},
    {"next_run_at", JM_COLUMN_TIME, AT(next_run_us), NULL, false},
    {"next_skip_at", JM_COLUMN_TIME, AT(next_skip_us), NULL, false},
    {"version", JM_COLUMN_INT, AT(version), NULL, false},
    {NULL, JM_COLUMN_ID, 0, NULL, false},
};
#define N_COLUMNS ((int)(sizeof jm_schedule_column_table / sizeof *jm_schedule_column_table) - 1)

void jm_schedule_columns_init(jm_schedule_columns *columns, const PGresult *res)
{
    static_assert(N_COLUMNS == JM_SCHEDULE_COLUMNS, "JM_SCHEDULE_COLUMNS counts the table");
    for (int i = 0; i < N_COLUMNS; i++) {
        columns->at[i] = PQfnumber(res, jm_schedule_column_table[i].name);
        assert(columns->at[i] < 0 || PQfformat(res, columns->at[i]) == 1);
    }
}

/* smallint, integer and bigint */
static int64_t get_int(const PGresult *res, int row, int col)
{
    if (PQgetisnull(res, row, col))
        return 0;
    const unsigned char *p = (const unsigned char *)PQgetvalue(res, row, col);
    switch (PQgetlength(res, row, col)) {
    case 2:
        return (int16_t)(p[0] << 8 | p[1]);
    case 4:
        return jm_pg_get_i32(res, row, col);
    default:
        return jm_pg_get_i64(res, row, col);
    }
}

static int read_choice(const jm_schedule_column *c, const char *text, void *out, jm_err *err)
{
    int i = jm_choice_find(c->choices, text);
    if (i < 0)
        return jm_err_field(err, c->name, "\"%.40s\" is unknown to this version",
                            text ? text : "null");
    memcpy(out, &i, sizeof i); /* enums are ints here */
    return 0;
}

static int read_column(const jm_schedule_column *c, const PGresult *res, int row, int col,
                       jm_arena *arena, jm_schedule *out, jm_err *err)
{
    void *field = (char *)out + c->offset;
    size_t len;
    const char *text;
    switch (c->type) {
    case JM_COLUMN_ID:
        *(jm_uuid *)field = jm_pg_get_uuid(res, row, col);
        return 0;
    case JM_COLUMN_TEXT:
    case JM_COLUMN_JSON:
        text = jm_pg_get_text(res, row, col, &len);
        *(const char **)field = text ? jm_arena_strndup(arena, text, len) : NULL;
        return 0;
    case JM_COLUMN_INT:
        *(int *)field = (int)get_int(res, row, col);
        return 0;
    case JM_COLUMN_LONG:
        *(int64_t *)field = get_int(res, row, col);
        return 0;
    case JM_COLUMN_BOOL:
        *(bool *)field = jm_pg_get_bool(res, row, col);
        return 0;
    case JM_COLUMN_TIME:
        *(int64_t *)field = jm_pg_get_ts(res, row, col);
        return 0;
    case JM_COLUMN_CHOICE:
        return read_choice(c, jm_pg_get_text(res, row, col, NULL), field, err);
    }
    return 0;
}

int jm_schedule_from_row(const jm_schedule_columns *columns, const PGresult *res, int row,
                         jm_arena *arena, jm_schedule *out, jm_err *err)
{
    jm_schedule_init(out);
    int code = 0;
    for (int i = 0; i < N_COLUMNS; i++) {
        if (columns->at[i] < 0)
            continue;
        /* The rest is read even so, that a message about the row can name it. */
        jm_err first;
        int bad =
            read_column(&jm_schedule_column_table[i], res, row, columns->at[i], arena, out, &first);
        if (bad && !code) {
            code = bad;
            if (err)
                *err = first;
        }
    }
    return code;
}

/* ---- validation ---- */

/* Characters of names: the first is a letter or digit. */
static bool is_word(const char *s, size_t max, const char *also)
{
    size_t len = strlen(s);
    if (!len || len > max)
        return false;
    for (size_t i = 0; i < len; i++) {
        bool alnum = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9');
        if (!alnum && !((i || *also == '-') && strchr(also, s[i])))
            return false;
    }
    return true;
}

static size_t utf8_length(const char *s)
{
    size_t n = 0;
    for (; *s; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80;
    return n;
}

static int check_range(int value, int from, int to, const char *field, jm_err *err)
{
    if (value >= from && value <= to)
        return 0;
    if (to == INT32_MAX)
        return jm_err_field(err, field, "at least %d expected", from);
    return jm_err_field(err, field, "%d to %d expected", from, to);
}

static int check_names(const jm_schedule *s, jm_err *err)
{
    if (!s->name || !*s->name || utf8_length(s->name) > 255)
        return jm_err_field(err, "name", "1 to 255 characters expected");
    if (!s->type || !is_word(s->type, 100, "._-"))
        return jm_err_field(err, "type", "[a-z0-9][a-z0-9._-]{0,99} expected");
    if (!s->project || !is_word(s->project, 100, "._-"))
        return jm_err_field(err, "project", "[a-z0-9][a-z0-9._-]{0,99} expected");
    if (!s->queue || !is_word(s->queue, 63, "-"))
        return jm_err_field(err, "queue", "[a-z0-9-]{1,63} expected");
    if (!strncmp(s->type, "jobmill.", 8))
        return jm_err_field(err, "type", "types that begin with jobmill. are not for schedules");
    if (s->exclusive && (!*s->exclusive || utf8_length(s->exclusive) > 200 ||
                         !strncmp(s->exclusive, JM_ORDER_LOCK, strlen(JM_ORDER_LOCK))))
        return jm_err_field(err, "exclusive",
                            "1 to 200 characters expected that do not begin with " JM_ORDER_LOCK);
    if (s->calendar && !is_word(s->calendar, 100, "._-"))
        return jm_err_field(err, "calendar", "[a-z0-9][a-z0-9._-]{0,99} expected");
    return 0;
}

/* As the field of a message: its jobs carry it. */
static int check_callback(const jm_schedule *s, jm_err *err)
{
    const char *url = s->callback_url;
    bool good = !url || (strlen(url) <= 2000 && jm_url_is_http(url, strlen(url)));
    return good ? 0
                : jm_err_field(err, "callback_url",
                               "an http or https URL with a host and without a user expected, of "
                               "at most 2000 characters");
}

static int check_numbers(const jm_schedule *s, jm_err *err)
{
    int code = check_range(s->priority, 0, 9, "priority", err);
    if (!code)
        code = check_range(s->max_instances, 1, INT32_MAX, "max_instances", err);
    if (!code)
        code = check_range(s->misfire_grace_s, 0, INT32_MAX, "misfire_grace_seconds", err);
    if (!code)
        code = check_range(s->catch_up_limit, 1, INT32_MAX, "catch_up_limit", err);
    if (!code)
        code = check_range(s->jitter_s, 0, 86400, "jitter_seconds", err);
    return code;
}

int jm_schedule_resolve(jm_schedule *schedule, jm_zone_cache *zones, jm_err *err)
{
    int code = check_names(schedule, err);
    if (!code)
        code = check_numbers(schedule, err);
    if (!code)
        code = check_callback(schedule, err);
    if (!code)
        code = jm_recurrence_init(&schedule->recurrence, &schedule->when, zones, err);
    return code;
}

bool jm_schedule_is_serial(const jm_schedule *schedule)
{
    return schedule->overlap == JM_OVERLAP_QUEUE || schedule->overlap == JM_OVERLAP_CANCEL_RUNNING;
}

/* ---- jitter ---- */

/* splitmix64's finalizer */
static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

int64_t jm_schedule_jitter_us(const jm_schedule *schedule, int64_t due_us)
{
    if (schedule->jitter_s <= 0)
        return 0;
    uint64_t h = mix((uint64_t)due_us);
    for (int i = 0; i < 16; i++) /* byte by byte: the same on every machine */
        h = mix(h ^ schedule->id.b[i]);
    return (int64_t)(h % ((uint64_t)schedule->jitter_s * 1000000 + 1));
}
