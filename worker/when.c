/* Parses and evaluates the conditions of a step. */
#include "when.h"

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_value.h"
#include "common/mem.h"
#include "common/nearest.h"
#include "worker/definition.h"
#include "worker/text.h"

enum { SHOWN_BYTES = 60 };

#define COUNT(array) (sizeof(array) / sizeof *(array))

typedef enum operation { EQ, NE, GT, GE, LT, LE, IN, EXISTS, MATCHES, OPERATIONS } operation;

static const char *const operation_names[] = {"eq", "ne", "gt",     "ge",     "lt",
                                              "le", "in", "exists", "matches"};

typedef enum root { PARAMS, METADATA, STEPS, OUTCOMES, ROOTS } root;

static const char *const root_names[] = {"params", "metadata", "steps", "outcomes"};

typedef struct test {
    operation op;
    json_t *operand;
    bool has_regex; /* of MATCHES */
    regex_t regex;
} test;

typedef struct condition {
    char *pointer; /* as it was written */
    root root;
    const char *rest; /* of the pointer, behind the root */
    test *tests;
    size_t n;
} condition;

struct jm_when {
    condition *conditions;
    size_t n;
};

/* ---- parsing ---- */

static bool is_scalar(const json_t *value)
{
    return !json_is_array(value) && !json_is_object(value);
}

static int compile_regex(jm_def def, const char *key, test *t, jm_err *err)
{
    char why[120];
    const char *pattern = json_string_value(t->operand);
    if (!pattern)
        return jm_def_error(def, key, err, "matches takes a regular expression, a string");
    int rc = regcomp(&t->regex, pattern, REG_EXTENDED | REG_NOSUB);
    t->has_regex = !rc;
    if (!rc)
        return JM_OK;
    regerror(rc, &t->regex, why, sizeof why);
    return jm_def_error(def, key, err, "matches: %s", why);
}

static int parse_test(jm_def def, const char *key, operation op, json_t *operand, test *t,
                      jm_err *err)
{
    t->op = op;
    t->operand = json_incref(operand);
    if (op == IN && !json_array_size(operand))
        return jm_def_error(def, key, err, "in takes a list of at least one value");
    if (op == EXISTS && !json_is_boolean(operand))
        return jm_def_error(def, key, err, "exists is true or false");
    if (op >= GT && op <= LE && !json_is_number(operand) && !json_is_string(operand))
        return jm_def_error(def, key, err, "%s takes a number or a string", operation_names[op]);
    return op == MATCHES ? compile_regex(def, key, t, err) : JM_OK;
}

static int parse_tests(jm_def def, condition *c, jm_err *err)
{
    const char *key;
    json_t *operand;
    if (!json_object_size(def.object))
        return jm_def_error(def, NULL, err, "the condition has no operator");
    if (jm_def_known(def, operation_names, OPERATIONS, err))
        return err->code;
    c->tests = jm_calloc(json_object_size(def.object), sizeof *c->tests);
    json_object_foreach((json_t *)(uintptr_t)def.object, key, operand)
    {
        operation op = EQ;
        while (strcmp(operation_names[op], key) != 0)
            op++;
        if (parse_test(def, key, op, operand, &c->tests[c->n++], err))
            return err->code;
    }
    return JM_OK;
}

/* The first token of a pointer behind its '/', still escaped. */
static size_t token_len(const char *pointer)
{
    return strcspn(pointer + 1, "/");
}

static int parse_root(jm_def def, const char *pointer, condition *c, jm_err *err)
{
    size_t len = token_len(pointer);
    for (int i = 0; i < ROOTS; i++) {
        if (strlen(root_names[i]) == len && !strncmp(pointer + 1, root_names[i], len)) {
            c->root = (root)i;
            c->rest = c->pointer + 1 + len;
            return JM_OK;
        }
    }
    char *word = jm_strndup(pointer + 1, len);
    const char *near = jm_nearest(word, root_names, ROOTS);
    jm_def_error(def, pointer, err,
                 "a condition's pointer begins with /params, /metadata, /steps or /outcomes%s%s%s",
                 near ? ": did you mean \"/" : "", near ? near : "", near ? "\"?" : "");
    free(word);
    return err->code;
}

/* A name of a step needs no escapes in a pointer. */
static int check_step(jm_def def, const condition *c, const char *const *earlier, size_t n,
                      jm_err *err)
{
    if (c->root != STEPS && c->root != OUTCOMES)
        return JM_OK;
    if (!*c->rest)
        return jm_def_error(def, c->pointer, err, "it names no step: /%s/NAME",
                            root_names[c->root]);
    char *name = jm_strndup(c->rest + 1, token_len(c->rest));
    bool found = false;
    for (size_t i = 0; i < n && !found; i++)
        found = !strcmp(earlier[i], name);
    const char *near = found ? NULL : jm_nearest(name, earlier, n);
    if (!found)
        jm_def_error(def, c->pointer, err, "there is no step \"%.100s\" before this one%s%s%s",
                     name, near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    free(name);
    return found ? JM_OK : err->code;
}

static int parse_condition(jm_def def, const char *pointer, json_t *value, condition *c,
                           jm_err *err)
{
    char at[sizeof err->field];
    c->pointer = jm_strdup(pointer);
    if (*pointer != '/' || !jm_raw_pointer_ok(pointer))
        return jm_def_error(def, pointer, err,
                            "a condition's key is a JSON pointer such as \"/params/region\"");
    if (parse_root(def, pointer, c, err))
        return err->code;
    if (is_scalar(value)) {
        c->tests = jm_calloc(1, sizeof *c->tests);
        c->n = 1;
        return parse_test(def, pointer, EQ, value, c->tests, err);
    }
    if (!json_is_object(value))
        return jm_def_error(def, pointer, err,
                            "a condition is a scalar or an object of operators; for lists {\"eq\": "
                            "[…]} or {\"in\": […]}");
    jm_def_pointer(def, pointer, at, sizeof at);
    return parse_tests((jm_def){value, at}, c, err);
}

int jm_when_parse(const json_t *when, const char *pointer, const char *const *earlier, size_t n,
                  jm_when **out, jm_err *err)
{
    jm_def def = {when, pointer};
    const char *key;
    json_t *value;
    if (!json_is_object(when) || !json_object_size(when))
        return jm_def_error(
            def, NULL, err,
            "when must be an object of conditions, as {\"/params/region\": \"eu\"}");
    jm_when *parsed = jm_calloc(1, sizeof *parsed);
    parsed->conditions = jm_calloc(json_object_size(when), sizeof *parsed->conditions);
    json_object_foreach((json_t *)(uintptr_t)when, key, value)
    {
        condition *c = &parsed->conditions[parsed->n++];
        if (parse_condition(def, key, value, c, err) || check_step(def, c, earlier, n, err)) {
            jm_when_free(parsed);
            return err->code;
        }
    }
    *out = parsed;
    return JM_OK;
}

static void free_condition(condition *c)
{
    for (size_t i = 0; i < c->n; i++) {
        if (c->tests[i].has_regex)
            regfree(&c->tests[i].regex);
        json_decref(c->tests[i].operand);
    }
    free(c->tests);
    free(c->pointer);
}

void jm_when_free(jm_when *when)
{
    if (!when)
        return;
    for (size_t i = 0; i < when->n; i++)
        free_condition(&when->conditions[i]);
    free(when->conditions);
    free(when);
}

/* ---- evaluating ---- */

static jm_raw look(jm_raw object, const char *pointer)
{
    return object.p ? jm_raw_at(object.p, object.len, pointer, false) : object;
}

static jm_raw find(const condition *c, const jm_when_scope *scope)
{
    if (c->root == METADATA) {
        jm_raw set = *c->rest ? look(scope->set, c->rest) : (jm_raw){NULL, 0};
        return set.p ? set : look(scope->metadata, c->rest);
    }
    return look(c->root == PARAMS  ? scope->params
                : c->root == STEPS ? scope->steps
                                   : scope->outcomes,
                c->rest);
}

static bool is_in(const json_t *list, const json_t *value)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (jm_json_value_equal(json_array_get(list, i), value))
            return true;
    return false;
}

static bool is_ordered(operation op, const json_t *value, const json_t *operand)
{
    int order;
    if (!jm_json_value_compare(value, operand, &order))
        return false;
    return op == GT ? order > 0 : op == GE ? order >= 0 : op == LT ? order < 0 : order <= 0;
}

/* value is NULL where the pointer leads nowhere. */
static bool test_holds(const test *t, const json_t *value)
{
    switch (t->op) {
    case EXISTS:
        return json_is_true(t->operand) == (value != NULL);
    case EQ:
        return jm_json_value_equal(value, t->operand);
    case NE:
        return !jm_json_value_equal(value, t->operand);
    case IN:
        return is_in(t->operand, value);
    case MATCHES:
        return json_is_string(value) && !regexec(&t->regex, json_string_value(value), 0, NULL, 0);
    default:
        return is_ordered(t->op, value, t->operand);
    }
}

static void explain(const condition *c, const test *t, jm_raw value, jm_buf *why)
{
    char *operand = json_dumps(t->operand, JSON_COMPACT | JSON_ENCODE_ANY);
    size_t len = strlen(operand), cut = jm_text_cut(operand, len, SHOWN_BYTES);
    jm_buf_addf(why, "%.100s %s %.*s%s (it is ", c->pointer, operation_names[t->op], (int)cut,
                operand, cut < len ? "…" : "");
    free(operand);
    if (value.p) {
        cut = jm_text_cut(value.p, value.len, SHOWN_BYTES);
        jm_buf_add(why, value.p, cut);
        jm_buf_adds(why, cut < value.len ? "…)" : ")");
    } else {
        jm_buf_adds(why, "absent)");
    }
}

static bool condition_holds(const condition *c, const jm_when_scope *scope, jm_buf *why)
{
    jm_raw raw = find(c, scope);
    json_t *value = raw.p ? jm_json_load(raw.p, raw.len) : NULL;
    bool holds = true;
    for (size_t i = 0; i < c->n && holds; i++) {
        holds = test_holds(&c->tests[i], value);
        if (!holds)
            explain(c, &c->tests[i], raw, why);
    }
    json_decref(value);
    return holds;
}

bool jm_when_holds(const jm_when *when, const jm_when_scope *scope, jm_buf *why)
{
    for (size_t i = 0; i < when->n; i++)
        if (!condition_holds(&when->conditions[i], scope, why))
            return false;
    return true;
}
