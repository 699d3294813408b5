/* What submissions are checked against: projects, and what workers announced of their types. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/json_exact.h"
#include "common/params_schema.h"
#include "producer/service/submission_priv.h"

enum { FRESH_MS = 1000 };

typedef struct rule {
    UT_hash_handle hh;
    jm_params_schema *schema; /* of a type, or NULL */
    json_t *profiles;
    bool ordered;
    char key[]; /* kind, a blank, name */
} rule;

struct jm_submit_rules {
    rule *rules;
    int64_t read_ms; /* 0: never */
};

static void clear(jm_submit_rules *rules)
{
    rule *r, *next;
    HASH_ITER(hh, rules->rules, r, next)
    {
        HASH_DEL(rules->rules, r);
        jm_params_schema_free(r->schema);
        json_decref(r->profiles);
        free(r);
    }
}

jm_submit_rules *jm_submit_rules_new(void)
{
    return jm_calloc(1, sizeof(jm_submit_rules));
}

void jm_submit_rules_free(jm_submit_rules *rules)
{
    clear(rules);
    free(rules);
}

static const rule *find(const jm_submit_rules *rules, const char *kind, const char *name)
{
    char key[128];
    rule *r;
    int len = snprintf(key, sizeof key, "%s %s", kind, name);
    HASH_FIND(hh, rules->rules, key, (size_t)len, r);
    return r;
}

/* A schema that this version does not understand is the worker's to judge. */
static void read_schema(rule *r, const char *text)
{
    json_t *schema = NULL;
    jm_err ignored;
    if (!*text || jm_json_exact_load(text, strlen(text), &schema, &ignored))
        return;
    (void)jm_params_schema_compile(schema, "/params_schema", &r->schema, &ignored);
    json_decref(schema);
}

static void add(jm_submit_rules *rules, const PGresult *res, int row)
{
    const char *kind = PQgetvalue(res, row, 0), *name = PQgetvalue(res, row, 1);
    const char *profiles = PQgetvalue(res, row, 3);
    size_t len = strlen(kind) + 1 + strlen(name);
    rule *r = jm_calloc(1, sizeof *r + len + 1);
    jm_err ignored;
    snprintf(r->key, len + 1, "%s %s", kind, name);
    r->ordered = *PQgetvalue(res, row, 4) == 't';
    read_schema(r, PQgetvalue(res, row, 2));
    if (*profiles)
        (void)jm_json_exact_load(profiles, strlen(profiles), &r->profiles, &ignored);
    HASH_ADD(hh, rules->rules, key, len, r);
}

int jm_submit_rules_read(jm_submit_rules *rules, jm_pg *pg, bool force, jm_err *err)
{
    PGresult *res = NULL;
    if (!force && rules->read_ms && jm_mono_ms() - rules->read_ms < FRESH_MS)
        return JM_OK;
    int rc = jm_pg_query(pg, &jm_sql_submit_rules, NULL, &res, err);
    if (rc)
        return rc;
    clear(rules);
    for (int row = 0; row < PQntuples(res); row++)
        add(rules, res, row);
    PQclear(res);
    rules->read_ms = jm_mono_ms();
    return JM_OK;
}

bool jm_submit_rules_has_project(const jm_submit_rules *rules, const char *name)
{
    return find(rules, "project", name) != NULL;
}

/* The job's params over those of its profile; NULL after an error. */
static json_t *whole_params(const rule *type, const jm_job *job, jm_err *err)
{
    json_t *params = NULL;
    const json_t *profile = job->profile ? json_object_get(type->profiles, job->profile) : NULL;
    if (job->profile && !profile) {
        jm_err_field(err, "profile", "type %s has no profile \"%.100s\"", job->type, job->profile);
        return NULL;
    }
    if (jm_json_exact_load(job->params ? job->params : "{}", job->params ? job->params_len : 2,
                           &params, err))
        return NULL;
    json_t *whole = profile ? json_copy((json_t *)(uintptr_t)profile) : json_object();
    json_object_update(whole, params);
    json_decref(params);
    return whole;
}

int jm_submit_rules_check(const jm_submit_rules *rules, const jm_job *job, jm_err *err)
{
    const rule *type = find(rules, "type", job->type);
    char field[sizeof err->field];
    if (!type)
        return JM_OK;
    if (type->ordered && job->key && job->exclusive)
        return jm_err_field(err, "exclusive",
                            "type %s orders its jobs by key, and a job holds one lock at most: "
                            "leave out key or exclusive",
                            job->type);
    if (!type->schema && !job->profile)
        return JM_OK;
    json_t *params = whole_params(type, job, err);
    if (!params)
        return err->code;
    int rc = type->schema ? jm_params_schema_check(type->schema, params, err) : JM_OK;
    json_decref(params);
    if (!rc)
        return JM_OK;
    snprintf(field, sizeof field, "params%.70s", err->field);
    memcpy(err->field, field, sizeof field);
    return rc;
}
