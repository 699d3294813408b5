/* Writes a handler's input and understands its lines. */
#include "handler_protocol.h"

#include <math.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/json_scan.h"
#include "common/nearest.h"

#define MAX_COUNT    9007199254740992.0 /* 2^53 */
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- to the handler ---- */

static void add_string(jm_buf *out, const char *name, const char *value)
{
    jm_buf_addf(out, ",\"%s\":", name);
    if (value)
        jm_buf_add_json(out, value, strlen(value));
    else
        jm_buf_adds(out, "null");
}

/* Raw JSON in one line: a line break in sound JSON is only ever white space. */
static void add_raw(jm_buf *out, const char *name, const char *json, size_t len)
{
    jm_buf_addf(out, ",\"%s\":", name);
    size_t from = out->len;
    jm_buf_add(out, json, len);
    for (size_t i = from; i < out->len; i++)
        if (out->data[i] == '\n' || out->data[i] == '\r')
            out->data[i] = ' ';
}

void jm_handler_input(jm_buf *out, const jm_step_run *run)
{
    const jm_job *job = run->job;
    char id[JM_UUID_TEXT], schedule[JM_UUID_TEXT], due[JM_RFC3339_TEXT];
    jm_uuid_format(&job->id, id);
    jm_buf_addf(out, "{\"job\":{\"id\":\"%s\"", id);
    add_string(out, "type", job->type ? job->type : job->job_type->name);
    jm_buf_addf(out, ",\"attempt\":%d", job->attempt);
    add_string(out, "project", job->project ? job->project : "default");
    add_raw(out, "params", run->params ? run->params : "{}", run->params ? run->params_len : 2);
    add_raw(out, "metadata", job->metadata ? job->metadata : "{}",
            job->metadata ? job->metadata_len : 2);
    if (job->has_schedule)
        jm_uuid_format(&job->schedule_id, schedule);
    add_string(out, "schedule_id", job->has_schedule ? schedule : NULL);
    if (job->due_at_us)
        jm_rfc3339_format(job->due_at_us, due);
    add_string(out, "due_at", job->due_at_us ? due : NULL);
    add_string(out, "lock_token", NULL);
    jm_buf_adds(out, "},\"step\":{\"name\":");
    jm_buf_add_json(out, run->def->name, strlen(run->def->name));
    jm_buf_addf(out, ",\"attempt\":%d}", run->try);
    add_raw(out, "steps", run->steps_data, strlen(run->steps_data));
    jm_buf_adds(out, ",\"documents\":{}}\n");
}

/* ---- from the handler ---- */

static int parse_level(const json_t *value, jm_log_level *out, jm_err *err)
{
    static const struct {
        const char *name;
        jm_log_level level;
    } also[] = {
        {"warn", JM_WARNING}, {"critical", JM_ERROR}, {"fatal", JM_ERROR}, {"trace", JM_DEBUG}};
    *out = JM_INFO;
    if (!value)
        return JM_OK;
    const char *name = json_string_value(value);
    if (name && jm_log_level_parse(name, out))
        return JM_OK;
    for (size_t i = 0; name && i < COUNT(also); i++) {
        if (!strcasecmp(also[i].name, name)) {
            *out = also[i].level;
            return JM_OK;
        }
    }
    return jm_err_field(err, "log.level", "log.level must be DEBUG, INFO, WARNING or ERROR");
}

/* The raw text of a member of a member; none for null. */
static jm_raw raw_member(jm_raw object, const char *key)
{
    jm_raw value = jm_raw_member(object.p, object.len, key);
    return value.len == 4 && !memcmp(value.p, "null", 4) ? (jm_raw){NULL, 0} : value;
}

static int parse_log(jm_handler_line *line, const json_t *value, jm_raw raw, jm_err *err)
{
    const json_t *message = json_object_get(value, "message");
    if (!json_is_string(message))
        return jm_err_field(err, "log", "log must be an object with a string message");
    line->log.message = json_string_value(message);
    line->log.len = json_string_length(message);
    line->log.details = raw_member(raw, "details");
    return parse_level(json_object_get(value, "level"), &line->log.level, err);
}

static int parse_count(const json_t *object, const char *key, int64_t *out, jm_err *err)
{
    const json_t *value = json_object_get(object, key);
    *out = -1;
    if (!value || json_is_null(value))
        return JM_OK;
    double count = json_number_value(value);
    if (!json_is_number(value) || !(count >= 0 && count <= MAX_COUNT) || count != floor(count))
        return jm_err_field(err, key, "progress.%s must be a whole number from 0", key);
    *out = (int64_t)count;
    return JM_OK;
}

static int parse_progress(jm_handler_line *line, const json_t *value, jm_raw raw, jm_err *err)
{
    (void)raw;
    if (!json_is_object(value))
        return jm_err_field(err, "progress", "progress must be an object of total, ok and failed");
    if (parse_count(value, "total", &line->total, err) ||
        parse_count(value, "ok", &line->ok, err) ||
        parse_count(value, "failed", &line->failed, err))
        return err->code;
    line->has_progress = true;
    return JM_OK;
}

static int parse_set(jm_handler_line *line, const json_t *value, jm_raw raw, jm_err *err)
{
    const char *key;
    json_t *item;
    if (!json_is_object(value))
        return jm_err_field(err, "set", "set must be an object");
    json_object_foreach((json_t *)(uintptr_t)value, key, item)
    {
        if (json_is_object(item) || json_is_array(item))
            return jm_err_field(err, "set", "set.%.60s must be a string, number, boolean or null",
                                key);
    }
    line->set = raw;
    return JM_OK;
}

static int parse_step(jm_handler_line *line, const json_t *value, jm_raw raw, jm_err *err)
{
    static const char *const statuses[] = {"success", "failed",  "running",
                                           "pending", "skipped", "cancelled"};
    const char *name = json_string_value(json_object_get(value, "name"));
    const json_t *status = json_object_get(value, "status"),
                 *error = json_object_get(value, "error");
    if (!name || !*name || strlen(name) > 200)
        return jm_err_field(err, "step", "step must be an object with a name of 1 to 200 bytes");
    if (error && !json_is_string(error) && !json_is_null(error))
        return jm_err_field(err, "step.error", "step.error must be a string");
    for (size_t i = 0; i < COUNT(statuses) && !line->step.status; i++)
        if (!status || (json_is_string(status) && !strcmp(json_string_value(status), statuses[i])))
            line->step.status = statuses[i];
    if (!line->step.status)
        return jm_err_field(
            err, "step.status",
            "step.status must be success, failed, running, pending, skipped or cancelled");
    line->step.name = name;
    line->step.error = json_string_value(error);
    line->step.data = raw_member(raw, "data");
    return JM_OK;
}

static int parse_result(jm_handler_line *line, const json_t *value, jm_raw raw, jm_err *err)
{
    (void)err;
    if (!json_is_null(value))
        line->result = raw;
    return JM_OK;
}

static int parse_end(jm_handler_line *line, const json_t *value, jm_raw raw, jm_err *err)
{
    (void)line;
    (void)value;
    (void)raw;
    return jm_err_field(
        err, "end", "end is for handlers with mode \"loop\"; here the exit status ends the job");
}

static const struct {
    const char *name;
    int (*parse)(jm_handler_line *line, const json_t *value, jm_raw raw, jm_err *err);
} members[] = {{"log", parse_log},   {"progress", parse_progress}, {"set", parse_set},
               {"step", parse_step}, {"result", parse_result},     {"end", parse_end}};

static int parse_member(jm_handler_line *line, jm_raw key, jm_raw raw, jm_err *err)
{
    const char *names[COUNT(members)];
    json_t *decoded = json_loadb(key.p, key.len, JSON_DECODE_ANY, NULL);
    const char *name = json_string_value(decoded);
    int rc = 1;
    for (size_t i = 0; name && i < COUNT(members); i++) {
        names[i] = members[i].name;
        if (!strcmp(name, names[i]))
            rc = members[i].parse(line, json_object_get(line->root, name), raw, err);
    }
    if (rc > 0) {
        const char *near = name ? jm_nearest(name, names, COUNT(members)) : NULL;
        rc = jm_err_field(err, "", "unknown key \"%.60s\"%s%s%s", name ? name : "",
                          near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    }
    json_decref(decoded);
    return rc;
}

/* Strict, and nothing that PostgreSQL's jsonb would refuse later. */
static int check_json(const char *text, size_t len, jm_err *err)
{
    jm_json json;
    int rc = jm_json_scan(&json, text, len, JM_JSON_DEPTH_MAX, err);
    if (!rc && json.root.kind != JM_JSON_OBJECT)
        rc = jm_err_set(err, JM_ERR_INVALID, "it is no JSON object");
    jm_json_fini(&json);
    return rc;
}

int jm_handler_line_parse(const char *text, size_t len, jm_handler_line *out, jm_err *err)
{
    json_error_t at;
    *out = (jm_handler_line){.total = -1, .ok = -1, .failed = -1};
    if (check_json(text, len, err))
        return err->code;
    /* Whole numbers past 2^63 are sound in data, which is why all are read as reals. */
    out->root = json_loadb(text, len, JSON_DECODE_INT_AS_REAL, &at);
    if (!out->root)
        return jm_err_set(err, JM_ERR_INVALID, "%s near column %d", at.text, at.column);
    jm_raw key, raw;
    int rc = JM_OK;
    for (size_t pos = 0; !rc && jm_raw_next(text, len, &pos, &key, &raw);)
        rc = parse_member(out, key, raw, err);
    if (rc)
        jm_handler_line_fini(out);
    return rc;
}

void jm_handler_line_fini(jm_handler_line *line)
{
    json_decref(line->root);
    *line = (jm_handler_line){0};
}

bool jm_handler_is_object(const char *text, size_t len)
{
    jm_err err;
    return !check_json(text, len, &err);
}
