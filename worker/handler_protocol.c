/* Writes a handler's input and understands its lines. */
#include "handler_protocol.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json_scan.h"
#include "common/mem.h"
#include "common/nearest.h"

enum { MAX_NAME = 200 };

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

static void add_lock_token(jm_buf *out, int64_t token)
{
    if (token)
        jm_buf_addf(out, ",\"lock_token\":%lld", (long long)token);
    else
        jm_buf_adds(out, ",\"lock_token\":null");
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
    add_string(out, "traceparent", job->trace_context);
    add_string(out, "output_dir", run->output_dir);
    add_lock_token(out, job->lock_token);
    jm_buf_adds(out, "},\"step\":{\"name\":");
    jm_buf_add_json(out, run->def->name, strlen(run->def->name));
    jm_buf_addf(out, ",\"attempt\":%d}", run->try);
    add_raw(out, "steps", run->steps_data, strlen(run->steps_data));
    add_raw(out, "documents", job->documents ? job->documents : "{}",
            job->documents ? strlen(job->documents) : 2);
    jm_buf_adds(out, "}\n");
}

/* ---- from the handler ---- */

/* The raw text of a value; none for null. */
static jm_raw raw_of(const jm_json_value *value)
{
    if (value->kind == JM_JSON_NULL)
        return (jm_raw){NULL, 0};
    if (value->kind == JM_JSON_STRING)
        return (jm_raw){value->at - 1, value->len + 2}; /* with its quotes */
    return (jm_raw){value->at, value->len};
}

static char *text_of(const jm_json_value *string)
{
    char *text = jm_malloc(string->len + 1);
    jm_json_unescape(string, text);
    return text;
}

/* The member of an object; false when there is none, or it is null. */
static bool find(const jm_json_value *object, const char *key, jm_json_value *out)
{
    jm_json_iter iter;
    jm_json_value name;
    if (object->kind != JM_JSON_OBJECT)
        return false;
    jm_json_iter_init(&iter, object);
    while (jm_json_iter_next(&iter, &name, out))
        if (jm_json_equals(&name, key, strlen(key)))
            return out->kind != JM_JSON_NULL;
    return false;
}

static int parse_level(const jm_json_value *log, jm_log_level *out, jm_err *err)
{
    jm_json_value value;
    char name[16] = "";
    *out = JM_INFO;
    if (!find(log, "level", &value))
        return JM_OK;
    if (value.kind == JM_JSON_STRING)
        jm_json_show(&value, name, sizeof name);
    if (jm_log_level_parse_job(name, out))
        return JM_OK;
    return jm_err_field(err, "log.level", "log.level must be DEBUG, INFO, WARNING or ERROR");
}

static int parse_log(jm_handler_line *line, const jm_json_value *log, jm_err *err)
{
    jm_json_value message, details;
    if (!find(log, "message", &message) || message.kind != JM_JSON_STRING)
        return jm_err_field(err, "log", "log must be an object with a string message");
    if (parse_level(log, &line->log.level, err))
        return err->code;
    line->log.message = text_of(&message);
    line->log.len = strlen(line->log.message);
    if (find(log, "details", &details))
        line->log.details = raw_of(&details);
    return JM_OK;
}

static int parse_count(const jm_json_value *object, const char *key, int64_t *out, jm_err *err)
{
    jm_json_value value;
    if (!find(object, key, &value))
        return JM_OK;
    if (value.kind != JM_JSON_NUMBER || !jm_json_int(&value, out) || *out < 0)
        return jm_err_field(err, key, "progress.%s must be a whole number from 0", key);
    return JM_OK;
}

static int parse_progress(jm_handler_line *line, const jm_json_value *progress, jm_err *err)
{
    if (progress->kind != JM_JSON_OBJECT)
        return jm_err_field(err, "progress", "progress must be an object of total, ok and failed");
    if (parse_count(progress, "total", &line->total, err) ||
        parse_count(progress, "ok", &line->ok, err) ||
        parse_count(progress, "failed", &line->failed, err))
        return err->code;
    line->has_progress = true;
    return JM_OK;
}

static int parse_set(jm_handler_line *line, const jm_json_value *set, jm_err *err)
{
    jm_json_iter iter;
    jm_json_value name, value;
    char shown[64];
    if (set->kind != JM_JSON_OBJECT)
        return jm_err_field(err, "set", "set must be an object");
    jm_json_iter_init(&iter, set);
    while (jm_json_iter_next(&iter, &name, &value)) {
        if (value.kind != JM_JSON_OBJECT && value.kind != JM_JSON_ARRAY)
            continue;
        jm_json_show(&name, shown, sizeof shown);
        return jm_err_field(err, "set", "set.%s must be a string, number, boolean or null", shown);
    }
    line->set = raw_of(set);
    return JM_OK;
}

/* The word as it is in our table, or NULL. */
static const char *status_of(const jm_json_value *value)
{
    static const char *const statuses[] = {"success", "failed",  "running",
                                           "pending", "skipped", "cancelled"};
    for (size_t i = 0; i < COUNT(statuses) && value->kind == JM_JSON_STRING; i++)
        if (jm_json_equals(value, statuses[i], strlen(statuses[i])))
            return statuses[i];
    return NULL;
}

static int parse_step(jm_handler_line *line, const jm_json_value *step, jm_err *err)
{
    jm_json_value name, status, error, data;
    if (!find(step, "name", &name) || name.kind != JM_JSON_STRING || !name.len ||
        name.len > MAX_NAME)
        return jm_err_field(err, "step", "step must be an object with a name of 1 to %d bytes",
                            MAX_NAME);
    line->step.status = find(step, "status", &status) ? status_of(&status) : "success";
    if (!line->step.status)
        return jm_err_field(
            err, "step.status",
            "step.status must be success, failed, running, pending, skipped or cancelled");
    bool has_error = find(step, "error", &error);
    if (has_error && error.kind != JM_JSON_STRING)
        return jm_err_field(err, "step.error", "step.error must be a string");
    if (has_error)
        line->step.error = text_of(&error);
    line->step.name = text_of(&name);
    if (find(step, "data", &data))
        line->step.data = raw_of(&data);
    return JM_OK;
}

static int parse_result(jm_handler_line *line, const jm_json_value *result, jm_err *err)
{
    (void)err;
    line->result = raw_of(result);
    return JM_OK;
}

/* A member that may be a string; null is none. */
static int parse_text(const jm_json_value *object, const char *key, char **out, jm_err *err)
{
    jm_json_value value;
    if (!find(object, key, &value))
        return JM_OK;
    if (value.kind != JM_JSON_STRING)
        return jm_err_field(err, key, "end.%s must be a string", key);
    *out = text_of(&value);
    return JM_OK;
}

static int parse_exit(const jm_json_value *end, int *out, jm_err *err)
{
    jm_json_value value;
    int64_t status;
    if (!find(end, "exit", &value))
        return JM_OK;
    if (value.kind != JM_JSON_NUMBER || !jm_json_int(&value, &status) || status < 0 || status > 255)
        return jm_err_field(err, "exit", "end.exit must be a whole number from 0 to 255");
    *out = (int)status;
    return JM_OK;
}

/* Strict in its members: what is misspelt here would end a job otherwise than was meant. */
static int check_end(const jm_json_value *end, jm_err *err)
{
    static const char *const known[] = {"exit", "error", "id"};
    jm_json_iter iter;
    jm_json_value name, value;
    char shown[64];
    jm_json_iter_init(&iter, end);
    while (jm_json_iter_next(&iter, &name, &value)) {
        size_t i = 0;
        while (i < COUNT(known) && !jm_json_equals(&name, known[i], strlen(known[i])))
            i++;
        if (i < COUNT(known))
            continue;
        jm_json_show(&name, shown, sizeof shown);
        return jm_err_field(err, "end", "unknown key end.%s: exit, error and id are all", shown);
    }
    return JM_OK;
}

static int parse_end(jm_handler_line *line, const jm_json_value *end, jm_err *err)
{
    if (end->kind != JM_JSON_OBJECT)
        return jm_err_field(err, "end", "end must be an object of exit and error");
    if (check_end(end, err) || parse_text(end, "error", &line->end.error, err) ||
        parse_text(end, "id", &line->end.id, err))
        return err->code;
    line->end.exit = line->end.error ? 1 : 0;
    if (parse_exit(end, &line->end.exit, err))
        return err->code;
    if (!line->end.exit && line->end.error)
        return jm_err_field(err, "end", "end has an error, and an exit of 0 that says success");
    line->end.given = true;
    return JM_OK;
}

static const struct {
    const char *name;
    int (*parse)(jm_handler_line *line, const jm_json_value *value, jm_err *err);
} members[] = {{"log", parse_log},   {"progress", parse_progress}, {"set", parse_set},
               {"step", parse_step}, {"result", parse_result},     {"end", parse_end}};

static int parse_member(jm_handler_line *line, const jm_json_member *member, jm_err *err)
{
    const char *names[COUNT(members)];
    char shown[64];
    for (size_t i = 0; i < COUNT(members); i++) {
        names[i] = members[i].name;
        if (jm_json_equals(&member->name, names[i], strlen(names[i])))
            return members[i].parse(line, &member->value, err);
    }
    jm_json_show(&member->name, shown, sizeof shown);
    const char *near = jm_nearest(shown, names, COUNT(members));
    return jm_err_field(err, "", "unknown key \"%s\"%s%s%s", shown, near ? ", did you mean \"" : "",
                        near ? near : "", near ? "\"?" : "");
}

int jm_handler_line_parse(const char *text, size_t len, jm_handler_line *out, jm_err *err)
{
    jm_json json;
    *out = (jm_handler_line){.total = -1, .ok = -1, .failed = -1};
    int rc = jm_json_scan(&json, text, len, JM_JSON_DEPTH_MAX, err);
    bool is_object = !rc && json.root.kind == JM_JSON_OBJECT, has_end = false;
    if (!rc && !is_object)
        rc = jm_err_set(err, JM_ERR_INVALID, "it is no JSON object");
    for (size_t i = 0; is_object && i < json.n_members; i++)
        has_end = has_end || jm_json_equals(&json.members[i].name, "end", 3);
    for (size_t i = 0; !rc && i < json.n_members; i++)
        rc = parse_member(out, &json.members[i], err);
    jm_json_fini(&json);
    if (rc)
        jm_handler_line_fini(out);
    out->is_object = is_object;
    out->has_end = has_end;
    return rc;
}

void jm_handler_line_fini(jm_handler_line *line)
{
    free(line->log.message);
    free(line->step.name);
    free(line->step.error);
    free(line->end.error);
    free(line->end.id);
    *line = (jm_handler_line){0};
}

bool jm_handler_is_object(const char *text, size_t len)
{
    jm_json json;
    bool is = !jm_json_scan(&json, text, len, JM_JSON_DEPTH_MAX, NULL) &&
              json.root.kind == JM_JSON_OBJECT;
    jm_json_fini(&json);
    return is;
}
