/* The job message: a Kafka record becomes a job, or a reason why it cannot. */
#include "job_message.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "cloudevent.h"
#include "job_fields.h"
#include "json_scan.h"
#include "nearest.h"
#include "url.h"

enum { RECORD_AHEAD_MS = 86400000, ID_AHEAD_MS = 7 * 86400000, CHARS_TO_BYTES = 4 };

static const char bad_json[] = "bad_json", bad_field[] = "bad_field", bad_time[] = "bad_time";

/* What the parts of one parse share. */
typedef struct parse {
    const jm_message_limits *limits;
    jm_arena *arena;
    jm_job *job;
    const char **reason;
    jm_err *err;
} parse;

static int refuse(const parse *p, const char *reason, int rc)
{
    *p->reason = reason;
    return rc;
}

static char *keep(const parse *p, const jm_json_value *value)
{
    if (value->kind != JM_JSON_STRING || !value->escaped)
        return jm_arena_strndup(p->arena, value->at, value->len);
    char *copy = jm_arena_alloc(p->arena, value->len + 1);
    jm_json_unescape(value, copy);
    return copy;
}

/* ---- values by the kind of their field ---- */

static bool is_name(const char *s)
{
    for (size_t i = 0; s[i]; i++) {
        bool letter = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9');
        if (!letter && (i == 0 || (s[i] != '.' && s[i] != '_' && s[i] != '-')))
            return false;
    }
    return true;
}

static int wrong_kind(const parse *p, const jm_field *field, const char *expected,
                      const jm_json_value *value)
{
    const char *hint = value->kind == JM_JSON_NULL ? "; leave the field out instead" : "";
    return jm_err_field(p->err, field->name, "%s must be %s, not %s%s", field->name, expected,
                        jm_json_kind_text(value->kind), hint);
}

static int check_length(const parse *p, const jm_field *field, const jm_json_value *value)
{
    if ((int64_t)value->len >= field->min && (int64_t)value->len <= field->max && !value->escaped)
        return JM_OK; /* a character has at least one byte, and every field's minimum is small */
    int64_t chars = (int64_t)jm_json_chars(value);
    if (chars >= field->min && chars <= field->max)
        return JM_OK;
    return jm_err_field(p->err, field->name, "%s must have %lld to %lld characters, not %lld",
                        field->name, (long long)field->min, (long long)field->max,
                        (long long)chars);
}

static int read_text(const parse *p, const jm_field *field, const jm_json_value *value,
                     const char **out)
{
    if (value->kind != JM_JSON_STRING)
        return wrong_kind(p, field, "a string", value);
    int rc = check_length(p, field, value);
    if (rc)
        return rc;
    char *text = keep(p, value);
    if (field->kind == JM_FIELD_NAME && !is_name(text))
        return jm_err_field(p->err, field->name,
                            "%s must be lower-case letters, digits, '.', '_' and '-', the first "
                            "one a letter or digit",
                            field->name);
    if (field->kind == JM_FIELD_URL && !jm_url_is_http(text, strlen(text)))
        return jm_err_field(p->err, field->name,
                            "%s must be an http or https URL with a host and without a user",
                            field->name);
    *out = text;
    return JM_OK;
}

static int read_integer(const parse *p, const jm_field *field, const jm_json_value *value, int *out)
{
    int64_t v;
    if (value->kind != JM_JSON_NUMBER)
        return wrong_kind(p, field, "an integer", value);
    if (!jm_json_int(value, &v) || v < field->min || v > field->max)
        return jm_err_field(p->err, field->name, "%s must be an integer from %lld to %lld",
                            field->name, (long long)field->min, (long long)field->max);
    *out = (int)v;
    return JM_OK;
}

static int read_time(const parse *p, const jm_field *field, const jm_json_value *value,
                     int64_t *out)
{
    if (value->kind != JM_JSON_STRING)
        return wrong_kind(p, field, "a time", value);
    const char *text = value->escaped ? keep(p, value) : value->at;
    size_t len = value->escaped ? strlen(text) : value->len;
    jm_err err;
    if (jm_rfc3339_parse(text, len, out, &err))
        return jm_err_field(p->err, field->name, "%s %s", field->name, err.msg);
    if (*out == 0)
        *out = 1; /* 0 means none */
    return JM_OK;
}

static int wrong_scalar(const parse *p, const jm_field *field, const jm_json_value *name,
                        const jm_json_value *value)
{
    char shown[64], path[80];
    jm_json_show(name, shown, sizeof shown);
    snprintf(path, sizeof path, "%s.%s", field->name, shown);
    if (value->kind == JM_JSON_ARRAY || value->kind == JM_JSON_OBJECT)
        return jm_err_field(
            p->err, path,
            "%s must be a string, number, boolean or null, not %s; params may hold it", path,
            jm_json_kind_text(value->kind));
    return jm_err_field(p->err, path, "names in %s must have %lld to %lld characters", field->name,
                        (long long)field->min, (long long)field->max);
}

static int check_scalars(const parse *p, const jm_field *field, const jm_json_value *object)
{
    jm_json_iter iter;
    jm_json_value name, value;
    jm_json_iter_init(&iter, object);
    while (jm_json_iter_next(&iter, &name, &value)) {
        int64_t chars = (int64_t)jm_json_chars(&name);
        if (value.kind == JM_JSON_ARRAY || value.kind == JM_JSON_OBJECT || chars < field->min ||
            chars > field->max)
            return wrong_scalar(p, field, &name, &value);
    }
    return JM_OK;
}

static int read_object(const parse *p, const jm_field *field, const jm_json_value *value,
                       const char **out, size_t *len)
{
    if (value->kind != JM_JSON_OBJECT)
        return wrong_kind(p, field, "an object", value);
    if (field->kind == JM_FIELD_SCALARS) {
        int rc = check_scalars(p, field, value);
        if (rc)
            return rc;
    }
    *len = value->len;
    *out = value->len == 2 ? "{}" : keep(p, value);
    return JM_OK;
}

static bool is_job_reference(const jm_json_value *item)
{
    jm_json_iter iter;
    jm_json_value name, value;
    jm_uuid id;
    if (item->kind == JM_JSON_STRING)
        return !item->escaped && jm_uuid_parse(item->at, item->len, &id) && jm_uuid7_is(&id);
    if (item->kind != JM_JSON_OBJECT)
        return false;
    jm_json_iter_init(&iter, item);
    if (!jm_json_iter_next(&iter, &name, &value) || !jm_json_equals(&name, "external_id", 11) ||
        value.kind != JM_JSON_STRING)
        return false;
    size_t chars = jm_json_chars(&value);
    return chars >= 1 && chars <= (size_t)jm_job_fields[JM_JOB_FIELD_ID].max &&
           !jm_json_iter_next(&iter, &name, &value);
}

static int read_jobs(const parse *p, const jm_field *field, const jm_json_value *value,
                     const char **out)
{
    jm_json_iter iter;
    jm_json_value item;
    int64_t n = 0;
    if (value->kind != JM_JSON_ARRAY)
        return wrong_kind(p, field, "a list", value);
    jm_json_iter_init(&iter, value);
    for (; jm_json_iter_next(&iter, NULL, &item); n++) {
        char path[80];
        if (is_job_reference(&item))
            continue;
        snprintf(path, sizeof path, "%s[%lld]", field->name, (long long)n);
        return jm_err_field(
            p->err, path, "%s must be the id of a job (a UUIDv7) or {\"external_id\": ...}", path);
    }
    if (n > field->max)
        return jm_err_field(p->err, field->name, "%s may name at most %lld jobs, not %lld",
                            field->name, (long long)field->max, (long long)n);
    if (n)
        *out = keep(p, value);
    return JM_OK;
}

static int read_id(const parse *p, const jm_field *field, const jm_json_value *value)
{
    const char *text = NULL;
    int rc = read_text(p, field, value, &text);
    if (rc)
        return rc;
    if (jm_uuid_parse(text, strlen(text), &p->job->id) && jm_uuid7_is(&p->job->id))
        p->job->has_id = true;
    else
        p->job->external_id = text;
    return JM_OK;
}

/* Names of locks that begin so stand for ordering keys. */
static int read_exclusive(const parse *p, const jm_field *field, const jm_json_value *value)
{
    int rc = read_text(p, field, value, &p->job->exclusive);
    if (!rc && !strncmp(p->job->exclusive, JM_ORDER_LOCK, strlen(JM_ORDER_LOCK)))
        return jm_err_field(p->err, field->name,
                            "exclusive must not begin with \"" JM_ORDER_LOCK
                            "\": such names stand for ordering keys");
    return rc;
}

/* ---- the members of a message ---- */

static int read_field(const parse *p, const jm_field *field, const jm_json_value *value)
{
    jm_job *job = p->job;
    switch ((jm_job_field)(field - jm_job_fields)) {
    case JM_JOB_FIELD_TYPE:
        return read_text(p, field, value, &job->type);
    case JM_JOB_FIELD_ID:
        return read_id(p, field, value);
    case JM_JOB_FIELD_PARAMS:
        return read_object(p, field, value, &job->params, &job->params_len);
    case JM_JOB_FIELD_PROFILE:
        return read_text(p, field, value, &job->profile);
    case JM_JOB_FIELD_PROJECT:
        return read_text(p, field, value, &job->project);
    case JM_JOB_FIELD_PRIORITY:
        return read_integer(p, field, value, &job->priority);
    case JM_JOB_FIELD_KEY:
        return read_text(p, field, value, &job->key);
    case JM_JOB_FIELD_EXCLUSIVE:
        return read_exclusive(p, field, value);
    case JM_JOB_FIELD_RUN_AT:
        return read_time(p, field, value, &job->run_at_us);
    case JM_JOB_FIELD_START_BY:
        return read_time(p, field, value, &job->start_by_us);
    case JM_JOB_FIELD_TIMEOUT_S:
        return read_integer(p, field, value, &job->timeout_s);
    case JM_JOB_FIELD_MAX_ATTEMPTS:
        return read_integer(p, field, value, &job->max_attempts);
    case JM_JOB_FIELD_DEDUP_KEY:
        return read_text(p, field, value, &job->dedup_key);
    case JM_JOB_FIELD_METADATA:
        return read_object(p, field, value, &job->metadata, &job->metadata_len);
    case JM_JOB_FIELD_CALLBACK_URL:
        return read_text(p, field, value, &job->callback_url);
    case JM_JOB_FIELD_DEPENDS_ON:
        return read_jobs(p, field, value, &job->depends_on);
    case JM_JOB_FIELDS:
        break;
    }
    return JM_OK;
}

static const jm_field *find_field(const jm_json_value *name)
{
    for (int i = 0; i < JM_JOB_FIELDS; i++)
        if (jm_json_equals(name, jm_job_fields[i].name, jm_job_fields[i].name_len))
            return &jm_job_fields[i];
    return NULL;
}

static int unknown_field(const parse *p, const jm_json_value *value)
{
    const char *names[JM_JOB_FIELDS];
    char name[64];
    for (int i = 0; i < JM_JOB_FIELDS; i++)
        names[i] = jm_job_fields[i].name;
    jm_json_show(value, name, sizeof name);
    const char *nearest = jm_nearest(name, names, JM_JOB_FIELDS);
    if (nearest)
        return jm_err_field(p->err, name, "no field is called \"%s\"; the nearest is \"%s\"", name,
                            nearest);
    return jm_err_field(p->err, name,
                        "no field is called \"%s\"; what is yours belongs into params, metadata or "
                        "a field that begins with x-",
                        name);
}

static int read_members(const parse *p, const jm_json *json)
{
    for (size_t i = 0; i < json->n_members; i++) {
        const jm_json_member *member = &json->members[i];
        const jm_field *field = find_field(&member->name);
        if (field) {
            int rc = read_field(p, field, &member->value);
            if (rc)
                return refuse(p, bad_field, rc);
            continue;
        }
        char start[8];
        jm_json_show(&member->name, start, sizeof start);
        if (strncmp(start, "x-", 2) != 0)
            return refuse(p, "unknown_field", unknown_field(p, &member->name));
    }
    return JM_OK;
}

static int parse_plain(const parse *p, const jm_json *json)
{
    if (json->root.kind != JM_JSON_OBJECT)
        return refuse(p, bad_json,
                      jm_err_field(p->err, "", "the message must be an object, not %s",
                                   jm_json_kind_text(json->root.kind)));
    return read_members(p, json);
}

/* ---- CloudEvents ---- */

/* One attribute or the data of an event, read as the field it stands for. */
static int read_event_field(const parse *p, const jm_cloudevent *event, const char *attribute,
                            const jm_json_value *value, jm_job_field field)
{
    if (!value->at)
        return JM_OK;
    int rc = read_field(p, &jm_job_fields[field], value);
    if (!rc)
        return JM_OK;
    bool data = value == &event->data;
    jm_err_prefix(p->err, "%s%s of the CloudEvent", data ? "" : event->prefix, attribute);
    snprintf(p->err->field, sizeof p->err->field, "%s%s", data ? "" : event->prefix, attribute);
    return refuse(p, bad_field, rc);
}

/* source#id, which CloudEvents promise to be unique, is the external id. */
static int read_event_id(const parse *p, const jm_cloudevent *event)
{
    size_t max = (size_t)jm_job_fields[JM_JOB_FIELD_ID].max, chars = 0;
    char *joined = jm_arena_alloc(p->arena, event->source.len + event->id.len + 2);
    size_t n = jm_json_unescape(&event->source, joined);
    joined[n++] = '#';
    n += jm_json_unescape(&event->id, joined + n);
    jm_utf8_is_valid(joined, n, &chars);
    if (chars > max) {
        char field[8];
        snprintf(field, sizeof field, "%sid", event->prefix);
        return refuse(p, bad_field,
                      jm_err_field(p->err, field,
                                   "source#id of the CloudEvent is the job's external id and must "
                                   "have at most %zu characters, not %zu",
                                   max, chars));
    }
    p->job->external_id = joined;
    return JM_OK;
}

static int read_event(const parse *p, const jm_cloudevent *event)
{
    int rc = read_event_field(p, event, "type", &event->type, JM_JOB_FIELD_TYPE);
    if (!rc)
        rc = read_event_id(p, event);
    if (!rc)
        rc = read_event_field(p, event, "data", &event->data, JM_JOB_FIELD_PARAMS);
    if (!rc)
        rc = read_event_field(p, event, "expirytime", &event->expirytime, JM_JOB_FIELD_START_BY);
    if (!rc)
        rc = read_event_field(p, event, "partitionkey", &event->partitionkey, JM_JOB_FIELD_KEY);
    return rc;
}

/* ---- the record around it ---- */

const jm_header *jm_record_header(const jm_record *record, const char *name)
{
    for (size_t i = 0; i < record->n_headers; i++)
        if (strcmp(record->headers[i].name, name) == 0)
            return &record->headers[i];
    return NULL;
}

static bool is_lower_hex(const char *s, size_t len, bool *all_zero)
{
    *all_zero = true;
    for (size_t i = 0; i < len; i++) {
        if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
            return false;
        *all_zero = *all_zero && s[i] == '0';
    }
    return true;
}

/* W3C Trace Context: what is not valid is to be ignored. */
static bool is_traceparent(const char *s, size_t len)
{
    bool zero;
    return len >= 55 && (len == 55 || (s[55] == '-' && memcmp(s, "00", 2) != 0)) && len <= 200 &&
           s[2] == '-' && s[35] == '-' && s[52] == '-' && is_lower_hex(s, 2, &zero) &&
           memcmp(s, "ff", 2) != 0 && is_lower_hex(s + 3, 32, &zero) && !zero &&
           is_lower_hex(s + 36, 16, &zero) && !zero && is_lower_hex(s + 53, 2, &zero) &&
           jm_utf8_is_valid(s, len, NULL) && !memchr(s, 0, len);
}

static void take_trace(const parse *p, const void *text, size_t len)
{
    if (!p->job->trace_context && text && is_traceparent(text, len))
        p->job->trace_context = jm_arena_strndup(p->arena, text, len);
}

static int parse_relayed(const parse *p, const jm_header *header)
{
    if (!header->value || !jm_uuid_parse(header->value, header->len, &p->job->id))
        return refuse(p, bad_field,
                      jm_err_field(p->err, "jobmill-job",
                                   "the header jobmill-job must be a UUID in 36 characters"));
    p->job->from_relay = true;
    return JM_OK;
}

static int parse_value(const parse *p, const jm_record *record, jm_json *json)
{
    jm_cloudevent_mode mode;
    jm_cloudevent event;
    int rc = jm_cloudevent_mode_of(record, &mode, p->err);
    if (rc)
        return refuse(p, bad_field, rc);
    bool no_value = !record->value || !record->value_len;
    if (no_value && mode != JM_CLOUDEVENT_BINARY)
        return refuse(p, "empty",
                      jm_err_field(p->err, "",
                                   record->value ? "the value is empty"
                                                 : "the record is a tombstone: it has no value"));
    const char *text = no_value ? "{}" : record->value;
    size_t len = no_value ? 2 : record->value_len;
    /* The data of a binary event becomes params, one level down in the message. */
    int depth = JM_JSON_DEPTH_MAX - (mode == JM_CLOUDEVENT_BINARY);
    if ((rc = jm_json_scan(json, text, len, depth, p->err)))
        return refuse(p, bad_json, rc);
    if (mode == JM_CLOUDEVENT_NONE)
        return parse_plain(p, json);
    rc = mode == JM_CLOUDEVENT_BINARY ? jm_cloudevent_binary(record, &json->root, &event, p->err)
                                      : jm_cloudevent_structured(json, &event, p->err);
    if (rc)
        return refuse(p, event.missing ? "missing_field" : bad_field, rc);
    take_trace(p, event.traceparent.at, event.traceparent.len);
    return read_event(p, &event);
}

/* The record's key is the ordering key unless the message names one; a key that is no such text is
 * none, for most keys of records only choose a partition. */
static void default_key(const parse *p, const jm_record *record)
{
    size_t chars;
    size_t max = (size_t)jm_job_fields[JM_JOB_FIELD_KEY].max;
    if (p->job->key || !record->key || !record->key_len || record->key_len > max * CHARS_TO_BYTES)
        return;
    if (jm_utf8_is_valid(record->key, record->key_len, &chars) && chars <= max &&
        !memchr(record->key, 0, record->key_len))
        p->job->key = jm_arena_strndup(p->arena, record->key, record->key_len);
}

static int check_times(const parse *p, const jm_record *record)
{
    const jm_job *job = p->job;
    int64_t now_ms = p->limits->now_ms;
    if (job->run_at_us && job->start_by_us && job->run_at_us > job->start_by_us)
        return refuse(p, bad_field,
                      jm_err_field(p->err, "start_by",
                                   "start_by is before run_at: the job could never start"));
    if (!now_ms)
        return JM_OK;
    if (job->has_id && jm_uuid7_ms(&job->id) > now_ms + ID_AHEAD_MS)
        return refuse(
            p, bad_time,
            jm_err_field(p->err, "id", "the time in this UUIDv7 is more than 7 days ahead"));
    if (record->timestamp_ms > now_ms + RECORD_AHEAD_MS)
        return refuse(
            p, bad_time,
            jm_err_field(p->err, "",
                         "the record's timestamp is more than a day ahead; check the clock "
                         "of its producer"));
    if (record->timestamp_ms < 0)
        return refuse(p, bad_time, jm_err_field(p->err, "", "the record has no timestamp"));
    return JM_OK;
}

static int finish(const parse *p, const jm_record *record)
{
    jm_job *job = p->job;
    if (!job->type)
        return refuse(p, "missing_field",
                      jm_err_field(p->err, "type", "type is missing: it says which job is to run"));
    int rc = check_times(p, record);
    if (rc)
        return rc;
    default_key(p, record);
    const jm_header *trace = jm_record_header(record, "traceparent");
    if (trace)
        take_trace(p, trace->value, trace->len);
    return JM_OK;
}

static void set_defaults(jm_job *job)
{
    memset(job, 0, sizeof *job);
    job->project = "default";
    job->params = "{}";
    job->params_len = 2;
    job->priority = JM_PRIORITY_DEFAULT;
}

static int parse_record(const parse *p, const jm_record *record)
{
    size_t max = p->limits->max_bytes ? p->limits->max_bytes : JM_MESSAGE_BYTES_MAX;
    const jm_header *relayed = jm_record_header(record, "jobmill-job");
    if (!relayed && record->value_len > max)
        return refuse(p, "too_large",
                      jm_err_field(p->err, "", "the value has %zu bytes; %zu are allowed",
                                   record->value_len, max));
    jm_json json;
    json.members = json.few;
    int rc = parse_value(p, record, &json);
    jm_json_fini(&json);
    if (!relayed)
        return rc ? rc : finish(p, record);
    /* The row is what counts; the value only tells the type, for which a slot is needed. */
    if (rc)
        p->job->type = NULL;
    return parse_relayed(p, relayed);
}

/* A dead letter that is sent again names the job that is to come of it, so that sending it twice
 * makes one. */
static void take_redriven_id(jm_job *job, const jm_record *record)
{
    const jm_header *header = jm_record_header(record, JM_REDRIVE_HEADER);
    jm_uuid id;
    if (header && header->value && jm_uuid_parse(header->value, header->len, &id) &&
        jm_uuid7_is(&id))
        job->id = id;
}

int jm_job_message_parse(const jm_record *record, const jm_message_limits *limits, jm_arena *arena,
                         jm_job *job, const char **reason, jm_err *err)
{
    static const jm_message_limits no_limits = {0};
    if (!err) {
        jm_err unwanted = {0};
        return jm_job_message_parse(record, limits, arena, job, reason, &unwanted);
    }
    parse p = {.limits = limits ? limits : &no_limits,
               .arena = arena,
               .job = job,
               .reason = reason,
               .err = err};
    set_defaults(job);
    int rc = parse_record(&p, record);
    if (rc || !(job->has_id || job->from_relay)) {
        job->has_id = false;
        job->id = jm_uuid7_from_record(record->topic, record->partition, record->offset,
                                       record->timestamp_ms, record->key, record->key_len,
                                       record->value, record->value_len);
        if (!rc)
            take_redriven_id(job, record);
    }
    return rc;
}

/* ---- writing ---- */

static void write_name(jm_buf *out, jm_job_field field)
{
    if (out->data[out->len - 1] != '{')
        jm_buf_addc(out, ',');
    jm_buf_addc(out, '"');
    jm_buf_add(out, jm_job_fields[field].name, jm_job_fields[field].name_len);
    jm_buf_add(out, "\":", 2);
}

static void write_text(jm_buf *out, jm_job_field field, const char *text)
{
    if (!text)
        return;
    write_name(out, field);
    jm_buf_add_json(out, text, strlen(text));
}

static void write_raw(jm_buf *out, jm_job_field field, const char *json, size_t len)
{
    if (!json)
        return;
    write_name(out, field);
    jm_buf_add(out, json, len);
}

static void write_integer(jm_buf *out, jm_job_field field, int v)
{
    write_name(out, field);
    jm_buf_addf(out, "%d", v);
}

static void write_time(jm_buf *out, jm_job_field field, int64_t us)
{
    char text[JM_RFC3339_TEXT];
    if (!us)
        return;
    jm_rfc3339_format(us, text);
    write_text(out, field, text);
}

static void write_id(jm_buf *out, const jm_job *job)
{
    static const jm_uuid none;
    char text[JM_UUID_TEXT];
    if (job->external_id) {
        write_text(out, JM_JOB_FIELD_ID, job->external_id);
    } else if (jm_uuid_cmp(&job->id, &none) != 0) {
        jm_uuid_format(&job->id, text);
        write_text(out, JM_JOB_FIELD_ID, text);
    }
}

void jm_job_message_write(const jm_job *job, jm_buf *out)
{
    jm_buf_addc(out, '{');
    write_text(out, JM_JOB_FIELD_TYPE, job->type);
    write_id(out, job);
    if (job->params && job->params_len > 2)
        write_raw(out, JM_JOB_FIELD_PARAMS, job->params, job->params_len);
    write_text(out, JM_JOB_FIELD_PROFILE, job->profile);
    if (job->project && strcmp(job->project, "default") != 0)
        write_text(out, JM_JOB_FIELD_PROJECT, job->project);
    if (job->priority != JM_PRIORITY_DEFAULT)
        write_integer(out, JM_JOB_FIELD_PRIORITY, job->priority);
    write_text(out, JM_JOB_FIELD_KEY, job->key);
    write_text(out, JM_JOB_FIELD_EXCLUSIVE, job->exclusive);
    write_time(out, JM_JOB_FIELD_RUN_AT, job->run_at_us);
    write_time(out, JM_JOB_FIELD_START_BY, job->start_by_us);
    if (job->timeout_s)
        write_integer(out, JM_JOB_FIELD_TIMEOUT_S, job->timeout_s);
    if (job->max_attempts)
        write_integer(out, JM_JOB_FIELD_MAX_ATTEMPTS, job->max_attempts);
    write_text(out, JM_JOB_FIELD_DEDUP_KEY, job->dedup_key);
    write_raw(out, JM_JOB_FIELD_METADATA, job->metadata, job->metadata_len);
    write_text(out, JM_JOB_FIELD_CALLBACK_URL, job->callback_url);
    if (job->depends_on)
        write_raw(out, JM_JOB_FIELD_DEPENDS_ON, job->depends_on, strlen(job->depends_on));
    jm_buf_addc(out, '}');
}
