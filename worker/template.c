/* Compiles and expands strings with ${...} in them. */
#include "template.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/json_scan.h"
#include "common/mem.h"
#include "common/nearest.h"
#include "worker/raw_json.h"
#include "worker/secrets.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* What a reference begins with; LITERAL is none. */
typedef enum root { LITERAL, PARAMS, METADATA, STEPS, JOB, STEP, SECRET } root;

static const char *const root_names[] = {
    [PARAMS] = "params", [METADATA] = "metadata", [STEPS] = "steps",
    [JOB] = "job",       [STEP] = "step",         [SECRET] = "secret"};
static const char *const job_names[] = {"id",          "type",   "attempt",     "project",
                                        "queue",       "key",    "priority",    "external_id",
                                        "schedule_id", "due_at", "max_attempts"};
static const char *const step_names[] = {"name", "attempt"};

typedef struct piece {
    root root;
    jm_place place;
    bool whole;     /* a JSON value of its own, in the place of the string that named it */
    char *text;     /* LITERAL: the text; otherwise what stands between the braces, for messages */
    size_t len;     /* of a literal */
    char *path;     /* "a.b" behind the root; a secret's name */
    char *pointer;  /* the same as a JSON pointer */
    char *fallback; /* or NULL */
} piece;

struct jm_template {
    piece *pieces;
    size_t n;
};

/* ---- compiling ---- */

static piece *add_piece(jm_template *template)
{
    template->pieces = jm_realloc(template->pieces, (template->n + 1) * sizeof *template->pieces);
    piece *added = &template->pieces[template->n++];
    *added = (piece){0};
    return added;
}

static void add_literal(jm_template *template, const char *text, size_t len)
{
    if (!len)
        return;
    piece *last = template->n ? &template->pieces[template->n - 1] : NULL;
    if (!last || last->root != LITERAL) {
        last = add_piece(template);
        last->text = jm_strdup("");
    }
    last->text = jm_realloc(last->text, last->len + len + 1);
    memcpy(last->text + last->len, text, len);
    last->len += len;
    last->text[last->len] = 0;
}

static bool is_word(const char *const *words, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(words[i], text))
            return true;
    return false;
}

static int unknown(const char *text, const char *name, const char *const *words, size_t n,
                   jm_err *err)
{
    const char *near = jm_nearest(name, words, n);
    return jm_err_set(err, JM_ERR_INVALID, "${%.80s}: there is no \"%.60s\"%s%s%s", text, name,
                      near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
}

/* "a.b" as "/a/b"; NULL when a segment is empty or has a character that names do not have. */
static char *pointer_of(const char *path)
{
    size_t len = strlen(path);
    char *pointer = jm_malloc(len + 2), *p = pointer;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)path[i];
        bool first = !i || path[i - 1] == '.';
        if (c == '.' ? first || i + 1 == len : c <= ' ' || c == 0x7f || strchr("/~{}$:\"\\", c)) {
            free(pointer);
            return NULL;
        }
        if (first)
            *p++ = '/';
        if (c != '.')
            *p++ = (char)c;
    }
    *p = 0;
    return pointer;
}

static int check_path(piece *ref, jm_err *err)
{
    const char *const *words = ref->root == JOB ? job_names : step_names;
    size_t n = ref->root == JOB ? COUNT(job_names) : COUNT(step_names);
    ref->pointer = pointer_of(ref->path);
    if (!ref->pointer)
        return jm_err_set(err, JM_ERR_INVALID,
                          "${%.80s}: names are separated by single dots and have no blanks and "
                          "none of / ~ { } $ : \" \\",
                          ref->text);
    if ((ref->root == JOB || ref->root == STEP) && !is_word(words, n, ref->path))
        return unknown(ref->text, ref->path, words, n, err);
    if (ref->root == STEPS && !*ref->path)
        return jm_err_set(err, JM_ERR_INVALID,
                          "${%.80s}: which step? ${steps.NAME} or "
                          "${steps.NAME.member}",
                          ref->text);
    return JM_OK;
}

static int compile_secret(piece *ref, jm_err *err)
{
    ref->root = SECRET;
    ref->path = jm_strdup(ref->text + strlen("secret:"));
    if (jm_secret_name_ok(ref->path))
        return JM_OK;
    return jm_err_set(err, JM_ERR_INVALID,
                      "${%.80s}: a secret's name is letters, digits, '.', '_' and '-', the first "
                      "not '.', at most 100, and it has no default",
                      ref->text);
}

/* ref->text is what stands between the braces. */
static int compile_reference(piece *ref, jm_err *err)
{
    ref->root = PARAMS; /* no literal from here on, whatever is wrong */
    if (!strncmp(ref->text, "secret:", 7))
        return compile_secret(ref, err);
    const char *by = strstr(ref->text, ":-");
    size_t len = by ? (size_t)(by - ref->text) : strlen(ref->text);
    char *name = jm_strndup(ref->text, len);
    if (by)
        ref->fallback = jm_strdup(by + 2);
    char *dot = strchr(name, '.');
    ref->path = jm_strdup(dot ? dot + 1 : "");
    bool empty = dot && !dot[1];
    if (dot)
        *dot = 0;
    size_t i = PARAMS;
    while (i < SECRET && strcmp(root_names[i], name) != 0)
        i++;
    ref->root = i < SECRET ? (root)i : PARAMS;
    int rc = JM_OK;
    if (i == SECRET && !strcmp(name, "secret"))
        rc = jm_err_set(err, JM_ERR_INVALID, "${%.80s}: a secret is ${secret:NAME}", ref->text);
    else if (i == SECRET)
        rc = unknown(ref->text, name, root_names + PARAMS, SECRET, err);
    else if (empty)
        rc = jm_err_set(err, JM_ERR_INVALID, "${%.80s}: nothing stands behind the dot", ref->text);
    else
        rc = check_path(ref, err);
    free(name);
    return rc;
}

/* Adds the pieces of a text; literal text in JSON strings is escaped. */
static int add_text(jm_template *template, const char *text, jm_place place, jm_err *err)
{
    jm_buf literal = {0};
    int rc = JM_OK;
    for (const char *p = text; *p && !rc;) {
        const char *dollar = strchrnul(p, '$');
        jm_buf_add(&literal, p, (size_t)(dollar - p));
        if (!strncmp(dollar, "$${", 3)) {
            jm_buf_adds(&literal, "${");
            p = dollar + 3;
            continue;
        }
        if (*dollar && dollar[1] != '{') {
            jm_buf_addc(&literal, '$');
            p = dollar + 1;
            continue;
        }
        p = dollar;
        if (!*p)
            break;
        const char *close = strchr(p, '}');
        if (!close) {
            rc = jm_err_set(err, JM_ERR_INVALID,
                            "\"%.40s\" has no closing brace; a literal ${ is written $${", p);
            break;
        }
        add_literal(template, literal.data, literal.len);
        jm_buf_clear(&literal);
        piece *ref = add_piece(template);
        ref->place = place;
        ref->text = jm_strndup(p + 2, (size_t)(close - p - 2));
        rc = compile_reference(ref, err);
        p = close + 1;
    }
    add_literal(template, jm_buf_str(&literal), literal.len);
    jm_buf_fini(&literal);
    return rc;
}

int jm_template_text(const char *text, jm_place place, jm_template **out, jm_err *err)
{
    jm_template *template = jm_calloc(1, sizeof *template);
    if (add_text(template, text, place, err)) {
        jm_template_free(template);
        return err->code;
    }
    *out = template;
    return JM_OK;
}

/* The shortest digits that read back as the same double. */
static void add_real(jm_template *template, double value)
{
    char text[40];
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    if (!strpbrk(text, ".e"))
        strncat(text, ".0", sizeof text - strlen(text) - 1);
    add_literal(template, text, strlen(text));
}

static void add_json_literal(jm_template *template, const char *text)
{
    jm_buf json = {0};
    jm_buf_add_json(&json, text, strlen(text));
    add_literal(template, json.data, json.len);
    jm_buf_fini(&json);
}

static int add_json_string(jm_template *template, const char *text, jm_err *err)
{
    jm_template *inner = NULL; /* gcc cannot tell that a failure leaves it unread */
    if (jm_template_text(text, JM_PLACE_JSON_TEXT, &inner, err))
        return err->code;
    bool whole = jm_template_is_reference(inner);
    if (!whole)
        add_literal(template, "\"", 1);
    for (size_t i = 0; i < inner->n; i++) {
        if (inner->pieces[i].root == LITERAL) {
            jm_buf json = {0};
            jm_buf_add_json(&json, inner->pieces[i].text, inner->pieces[i].len);
            add_literal(template, json.data + 1, json.len - 2);
            jm_buf_fini(&json);
            free(inner->pieces[i].text);
        } else {
            *add_piece(template) = inner->pieces[i];
            template->pieces[template->n - 1].whole = whole;
        }
    }
    inner->n = 0; /* its references have moved */
    jm_template_free(inner);
    if (!whole)
        add_literal(template, "\"", 1);
    return JM_OK;
}

static int add_json(jm_template *template, const json_t *value, jm_err *err);

static int add_object(jm_template *template, const json_t *value, jm_err *err)
{
    const char *key;
    json_t *member;
    bool first = true;
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        add_literal(template, first ? "{" : ",", 1);
        first = false;
        add_json_literal(template, key);
        add_literal(template, ":", 1);
        if (add_json(template, member, err))
            return err->code;
    }
    add_literal(template, first ? "{}" : "}", first ? 2 : 1);
    return JM_OK;
}

static int add_array(jm_template *template, const json_t *value, jm_err *err)
{
    size_t n = json_array_size(value);
    add_literal(template, "[", 1);
    for (size_t i = 0; i < n; i++) {
        add_literal(template, ",", i > 0);
        if (add_json(template, json_array_get(value, i), err))
            return err->code;
    }
    add_literal(template, "]", 1);
    return JM_OK;
}

static int add_json(jm_template *template, const json_t *value, jm_err *err)
{
    static const char *const words[] = {
        [JSON_TRUE] = "true", [JSON_FALSE] = "false", [JSON_NULL] = "null"};
    char number[24];
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return add_object(template, value, err);
    case JSON_ARRAY:
        return add_array(template, value, err);
    case JSON_STRING:
        return add_json_string(template, json_string_value(value), err);
    case JSON_INTEGER:
        snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        add_literal(template, number, strlen(number));
        return JM_OK;
    case JSON_REAL:
        add_real(template, json_real_value(value));
        return JM_OK;
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL:
        break;
    }
    const char *word = words[json_typeof(value)];
    add_literal(template, word, strlen(word));
    return JM_OK;
}

int jm_template_json(const json_t *value, jm_template **out, jm_err *err)
{
    jm_template *template = jm_calloc(1, sizeof *template);
    if (add_json(template, value, err)) {
        jm_template_free(template);
        return err->code;
    }
    *out = template;
    return JM_OK;
}

void jm_template_free(jm_template *template)
{
    if (!template)
        return;
    for (size_t i = 0; i < template->n; i++) {
        free(template->pieces[i].text);
        free(template->pieces[i].path);
        free(template->pieces[i].pointer);
        free(template->pieces[i].fallback);
    }
    free(template->pieces);
    free(template);
}

bool jm_template_is_reference(const jm_template *template)
{
    assert(template);
    return template->n == 1 && template->pieces[0].root != LITERAL;
}

bool jm_template_is_literal(const jm_template *template)
{
    return !template->n || (template->n == 1 && template->pieces[0].root == LITERAL);
}

bool jm_template_has_secret(const jm_template *template)
{
    for (size_t i = 0; i < template->n; i++)
        if (template->pieces[i].root == SECRET)
            return true;
    return false;
}

bool jm_template_is_constant(const jm_template *template)
{
    for (size_t i = 0; i < template->n; i++)
        if (template->pieces[i].root != LITERAL && template->pieces[i].root != SECRET)
            return false;
    return true;
}

/* ---- looking up ---- */

/* What a reference stands for. */
typedef struct found {
    enum { ABSENT, JSON, PLAIN } kind;
    jm_raw raw;     /* JSON: a value as somebody wrote it; PLAIN: a text */
    char small[40]; /* where the text had to be made */
} found;

static void find_in(const char *json, size_t len, const char *pointer, found *value)
{
    if (!json)
        return;
    value->raw = jm_raw_at(json, len, pointer, false);
    value->kind = value->raw.p ? JSON : ABSENT;
}

/* Names of steps may have dots in them: the longest name that fits is the step. */
static void find_in_steps(const piece *ref, const char *steps, found *value)
{
    for (size_t end = steps ? strlen(ref->path) : 0; end; end--) {
        if (ref->path[end] && ref->path[end] != '.')
            continue;
        char *name = jm_strndup(ref->path, end);
        jm_raw data = jm_raw_member(steps, strlen(steps), name);
        if (data.p)
            find_in(data.p, data.len, ref->pointer + end + 1, value); /* dots are slashes there */
        free(name);
        if (data.p)
            return;
    }
}

static void plain(found *value, const char *text)
{
    if (text) {
        value->kind = PLAIN;
        value->raw = (jm_raw){text, strlen(text)};
    }
}

static void small_number(found *value, int number)
{
    snprintf(value->small, sizeof value->small, "%d", number);
    value->kind = JSON;
    value->raw = (jm_raw){value->small, strlen(value->small)};
}

static void find_in_job(const char *name, const jm_job *job, found *value)
{
    const struct {
        const char *name, *text;
    } texts[] = {{"type", job->type},
                 {"project", job->project},
                 {"queue", job->queue},
                 {"key", job->key},
                 {"external_id", job->external_id}};
    const struct {
        const char *name;
        int number;
    } numbers[] = {{"attempt", job->attempt},
                   {"priority", job->priority},
                   {"max_attempts", job->max_attempts}};
    for (size_t i = 0; i < COUNT(texts); i++)
        if (!strcmp(name, texts[i].name))
            plain(value, texts[i].text);
    for (size_t i = 0; i < COUNT(numbers); i++)
        if (!strcmp(name, numbers[i].name))
            small_number(value, numbers[i].number);
    if (!strcmp(name, "id") || (!strcmp(name, "schedule_id") && job->has_schedule)) {
        jm_uuid_format(*name == 'i' ? &job->id : &job->schedule_id, value->small);
        plain(value, value->small);
    } else if (!strcmp(name, "due_at") && job->due_at_us) {
        jm_rfc3339_format(job->due_at_us, value->small);
        plain(value, value->small);
    }
}

static int look_up(const piece *ref, const jm_template_scope *scope, found *value, jm_err *err)
{
    value->kind = ABSENT;
    switch (ref->root) {
    case PARAMS:
        find_in(scope->params, scope->params_len, ref->pointer, value);
        break;
    case METADATA:
        find_in(scope->job->metadata, scope->job->metadata_len, ref->pointer, value);
        break;
    case STEPS:
        find_in_steps(ref, scope->steps_data, value);
        break;
    case JOB:
        find_in_job(ref->path, scope->job, value);
        break;
    case STEP:
        if (!strcmp(ref->path, "name"))
            plain(value, scope->step);
        else
            small_number(value, scope->try);
        break;
    case SECRET:
        if (!scope->secret)
            return jm_err_set(err, JM_ERR_INVALID, "${%s}: there are no secrets here", ref->text);
        value->kind = PLAIN;
        return scope->secret(scope->ctx, ref->path, &value->raw.p, &value->raw.len, err);
    case LITERAL:
        break;
    }
    return JM_OK;
}

static bool is_null(const found *value)
{
    return value->kind == JSON && *value->raw.p == 'n';
}

/* Takes the default where there is one to be taken. */
static int settle(const piece *ref, found *value, bool null_ok, jm_err *err)
{
    bool null = is_null(value);
    if (value->kind != ABSENT && !(null && (ref->fallback || !null_ok)))
        return JM_OK;
    if (!ref->fallback)
        return jm_err_set(err, JM_ERR_INVALID,
                          null ? "${%s} is null, and it has no default (${%s:-text})"
                               : "${%s} is missing, and it has no default (${%s:-text})",
                          ref->text, ref->text);
    plain(value, ref->fallback);
    return JM_OK;
}

/* ---- escaping ---- */

/* A string without its quotes and escapes; everything else as it is written. */
static void add_decoded(jm_buf *out, const found *value)
{
    if (value->kind == JSON && *value->raw.p == '"' && value->raw.len >= 2) {
        jm_json_value string = {.at = value->raw.p + 1,
                                .len = value->raw.len - 2,
                                .kind = JM_JSON_STRING,
                                .escaped = memchr(value->raw.p, '\\', value->raw.len) != NULL};
        out->len += jm_json_unescape(&string, jm_buf_reserve(out, string.len + 1));
        return;
    }
    jm_buf_add(out, value->raw.p, value->raw.len);
}

static void add_percent(jm_buf *out, const char *text, size_t len)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
            (c && strchr("-._~", c))) {
            jm_buf_addc(out, (char)c);
        } else {
            jm_buf_addc(out, '%');
            jm_buf_addc(out, hex[c >> 4]);
            jm_buf_addc(out, hex[c & 15]);
        }
    }
}

static bool has_control(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)text[i] < ' ' && text[i] != '\t') || text[i] == 0x7f)
            return true;
    return false;
}

static int add_json_text(const piece *ref, const jm_buf *text, jm_buf *out, jm_err *err)
{
    jm_buf json = {0};
    if (!jm_utf8_is_valid(jm_buf_str(text), text->len, NULL) ||
        memchr(jm_buf_str(text), 0, text->len))
        return jm_err_set(err, JM_ERR_INVALID, "${%s} is no valid UTF-8 text", ref->text);
    jm_buf_add_json(&json, jm_buf_str(text), text->len);
    jm_buf_add(out, json.data + 1, json.len - 2);
    jm_buf_fini(&json);
    return JM_OK;
}

static int add_escaped(const piece *ref, const jm_buf *text, jm_buf *out, jm_err *err)
{
    switch (ref->place) {
    case JM_PLACE_TEXT:
        jm_buf_add(out, jm_buf_str(text), text->len);
        return JM_OK;
    case JM_PLACE_HEADER:
        if (has_control(jm_buf_str(text), text->len))
            return jm_err_set(err, JM_ERR_INVALID,
                              "${%s} has a line break or another control character, which no "
                              "header may have",
                              ref->text);
        jm_buf_add(out, jm_buf_str(text), text->len);
        return JM_OK;
    case JM_PLACE_PATH:
        if (!text->len)
            return jm_err_set(err, JM_ERR_INVALID, "${%s} is empty, and stands in a path",
                              ref->text);
        add_percent(out, text->data, text->len);
        return JM_OK;
    case JM_PLACE_QUERY:
        add_percent(out, jm_buf_str(text), text->len);
        return JM_OK;
    case JM_PLACE_JSON_TEXT:
        return add_json_text(ref, text, out, err);
    }
    return JM_OK;
}

static int expand_reference(const piece *ref, const found *value, jm_buf *out, jm_err *err)
{
    bool tree = value->kind == JSON && (*value->raw.p == '{' || *value->raw.p == '[');
    if (tree && ref->place != JM_PLACE_TEXT && ref->place != JM_PLACE_JSON_TEXT)
        return jm_err_set(err, JM_ERR_INVALID,
                          "${%s} is an object or array; only strings, numbers and booleans can "
                          "stand there",
                          ref->text);
    jm_buf text = {0};
    add_decoded(&text, value);
    int rc = add_escaped(ref, &text, out, err);
    if (ref->root == SECRET && text.data)
        explicit_bzero(text.data, text.len);
    jm_buf_fini(&text);
    return rc;
}

/* A value of its own in JSON. A default counts as JSON if it is some. */
static int expand_whole(const piece *ref, const found *value, jm_buf *out, jm_err *err)
{
    jm_json json;
    bool is_json = value->kind == JSON;
    if (!is_json && ref->root != SECRET && value->raw.p == ref->fallback) {
        is_json = !jm_json_scan(&json, value->raw.p, value->raw.len, JM_JSON_DEPTH_MAX, err);
        jm_json_fini(&json);
    }
    if (is_json) {
        jm_buf_add(out, value->raw.p, value->raw.len);
        return JM_OK;
    }
    jm_buf_addc(out, '"');
    int rc = expand_reference(ref, value, out, err);
    jm_buf_addc(out, '"');
    return rc;
}

int jm_template_expand(const jm_template *template, const jm_template_scope *scope, jm_buf *out,
                       jm_err *err)
{
    for (size_t i = 0; i < template->n; i++) {
        const piece *p = &template->pieces[i];
        found value = {0};
        if (p->root == LITERAL) {
            jm_buf_add(out, p->text, p->len);
            continue;
        }
        if (look_up(p, scope, &value, err) || settle(p, &value, p->whole, err) ||
            (p->whole ? expand_whole(p, &value, out, err) : expand_reference(p, &value, out, err)))
            return err->code;
    }
    jm_buf_add(out, "", 0);
    return JM_OK;
}

int jm_template_value(const jm_template *template, const jm_template_scope *scope, jm_buf *out,
                      bool *null, jm_err *err)
{
    *null = false;
    if (!jm_template_is_reference(template))
        return jm_template_expand(template, scope, out, err);
    const piece *ref = &template->pieces[0];
    found value = {0};
    if (look_up(ref, scope, &value, err) || settle(ref, &value, true, err))
        return err->code;
    *null = is_null(&value);
    if (!*null)
        add_decoded(out, &value);
    jm_buf_add(out, "", 0);
    return JM_OK;
}
