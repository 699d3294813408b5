/* The table of executors, and those that need neither child nor connection: noop, sleep, fail. */
#include "executor.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "worker/definition.h"
#include "worker/secrets.h"

enum { MAX_SLEEP_S = 366 * 86400 };

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void stop_now(jm_step_run *run)
{
    jm_step_end(run, JM_STEP_FAILURE, NULL, 0, "stopped");
}

/* ---- noop ---- */

static int noop_check(const json_t *config, const char *pointer, jm_err *err)
{
    return jm_def_known((jm_def){config, pointer}, NULL, 0, err);
}

static void noop_start(jm_step_run *run)
{
    jm_step_end(run, JM_STEP_SUCCESS, NULL, 0, NULL);
}

const jm_executor jm_executor_noop = {.name = "noop",
                                      .slot_class = JM_SLOT_NONE,
                                      .trivial = true,
                                      .check = noop_check,
                                      .start = noop_start,
                                      .stop = stop_now};

/* ---- sleep ---- */

static int sleep_check(const json_t *config, const char *pointer, jm_err *err)
{
    static const char *const known[] = {"seconds"};
    jm_def def = {config, pointer};
    double seconds;
    if (jm_def_known(def, known, COUNT(known), err))
        return err->code;
    return jm_def_number(def, "seconds", 0, MAX_SLEEP_S, &seconds, err);
}

static void sleep_over(void *ctx)
{
    jm_step_end(ctx, JM_STEP_SUCCESS, NULL, 0, NULL);
}

/* What the definition says counts; params where it says nothing. The caller drops the reference. */
static json_t *member(const jm_step_run *run, const char *key)
{
    json_t *value = json_object_get(run->def->config, key);
    if (value)
        return json_incref(value);
    json_t *params = json_loadb(run->params, run->params_len, JSON_DECODE_INT_AS_REAL, NULL);
    value = json_incref(json_object_get(params, key));
    json_decref(params);
    return value;
}

static void sleep_start(jm_step_run *run)
{
    json_t *value = member(run, "seconds");
    double seconds = json_is_number(value) ? json_number_value(value) : -1;
    json_decref(value);
    if (!(seconds >= 0 && seconds <= MAX_SLEEP_S))
        jm_step_end(run, JM_STEP_PERMANENT, NULL, 0,
                    "sleep needs params.seconds, a number of seconds from 0 to a year");
    else
        jm_timer_set(run->loop, &run->timer, jm_loop_now_us(run->loop) + (int64_t)(seconds * 1e6),
                     sleep_over, run);
}

const jm_executor jm_executor_sleep = {.name = "sleep",
                                       .slot_class = JM_SLOT_ASYNC,
                                       .check = sleep_check,
                                       .start = sleep_start,
                                       .stop = stop_now};

/* ---- fail ---- */

static int fail_check(const json_t *config, const char *pointer, jm_err *err)
{
    static const char *const known[] = {"message"};
    jm_def def = {config, pointer};
    const char *message;
    if (jm_def_known(def, known, COUNT(known), err))
        return err->code;
    return jm_def_string(def, "message", &message, err);
}

static void fail_start(jm_step_run *run)
{
    json_t *value = member(run, "message");
    const char *message = json_string_value(value);
    jm_step_end(run, JM_STEP_FAILURE, NULL, 0, message ? message : "failed on purpose");
    json_decref(value);
}

const jm_executor jm_executor_fail = {.name = "fail",
                                      .slot_class = JM_SLOT_NONE,
                                      .check = fail_check,
                                      .start = fail_start,
                                      .stop = stop_now};

/* ---- the table: the one place that knows of all ---- */

#define EXECUTORS(X) X(exec) X(http) X(plugin) X(sql) X(noop) X(sleep) X(fail)

#define DECLARE(name) extern const jm_executor jm_executor_##name;
#define ENTRY(name)   &jm_executor_##name,
EXECUTORS(DECLARE)
static const jm_executor *const table[] = {EXECUTORS(ENTRY)};

struct jm_executors {
    jm_loop *loop;
    jm_executor_env env;
    jm_secrets *secrets;
    bool open[COUNT(table)];
    void *shared[COUNT(table)];
};

void jm_executor_env_read(jm_executor_env *env, const jm_config *config)
{
    *env = (jm_executor_env){
        .secrets_dir = jm_config_str(config, "worker.secrets_dir"),
        .callback_secret_file = jm_config_str(config, "worker.callback_secret_file"),
        .http_ca_file = jm_config_str(config, "worker.http_ca_file"),
        .http_allow_private = jm_config_bool(config, "worker.http_allow_private"),
        .sql_connections = (int)jm_config_int(config, "worker.sql_connections"),
        .plugin_threads = (int)jm_config_int(config, "worker.plugin_threads"),
    };
}

jm_executors *jm_executors_new(jm_loop *loop, const jm_executor_env *env)
{
    jm_executors *executors = jm_calloc(1, sizeof *executors);
    executors->loop = loop;
    if (env)
        executors->env = *env;
    executors->secrets = jm_secrets_new(executors->env.secrets_dir);
    return executors;
}

int jm_executors_get(jm_executors *executors, const jm_executor *executor, jm_step_run *run,
                     jm_err *err)
{
    size_t i = 0;
    while (table[i] != executor)
        i++;
    if (!executors->open[i] && executor->open &&
        executor->open(executors->loop, &executors->env, &executors->shared[i], err))
        return err->code;
    executors->open[i] = true;
    run->env = &executors->env;
    run->secrets = executors->secrets;
    run->shared = executors->shared[i];
    return JM_OK;
}

void jm_executors_reload(jm_executors *executors)
{
    for (size_t i = 0; i < COUNT(table); i++)
        if (executors->open[i] && table[i]->reload)
            table[i]->reload(executors->shared[i]);
}

void jm_executors_free(jm_executors *executors)
{
    for (size_t i = 0; executors && i < COUNT(table); i++)
        if (executors->open[i] && table[i]->close)
            table[i]->close(executors->shared[i]);
    if (executors)
        jm_secrets_free(executors->secrets);
    free(executors);
}

const jm_executor *jm_executor_at(size_t i)
{
    return i < COUNT(table) ? table[i] : NULL;
}
