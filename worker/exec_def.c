/* Checks the object of a step with exec and takes it apart. */
#include "exec_def.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "worker/definition.h"
#include "worker/template.h"
#include "worker/exec.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Params reach a handler by its input; of what is not in the definition, only secrets may stand in
 * the environment. */
static int check_value(jm_def def, const char *name, const char *text, jm_err *err)
{
    jm_template *template;
    jm_err why;
    if (jm_template_text(text, JM_PLACE_TEXT, &template, &why))
        return jm_def_error(def, "env", err, "env.%.60s: %s", name, why.msg);
    bool constant = jm_template_is_constant(template);
    jm_template_free(template);
    if (constant)
        return JM_OK;
    return jm_def_error(def, "env", err,
                        "env.%.60s: only ${secret:NAME} may stand there; a literal ${ is $${",
                        name);
}

static int check_env(jm_def def, json_t **env, jm_err *err)
{
    json_t *value;
    const char *name;
    if (jm_def_object(def, "env", env, err))
        return err->code;
    json_object_foreach(*env, name, value)
    {
        if (!*name || strchr(name, '=') || !json_is_string(value))
            return jm_def_error(def, "env", err, "env.%.60s must be a string, its name without '='",
                                name);
        if (!strncmp(name, "JOBMILL_", 8))
            return jm_def_error(def, "env", err,
                                "env.%.60s: names with JOBMILL_ are set by jobmill", name);
        if (check_value(def, name, json_string_value(value), err))
            return err->code;
    }
    return JM_OK;
}

static int check_limits(jm_def def, jm_exec_def *exec, jm_err *err)
{
    static const char *const known[] = {"cpu_s", "memory_bytes", "files", "output_bytes"};
    json_t *object = NULL;
    char pointer[100];
    double cpu_s = 0, memory_bytes = 0;
    int files = 0, output_bytes = JM_EXEC_OUTPUT_BYTES;
    if (jm_def_object(def, "limits", &object, err))
        return err->code;
    snprintf(pointer, sizeof pointer, "%s/limits", def.pointer);
    jm_def sub = {object, pointer};
    if (object && (jm_def_known(sub, known, COUNT(known), err) ||
                   jm_def_number(sub, "cpu_s", 1, 1e9, &cpu_s, err) ||
                   jm_def_number(sub, "memory_bytes", 1 << 20, 1e15, &memory_bytes, err) ||
                   jm_def_int(sub, "files", 8, 1 << 20, &files, err) ||
                   jm_def_int(sub, "output_bytes", 0, JM_EXEC_OUTPUT_MAX, &output_bytes, err)))
        return err->code;
    /* The kernel counts what a process has used since its start, which here is many jobs. */
    if (cpu_s > 0 && exec->loop)
        return jm_def_error(sub, "cpu_s", err,
                            "cpu_s is for mode \"once\": a child with mode \"loop\" would add up "
                            "its jobs; use the step's timeout_s");
    exec->cpu_s = (int64_t)ceil(cpu_s);
    exec->memory_bytes = (int64_t)memory_bytes;
    exec->files = files;
    exec->output_bytes = (size_t)output_bytes;
    return JM_OK;
}

static int check_argv(jm_def def, json_t **argv, jm_err *err)
{
    if (jm_def_strings(def, "argv", true, argv, err))
        return err->code;
    if (!*argv)
        return jm_def_error(def, NULL, err, "exec has no argv");
    for (size_t i = 0; i < json_array_size(*argv); i++)
        if (!json_string_length(json_array_get(*argv, i)))
            return jm_def_error(def, "argv", err, "the strings of argv must not be empty");
    return JM_OK;
}

static int check(jm_def def, jm_exec_def *exec, json_t **argv, jm_err *err)
{
    static const char *const known[] = {"argv", "env", "cwd", "user", "limits", "mode"};
    static const char *const modes[] = {"once", "loop"};
    json_t *env = NULL;
    int mode = 0;
    if (jm_def_known(def, known, COUNT(known), err) || check_argv(def, argv, err) ||
        check_env(def, &env, err) || jm_def_string(def, "cwd", &exec->cwd, err) ||
        jm_def_string(def, "user", &exec->user, err) ||
        jm_def_word(def, "mode", modes, COUNT(modes), &mode, err))
        return err->code;
    if ((exec->cwd && !*exec->cwd) || (exec->user && !*exec->user))
        return jm_def_error(def, exec->cwd && !*exec->cwd ? "cwd" : "user", err,
                            "it must not be empty");
    exec->env = env;
    exec->loop = mode == 1;
    return check_limits(def, exec, err);
}

int jm_exec_def_compile(const json_t *config, const char *pointer, void **out, jm_err *err)
{
    jm_exec_def found = {0};
    json_t *argv = NULL;
    if (check((jm_def){config, pointer}, &found, &argv, err))
        return err->code;
    jm_exec_def *exec = jm_malloc(sizeof *exec);
    *exec = found;
    exec->config = json_incref((json_t *)(uintptr_t)config);
    exec->argv = jm_calloc(json_array_size(argv) + 1, sizeof *exec->argv);
    for (size_t i = 0; i < json_array_size(argv); i++)
        exec->argv[i] = json_string_value(json_array_get(argv, i));
    *out = exec;
    return JM_OK;
}

void jm_exec_def_discard(void *compiled)
{
    jm_exec_def *exec = compiled;
    if (!exec)
        return;
    json_decref(exec->config);
    free(exec->argv);
    free(exec);
}
