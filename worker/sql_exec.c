/* The executor sql: one statement with bound parameters, on a thread of a pool. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "worker/definition.h"
#include "worker/sql_session.h"
#include "worker/template.h"

enum {
    CONNECTIONS_DEFAULT = 10,
    MAX_PARAMS = 1000,
    ROWS_DEFAULT = 1000,
    ROWS_MAX = 100000,
    DATA_BYTES = 1 << 20,
    TIMEOUT_MARGIN_MS = 500, /* the worker's own timeout comes first and says so better */
    IDLE_US = 60000000,
    PRUNE_US = 15000000
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A parameter of the connection. */
typedef struct setting {
    char *keyword;
    jm_template *value;
} setting;

/* A parameter of the statement: a template, whose value is JSON or text; or null. */
typedef struct parameter {
    jm_template *value;
    bool is_json;
} parameter;

typedef struct compiled {
    jm_template *whole_dsn; /* a dsn that is one secret; otherwise settings */
    setting *settings;
    size_t n_settings;
    char *statement;
    parameter *params;
    size_t n_params;
    int max_rows;
} compiled;

/* What all sql steps of a worker share. */
typedef struct shared {
    jm_loop *loop;
    jm_pool *pool;
    jm_sql_idle *idle;
    jm_timer prune;
} shared;

typedef struct sql_step {
    jm_blocking blocking;
    jm_sql_idle *idle;
    jm_sql_target target;
    char *statement;
    char **params;
    size_t n_params;
    int64_t timeout_ms;
    jm_sql_rows rows;
} sql_step;

/* ---- the definition ---- */

/* Whoever may submit jobs must not choose where they connect to. */
static bool only_secrets(const char *dsn)
{
    for (const char *p = dsn; (p = strstr(p, "${")); p += 2)
        if (strncmp(p, "${secret:", 9) != 0)
            return false;
    return true;
}

static int compile_text(jm_def def, const char *key, const char *text, jm_template **out,
                        jm_err *err)
{
    jm_err why;
    if (!jm_template_text(text, JM_PLACE_TEXT, out, &why))
        return JM_OK;
    return jm_def_error(def, key, err, "%s", why.msg);
}

/* libpq takes the dsn apart before secrets are put in, so that nothing in one can be read as
 * another setting. */
static int compile_settings(jm_def def, const char *dsn, compiled *step, jm_err *err)
{
    char *why = NULL;
    int rc = JM_OK;
    PQconninfoOption *options = PQconninfoParse(dsn, &why);
    if (!options) {
        rc = jm_def_error(def, "dsn", err, "dsn: %.*s", why ? (int)strcspn(why, "\n") : 0,
                          why ? why : "");
        PQfreemem(why);
        return rc;
    }
    for (PQconninfoOption *option = options; option->keyword && !rc; option++) {
        if (!option->val)
            continue;
        step->settings = jm_realloc(step->settings, (step->n_settings + 1) * sizeof(setting));
        setting *added = &step->settings[step->n_settings++];
        *added = (setting){.keyword = jm_strdup(option->keyword)};
        rc = compile_text(def, "dsn", option->val, &added->value, err);
    }
    PQconninfoFree(options);
    return rc;
}

static int compile_dsn(jm_def def, compiled *step, jm_err *err)
{
    const char *dsn = NULL;
    jm_template *whole = NULL;
    if (jm_def_string(def, "dsn", &dsn, err))
        return err->code;
    if (!dsn || !*dsn)
        return jm_def_error(def, dsn ? "dsn" : NULL, err, "sql has no dsn");
    if (!only_secrets(dsn))
        return jm_def_error(def, "dsn", err,
                            "a dsn takes only secrets, ${secret:NAME}: jobs must not choose where "
                            "they connect to");
    if (compile_text(def, "dsn", dsn, &whole, err))
        return err->code;
    if (jm_template_is_reference(whole)) {
        step->whole_dsn = whole;
        return JM_OK;
    }
    jm_template_free(whole);
    return compile_settings(def, dsn, step, err);
}

static int compile_param(jm_def def, const json_t *value, parameter *param, jm_err *err)
{
    jm_err why;
    if (json_is_null(value))
        return JM_OK;
    if (json_is_string(value))
        return compile_text(def, "params", json_string_value(value), &param->value, err);
    param->is_json = true;
    if (!jm_template_json(value, &param->value, &why))
        return JM_OK;
    return jm_def_error(def, "params", err, "%s", why.msg);
}

static int compile_params(jm_def def, compiled *step, jm_err *err)
{
    const json_t *list = json_object_get(def.object, "params");
    size_t n = json_array_size(list);
    if (list && (!json_is_array(list) || n > MAX_PARAMS))
        return jm_def_error(def, "params", err, "params must be a list of at most %d values",
                            MAX_PARAMS);
    step->params = jm_calloc(n + 1, sizeof *step->params);
    for (size_t i = 0; i < n; i++)
        if (compile_param(def, json_array_get(list, i), &step->params[step->n_params++], err))
            return err->code;
    return JM_OK;
}

static int compile_statement(jm_def def, compiled *step, jm_err *err)
{
    const char *statement = NULL;
    if (jm_def_string(def, "statement", &statement, err))
        return err->code;
    if (!statement || !statement[strspn(statement, " \t\r\n;")])
        return jm_def_error(def, statement ? "statement" : NULL, err, "sql has no statement");
    if (strstr(statement, "${"))
        return jm_def_error(def, "statement", err,
                            "values are never put into a statement: write $1 here and the value "
                            "into params");
    step->statement = jm_strdup(statement);
    step->max_rows = ROWS_DEFAULT;
    return jm_def_int(def, "max_rows", 0, ROWS_MAX, &step->max_rows, err);
}

static void sql_discard(void *ctx)
{
    compiled *step = ctx;
    for (size_t i = 0; i < step->n_settings; i++) {
        free(step->settings[i].keyword);
        jm_template_free(step->settings[i].value);
    }
    for (size_t i = 0; i < step->n_params; i++)
        jm_template_free(step->params[i].value);
    jm_template_free(step->whole_dsn);
    free(step->settings);
    free(step->params);
    free(step->statement);
    free(step);
}

static int sql_compile(const json_t *config, const char *pointer, void **out, jm_err *err)
{
    static const char *const known[] = {"dsn", "statement", "params", "max_rows"};
    jm_def def = {config, pointer};
    compiled *step = jm_calloc(1, sizeof *step);
    if (jm_def_known(def, known, COUNT(known), err) || compile_dsn(def, step, err) ||
        compile_statement(def, step, err) || compile_params(def, step, err)) {
        sql_discard(step);
        return err->code;
    }
    *out = step;
    return JM_OK;
}

/* ---- starting: templates become text ---- */

static int add_dsn(jm_sql_target *target, const char *dsn, jm_err *err)
{
    PQconninfoOption *options = PQconninfoParse(dsn, NULL);
    if (!options) /* libpq's message may quote it */
        return jm_err_set(err, JM_ERR_INVALID,
                          "the secret that is the dsn is no connection string");
    for (PQconninfoOption *option = options; option->keyword; option++)
        if (option->val)
            jm_sql_target_add(target, option->keyword, option->val);
    PQconninfoFree(options);
    return JM_OK;
}

static int expand_target(const compiled *from, const jm_template_scope *scope, sql_step *step,
                         jm_err *err)
{
    jm_buf text = {0};
    int rc = JM_OK;
    if (from->whole_dsn) {
        rc = jm_template_expand(from->whole_dsn, scope, &text, err);
        if (!rc)
            rc = add_dsn(&step->target, jm_buf_str(&text), err);
    }
    for (size_t i = 0; i < from->n_settings && !rc; i++) {
        jm_buf_clear(&text);
        rc = jm_template_expand(from->settings[i].value, scope, &text, err);
        if (!rc)
            jm_sql_target_add(&step->target, from->settings[i].keyword, jm_buf_str(&text));
    }
    if (text.len)
        explicit_bzero(text.data, text.len);
    jm_buf_fini(&text);
    jm_sql_target_add(&step->target, "client_encoding", "UTF8");
    jm_sql_target_add(&step->target, "fallback_application_name", "jobmill");
    return rc;
}

static int expand_params(const compiled *from, const jm_template_scope *scope, sql_step *step,
                         jm_err *err)
{
    step->params = jm_calloc(from->n_params + 1, sizeof *step->params);
    step->n_params = from->n_params;
    for (size_t i = 0; i < from->n_params; i++) {
        const parameter *param = &from->params[i];
        jm_buf text = {0};
        bool is_null = !param->value;
        int rc = is_null          ? JM_OK
                 : param->is_json ? jm_template_expand(param->value, scope, &text, err)
                                  : jm_template_value(param->value, scope, &text, &is_null, err);
        step->params[i] = is_null || rc ? NULL : jm_strdup(jm_buf_str(&text));
        jm_buf_fini(&text);
        if (rc)
            return jm_err_prefix(err, "params[%zu]", i);
    }
    return JM_OK;
}

/* What is left to the step, or to the job where that is less. */
static int64_t timeout_ms(const jm_step_run *run)
{
    int job_s = run->job->timeout_s ? run->job->timeout_s : run->job->job_type->timeout_s;
    int s = run->def->timeout_s;
    if (job_s && (!s || job_s < s))
        s = job_s;
    return s ? (int64_t)s * 1000 + TIMEOUT_MARGIN_MS : 0;
}

/* ---- running ---- */

static void sql_work(jm_blocking *blocking)
{
    sql_step *step = (sql_step *)blocking;
    jm_sql_query query = {.statement = step->statement,
                          .params = (const char *const *)step->params,
                          .n_params = (int)step->n_params,
                          .timeout_ms = step->timeout_ms};
    jm_sql_run(blocking, step->idle, &step->target, &query, &step->rows);
}

static void sql_take(jm_blocking *blocking, jm_pool_note *note)
{
    const jm_sql_notice *notice = (const jm_sql_notice *)note;
    jm_step_log(blocking->run, notice->level, notice->text, strlen(notice->text), NULL);
}

static void sql_free(jm_blocking *blocking)
{
    sql_step *step = (sql_step *)blocking;
    jm_sql_rows_fini(&step->rows);
    jm_sql_target_fini(&step->target);
    for (size_t i = 0; i < step->n_params; i++)
        free(step->params[i]);
    free(step->params);
    free(step->statement);
    jm_sql_idle_unref(step->idle);
    free(step);
}

static void sql_start(jm_step_run *run)
{
    static const jm_blocking_ops ops = {"sql", sql_work, sql_take, sql_free};
    const compiled *from = run->def->compiled;
    shared *all = run->shared;
    jm_template_scope scope = jm_step_scope(run);
    jm_err err;
    sql_step *step = jm_calloc(1, sizeof *step);
    step->idle = jm_sql_idle_ref(all->idle);
    step->statement = jm_strdup(from->statement);
    step->timeout_ms = timeout_ms(run);
    step->rows.max_rows = from->max_rows;
    step->rows.max_bytes = DATA_BYTES;
    if (expand_target(from, &scope, step, &err) || expand_params(from, &scope, step, &err)) {
        sql_free(&step->blocking);
        jm_step_end(run, err.code == JM_ERR_INVALID ? JM_STEP_PERMANENT : JM_STEP_FAILURE, NULL, 0,
                    err.msg);
        return;
    }
    jm_blocking_start(&step->blocking, &ops, all->pool, run);
}

/* ---- what is shared ---- */

static void on_prune(void *ctx)
{
    shared *all = ctx;
    int64_t now_us = jm_loop_now_us(all->loop);
    jm_sql_idle_prune(all->idle, now_us - IDLE_US);
    jm_timer_set(all->loop, &all->prune, now_us + PRUNE_US, on_prune, all);
}

static int sql_open(jm_loop *loop, const jm_executor_env *env, void **out, jm_err *err)
{
    int threads = env->sql_connections ? env->sql_connections : CONNECTIONS_DEFAULT;
    shared *all = jm_calloc(1, sizeof *all);
    all->loop = loop;
    if (jm_pool_new(loop, "sql", threads, env->pool_meter, &all->pool, err)) {
        free(all);
        return err->code;
    }
    all->idle = jm_sql_idle_new();
    on_prune(all);
    *out = all;
    return JM_OK;
}

static void sql_close(void *ctx)
{
    shared *all = ctx;
    jm_timer_clear(all->loop, &all->prune);
    jm_pool_free(all->pool);
    jm_sql_idle_unref(all->idle);
    free(all);
}

extern const jm_executor jm_executor_sql;
const jm_executor jm_executor_sql = {.name = "sql",
                                     .slot_class = JM_SLOT_ASYNC,
                                     .open = sql_open,
                                     .close = sql_close,
                                     .compile = sql_compile,
                                     .discard = sql_discard,
                                     .start = sql_start,
                                     .stop = jm_blocking_stop};
