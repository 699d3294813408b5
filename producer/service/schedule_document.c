/* Documents of schedules: reading and judging them without a database. */
#include "producer/service/schedule_document.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json_exact.h"
#include "common/json_scan.h"
#include "producer/calendar.h"
#include "producer/schedule_json.h"
#include "producer/service/definition_wrong.h"
#include "producer/service/document_files.h"

/* A document while it is read. */
typedef struct reading {
    jm_schedule_document *document;
    size_t cap_schedules, cap_calendars;
    jm_zone_cache *zones;
    EVP_MD_CTX *md;
    jm_findings *findings;
} reading;

/* ---- places and kinds ---- */

static jm_place place_of(reading *r, const char *file, const char *list, size_t i)
{
    char path[40];
    snprintf(path, sizeof path, "%s[%zu]", list, i);
    return (jm_place){file, jm_arena_strdup(r->document->arena, path)};
}

static void add_finding(reading *r, const jm_place *place, const char *field, const char *what)
{
    jm_err err;
    jm_err_field(&err, field, "%s", what);
    jm_findings_add(r->findings, place, &err);
}

static const char *kind_of(const json_t *value)
{
    static const char *const kinds[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null"};
    return jm_json_exact_number(value) ? "a number" : kinds[json_typeof(value)];
}

/* ---- a schedule ---- */

/* Judges a copy: what the caller gets is not resolved. */
static int check_schedule(reading *r, const jm_schedule *schedule, jm_err *err)
{
    jm_schedule copy = *schedule;
    int code = jm_schedule_check_contents(&copy, err);
    if (!code && copy.when.kind == JM_RECURRENCE_INTERVAL && !copy.when.anchor_at_us)
        copy.when.anchor_at_us = jm_utc_us();
    return code ? code : jm_schedule_resolve(&copy, r->zones, err);
}

/* Whether one of the members that say when is there: cron is the kind of a schedule without. */
static int check_when(const json_t *value, jm_err *err)
{
    static const char *const members[] = {"cron_expression", "interval_seconds", "run_at"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const json_t *member = json_object_get(value, members[i]);
        if (member && !json_is_null(member))
            return JM_OK;
    }
    return jm_err_set(err, JM_ERR_INVALID,
                      "one of cron_expression, interval_seconds and run_at is needed");
}

/* Into the place behind the last schedule, which counts once it is right. */
static int judge_schedule(void *ctx, const json_t *value, jm_err *err)
{
    reading *r = ctx;
    jm_schedule *schedule = &r->document->schedules[r->document->n_schedules].schedule;
    jm_schedule_init(schedule);
    int code = jm_schedule_apply(schedule, value, r->document->arena, err);
    if (!code)
        code = check_when(value, err);
    return code ? code : check_schedule(r, schedule, err);
}

static void read_schedule(reading *r, const json_t *value, const jm_place *place)
{
    jm_schedule_document *d = r->document;
    if (d->n_schedules == r->cap_schedules) {
        r->cap_schedules = r->cap_schedules ? 2 * r->cap_schedules : 64;
        d->schedules = jm_realloc(d->schedules, r->cap_schedules * sizeof *d->schedules);
    }
    d->schedules[d->n_schedules] = (jm_document_schedule){.definition = value, .place = *place};
    if (!jm_definition_find_wrong(value, place, judge_schedule, r, r->findings))
        d->n_schedules++;
}

/* ---- a calendar ---- */

static int check_calendar_member(const char *name, const json_t *value, jm_err *err)
{
    if (!strcmp(name, "definition"))
        return JM_OK; /* judged as a whole */
    if (strcmp(name, "project") != 0 && strcmp(name, "name") != 0 &&
        strcmp(name, "description") != 0)
        return jm_err_field(err, name,
                            "calendars have no such field; project, name, description and "
                            "definition expected");
    if (!json_is_null(value) && (!json_is_string(value) || jm_json_exact_number(value)))
        return jm_err_field(err, name, "a string expected, not %s", kind_of(value));
    return JM_OK;
}

static bool is_word(const char *s)
{
    size_t len = s ? strlen(s) : 0;
    return len >= 1 && len <= 100 && !strchr("._-", s[0]) &&
           strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789._-") == len;
}

static const char *copy_member(const reading *r, const json_t *value, const char *name)
{
    return jm_arena_strdup(r->document->arena, json_string_value(json_object_get(value, name)));
}

static int fill_calendar(const reading *r, const json_t *value, jm_document_calendar *c,
                         jm_err *err)
{
    c->project = copy_member(r, value, "project");
    c->name = copy_member(r, value, "name");
    c->description = copy_member(r, value, "description");
    if (!c->project)
        c->project = "default";
    if (!is_word(c->project))
        return jm_err_field(err, "project", "[a-z0-9][a-z0-9._-]{0,99} expected");
    if (!is_word(c->name))
        return jm_err_field(err, "name", "[a-z0-9][a-z0-9._-]{0,99} expected");
    const json_t *definition = json_object_get(value, "definition");
    if (!definition)
        return jm_err_field(err, "definition", "it is missing");
    char *text = jm_json_exact_dump(definition, JSON_COMPACT);
    c->definition = jm_arena_strdup(r->document->arena, text);
    free(text);
    jm_calendar *parsed;
    int code = jm_calendar_parse(&parsed, c->definition, strlen(c->definition), err);
    jm_calendar_free(parsed);
    return code;
}

/* Into the place behind the last calendar, which counts once it is right. */
static int judge_calendar(void *ctx, const json_t *value, jm_err *err)
{
    reading *r = ctx;
    int code = JM_OK;
    const char *name;
    json_t *member;
    if (!json_is_object(value))
        return jm_err_set(err, JM_ERR_INVALID, "a calendar is a JSON object, not %s",
                          kind_of(value));
    json_object_foreach((json_t *)value, name, member)
    {
        if (!code)
            code = check_calendar_member(name, member, err);
    }
    return code ? code
                : fill_calendar(r, value, &r->document->calendars[r->document->n_calendars], err);
}

static void read_calendar(reading *r, const json_t *value, const jm_place *place)
{
    jm_schedule_document *d = r->document;
    if (d->n_calendars == r->cap_calendars) {
        r->cap_calendars = r->cap_calendars ? 2 * r->cap_calendars : 16;
        d->calendars = jm_realloc(d->calendars, r->cap_calendars * sizeof *d->calendars);
    }
    d->calendars[d->n_calendars] = (jm_document_calendar){.place = *place};
    if (!jm_definition_find_wrong(value, place, judge_calendar, r, r->findings))
        d->n_calendars++;
    else
        d->lost_calendars = true;
}

/* ---- a file ---- */

typedef void read_fn(reading *r, const json_t *value, const jm_place *place);

static void read_list(reading *r, const json_t *list, const char *file, const char *name,
                      read_fn *read)
{
    size_t i;
    json_t *value;
    const jm_place whole = {file, ""};
    if (list && !json_is_array(list)) {
        char what[60];
        snprintf(what, sizeof what, "an array expected, not %s", kind_of(list));
        add_finding(r, &whole, name, what);
    }
    json_array_foreach((json_t *)list, i, value)
    {
        const jm_place place = place_of(r, file, name, i);
        read(r, value, &place);
    }
}

/* {"calendars": [...], "schedules": [...]} */
static void read_lists(reading *r, const json_t *value, const char *file)
{
    const jm_place whole = {file, ""};
    const char *name;
    json_t *member;
    json_object_foreach((json_t *)value, name, member)
    {
        if (strcmp(name, "calendars") != 0 && strcmp(name, "schedules") != 0)
            add_finding(r, &whole, name,
                        "documents have no such field; calendars and schedules expected");
    }
    read_list(r, json_object_get(value, "calendars"), file, "calendars", read_calendar);
    read_list(r, json_object_get(value, "schedules"), file, "schedules", read_schedule);
}

static void read_value(reading *r, json_t *value, const char *file)
{
    const jm_place whole = {file, ""};
    json_object_del(value, "$schema"); /* for editors */
    if (json_is_array(value))
        read_list(r, value, file, "", read_schedule);
    else if (json_object_get(value, "schedules") || json_object_get(value, "calendars"))
        read_lists(r, value, file);
    else if (json_object_get(value, "definition"))
        read_calendar(r, value, &whole);
    else if (json_is_object(value))
        read_schedule(r, value, &whole);
    else
        add_finding(r, &whole, "", "an object or an array of schedules expected");
}

static void read_file(void *ctx, const char *name, const char *text, size_t len)
{
    reading *r = ctx;
    const char *file = jm_arena_strdup(r->document->arena, name);
    const jm_place whole = {file, ""};
    json_t *value = NULL;
    jm_err err;
    EVP_DigestUpdate(r->md, text, len);
    if (!jm_utf8_is_valid(text, len, NULL))
        add_finding(r, &whole, "", "it is not valid UTF-8");
    else if (jm_json_exact_load(text, len, &value, &err))
        jm_findings_add(r->findings, &whole, &err);
    if (!value)
        return;
    json_array_append_new(r->document->values, value);
    read_value(r, value, file);
}

/* ---- all of it ---- */

int jm_schedule_document_order(const char *project, const char *name, const char *other_project,
                               const char *other_name)
{
    int order = strcmp(project, other_project);
    return order ? order : strcmp(name, other_name);
}

static int order_of_schedules(const void *a, const void *b)
{
    const jm_document_schedule *x = a, *y = b;
    return jm_schedule_document_order(x->schedule.project, x->schedule.name, y->schedule.project,
                                      y->schedule.name);
}

static int order_of_calendars(const void *a, const void *b)
{
    const jm_document_calendar *x = a, *y = b;
    return jm_schedule_document_order(x->project, x->name, y->project, y->name);
}

static void find_double(reading *r, const char *what, const char *project, const char *name,
                        const jm_place *place, const jm_place *other)
{
    jm_err err;
    jm_err_set(&err, JM_ERR_INVALID, "%s \"%.100s\" of project %.100s is also in %.150s%s%.60s",
               what, name, project, other->file, *other->path ? ": " : "", other->path);
    jm_findings_add(r->findings, place, &err);
}

/* Sorts, and finds what was given twice. */
static void sort(reading *r)
{
    jm_schedule_document *d = r->document;
    if (d->n_schedules)
        qsort(d->schedules, d->n_schedules, sizeof *d->schedules, order_of_schedules);
    if (d->n_calendars)
        qsort(d->calendars, d->n_calendars, sizeof *d->calendars, order_of_calendars);
    for (size_t i = 1; i < d->n_schedules; i++) {
        const jm_document_schedule *s = &d->schedules[i];
        if (!order_of_schedules(s - 1, s))
            find_double(r, "schedule", s->schedule.project, s->schedule.name, &s->place,
                        &s[-1].place);
    }
    for (size_t i = 1; i < d->n_calendars; i++) {
        const jm_document_calendar *c = &d->calendars[i];
        if (!order_of_calendars(c - 1, c))
            find_double(r, "calendar", c->project, c->name, &c->place, &c[-1].place);
    }
}

static void begin(reading *r, jm_findings *findings)
{
    *r = (reading){.findings = findings};
    r->document = jm_calloc(1, sizeof *r->document);
    r->document->arena = jm_arena_new(0);
    r->document->values = json_array();
    r->zones = jm_zone_cache_new(NULL);
    r->md = EVP_MD_CTX_new();
    EVP_DigestInit_ex(r->md, EVP_sha256(), NULL);
}

static void write_hash(reading *r)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_DigestFinal_ex(r->md, digest, &len);
    for (unsigned i = 0; i < len && 2 * i + 2 < JM_DOCUMENT_HASH_TEXT; i++)
        snprintf(r->document->hash + 2 * (size_t)i, 3, "%02x", digest[i]);
}

static int finish(reading *r, jm_schedule_document **out)
{
    sort(r);
    int code = jm_findings_code(r->findings);
    write_hash(r);
    EVP_MD_CTX_free(r->md);
    jm_zone_cache_free(r->zones);
    *out = r->document;
    return code;
}

int jm_schedule_document_load(const char *path, jm_schedule_document **out, jm_findings *findings)
{
    reading r;
    jm_err err;
    begin(&r, findings);
    int failed = jm_document_files_each(path, read_file, &r, &err);
    if (failed)
        jm_findings_add(r.findings, NULL, &err);
    int code = finish(&r, out);
    return failed ? failed : code;
}

int jm_schedule_document_parse(const char *name, const char *text, size_t len,
                               jm_schedule_document **out, jm_findings *findings)
{
    reading r;
    begin(&r, findings);
    read_file(&r, name, text, len);
    return finish(&r, out);
}

void jm_schedule_document_free(jm_schedule_document *document)
{
    if (!document)
        return;
    json_decref(document->values);
    jm_arena_free(document->arena);
    free(document->schedules);
    free(document->calendars);
    free(document);
}

const jm_document_calendar *jm_schedule_document_calendar(const jm_schedule_document *document,
                                                          const char *project, const char *name)
{
    const jm_document_calendar key = {.project = project, .name = name};
    return document->n_calendars ? bsearch(&key, document->calendars, document->n_calendars,
                                           sizeof key, order_of_calendars)
                                 : NULL;
}
