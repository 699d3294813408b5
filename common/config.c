/* Holds the effective configuration: reads file, environment and arguments in that order. */
#include "common/config.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <librdkafka/rdkafka.h>
#include <libpq-fe.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/config_priv.h"
#include "common/config_table.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/nearest.h"

#define DEFAULT_PATH   "/etc/jobmill/jobmill.conf"
#define MAX_LINE_BYTES 65536
#define MAX_NAMES      512

/* ---- setting one value ---- */

static int unknown_key(const char *section, const char *name, const char *source, jm_err *err)
{
    const char *known[64];
    size_t n = 0;
    for (size_t i = 0; i < jm_config_n_keys && n < 64; i++)
        if (!strcmp(jm_config_keys[i].section, section))
            known[n++] = jm_config_keys[i].name;
    const char *near = jm_nearest(name, known, n);
    jm_err_set(err, JM_ERR_INVALID, "%s: unknown key %s.%s%s%s%s", source, section, name,
               near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    snprintf(err->field, sizeof err->field, "%s.%s", section, name);
    return JM_ERR_INVALID;
}

static int unknown_section(const char *section, const char *source, jm_err *err)
{
    const char *known[32];
    for (size_t i = 0; i < jm_config_n_sections; i++)
        known[i] = jm_config_sections[i].name;
    const char *near = jm_nearest(section, known, jm_config_n_sections);
    if (!*section)
        return jm_err_set(err, JM_ERR_INVALID, "%s: a key needs a [section] above it", source);
    jm_err_set(err, JM_ERR_INVALID, "%s: unknown section %s%s%s%s", source, section,
               near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    snprintf(err->field, sizeof err->field, "%s", section);
    return JM_ERR_INVALID;
}

/* The names of librdkafka's properties, from the table that it prints. Strings and array are the
 * caller's (free_names). */
static size_t kafka_names(char *names[MAX_NAMES])
{
    char *text = NULL;
    size_t len = 0, n = 0;
    FILE *to = open_memstream(&text, &len);
    if (!to)
        return 0;
    rd_kafka_conf_properties_show(to);
    fclose(to);
    for (char *line = text, *next; line && *line && n < MAX_NAMES; line = next) {
        next = strchr(line, '\n');
        next = next ? next + 1 : line + strlen(line);
        size_t name = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789._-");
        if (name && line[name + strspn(line + name, " ")] == '|')
            names[n++] = jm_strndup(line, name);
    }
    free(text);
    return n;
}

static void free_names(char **names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(names[i]);
}

/* Asks librdkafka whether it knows the property and takes the value. */
static int check_property(const char *name, const char *value, const char *source, jm_err *err)
{
    char why[256] = "";
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_res_t res = rd_kafka_conf_set(conf, name, value, why, sizeof why);
    rd_kafka_conf_destroy(conf);
    if (res == RD_KAFKA_CONF_OK)
        return JM_OK;
    if (res == RD_KAFKA_CONF_UNKNOWN) {
        char *names[MAX_NAMES];
        size_t n = kafka_names(names);
        const char *near = jm_nearest(name, (const char *const *)names, n);
        jm_err_set(err, JM_ERR_INVALID, "%s: librdkafka has no property %s%s%s%s", source, name,
                   near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
        free_names(names, n);
    } else {
        jm_err_set(err, JM_ERR_INVALID, "%s: kafka.%s: %s", source, name,
                   jm_config_is_secret(name) ? "librdkafka does not take this value" : why);
    }
    snprintf(err->field, sizeof err->field, "kafka.%s", name);
    return JM_ERR_INVALID;
}

static int set_property(jm_config *config, const char *name, const char *value, const char *source,
                        jm_err *err)
{
    int rc = check_property(name, value, source, err);
    if (rc)
        return rc;
    size_t i = 0;
    while (i < config->n_props && strcmp(config->props[i].name, name) != 0)
        i++;
    if (i == config->n_props) {
        config->props = jm_realloc(config->props, (i + 1) * sizeof *config->props);
        config->props[config->n_props++] = (jm_config_prop){.name = jm_strdup(name)};
    }
    free(config->props[i].value);
    free(config->props[i].source);
    config->props[i].value = jm_strdup(value);
    config->props[i].source = jm_strdup(source);
    return JM_OK;
}

static void put(jm_config *config, size_t i, const char *text, int64_t num, const char *source)
{
    jm_config_value *value = &config->values[i];
    free(value->text);
    free(value->source);
    value->text = jm_strdup(text);
    value->source = jm_strdup(source);
    value->num = num;
}

static int set(jm_config *config, const char *section, const char *name, const char *text,
               const char *source, jm_err *err)
{
    if (jm_config_section_find(section) < 0)
        return unknown_section(section, source, err);
    int i = jm_config_key_find(section, name);
    if (i < 0)
        return strcmp(section, "kafka") ? unknown_key(section, name, source, err)
                                        : set_property(config, name, text, source, err);
    const jm_config_key *key = &jm_config_keys[i];
    int64_t num = 0;
    if (!*text && key->type == JM_CONFIG_STR && !key->check) {
        put(config, (size_t)i, NULL, 0, source); /* empty is unset */
        return JM_OK;
    }
    jm_err why;
    if (jm_config_key_check(key, text, &num, &why)) {
        jm_mask_secrets(why.msg);
        jm_err_set(err, JM_ERR_INVALID, "%s: %s.%s %s", source, section, name, why.msg);
        snprintf(err->field, sizeof err->field, "%s.%s", section, name);
        return JM_ERR_INVALID;
    }
    put(config, (size_t)i, text, num, source);
    return JM_OK;
}

/* ---- the file ---- */

struct reading {
    jm_config *config;
    FILE *file;
    int line;
    int *seen; /* line of each key of the table in this file */
    int rc;
    jm_err *err;
};

static char *read_line(char *to, int size, void *ctx)
{
    struct reading *reading = ctx;
    if (reading->rc || !fgets(to, size, reading->file))
        return NULL;
    reading->line++;
    size_t len = strlen(to);
    if (len + 1 >= (size_t)size && to[len - 1] != '\n') {
        reading->rc =
            jm_err_set(reading->err, JM_ERR_INVALID, "%s:%d: line is too long (at most %d bytes)",
                       reading->config->path, reading->line, size - 2);
        return NULL;
    }
    return to;
}

static int take_pair(void *ctx, const char *section, const char *name, const char *value)
{
    struct reading *reading = ctx;
    if (reading->rc)
        return 0;
    char source[600];
    snprintf(source, sizeof source, "%s:%d", reading->config->path, reading->line);
    int i = jm_config_key_find(section, name);
    if (i >= 0 && reading->seen[i]) {
        reading->rc =
            jm_err_field(reading->err, name, "%s: %s.%s is already set in line %d; remove one",
                         source, section, name, reading->seen[i]);
        return 0;
    }
    if (i >= 0)
        reading->seen[i] = reading->line;
    reading->rc = set(reading->config, section, name, value, source, reading->err);
    return reading->rc == JM_OK;
}

static int load_file(jm_config *config, jm_err *err)
{
    FILE *file = fopen(config->path, "re");
    if (!file) {
        if (errno == ENOENT && !config->path_named)
            return JM_OK;
        return jm_err_errno(err, JM_ERR_IO, "cannot read the configuration %s", config->path);
    }
    struct reading reading = {.config = config, .file = file, .err = err};
    reading.seen = jm_calloc(jm_config_n_keys, sizeof *reading.seen);
    /* Debian's inih takes its build options at run time: long lines, and no continuation lines (an
     * indented key is a key). */
    ini_use_stack = false;
    ini_max_line = MAX_LINE_BYTES;
    ini_initial_alloc = MAX_LINE_BYTES;
    ini_allow_multiline = false;
    int line = ini_parse_stream(read_line, &reading, take_pair, &reading);
    int rc = reading.rc;
    if (!rc && line)
        rc = jm_err_set(err, JM_ERR_INVALID,
                        "%s:%d: neither a [section] nor key = value nor a comment", config->path,
                        line);
    free(reading.seen);
    fclose(file);
    return rc;
}

/* ---- the environment ---- */

/* Whether name, written as in the environment, is env (case is ignored, '.' and '-' are '_'). */
static bool env_equal(const char *env, const char *name)
{
    for (; *env && *name; env++, name++) {
        char c = *name == '.' || *name == '-' ? '_' : *name;
        if (tolower((unsigned char)*env) != c)
            return false;
    }
    return !*env && !*name;
}

/* The spelling of a [kafka] property, given as in the environment; the caller frees. */
static char *property_of_env(const char *env)
{
    if (env_equal(env, "bootstrap.servers"))
        return jm_strdup("bootstrap.servers");
    char *names[MAX_NAMES];
    size_t n = kafka_names(names);
    char *found = NULL;
    for (size_t i = 0; i < n && !found; i++)
        if (env_equal(env, names[i]))
            found = jm_strdup(names[i]);
    free_names(names, n);
    if (found)
        return found;
    found = jm_strdup(env); /* set() says what is wrong with it */
    for (char *p = found; *p; p++)
        *p = *p == '_' ? '.' : (char)tolower((unsigned char)*p);
    return found;
}

static int set_from_env(jm_config *config, const char *section, const char *env, const char *value,
                        const char *source, jm_err *err)
{
    char *name = NULL;
    if (!strcmp(section, "kafka")) {
        name = property_of_env(env);
    } else {
        for (size_t i = 0; i < jm_config_n_keys && !name; i++)
            if (!strcmp(jm_config_keys[i].section, section) &&
                env_equal(env, jm_config_keys[i].name))
                name = jm_strdup(jm_config_keys[i].name);
        if (!name) {
            name = jm_strdup(env);
            for (char *p = name; *p; p++)
                *p = (char)tolower((unsigned char)*p);
        }
    }
    int rc = set(config, section, name, value, source, err);
    free(name);
    return rc;
}

static int load_env(jm_config *config, jm_err *err)
{
    for (char **e = environ; *e; e++) {
        const char *eq = strchr(*e, '=');
        if (!eq || !eq[1] || strncmp(*e, "JOBMILL_", 8) != 0)
            continue; /* an empty variable counts as none */
        char *var = jm_strndup(*e, (size_t)(eq - *e));
        int rc = JM_OK;
        for (size_t i = 0; i < jm_config_n_sections && !rc; i++) {
            const char *section = jm_config_sections[i].name;
            size_t n = strlen(section);
            if (strncasecmp(var + 8, section, n) || var[8 + n] != '_')
                continue;
            char source[200];
            snprintf(source, sizeof source, "environment %.160s", var);
            rc = set_from_env(config, section, var + 8 + n + 1, eq + 1, source, err);
        }
        free(var);
        if (rc)
            return rc;
    }
    return JM_OK;
}

/* ---- arguments ---- */

/* Whether arg is --section.key...: then where its key begins, else NULL. */
static const char *argument_key(const char *arg)
{
    if (strncmp(arg, "--", 2) != 0)
        return NULL;
    size_t n = strspn(arg + 2, "abcdefghijklmnopqrstuvwxyz_");
    return n && arg[2 + n] == '.' ? arg + 2 + n + 1 : NULL;
}

static int set_from_argument(jm_config *config, const char *arg, jm_err *err)
{
    const char *name = argument_key(arg), *eq = strchr(name, '=');
    if (!eq)
        return jm_err_set(err, JM_ERR_INVALID, "command line: %s needs a value: %s=VALUE", arg,
                          arg);
    char *section = jm_strndup(arg + 2, (size_t)(name - 1 - (arg + 2)));
    char *key = jm_strndup(name, (size_t)(eq - name));
    int rc = set(config, section, key, eq + 1, "command line", err);
    free(section);
    free(key);
    return rc;
}

static void keep_argument(jm_config *config, const char *arg)
{
    config->args = jm_realloc(config->args, (config->n_args + 1) * sizeof *config->args);
    config->args[config->n_args++] = jm_strdup(arg);
}

static void set_path(jm_config *config, const char *path)
{
    free(config->path);
    config->path = jm_strdup(path);
    config->path_named = true;
}

/* Moves what is ours from argv into config. What follows "--" is left alone. */
static int take_arguments(jm_config *config, int *argc, char **argv, jm_err *err)
{
    int kept = 0, i = 0;
    for (; i < *argc && strcmp(argv[i], "--") != 0; i++) {
        if (i > 0 && argument_key(argv[i])) {
            keep_argument(config, argv[i]);
        } else if (i > 0 && !strncmp(argv[i], "--config=", 9)) {
            set_path(config, argv[i] + 9);
        } else if (i > 0 && !strcmp(argv[i], "--config")) {
            if (i + 1 >= *argc)
                return jm_err_set(err, JM_ERR_INVALID, "command line: --config needs a file");
            set_path(config, argv[++i]);
        } else {
            argv[kept++] = argv[i];
        }
    }
    for (; i < *argc; i++)
        argv[kept++] = argv[i];
    *argc = kept;
    argv[kept] = NULL;
    return JM_OK;
}

/* ---- the whole ---- */

static int fill(jm_config *config, jm_err *err)
{
    for (size_t i = 0; i < jm_config_n_keys; i++) {
        int64_t num = 0;
        if (jm_config_keys[i].def &&
            jm_config_key_check(&jm_config_keys[i], jm_config_keys[i].def, &num, err))
            return jm_err_prefix(err, "default of %s", jm_config_keys[i].name);
        put(config, i, jm_config_keys[i].def, num, "default");
    }
    int rc = load_file(config, err);
    if (!rc)
        rc = load_env(config, err);
    for (size_t i = 0; !rc && i < config->n_args; i++)
        rc = set_from_argument(config, config->args[i], err);
    return rc;
}

static jm_config *new_empty(void)
{
    jm_config *config = jm_calloc(1, sizeof *config);
    config->values = jm_calloc(jm_config_n_keys, sizeof *config->values);
    return config;
}

int jm_config_load(jm_config **out, int *argc, char **argv, jm_err *err)
{
    *out = NULL;
    jm_config *config = new_empty();
    const char *named = getenv("JOBMILL_CONFIG");
    int rc = take_arguments(config, argc, argv, err);
    if (!rc && !config->path && named && *named)
        set_path(config, named);
    if (!config->path)
        config->path = jm_strdup(DEFAULT_PATH);
    if (!rc)
        rc = fill(config, err);
    if (rc)
        jm_config_free(config);
    else
        *out = config;
    return rc;
}

void jm_config_free(jm_config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < jm_config_n_keys; i++) {
        free(config->values[i].text);
        free(config->values[i].source);
    }
    for (size_t i = 0; i < config->n_props; i++) {
        free(config->props[i].name);
        free(config->props[i].value);
        free(config->props[i].source);
    }
    free_names(config->args, config->n_args);
    free_names(config->retired, config->n_retired);
    free(config->values);
    free(config->props);
    free(config->args);
    free(config->retired);
    free(config->path);
    free(config);
}

/* ---- reload ---- */

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && !strcmp(a, b));
}

/* Other threads may still read the old text: it is kept until the configuration is freed. */
static void replace(jm_config *config, size_t i, jm_config_value *fresh)
{
    jm_config_value *value = &config->values[i];
    config->retired =
        jm_realloc(config->retired, (config->n_retired + 2) * sizeof *config->retired);
    config->retired[config->n_retired++] = value->text;
    config->retired[config->n_retired++] = value->source;
    value->text = fresh->text;
    value->source = fresh->source;
    value->num = fresh->num;
    fresh->text = fresh->source = NULL;
}

static void say_restart(const char *section, const char *name)
{
    jm_logf(JM_WARNING, "config", "%s.%s has changed; it takes effect at the next start", section,
            name);
}

static void compare_props(const jm_config *config, const jm_config *fresh)
{
    for (size_t i = 0; i < fresh->n_props; i++) {
        size_t j = 0;
        while (j < config->n_props && strcmp(config->props[j].name, fresh->props[i].name) != 0)
            j++;
        if (j == config->n_props || strcmp(config->props[j].value, fresh->props[i].value) != 0)
            say_restart("kafka", fresh->props[i].name);
    }
}

int jm_config_reload(jm_config *config, jm_err *err)
{
    jm_config *fresh = new_empty();
    fresh->path = jm_strdup(config->path);
    fresh->path_named = config->path_named;
    for (size_t i = 0; i < config->n_args; i++)
        keep_argument(fresh, config->args[i]);
    int rc = fill(fresh, err);
    for (size_t i = 0; !rc && i < jm_config_n_keys; i++) {
        if (same(config->values[i].text, fresh->values[i].text))
            continue;
        if (jm_config_keys[i].flags & JM_CONFIG_RELOADABLE)
            replace(config, i, &fresh->values[i]);
        else
            say_restart(jm_config_keys[i].section, jm_config_keys[i].name);
    }
    if (!rc) {
        compare_props(config, fresh);
        jm_config_apply_log(config);
    }
    jm_config_free(fresh);
    return rc;
}

/* ---- reading ---- */

static const jm_config_value *find(const jm_config *config, const char *key, jm_config_type type)
{
    (void)type; /* for the assertion alone */
    for (size_t i = 0; i < jm_config_n_keys; i++) {
        size_t n = strlen(jm_config_keys[i].section);
        if (strncmp(key, jm_config_keys[i].section, n) || key[n] != '.' ||
            strcmp(key + n + 1, jm_config_keys[i].name) != 0)
            continue;
        bool text =
            jm_config_keys[i].type == JM_CONFIG_STR || jm_config_keys[i].type == JM_CONFIG_CHOICE;
        assert(type == JM_CONFIG_STR ? text : jm_config_keys[i].type == type);
        (void)text;
        return &config->values[i];
    }
    assert(!"unknown configuration key");
    abort();
}

const char *jm_config_str(const jm_config *config, const char *key)
{
    return find(config, key, JM_CONFIG_STR)->text;
}

int64_t jm_config_int(const jm_config *config, const char *key)
{
    return find(config, key, JM_CONFIG_INT)->num;
}

bool jm_config_bool(const jm_config *config, const char *key)
{
    return find(config, key, JM_CONFIG_BOOL)->num != 0;
}

void jm_config_apply_log(const jm_config *config)
{
    jm_log_level level = JM_INFO;
    jm_log_level_parse(jm_config_str(config, "log.level"), &level);
    jm_log_init(level, !strcmp(jm_config_str(config, "log.format"), "json"));
}

void jm_config_each_kafka(const jm_config *config,
                          void (*f)(void *ctx, const char *name, const char *value), void *ctx)
{
    f(ctx, "bootstrap.servers", jm_config_str(config, "kafka.bootstrap.servers"));
    for (size_t i = 0; i < config->n_props; i++)
        f(ctx, config->props[i].name, config->props[i].value);
}

/* ---- the connection string ---- */

static void add_word(jm_buf *out, const char *word, const char *value)
{
    if (!value || !*value)
        return;
    jm_buf_addf(out, "%s%s='", out->len ? " " : "", word);
    for (; *value; value++) {
        if (*value == '\'' || *value == '\\')
            jm_buf_addc(out, '\\');
        jm_buf_addc(out, *value);
    }
    jm_buf_addc(out, '\'');
}

/* The first line of [database] password_file, or NULL when none is configured. */
static int read_password(const jm_config *config, char **out, jm_err *err)
{
    const char *path = jm_config_str(config, "database.password_file");
    *out = NULL;
    if (!path)
        return JM_OK;
    FILE *file = fopen(path, "re");
    if (!file)
        return jm_err_errno(err, JM_ERR_IO, "database.password_file: cannot read %s", path);
    size_t size = 0;
    ssize_t len = getline(out, &size, file);
    fclose(file);
    if (len <= 0) {
        free(*out);
        *out = NULL;
        return jm_err_field(err, "database.password_file", "database.password_file: %s is empty",
                            path);
    }
    (*out)[strcspn(*out, "\r\n")] = 0;
    return JM_OK;
}

static int words_of_url(const char *url, const char *password, jm_buf *out, jm_err *err)
{
    char *why = NULL;
    /* libpq would take the rest of the password for the host, and name it in its errors. */
    const char *from = strstr(url, "://"), *at = from ? strchr(from, '@') : NULL;
    if (at && memchr(at + 1, '@', strcspn(at + 1, "/?")))
        return jm_err_field(err, "database.url",
                            "database.url: a user's name or password with an @ in it: write it as "
                            "%%40");
    PQconninfoOption *options = PQconninfoParse(url, &why);
    if (!options) {
        jm_err_field(err, "database.url", "database.url: %.*s", (int)strcspn(why ? why : "", "\n"),
                     why ? why : "");
        jm_mask_secrets(err->msg);
        PQfreemem(why);
        return JM_ERR_INVALID;
    }
    for (PQconninfoOption *o = options; o->keyword; o++)
        if (!password || strcmp(o->keyword, "password") != 0)
            add_word(out, o->keyword, o->val);
    PQconninfoFree(options);
    add_word(out, "password", password);
    return JM_OK;
}

int jm_config_conninfo(const jm_config *config, char **out, jm_err *err)
{
    *out = NULL;
    if (!jm_config_bool(config, "database.enabled"))
        return jm_err_set(
            err, JM_ERR_UNSUPPORTED,
            "database.enabled is false: this command needs the database; set it to true");
    char *password = NULL;
    int rc = read_password(config, &password, err);
    if (rc)
        return rc;
    jm_buf words = {0};
    const char *url = jm_config_str(config, "database.url");
    if (url) {
        rc = words_of_url(url, password, &words, err);
    } else {
        int64_t port = jm_config_int(config, "database.port");
        char text[16];
        snprintf(text, sizeof text, "%lld", (long long)port);
        add_word(&words, "host", jm_config_str(config, "database.host"));
        add_word(&words, "port", port ? text : NULL);
        add_word(&words, "dbname", jm_config_str(config, "database.name"));
        add_word(&words, "user", jm_config_str(config, "database.user"));
        add_word(&words, "password", password);
    }
    free(password);
    if (rc)
        jm_buf_fini(&words);
    else
        *out = jm_buf_take(&words);
    return rc;
}
