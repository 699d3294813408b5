/* Starts the child of a step with exec. */
#include "exec_child.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/mem.h"

/* NULL-terminated variables of our own. */
typedef struct variables {
    char **strings;
    size_t n, cap;
} variables;

static void add(variables *env, const char *name, const char *value)
{
    jm_buf buf = {0};
    jm_buf_adds(&buf, name);
    jm_buf_addc(&buf, '=');
    jm_buf_adds(&buf, value);
    if (env->n + 2 > env->cap) {
        env->cap = env->cap ? 2 * env->cap : 16;
        env->strings = jm_realloc(env->strings, env->cap * sizeof *env->strings);
    }
    env->strings[env->n++] = jm_buf_take(&buf);
    env->strings[env->n] = NULL;
}

/* Some of them may be secret. */
static void variables_fini(variables *env)
{
    for (size_t i = 0; i < env->n; i++) {
        explicit_bzero(env->strings[i], strlen(env->strings[i]));
        free(env->strings[i]);
    }
    free(env->strings);
}

/* Clean but for these; the definition's own come in their place. */
static void add_defaults(variables *env, const jm_exec_def *def, const char *sdk_dir)
{
    const char *home = getenv("HOME");
    const struct {
        const char *name, *value;
    } defaults[] = {{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
                    {"LANG", "C.UTF-8"},
                    {"PYTHONPATH", sdk_dir},
                    /* With a user of its own the spawner fills in that one's home. */
                    {"HOME", def->user       ? NULL
                             : home && *home ? home
                                             : "/"}};
    for (size_t i = 0; i < sizeof defaults / sizeof *defaults; i++)
        if (defaults[i].value && !json_object_get(def->env, defaults[i].name))
            add(env, defaults[i].name, defaults[i].value);
}

static void add_job(variables *env, const jm_step_run *run)
{
    char id[JM_UUID_TEXT], attempt[16];
    jm_uuid_format(&run->job->id, id);
    snprintf(attempt, sizeof attempt, "%d", run->job->attempt);
    add(env, "JOBMILL_JOB_ID", id);
    add(env, "JOBMILL_ATTEMPT", attempt);
    add(env, "JOBMILL_OUTPUT_DIR", run->output_dir);
    if (run->job->trace_context)
        add(env, "TRACEPARENT", run->job->trace_context);
}

/* A step that looks up secrets for a child. */
typedef struct seeker {
    jm_step_run *run;
    jm_mask *mask;
} seeker;

static int take_secret(void *ctx, const char *name, const char **value, size_t *len, jm_err *err)
{
    seeker *s = ctx;
    if (jm_step_secret(s->run, name, value, len, err))
        return err->code;
    jm_mask_add(s->mask, *value, *len);
    return JM_OK;
}

/* The definition's own, with secrets in their values. */
static int add_own(variables *env, seeker *s, jm_err *err)
{
    const jm_exec_def *def = s->run->def->compiled;
    jm_template_scope scope = {.secret = take_secret, .ctx = s};
    const char *name;
    json_t *value;
    int rc = JM_OK;
    json_object_foreach((json_t *)(uintptr_t)def->env, name, value)
    {
        jm_template *template = NULL;
        jm_buf text = {0};
        rc = jm_template_text(json_string_value(value), JM_PLACE_TEXT, &template, err);
        if (!rc)
            rc = jm_template_expand(template, &scope, &text, err);
        if (rc)
            jm_err_prefix(err, "env.%s", name);
        else
            add(env, name, text.data);
        jm_template_free(template);
        if (text.data)
            explicit_bzero(text.data, text.len);
        jm_buf_fini(&text);
        if (rc)
            break;
    }
    return rc;
}

static int make_env(variables *env, seeker *s, jm_err *err)
{
    const jm_step_run *run = s->run;
    const jm_exec_def *def = run->def->compiled;
    const jm_exec_shared *shared = run->shared;
    add_defaults(env, def, shared->sdk_dir);
    int rc = add_own(env, s, err);
    if (shared->sdk_dir)
        add(env, "JOBMILL_SDK_DIR", shared->sdk_dir);
    add(env, "JOBMILL_MODE", def->loop ? "loop" : "once");
    if (!def->loop)
        add_job(env, run);
    return rc;
}

/* Four pipes: theirs are the child's ends, ours do not block. */
static int make_pipes(int ours[JM_CHILD_STREAMS], int theirs[JM_CHILD_STREAMS])
{
    for (int i = 0; i < JM_CHILD_STREAMS; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC)) {
            int saved = errno;
            for (int j = 0; j < i; j++) {
                close(ours[j]);
                close(theirs[j]);
            }
            errno = saved;
            return -1;
        }
        theirs[i] = ends[i == JM_CHILD_STDIN ? 0 : 1];
        ours[i] = ends[i == JM_CHILD_STDIN ? 1 : 0];
        fcntl(ours[i], F_SETFL, O_NONBLOCK);
    }
    return 0;
}

int jm_exec_child_start(jm_step_run *run, int ours[JM_CHILD_STREAMS], jm_mask *mask,
                        jm_spawn_end_fn *fn, void *ctx, uint64_t *id, jm_err *err)
{
    const jm_exec_def *def = run->def->compiled;
    variables env = {0};
    jm_spawn_request request = {.argv = def->argv,
                                .cwd = def->cwd,
                                .user = def->user,
                                .output_dir = def->loop ? NULL : run->output_dir,
                                .cpu_s = def->cpu_s,
                                .memory_bytes = def->memory_bytes,
                                .files = def->files};
    int rc = make_env(&env, &(seeker){run, mask}, err);
    if (!rc && make_pipes(ours, request.fds))
        rc = jm_err_errno(err, JM_ERR_IO, "cannot make the child's pipes");
    if (rc) {
        variables_fini(&env);
        return rc;
    }
    request.env = (const char *const *)env.strings;
    rc = jm_spawner_spawn(run->spawner, &request, fn, ctx, id, err);
    variables_fini(&env);
    for (int i = 0; rc && i < JM_CHILD_STREAMS; i++)
        close(ours[i]);
    return rc;
}

void jm_exec_child_say_failed(const jm_exec_def *def, const jm_spawn_end *end, jm_buf *error)
{
    jm_buf_addf(error, "cannot %s (%s): %s", end->failed, def->argv[0], strerror(end->error));
}
