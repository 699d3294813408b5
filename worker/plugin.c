/* The executor plugin: functions of shared objects, on threads of a pool. */
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_scan.h"
#include "common/mem.h"
#include "worker/blocking.h"
#include "worker/definition.h"
#include "worker/handler_protocol.h"
#include "worker/jobmill_plugin.h"
#include "worker/lock_client.h"
#include "worker/text.h"

enum { THREADS_DEFAULT = 64, LINE_MAX_BYTES = 1 << 20, MESSAGE_MAX = 65536 };

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* A step's plugin, found when its type was loaded. */
typedef struct compiled {
    void *library;
    const jobmill_plugin *plugin;
    char *config;
} compiled;

/* A text that get has given out. */
typedef struct given {
    struct given *next;
    char text[];
} given;

/* A line of the handler protocol on its way to the loop's thread. */
typedef struct line {
    jm_pool_note note;
    size_t len;
    char text[];
} line;

typedef struct plugin_step {
    jm_blocking blocking;
    jobmill_job job; /* what the plugin has */
    int (*entry)(jobmill_job *job);
    jm_lock_client *locks; /* or NULL */
    char *project, *owner; /* whose locks, and who takes them */
    jm_buf input;
    char *config;
    pthread_mutex_t lock; /* of what follows; the plugin may call from several threads */
    jm_buf result, error;
    given *texts;
} plugin_step;

/* ---- loading ---- */

static int check_plugin(jm_def def, const char *symbol, const jobmill_plugin *plugin, jm_err *err)
{
    if (plugin->abi != JOBMILL_PLUGIN_ABI)
        return jm_def_error(def, "symbol", err,
                            "%.80s is built for plugin interface %u and this worker has %d, or is "
                            "no JOBMILL_PLUGIN: build it with the installed jobmill_plugin.h",
                            symbol, plugin->abi, JOBMILL_PLUGIN_ABI);
    if (plugin->size < sizeof *plugin || !plugin->run)
        return jm_def_error(def, "symbol", err, "%.80s is no JOBMILL_PLUGIN", symbol);
    return JM_OK;
}

/* Libraries stay in memory for good: threads that are stuck may be inside. */
static int load(jm_def def, const char *path, const char *symbol, compiled *step, jm_err *err)
{
    step->library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!step->library)
        return jm_def_error(def, "path", err, "%s", dlerror());
    step->plugin = dlsym(step->library, symbol);
    if (!step->plugin)
        return jm_def_error(def, "symbol", err, "%s exports no %.80s: JOBMILL_PLUGIN(%.80s, …)",
                            path, symbol, symbol);
    return check_plugin(def, symbol, step->plugin, err);
}

static void plugin_discard(void *ctx)
{
    compiled *step = ctx;
    if (step->library)
        dlclose(step->library);
    free(step->config);
    free(step);
}

static int plugin_compile(const json_t *config, const char *pointer, void **out, jm_err *err)
{
    static const char *const known[] = {"path", "symbol", "config"};
    jm_def def = {config, pointer};
    const char *path = NULL, *symbol = NULL;
    json_t *own = NULL;
    if (jm_def_known(def, known, COUNT(known), err) || jm_def_string(def, "path", &path, err) ||
        jm_def_string(def, "symbol", &symbol, err) || jm_def_object(def, "config", &own, err))
        return err->code;
    if (!path || !symbol)
        return jm_def_error(def, NULL, err, "plugin has no %s", path ? "symbol" : "path");
    if (path[0] != '/')
        return jm_def_error(def, "path", err, "path must be absolute, as \"/usr/lib/x.so\"");
    compiled *step = jm_calloc(1, sizeof *step);
    if (load(def, path, symbol, step, err)) {
        plugin_discard(step);
        return err->code;
    }
    step->config = own ? json_dumps(own, JSON_COMPACT) : jm_strdup("{}");
    *out = step;
    return JM_OK;
}

/* ---- what the plugin calls: its threads ---- */

static plugin_step *step_of(jobmill_job *job)
{
    return (plugin_step *)((char *)job - offsetof(plugin_step, job));
}

static void say(plugin_step *step, const jm_buf *text)
{
    line *said = jm_malloc(sizeof *said + text->len + 1);
    said->len = text->len;
    memcpy(said->text, jm_buf_str(text), text->len + 1);
    jm_pool_say(&step->blocking.task, &said->note);
}

static void add_text(jm_buf *out, const char *text, size_t max)
{
    jm_buf clean = {0};
    jm_text_clean(&clean, text, jm_text_cut(text, strlen(text), max));
    jm_buf_add_json(out, jm_buf_str(&clean), clean.len);
    jm_buf_fini(&clean);
}

static void add_log(jm_buf *out, const char *level, const char *message)
{
    jm_buf_addf(out, "{\"log\":{\"level\":\"%s\",\"message\":", level);
    add_text(out, message, MESSAGE_MAX);
}

static int complain(plugin_step *step, const char *call, const char *why)
{
    jm_buf text = {0}, out = {0};
    jm_buf_addf(&text, "the plugin's call of %s is left out: %s", call, why);
    add_log(&out, "WARNING", text.data);
    jm_buf_adds(&out, "}}");
    say(step, &out);
    jm_buf_fini(&text);
    jm_buf_fini(&out);
    return -1;
}

/* A piece of JSON of the plugin's must be sound by itself, or it could be read as something else
 * within the line. */
static bool is_json(const char *text, jm_err *err)
{
    jm_json json;
    if (!text) {
        jm_err_set(err, JM_ERR_INVALID, "a value is NULL");
        return false;
    }
    int rc = jm_json_scan(&json, text, strlen(text), JM_JSON_DEPTH_MAX - 2, err);
    jm_json_fini(&json);
    return !rc;
}

/* Sends the line if it is one, and frees it. */
static int send_line(plugin_step *step, const char *call, jm_buf *out)
{
    jm_handler_line parsed;
    jm_err err;
    int rc = 0;
    if (out->len > LINE_MAX_BYTES)
        rc = complain(step, call, "more than 1 MiB");
    else if (jm_handler_line_parse(jm_buf_str(out), out->len, &parsed, &err))
        rc = complain(step, call, err.msg);
    else {
        jm_handler_line_fini(&parsed);
        say(step, out);
    }
    jm_buf_fini(out);
    return rc;
}

static int on_log(jobmill_job *job, jobmill_level level, const char *message, const char *details)
{
    static const char *const levels[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
    plugin_step *step = step_of(job);
    jm_buf out = {0};
    jm_err err;
    if (!message)
        return complain(step, "log", "the message is NULL");
    if (details && !is_json(details, &err))
        return complain(step, "log", err.msg);
    add_log(&out, levels[(unsigned)level < COUNT(levels) ? level : JOBMILL_INFO], message);
    if (details)
        jm_buf_addf(&out, ",\"details\":%s", details);
    jm_buf_adds(&out, "}}");
    return send_line(step, "log", &out);
}

static int on_progress(jobmill_job *job, int64_t total, int64_t ok, int64_t failed)
{
    const struct {
        const char *name;
        int64_t n;
    } counts[] = {{"total", total}, {"ok", ok}, {"failed", failed}};
    jm_buf out = {0};
    const char *comma = "";
    jm_buf_adds(&out, "{\"progress\":{");
    for (size_t i = 0; i < COUNT(counts); i++) {
        if (counts[i].n < 0)
            continue;
        jm_buf_addf(&out, "%s\"%s\":%lld", comma, counts[i].name, (long long)counts[i].n);
        comma = ",";
    }
    jm_buf_adds(&out, "}}");
    return send_line(step_of(job), "progress", &out);
}

static int on_set(jobmill_job *job, const char *key, const char *value)
{
    plugin_step *step = step_of(job);
    jm_buf out = {0};
    jm_err err;
    if (!key)
        return complain(step, "set", "the key is NULL");
    if (!is_json(value, &err))
        return complain(step, "set", err.msg);
    jm_buf_adds(&out, "{\"set\":{");
    add_text(&out, key, MESSAGE_MAX);
    jm_buf_addf(&out, ":%s}}", value);
    return send_line(step, "set", &out);
}

static int on_step(jobmill_job *job, const char *name, const char *status, const char *data,
                   const char *error)
{
    plugin_step *step = step_of(job);
    jm_buf out = {0};
    jm_err err;
    if (!name || !status)
        return complain(step, "step", "the name or the status is NULL");
    if (data && !is_json(data, &err))
        return complain(step, "step", err.msg);
    jm_buf_adds(&out, "{\"step\":{\"name\":");
    add_text(&out, name, MESSAGE_MAX);
    jm_buf_adds(&out, ",\"status\":");
    add_text(&out, status, MESSAGE_MAX);
    if (data)
        jm_buf_addf(&out, ",\"data\":%s", data);
    if (error) {
        jm_buf_adds(&out, ",\"error\":");
        add_text(&out, error, MESSAGE_MAX);
    }
    jm_buf_adds(&out, "}}");
    return send_line(step, "step", &out);
}

static int on_result(jobmill_job *job, const char *json)
{
    plugin_step *step = step_of(job);
    jm_err err;
    if (json && strlen(json) > LINE_MAX_BYTES)
        return complain(step, "result", "more than 1 MiB");
    if (!is_json(json, &err))
        return complain(step, "result", err.msg);
    pthread_mutex_lock(&step->lock);
    jm_buf_clear(&step->result);
    jm_buf_adds(&step->result, json);
    pthread_mutex_unlock(&step->lock);
    return 0;
}

static int on_fail(jobmill_job *job, int status, const char *why)
{
    plugin_step *step = step_of(job);
    pthread_mutex_lock(&step->lock);
    jm_buf_clear(&step->error);
    why = why ? why : "";
    jm_text_clean(&step->error, why, jm_text_cut(why, strlen(why), MESSAGE_MAX));
    pthread_mutex_unlock(&step->lock);
    return status;
}

static const char *on_get(jobmill_job *job, const char *pointer)
{
    plugin_step *step = step_of(job);
    jm_json json;
    if (!pointer || !jm_raw_pointer_ok(pointer))
        return NULL;
    jm_raw value = jm_raw_at(job->input, job->input_len, pointer, false);
    if (!value.p || (value.len == 4 && !memcmp(value.p, "null", 4)))
        return NULL;
    given *text = jm_malloc(sizeof *text + value.len + 1);
    if (!jm_json_scan(&json, value.p, value.len, JM_JSON_DEPTH_MAX, NULL) &&
        json.root.kind == JM_JSON_STRING)
        jm_json_unescape(&json.root, text->text);
    else
        *(char *)mempcpy(text->text, value.p, value.len) = 0;
    jm_json_fini(&json);
    pthread_mutex_lock(&step->lock);
    text->next = step->texts;
    step->texts = text;
    pthread_mutex_unlock(&step->lock);
    return text->text;
}

static int on_is_cancelled(jobmill_job *job)
{
    return jm_pool_is_cancelled(&step_of(job)->blocking.task);
}

static int on_cancel_fd(jobmill_job *job)
{
    return jm_pool_cancel_fd(&step_of(job)->blocking.task);
}

static bool must_stop(void *ctx)
{
    return on_is_cancelled(ctx);
}

/* Whether locks can be had at all. */
static bool has_locks(plugin_step *step, const char *call, const char *name)
{
    if (name && step->locks)
        return true;
    complain(step, call, name ? "there is no database, which keeps the locks" : "the name is NULL");
    return false;
}

static int64_t on_lock(jobmill_job *job, const char *name, double ttl_s, double wait_s)
{
    plugin_step *step = step_of(job);
    int64_t token = 0;
    jm_err err = {0};
    if (!has_locks(step, "lock", name))
        return -1;
    jm_lock_want want = {.project = step->project,
                         .name = name,
                         .owner = step->owner,
                         .ttl_s = ttl_s,
                         .wait_s = wait_s,
                         .stop = must_stop,
                         .ctx = job};
    int rc = jm_lock_client_acquire(step->locks, &want, &token, &err);
    return rc ? complain(step, "lock", err.msg) : token;
}

static int on_lock_extend(jobmill_job *job, const char *name, int64_t token, double ttl_s)
{
    plugin_step *step = step_of(job);
    jm_err err = {0};
    if (!has_locks(step, "lock_extend", name))
        return -1;
    int rc = jm_lock_client_extend(step->locks, step->project, name, token, ttl_s, &err);
    return rc ? complain(step, "lock_extend", err.msg) : 0;
}

static int on_lock_release(jobmill_job *job, const char *name, int64_t token)
{
    plugin_step *step = step_of(job);
    jm_err err = {0};
    if (!has_locks(step, "lock_release", name))
        return -1;
    int rc = jm_lock_client_release(step->locks, step->project, name, token, &err);
    return rc ? complain(step, "lock_release", err.msg) : 0;
}

/* ---- running ---- */

static void plugin_work(jm_blocking *blocking)
{
    plugin_step *step = (plugin_step *)blocking;
    int status = step->entry(&step->job);
    blocking->verdict = status == JOBMILL_SUCCESS     ? JM_STEP_SUCCESS
                        : status == JOBMILL_PERMANENT ? JM_STEP_PERMANENT
                                                      : JM_STEP_FAILURE;
    pthread_mutex_lock(&step->lock);
    jm_buf_add(&blocking->data, jm_buf_str(&step->result), step->result.len);
    if (status != JOBMILL_SUCCESS && step->error.len)
        jm_buf_adds(&blocking->error, step->error.data);
    else if (status != JOBMILL_SUCCESS)
        jm_buf_addf(&blocking->error, "the plugin returned %d", status);
    pthread_mutex_unlock(&step->lock);
}

static void plugin_take(jm_blocking *blocking, jm_pool_note *note)
{
    const line *said = (const line *)note;
    jm_step_handler_line(blocking->run, said->text, said->len);
}

static void plugin_free(jm_blocking *blocking)
{
    plugin_step *step = (plugin_step *)blocking;
    for (given *text = step->texts, *next; text; text = next) {
        next = text->next;
        free(text);
    }
    jm_buf_fini(&step->input);
    jm_buf_fini(&step->result);
    jm_buf_fini(&step->error);
    pthread_mutex_destroy(&step->lock);
    jm_lock_client_unref(step->locks);
    free(step->config);
    free(step->project);
    free(step->owner);
    free(step);
}

/* As the locks' list shows it; "job …" alone is who holds a lock until its end. */
static char *owner_of(const jm_job *job)
{
    char id[JM_UUID_TEXT];
    jm_buf owner = {0};
    jm_uuid_format(&job->id, id);
    jm_buf_addf(&owner, "plugin of job %s", id);
    return jm_buf_take(&owner);
}

static void plugin_start(jm_step_run *run)
{
    static const jm_blocking_ops ops = {"plugin", plugin_work, plugin_take, plugin_free};
    const compiled *compiled_step = run->def->compiled;
    plugin_step *step = jm_calloc(1, sizeof *step);
    pthread_mutex_init(&step->lock, NULL);
    jm_handler_input(&step->input, run);
    step->entry = compiled_step->plugin->run;
    step->config = jm_strdup(compiled_step->config);
    step->locks = jm_lock_client_ref(run->env->locks);
    step->project = jm_strdup(run->job->project ? run->job->project : "default");
    step->owner = owner_of(run->job);
    step->job = (jobmill_job){.size = sizeof step->job,
                              .input = step->input.data,
                              .input_len = step->input.len,
                              .config = step->config,
                              .get = on_get,
                              .log = on_log,
                              .progress = on_progress,
                              .set = on_set,
                              .step = on_step,
                              .result = on_result,
                              .fail = on_fail,
                              .is_cancelled = on_is_cancelled,
                              .cancel_fd = on_cancel_fd,
                              .lock = on_lock,
                              .lock_extend = on_lock_extend,
                              .lock_release = on_lock_release};
    jm_blocking_start(&step->blocking, &ops, run->shared, run);
}

static int plugin_open(jm_loop *loop, const jm_executor_env *env, void **shared, jm_err *err)
{
    int threads = env->plugin_threads ? env->plugin_threads : THREADS_DEFAULT;
    return jm_pool_new(loop, "plugin", threads, env->pool_meter, (jm_pool **)shared, err);
}

static void plugin_close(void *shared)
{
    jm_pool_free(shared);
}

extern const jm_executor jm_executor_plugin;
const jm_executor jm_executor_plugin = {.name = "plugin",
                                        .slot_class = JM_SLOT_ASYNC,
                                        .open = plugin_open,
                                        .close = plugin_close,
                                        .compile = plugin_compile,
                                        .discard = plugin_discard,
                                        .start = plugin_start,
                                        .stop = jm_blocking_stop};
