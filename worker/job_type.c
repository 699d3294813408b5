/* Parses definitions of job types into checked, immutable objects. */
#include "job_type.h"

#include <assert.h>
#include <math.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/document_name.h"
#include "common/mem.h"
#include "common/params_schema.h"
#include "worker/definition.h"
#include "worker/executor.h"
#include "worker/raw_json.h"
#include "worker/when.h"

enum { YEAR_S = 366 * 86400, MAX_STEPS = 1000, MAX_TRIES = 1000, MAX_DOCUMENTS = 100 };

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A name for type or step: letters, digits and "._-", the first no punctuation, at most 100. */
static bool name_ok(const char *name, bool upper)
{
    static const char *const lower = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    static const char *const both =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len = strlen(name);
    return len >= 1 && len <= 100 && strspn(name, upper ? both : lower) == len &&
           !strchr("._-", name[0]);
}

static int parse_retry(jm_def def, jm_step_def *step, jm_err *err)
{
    static const char *const known[] = {"attempts", "delay_s"};
    step->retry = 1;
    step->retry_delay_s = 1;
    const json_t *retry = json_object_get(def.object, "retry");
    if (!json_is_object(retry))
        return jm_def_int(def, "retry", 1, MAX_TRIES, &step->retry, err);
    char pointer[80];
    snprintf(pointer, sizeof pointer, "%s/retry", def.pointer);
    jm_def sub = {retry, pointer};
    if (jm_def_known(sub, known, COUNT(known), err) ||
        jm_def_int(sub, "attempts", 1, MAX_TRIES, &step->retry, err))
        return err->code;
    return jm_def_number(sub, "delay_s", 0, YEAR_S, &step->retry_delay_s, err);
}

static int parse_set(jm_def def, jm_step_def *step, jm_err *err)
{
    json_t *set = NULL, *value;
    const char *key;
    if (jm_def_object(def, "set", &set, err))
        return err->code;
    json_object_foreach(set, key, value)
    {
        if (!json_is_string(value) || !jm_raw_pointer_ok(json_string_value(value)))
            return jm_def_error(def, "set", err,
                                "set.%.60s must be a JSON pointer such as \"/count\"", key);
    }
    step->set = json_incref(set);
    return JM_OK;
}

/* The names of all executors, as "exec, noop, ...". */
static void list_executors(jm_buf *out)
{
    const jm_executor *executor;
    for (size_t i = 0; (executor = jm_executor_at(i)); i++)
        jm_buf_addf(out, "%s%s", i ? ", " : "", executor->name);
}

static int find_executor(jm_def def, jm_step_def *step, jm_err *err)
{
    const jm_executor *executor;
    for (size_t i = 0; (executor = jm_executor_at(i)); i++) {
        json_t *config = NULL;
        if (jm_def_object(def, executor->name, &config, err))
            return err->code;
        if (!config)
            continue;
        if (step->executor)
            return jm_def_error(def, executor->name, err,
                                "a step has one executor, this one has %s and %s",
                                step->executor->name, executor->name);
        step->executor = executor;
        step->config = json_incref(config);
    }
    if (step->executor)
        return JM_OK;
    jm_buf names = {0};
    list_executors(&names);
    jm_def_error(def, NULL, err, "the step has no executor: one of %s", names.data);
    jm_buf_fini(&names);
    return err->code;
}

static int parse_when(jm_def def, jm_job_type *type, jm_step_def *step, jm_err *err)
{
    const json_t *when = json_object_get(def.object, "when");
    size_t n = (size_t)(step - type->steps);
    char pointer[80];
    if (!when)
        return JM_OK;
    const char **earlier = jm_calloc(n + 1, sizeof *earlier);
    for (size_t i = 0; i < n; i++)
        earlier[i] = type->steps[i].name;
    jm_def_pointer(def, "when", pointer, sizeof pointer);
    int rc = jm_when_parse(when, pointer, earlier, n, &step->when, err);
    free(earlier);
    type->has_when = true;
    return rc;
}

static int parse_executor(jm_def def, jm_step_def *step, jm_err *err)
{
    if (find_executor(def, step, err))
        return err->code;
    char pointer[80];
    snprintf(pointer, sizeof pointer, "%s/%s", def.pointer, step->executor->name);
    if (step->executor->compile)
        return step->executor->compile(step->config, pointer, &step->compiled, err);
    return step->executor->check(step->config, pointer, err);
}

/* Refuses what is neither a key of every step nor the name of an executor. */
static int check_step_keys(jm_def def, jm_err *err)
{
    static const char *const own[] = {"name", "timeout_s", "retry", "set", "when"};
    const char *known[64];
    size_t n = 0;
    const jm_executor *executor;
    for (; n < COUNT(own); n++)
        known[n] = own[n];
    for (size_t i = 0; (executor = jm_executor_at(i)) && n < COUNT(known); i++)
        known[n++] = executor->name;
    return jm_def_known(def, known, n, err);
}

static int parse_step(jm_def def, jm_job_type *type, jm_step_def *step, jm_err *err)
{
    const char *name = NULL;
    if (!json_is_object(def.object))
        return jm_def_error(def, NULL, err, "a step must be an object");
    if (check_step_keys(def, err) || jm_def_string(def, "name", &name, err))
        return err->code;
    if (!name)
        return jm_def_error(def, NULL, err, "the step has no name");
    if (!name_ok(name, true))
        return jm_def_error(def, "name", err,
                            "a step's name is letters, digits, '.', '_' and '-', at most 100");
    step->name = jm_strdup(name);
    if (jm_def_int(def, "timeout_s", 1, YEAR_S, &step->timeout_s, err) ||
        parse_retry(def, step, err) || parse_set(def, step, err) ||
        parse_when(def, type, step, err))
        return err->code;
    return parse_executor(def, step, err);
}

static int parse_steps(jm_job_type *type, const json_t *root, jm_err *err)
{
    jm_def top = {root, ""};
    json_t *steps = json_object_get(root, "steps");
    size_t n = json_array_size(steps);
    if (!n || n > MAX_STEPS)
        return jm_def_error(top, steps ? "steps" : NULL, err,
                            "steps must be a list of 1 to %d steps", MAX_STEPS);
    type->steps = jm_calloc(n, sizeof *type->steps);
    for (size_t i = 0; i < n; i++) {
        char pointer[40];
        snprintf(pointer, sizeof pointer, "/steps/%zu", i);
        jm_def def = {json_array_get(steps, i), pointer};
        jm_step_def *step = &type->steps[i];
        type->n_steps++;
        if (parse_step(def, type, step, err))
            return err->code;
        for (size_t j = 0; j < i; j++)
            if (!strcmp(type->steps[j].name, step->name))
                return jm_def_error(def, "name", err, "two steps are named %s", step->name);
        if (step->executor->slot_class == JM_SLOT_PROCESS || type->slot_class == JM_SLOT_NONE)
            type->slot_class = step->executor->slot_class;
    }
    return JM_OK;
}

static int parse_backoff(jm_job_type *type, jm_def top, jm_err *err)
{
    static const char *const known[] = {"initial_s", "factor", "max_s", "jitter"};
    json_t *backoff = NULL;
    if (jm_def_object(top, "backoff", &backoff, err))
        return err->code;
    if (!backoff)
        return JM_OK;
    jm_def def = {backoff, "/backoff"};
    if (jm_def_known(def, known, COUNT(known), err) ||
        jm_def_number(def, "initial_s", 0, YEAR_S, &type->backoff_initial_s, err) ||
        jm_def_number(def, "factor", 1, 1000, &type->backoff_factor, err) ||
        jm_def_number(def, "max_s", 0, YEAR_S, &type->backoff_max_s, err))
        return err->code;
    return jm_def_number(def, "jitter", 0, 1, &type->backoff_jitter, err);
}

static int parse_schema(jm_job_type *type, jm_def top, jm_err *err)
{
    json_t *schema = NULL;
    if (jm_def_object(top, "params_schema", &schema, err))
        return err->code;
    type->params_schema = json_incref(schema);
    return schema ? jm_params_schema_compile(schema, "/params_schema", &type->schema, err) : JM_OK;
}

static int parse_profiles(jm_job_type *type, jm_def top, jm_err *err)
{
    json_t *profiles = NULL, *profile;
    const char *name;
    if (jm_def_object(top, "profiles", &profiles, err))
        return err->code;
    jm_def def = {profiles, "/profiles"};
    json_object_foreach(profiles, name, profile)
    {
        if (!json_is_object(profile))
            return jm_def_error(def, name, err, "profile %.60s must be an object of params", name);
    }
    type->profiles = json_incref(profiles);
    return JM_OK;
}

/* A list of strings of which each is there once: *out is NULL-terminated, also when it is absent.
 */
static int parse_names(jm_def top, const char *name, char ***out, jm_err *err)
{
    json_t *list = NULL, *key;
    size_t i;
    if (jm_def_strings(top, name, false, &list, err))
        return err->code;
    *out = jm_calloc(json_array_size(list) + 1, sizeof **out);
    for (size_t j = 0; j < json_array_size(list); j++)
        for (size_t k = 0; k < j; k++)
            if (json_equal(json_array_get(list, j), json_array_get(list, k)))
                return jm_def_error(top, name, err, "%s has \"%.60s\" twice", name,
                                    json_string_value(json_array_get(list, j)));
    json_array_foreach(list, i, key)(*out)[i] = jm_strdup(json_string_value(key));
    return JM_OK;
}

static int parse_searchable(jm_job_type *type, jm_def top, jm_err *err)
{
    return parse_names(top, "searchable", &type->searchable, err);
}

static int parse_documents(jm_job_type *type, jm_def top, jm_err *err)
{
    int n = 0;
    if (parse_names(top, "documents", &type->documents, err))
        return err->code;
    for (char **name = type->documents; *name; name++, n++)
        if (!jm_document_name_ok(*name))
            return jm_def_error(top, "documents", err,
                                "\"%.100s\" is no name of a document: " JM_DOCUMENT_NAME_RULE,
                                *name);
    if (n > MAX_DOCUMENTS)
        return jm_def_error(top, "documents", err, "at most %d documents expected", MAX_DOCUMENTS);
    return JM_OK;
}

static int parse_words(jm_job_type *type, jm_def top, jm_err *err)
{
    static const char *const levels[] = {"debug", "info", "warning", "error", "off"};
    static const char *const orderings[] = {"none", "key"};
    static const char *const policies[] = {"continue", "block"};
    static const char *const needs[] = {"completed", "ended"};
    int level = JM_INFO, ordering = 0, policy = 0, depends = 0;
    if (jm_def_word(top, "log_level", levels, 5, &level, err) ||
        jm_def_word(top, "ordering", orderings, 2, &ordering, err) ||
        jm_def_word(top, "on_failure", policies, 2, &policy, err) ||
        jm_def_word(top, "depends", needs, 2, &depends, err))
        return err->code;
    if (policy && !ordering)
        return jm_def_error(
            top, "on_failure", err,
            "on_failure \"block\" needs ordering \"key\": it is the key that it blocks");
    type->log_off = level == 4;
    type->log_level = type->log_off ? JM_ERROR : (jm_log_level)level;
    type->ordered = ordering;
    type->depends_ended = depends;
    type->blocks = policy;
    return JM_OK;
}

static int parse_top(jm_job_type *type, const json_t *root, jm_err *err)
{
    static const char *const known[] = {
        "type",      "description", "params_schema", "profiles", "searchable",
        "documents", "timeout_s",   "max_attempts",  "backoff",  "concurrency",
        "ordering",  "on_failure",  "log_level",     "steps",    "depends"};
    jm_def top = {root, ""};
    const char *name = NULL, *description = NULL;
    if (!json_is_object(root))
        return jm_def_error(top, NULL, err, "a definition must be an object");
    if (jm_def_known(top, known, COUNT(known), err) || jm_def_string(top, "type", &name, err) ||
        jm_def_string(top, "description", &description, err))
        return err->code;
    if (!name)
        return jm_def_error(top, NULL, err, "the definition has no type");
    if (!name_ok(name, false))
        return jm_def_error(top, "type", err,
                            "a type's name is a-z, 0-9, '.', '_' and '-', begins with a "
                            "letter or digit, and has at most 100");
    if (strlen(name) > 6 && !strcmp(name + strlen(name) - 6, ".tests"))
        return jm_def_error(top, "type", err, "a name that ends in .tests is that of fixtures");
    type->name = jm_strdup(name);
    type->description = jm_strdup(description);
    if (jm_def_int(top, "timeout_s", 1, YEAR_S, &type->timeout_s, err) ||
        jm_def_int(top, "max_attempts", 1, MAX_TRIES, &type->max_attempts, err) ||
        jm_def_int(top, "concurrency", 1, 1000000, &type->concurrency, err) ||
        parse_backoff(type, top, err) || parse_schema(type, top, err) ||
        parse_profiles(type, top, err) || parse_searchable(type, top, err) ||
        parse_documents(type, top, err) || parse_words(type, top, err))
        return err->code;
    return parse_steps(type, root, err);
}

/* Same content, same hash, whatever the order of keys and the white space. */
static void hash_definition(jm_job_type *type, const json_t *root)
{
    char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);
    unsigned char digest[32];
    assert(text);
    EVP_Digest(text, strlen(text), digest, NULL, EVP_sha256(), NULL);
    for (int i = 0; i < 32; i++)
        snprintf(type->hash + 2 * i, 3, "%02x", digest[i]);
    free(text);
}

/* Puts file, line and column of the culprit in front of the message. */
static int locate(const char *source, const char *text, size_t len, jm_err *err)
{
    jm_raw at = jm_raw_at(text, len, err->field, true);
    int line = 1, column = 1;
    for (const char *p = text; p < at.p; p++) {
        column = *p == '\n' ? 1 : column + 1;
        line += *p == '\n';
    }
    char field[sizeof err->field];
    memcpy(field, err->field, sizeof field);
    if (*field)
        jm_err_prefix(err, "%s", field);
    return jm_err_prefix(err, "%s:%d:%d", source, line, column);
}

int jm_job_type_parse(const char *source, const char *text, size_t len, jm_job_type **out,
                      jm_err *err)
{
    json_error_t at;
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &at);
    if (!root)
        return jm_err_set(err, JM_ERR_INVALID, "%s:%d:%d: %s", source, at.line, at.column, at.text);
    jm_job_type *type = jm_calloc(1, sizeof *type);
    type->refs = 1;
    type->max_attempts = 3;
    type->backoff_initial_s = type->backoff_factor = 2;
    type->backoff_max_s = 3600;
    type->backoff_jitter = 0.1;
    if (parse_top(type, root, err)) {
        locate(source, text, len, err);
        jm_job_type_unref(type);
        json_decref(root);
        return err->code;
    }
    hash_definition(type, root);
    json_decref(root);
    *out = type;
    return JM_OK;
}

int jm_job_type_builtin(const char *name, jm_job_type **out, jm_err *err)
{
    static const struct {
        const char *name, *text;
    } builtins[] = {
        {"noop", "{\"type\":\"noop\",\"description\":\"Does nothing\","
                 "\"steps\":[{\"name\":\"run\",\"noop\":{}}]}"},
        {"sleep", "{\"type\":\"sleep\",\"description\":\"Waits for params.seconds\","
                  "\"steps\":[{\"name\":\"run\",\"sleep\":{}}]}"},
        {"jobmill.callback",
         "{\"type\":\"jobmill.callback\","
         "\"description\":\"Tells params.url how the job params.job ended\","
         "\"timeout_s\":60,\"max_attempts\":10,"
         "\"backoff\":{\"initial_s\":5,\"factor\":3,\"max_s\":3600},"
         "\"steps\":[{\"name\":\"run\",\"http\":{\"method\":\"POST\",\"url\":\"${params.url}\","
         "\"body\":\"${params.job}\",\"max_bytes\":4096,\"sign\":\"callback\",\"headers\":{"
         "\"X-Jobmill-Job\":\"${params.job.id:-}\","
         "\"X-Jobmill-Type\":\"${params.job.type:-}\","
         "\"X-Jobmill-Status\":\"${params.job.status:-}\","
         "\"X-Jobmill-Delivery\":\"${job.id}\"}}}]}"},
        {"fail", "{\"type\":\"fail\",\"description\":\"Fails with params.message\","
                 "\"steps\":[{\"name\":\"run\",\"fail\":{}}]}"},
    };
    for (size_t i = 0; i < COUNT(builtins); i++)
        if (!strcmp(builtins[i].name, name))
            return jm_job_type_parse("built-in", builtins[i].text, strlen(builtins[i].text), out,
                                     err);
    return jm_err_set(err, JM_ERR_NOT_FOUND, "there is no built-in type %s", name);
}

jm_job_type *jm_job_type_ref(jm_job_type *type)
{
    __atomic_add_fetch(&type->refs, 1, __ATOMIC_RELAXED);
    return type;
}

void jm_job_type_unref(jm_job_type *type)
{
    if (!type || __atomic_sub_fetch(&type->refs, 1, __ATOMIC_ACQ_REL))
        return;
    for (int i = 0; i < type->n_steps; i++) {
        const jm_step_def *step = &type->steps[i];
        if (step->compiled)
            step->executor->discard(step->compiled);
        free(type->steps[i].name);
        json_decref(type->steps[i].config);
        json_decref(type->steps[i].set);
        jm_when_free(type->steps[i].when);
    }
    free(type->steps);
    for (char **key = type->searchable; key && *key; key++)
        free(*key);
    free(type->searchable);
    for (char **name = type->documents; name && *name; name++)
        free(*name);
    free(type->documents);
    json_decref(type->profiles);
    json_decref(type->params_schema);
    jm_params_schema_free(type->schema);
    free(type->description);
    free(type->name);
    free(type);
}

/* A number from 0 to 1 that differs between calls; spreading retries needs no more. */
static double spread(int attempt)
{
    uint64_t x = (uint64_t)jm_mono_us() * 0x9e3779b97f4a7c15u + (uint64_t)attempt;
    x ^= x >> 31;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 29;
    return (double)(x >> 11) / 9007199254740992.0;
}

int64_t jm_job_type_backoff_us(const jm_job_type *type, int attempt)
{
    double s = type->backoff_initial_s * pow(type->backoff_factor, attempt > 1 ? attempt - 1 : 0);
    if (!(s < type->backoff_max_s))
        s = type->backoff_max_s;
    s *= 1 + type->backoff_jitter * (2 * spread(attempt) - 1);
    return (int64_t)(s * 1e6);
}
