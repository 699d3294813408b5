/* Compiles schemas, and checks values against them. */
#include "params_schema.h"

#include <math.h>
#include <regex.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/json_scan.h"
#include "common/json_value.h"
#include "common/mem.h"
#include "common/nearest.h"

enum { SHOWN_BYTES = 80, COMPOUNDS = 3 };

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* The word of `type`, and integer, which is a kind of number. */
static const char *const type_names[] = {"null",  "boolean", "number", "string",
                                         "array", "object",  "integer"};
typedef enum type_bit {
    T_NULL,
    T_BOOLEAN,
    T_NUMBER,
    T_STRING,
    T_ARRAY,
    T_OBJECT,
    T_INTEGER
} type_bit;

typedef struct range {
    json_int_t min, max; /* max -1: none */
} range;

typedef struct property {
    char *name;
    jm_params_schema *schema;
} property;

typedef struct schema_list {
    jm_params_schema **schemas;
    size_t n;
} schema_list;

struct jm_params_schema {
    bool never;     /* the schema false */
    unsigned types; /* bits; 0: any */
    json_t *enumeration, *constant;
    json_t *minimum, *maximum, *above, *below;
    double multiple_of; /* 0: none */
    range length, items_n, members_n;
    bool unique;
    char *pattern;
    regex_t regex; /* where there is a pattern */
    property *properties;
    size_t n_properties;
    json_t *required;
    jm_params_schema *additional, *items, *unwanted;
    schema_list compounds[COMPOUNDS]; /* allOf, anyOf, oneOf */
};

/* A way down into a schema or a value; in an array key is NULL. */
typedef struct place {
    const struct place *up;
    const char *key;
    size_t index;
} place;

static void add_place(jm_buf *out, const place *at)
{
    if (!at)
        return;
    add_place(out, at->up);
    if (!at->key) {
        jm_buf_addf(out, "/%zu", at->index);
        return;
    }
    jm_buf_addc(out, '/');
    for (const char *p = at->key; *p; p++) {
        if (*p == '~' || *p == '/')
            jm_buf_adds(out, *p == '~' ? "~0" : "~1");
        else
            jm_buf_addc(out, *p);
    }
}

__attribute__((format(printf, 4, 5))) static int fail(const char *base, const place *at,
                                                      jm_err *err, const char *fmt, ...)
{
    char text[400];
    jm_buf pointer = {0};
    va_list ap;
    if (!err)
        return JM_ERR_INVALID;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    jm_buf_adds(&pointer, base);
    add_place(&pointer, at);
    jm_err_field(err, jm_buf_str(&pointer), "%s", text);
    jm_buf_fini(&pointer);
    return JM_ERR_INVALID;
}

/* ---- compiling ---- */

/* One keyword: where it stands, and what there is. */
typedef struct keyword {
    jm_params_schema *schema;
    const json_t *value;
    const char *base; /* pointer of the whole schema */
    const place *at;
    size_t offset; /* of the member of the schema that it fills */
} keyword;

static int compile(const json_t *schema, const char *base, const place *at, jm_params_schema **out,
                   jm_err *err);

static void *member_of(const keyword *word)
{
    return (char *)word->schema + word->offset;
}

static int wants(const keyword *word, jm_err *err, const char *what)
{
    return fail(word->base, word->at, err, "%s must be %s", word->at->key, what);
}

static int parse_annotation(const keyword *word, jm_err *err)
{
    (void)word;
    (void)err;
    return JM_OK;
}

static int parse_format(const keyword *word, jm_err *err)
{
    return fail(word->base, word->at, err, "format is not checked: use pattern or enum");
}

static bool add_type(jm_params_schema *schema, const json_t *name)
{
    for (size_t i = 0; json_is_string(name) && i < COUNT(type_names); i++) {
        if (!strcmp(type_names[i], json_string_value(name))) {
            schema->types |= 1u << i;
            return true;
        }
    }
    return false;
}

static int parse_type(const keyword *word, jm_err *err)
{
    bool ok = json_is_array(word->value) ? json_array_size(word->value) > 0
                                         : add_type(word->schema, word->value);
    for (size_t i = 0; i < json_array_size(word->value); i++)
        ok = ok && add_type(word->schema, json_array_get(word->value, i));
    return ok ? JM_OK
              : wants(word, err,
                      "null, boolean, number, integer, string, array, object, or a list of them");
}

static int parse_value(const keyword *word, jm_err *err)
{
    (void)err;
    *(json_t **)member_of(word) = json_incref((json_t *)(uintptr_t)word->value);
    return JM_OK;
}

static int parse_enum(const keyword *word, jm_err *err)
{
    if (!json_array_size(word->value))
        return wants(word, err, "a list of at least one value");
    return parse_value(word, err);
}

static int parse_bound(const keyword *word, jm_err *err)
{
    return json_is_number(word->value) ? parse_value(word, err) : wants(word, err, "a number");
}

static int parse_multiple_of(const keyword *word, jm_err *err)
{
    if (!json_is_number(word->value) || json_number_value(word->value) <= 0)
        return wants(word, err, "a number above 0");
    word->schema->multiple_of = json_number_value(word->value);
    return JM_OK;
}

static int parse_size(const keyword *word, jm_err *err)
{
    double n = json_number_value(word->value);
    if (!json_is_number(word->value) || n < 0 || n > 1e15 || n != floor(n))
        return wants(word, err, "a whole number from 0");
    *(json_int_t *)member_of(word) = (json_int_t)n;
    return JM_OK;
}

static int parse_unique(const keyword *word, jm_err *err)
{
    if (!json_is_boolean(word->value))
        return wants(word, err, "true or false");
    word->schema->unique = json_is_true(word->value);
    return JM_OK;
}

static int parse_pattern(const keyword *word, jm_err *err)
{
    char why[120];
    if (!json_is_string(word->value))
        return wants(word, err, "a POSIX extended regular expression");
    int rc =
        regcomp(&word->schema->regex, json_string_value(word->value), REG_EXTENDED | REG_NOSUB);
    if (rc) {
        regerror(rc, &word->schema->regex, why, sizeof why);
        return fail(word->base, word->at, err, "pattern: %s", why);
    }
    word->schema->pattern = jm_strdup(json_string_value(word->value));
    return JM_OK;
}

static int parse_required(const keyword *word, jm_err *err)
{
    bool ok = json_is_array(word->value);
    for (size_t i = 0; i < json_array_size(word->value); i++)
        ok = ok && json_is_string(json_array_get(word->value, i));
    return ok ? parse_value(word, err) : wants(word, err, "a list of names");
}

static int parse_properties(const keyword *word, jm_err *err)
{
    jm_params_schema *schema = word->schema;
    const char *name;
    json_t *value;
    if (!json_is_object(word->value))
        return wants(word, err, "an object of schemas");
    schema->properties = jm_calloc(json_object_size(word->value) + 1, sizeof(property));
    json_object_foreach((json_t *)(uintptr_t)word->value, name, value)
    {
        property *added = &schema->properties[schema->n_properties++];
        added->name = jm_strdup(name);
        if (compile(value, word->base, &(place){word->at, name, 0}, &added->schema, err))
            return JM_ERR_INVALID;
    }
    return JM_OK;
}

static int parse_schema(const keyword *word, jm_err *err)
{
    return compile(word->value, word->base, word->at, member_of(word), err);
}

static int parse_list(const keyword *word, jm_err *err)
{
    schema_list *list = member_of(word);
    size_t n = json_array_size(word->value);
    if (!n)
        return wants(word, err, "a list of at least one schema");
    list->schemas = jm_calloc(n, sizeof *list->schemas);
    for (size_t i = 0; i < n; i++) {
        list->n++;
        if (compile(json_array_get(word->value, i), word->base, &(place){word->at, NULL, i},
                    &list->schemas[i], err))
            return JM_ERR_INVALID;
    }
    return JM_OK;
}

#define AT(member) offsetof(jm_params_schema, member)

static const struct {
    const char *name;
    int (*parse)(const keyword *word, jm_err *err);
    size_t offset;
} keywords[] = {
    {"type", parse_type, 0},
    {"enum", parse_enum, AT(enumeration)},
    {"const", parse_value, AT(constant)},
    {"minimum", parse_bound, AT(minimum)},
    {"maximum", parse_bound, AT(maximum)},
    {"exclusiveMinimum", parse_bound, AT(above)},
    {"exclusiveMaximum", parse_bound, AT(below)},
    {"multipleOf", parse_multiple_of, 0},
    {"minLength", parse_size, AT(length.min)},
    {"maxLength", parse_size, AT(length.max)},
    {"pattern", parse_pattern, 0},
    {"items", parse_schema, AT(items)},
    {"minItems", parse_size, AT(items_n.min)},
    {"maxItems", parse_size, AT(items_n.max)},
    {"uniqueItems", parse_unique, 0},
    {"properties", parse_properties, 0},
    {"required", parse_required, AT(required)},
    {"additionalProperties", parse_schema, AT(additional)},
    {"minProperties", parse_size, AT(members_n.min)},
    {"maxProperties", parse_size, AT(members_n.max)},
    {"allOf", parse_list, AT(compounds[0])},
    {"anyOf", parse_list, AT(compounds[1])},
    {"oneOf", parse_list, AT(compounds[2])},
    {"not", parse_schema, AT(unwanted)},
    {"title", parse_annotation, 0},
    {"description", parse_annotation, 0},
    {"default", parse_annotation, 0},
    {"examples", parse_annotation, 0},
    {"$schema", parse_annotation, 0},
    {"$id", parse_annotation, 0},
    {"$comment", parse_annotation, 0},
    {"format", parse_format, 0},
};

static int parse_keyword(const keyword *word, jm_err *err)
{
    const char *names[COUNT(keywords)];
    keyword found = *word;
    for (size_t i = 0; i < COUNT(keywords); i++) {
        names[i] = keywords[i].name;
        if (strcmp(names[i], word->at->key) != 0)
            continue;
        found.offset = keywords[i].offset;
        return keywords[i].parse(&found, err);
    }
    const char *near = jm_nearest(word->at->key, names, COUNT(names));
    return fail(word->base, word->at, err,
                "\"%.60s\" is not among the keywords of JSON Schema that are checked%s%s%s",
                word->at->key, near ? ", did you mean \"" : "", near ? near : "",
                near ? "\"?" : "");
}

static int compile(const json_t *schema, const char *base, const place *at, jm_params_schema **out,
                   jm_err *err)
{
    const char *key;
    json_t *value;
    int rc = JM_OK;
    if (!json_is_object(schema) && !json_is_boolean(schema))
        return fail(base, at, err, "a schema is an object, true or false");
    jm_params_schema *made = *out = jm_calloc(1, sizeof *made);
    made->never = json_is_false(schema);
    made->length.max = made->items_n.max = made->members_n.max = -1;
    json_object_foreach((json_t *)(uintptr_t)schema, key, value)
    {
        place inside = {at, key, 0};
        keyword word = {made, value, base, &inside, 0};
        if ((rc = parse_keyword(&word, err)))
            break;
    }
    return rc;
}

int jm_params_schema_compile(const json_t *schema, const char *pointer, jm_params_schema **out,
                             jm_err *err)
{
    jm_params_schema *made = NULL;
    int rc = compile(schema, pointer, NULL, &made, err);
    if (rc) {
        jm_params_schema_free(made);
        return rc;
    }
    *out = made;
    return JM_OK;
}

void jm_params_schema_free(jm_params_schema *schema)
{
    if (!schema)
        return;
    json_t *const values[] = {schema->enumeration, schema->constant, schema->minimum,
                              schema->maximum,     schema->above,    schema->below,
                              schema->required};
    for (size_t i = 0; i < COUNT(values); i++)
        json_decref(values[i]);
    if (schema->pattern)
        regfree(&schema->regex);
    free(schema->pattern);
    for (size_t i = 0; i < schema->n_properties; i++) {
        free(schema->properties[i].name);
        jm_params_schema_free(schema->properties[i].schema);
    }
    free(schema->properties);
    for (size_t i = 0; i < COMPOUNDS; i++) {
        for (size_t j = 0; j < schema->compounds[i].n; j++)
            jm_params_schema_free(schema->compounds[i].schemas[j]);
        free(schema->compounds[i].schemas);
    }
    jm_params_schema_free(schema->additional);
    jm_params_schema_free(schema->items);
    jm_params_schema_free(schema->unwanted);
    free(schema);
}

/* ---- checking ---- */

static int check(const jm_params_schema *schema, const json_t *value, const place *at, jm_err *err);

/* A value as JSON for a message, cut behind a whole character. */
typedef struct shown {
    char text[SHOWN_BYTES + 8];
} shown;

static shown show(const json_t *value)
{
    shown out;
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    size_t len = text ? strlen(text) : 0, cut = len;
    if (len > SHOWN_BYTES)
        for (cut = SHOWN_BYTES; cut && ((unsigned char)text[cut] & 0xc0) == 0x80;)
            cut--;
    snprintf(out.text, sizeof out.text, "%.*s%s", (int)cut, text ? text : "", cut < len ? "…" : "");
    free(text);
    return out;
}

static unsigned types_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return 1u << T_OBJECT;
    case JSON_ARRAY:
        return 1u << T_ARRAY;
    case JSON_STRING:
        return 1u << T_STRING;
    case JSON_INTEGER:
        return 1u << T_NUMBER | 1u << T_INTEGER;
    case JSON_REAL:
        return 1u << T_NUMBER |
               (floor(json_real_value(value)) == json_real_value(value) ? 1u << T_INTEGER : 0);
    case JSON_NULL:
        return 1u << T_NULL;
    default:
        return 1u << T_BOOLEAN;
    }
}

static int check_type(const jm_params_schema *schema, const json_t *value, const place *at,
                      jm_err *err)
{
    jm_buf names = {0};
    if (!schema->types || schema->types & types_of(value))
        return JM_OK;
    if (!err)
        return JM_ERR_INVALID;
    for (size_t i = 0; i < COUNT(type_names); i++)
        if (schema->types & 1u << i)
            jm_buf_addf(&names, "%s%s", names.len ? " or " : "", type_names[i]);
    int rc = fail("", at, err, "must be %s, and is %s", names.data, show(value).text);
    jm_buf_fini(&names);
    return rc;
}

static int check_values(const jm_params_schema *schema, const json_t *value, const place *at,
                        jm_err *err)
{
    bool found = !schema->enumeration;
    if (schema->constant && !jm_json_value_equal(schema->constant, value))
        return fail("", at, err, "must be %s, and is %s", show(schema->constant).text,
                    show(value).text);
    for (size_t i = 0; i < json_array_size(schema->enumeration) && !found; i++)
        found = jm_json_value_equal(json_array_get(schema->enumeration, i), value);
    if (!found)
        return fail("", at, err, "must be one of %s, and is %s", show(schema->enumeration).text,
                    show(value).text);
    return JM_OK;
}

static bool is_multiple(double value, double of)
{
    double quotient = value / of;
    return isfinite(quotient) ? fabs(quotient - round(quotient)) < 1e-9 * fmax(1, fabs(quotient))
                              : fmod(value, of) == 0;
}

static int check_number(const jm_params_schema *schema, const json_t *value, const place *at,
                        jm_err *err)
{
    const struct {
        const json_t *bound;
        int sign; /* of value minus bound where it is wrong */
        bool equal_too;
        const char *words;
    } bounds[] = {{schema->minimum, -1, false, "at least"},
                  {schema->maximum, 1, false, "at most"},
                  {schema->above, -1, true, "above"},
                  {schema->below, 1, true, "below"}};
    for (size_t i = 0; i < COUNT(bounds); i++) {
        int order = 0;
        if (!bounds[i].bound || !jm_json_value_compare(value, bounds[i].bound, &order))
            continue;
        if (order == bounds[i].sign || (!order && bounds[i].equal_too))
            return fail("", at, err, "must be %s %s, and is %s", bounds[i].words,
                        show(bounds[i].bound).text, show(value).text);
    }
    if (schema->multiple_of > 0 && !is_multiple(json_number_value(value), schema->multiple_of))
        return fail("", at, err, "must be a multiple of %g, and is %s", schema->multiple_of,
                    show(value).text);
    return JM_OK;
}

static int check_range(const range *allowed, size_t n, const char *what, const place *at,
                       jm_err *err)
{
    if ((json_int_t)n < allowed->min)
        return fail("", at, err, "must have at least %lld %s, and has %zu", (long long)allowed->min,
                    what, n);
    if (allowed->max >= 0 && (json_int_t)n > allowed->max)
        return fail("", at, err, "must have at most %lld %s, and has %zu", (long long)allowed->max,
                    what, n);
    return JM_OK;
}

static int check_string(const jm_params_schema *schema, const json_t *value, const place *at,
                        jm_err *err)
{
    size_t chars = 0;
    jm_utf8_is_valid(json_string_value(value), json_string_length(value), &chars);
    if (check_range(&schema->length, chars, "characters", at, err))
        return JM_ERR_INVALID;
    if (schema->pattern && regexec(&schema->regex, json_string_value(value), 0, NULL, 0))
        return fail("", at, err, "must match %.100s, and is %s", schema->pattern, show(value).text);
    return JM_OK;
}

static int check_unique(const json_t *list, const place *at, jm_err *err)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        for (size_t j = 0; j < i; j++)
            if (jm_json_value_equal(json_array_get(list, i), json_array_get(list, j)))
                return fail("", at, err, "must have each item once, and has %s at %zu and %zu",
                            show(json_array_get(list, i)).text, j, i);
    return JM_OK;
}

static int check_array(const jm_params_schema *schema, const json_t *list, const place *at,
                       jm_err *err)
{
    if (check_range(&schema->items_n, json_array_size(list), "items", at, err) ||
        (schema->unique && check_unique(list, at, err)))
        return JM_ERR_INVALID;
    for (size_t i = 0; schema->items && i < json_array_size(list); i++)
        if (check(schema->items, json_array_get(list, i), &(place){at, NULL, i}, err))
            return JM_ERR_INVALID;
    return JM_OK;
}

static const jm_params_schema *schema_of(const jm_params_schema *schema, const char *name)
{
    for (size_t i = 0; i < schema->n_properties; i++)
        if (!strcmp(schema->properties[i].name, name))
            return schema->properties[i].schema;
    return schema->additional;
}

static int unknown_member(const jm_params_schema *schema, const char *name, const place *at,
                          jm_err *err)
{
    if (!err)
        return JM_ERR_INVALID;
    const char **names = jm_calloc(schema->n_properties + 1, sizeof *names);
    for (size_t i = 0; i < schema->n_properties; i++)
        names[i] = schema->properties[i].name;
    const char *near = jm_nearest(name, names, schema->n_properties);
    int rc = fail("", &(place){at, name, 0}, err, "there is no such member%s%s%s",
                  near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    free(names);
    return rc;
}

static int check_object(const jm_params_schema *schema, const json_t *object, const place *at,
                        jm_err *err)
{
    const char *name;
    json_t *value;
    for (size_t i = 0; i < json_array_size(schema->required); i++) {
        const char *wanted = json_string_value(json_array_get(schema->required, i));
        if (!json_object_get(object, wanted))
            return fail("", at, err, "\"%.100s\" is missing", wanted);
    }
    if (check_range(&schema->members_n, json_object_size(object), "members", at, err))
        return JM_ERR_INVALID;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        const jm_params_schema *of = schema_of(schema, name);
        if (of && of == schema->additional && of->never)
            return unknown_member(schema, name, at, err);
        if (of && check(of, value, &(place){at, name, 0}, err))
            return JM_ERR_INVALID;
    }
    return JM_OK;
}

static size_t count_fits(const schema_list *list, const json_t *value)
{
    size_t fits = 0;
    for (size_t i = 0; i < list->n; i++)
        fits += !check(list->schemas[i], value, NULL, NULL);
    return fits;
}

static int check_compounds(const jm_params_schema *schema, const json_t *value, const place *at,
                           jm_err *err)
{
    const schema_list *all = &schema->compounds[0], *any = &schema->compounds[1],
                      *one = &schema->compounds[2];
    for (size_t i = 0; i < all->n; i++)
        if (check(all->schemas[i], value, at, err))
            return JM_ERR_INVALID;
    if (any->n && !count_fits(any, value))
        return fail("", at, err, "fits none of the %zu schemas of anyOf: it is %s", any->n,
                    show(value).text);
    size_t fits = one->n ? count_fits(one, value) : 1;
    if (fits != 1)
        return fail("", at, err, "must fit one of the %zu schemas of oneOf, and fits %zu: it is %s",
                    one->n, fits, show(value).text);
    if (schema->unwanted && !check(schema->unwanted, value, NULL, NULL))
        return fail("", at, err, "must not be %s", show(value).text);
    return JM_OK;
}

static int check(const jm_params_schema *schema, const json_t *value, const place *at, jm_err *err)
{
    int rc = JM_OK;
    if (schema->never)
        return fail("", at, err, "nothing may stand here");
    if (check_type(schema, value, at, err) || check_values(schema, value, at, err))
        return JM_ERR_INVALID;
    if (json_is_number(value))
        rc = check_number(schema, value, at, err);
    else if (json_is_string(value))
        rc = check_string(schema, value, at, err);
    else if (json_is_array(value))
        rc = check_array(schema, value, at, err);
    else if (json_is_object(value))
        rc = check_object(schema, value, at, err);
    return rc ? rc : check_compounds(schema, value, at, err);
}

int jm_params_schema_check(const jm_params_schema *schema, const json_t *value, jm_err *err)
{
    return check(schema, value, NULL, err);
}
