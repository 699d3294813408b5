/* CloudEvents 1.0: attributes from headers or from the members of the value. */
#include "cloudevent.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The attributes a job is made of, and where they go. */
static const struct {
    const char *name;
    size_t at;
    bool required;
} attributes[] = {
    {"type", offsetof(jm_cloudevent, type), true},
    {"source", offsetof(jm_cloudevent, source), true},
    {"id", offsetof(jm_cloudevent, id), true},
    {"expirytime", offsetof(jm_cloudevent, expirytime), false},
    {"partitionkey", offsetof(jm_cloudevent, partitionkey), false},
    {"traceparent", offsetof(jm_cloudevent, traceparent), false},
};
enum { N_ATTRIBUTES = sizeof attributes / sizeof *attributes, MEDIA_TYPE_MAX = 100 };

static jm_json_value *slot(jm_cloudevent *event, size_t i)
{
    return (jm_json_value *)((char *)event + attributes[i].at);
}

/* The media type of a header's value in lower case, without parameters; "" for none. */
static void media_type(const void *value, size_t len, char out[MEDIA_TYPE_MAX])
{
    const char *p = value;
    size_t n = 0;
    while (n < len && n < MEDIA_TYPE_MAX - 1 && p[n] > ' ' && p[n] != ';') {
        out[n] = p[n];
        if (out[n] >= 'A' && out[n] <= 'Z')
            out[n] = (char)(out[n] + 'a' - 'A');
        n++;
    }
    out[n] = 0;
}

static bool is_json_type(const char *type)
{
    size_t n = strlen(type);
    return !strcmp(type, "application/json") || !strcmp(type, "text/json") ||
           (n > 5 && !strcmp(type + n - 5, "+json"));
}

int jm_cloudevent_mode_of(const jm_record *record, jm_cloudevent_mode *mode, jm_err *err)
{
    char type[MEDIA_TYPE_MAX] = "";
    bool binary = jm_record_header(record, "ce_specversion") != NULL;
    *mode = binary ? JM_CLOUDEVENT_BINARY : JM_CLOUDEVENT_NONE;
    for (size_t i = 0; i < record->n_headers; i++)
        if (record->headers[i].value && !strcasecmp(record->headers[i].name, "content-type"))
            media_type(record->headers[i].value, record->headers[i].len, type);
    if (!strcmp(type, "application/cloudevents+json")) {
        *mode = JM_CLOUDEVENT_STRUCTURED;
        return JM_OK;
    }
    if (!strncmp(type, "application/cloudevents", strlen("application/cloudevents")))
        return jm_err_field(
            err, "content-type",
            "of CloudEvents formats only application/cloudevents+json is read; send "
            "each event as a record of its own");
    if (binary && *type && !is_json_type(type))
        return jm_err_field(err, "content-type",
                            "the data of a CloudEvent must be JSON (application/json)");
    return JM_OK;
}

static int missing(jm_cloudevent *event, const char *name, jm_err *err)
{
    char field[40];
    event->missing = true;
    snprintf(field, sizeof field, "%s%s", event->prefix, name);
    return jm_err_field(err, field, "the CloudEvent has no %s", field);
}

static int wrong(const jm_cloudevent *event, const char *name, const char *expected, jm_err *err)
{
    char field[40];
    snprintf(field, sizeof field, "%s%s", event->prefix, name);
    return jm_err_field(err, field, "%s of the CloudEvent must be %s", field, expected);
}

static int check_required(jm_cloudevent *event, const jm_json_value *specversion, jm_err *err)
{
    if (!specversion->at)
        return missing(event, "specversion", err);
    if (specversion->kind != JM_JSON_STRING || !jm_json_equals(specversion, "1.0", 3))
        return wrong(event, "specversion", "\"1.0\"", err);
    for (size_t i = 0; i < N_ATTRIBUTES; i++) {
        const jm_json_value *value = slot(event, i);
        if (!value->at && attributes[i].required)
            return missing(event, attributes[i].name, err);
        if (value->at && value->kind != JM_JSON_STRING)
            return wrong(event, attributes[i].name, "a string", err);
        if (value->at && !value->len)
            return wrong(event, attributes[i].name, "a string that is not empty", err);
    }
    return JM_OK;
}

static int read_header(const jm_record *record, const jm_cloudevent *event, const char *attribute,
                       jm_json_value *out, jm_err *err)
{
    char name[40];
    snprintf(name, sizeof name, "ce_%s", attribute);
    const jm_header *header = jm_record_header(record, name);
    if (!header || !header->value)
        return JM_OK;
    if (!jm_utf8_is_valid(header->value, header->len, NULL) ||
        memchr(header->value, 0, header->len))
        return wrong(event, attribute, "UTF-8 text without U+0000", err);
    *out = (jm_json_value){.kind = JM_JSON_STRING, .at = header->value, .len = header->len};
    return JM_OK;
}

int jm_cloudevent_binary(const jm_record *record, const jm_json_value *data, jm_cloudevent *event,
                         jm_err *err)
{
    jm_json_value specversion = {0};
    *event = (jm_cloudevent){.prefix = "ce_", .data = *data};
    int rc = read_header(record, event, "specversion", &specversion, err);
    for (size_t i = 0; !rc && i < N_ATTRIBUTES; i++)
        rc = read_header(record, event, attributes[i].name, slot(event, i), err);
    return rc ? rc : check_required(event, &specversion, err);
}

static int check_data(const jm_cloudevent *event, const jm_json_value *base64,
                      const jm_json_value *type, jm_err *err)
{
    char media[MEDIA_TYPE_MAX] = "";
    if (base64->at)
        return wrong(event, "data_base64", "left out: the data of a job is JSON, in data", err);
    if (type->at && type->kind != JM_JSON_STRING)
        return wrong(event, "datacontenttype", "a string", err);
    if (type->at && !type->escaped)
        media_type(type->at, type->len, media);
    if (*media && !is_json_type(media))
        return wrong(event, "datacontenttype", "application/json", err);
    return JM_OK;
}

int jm_cloudevent_structured(const jm_json *json, jm_cloudevent *event, jm_err *err)
{
    jm_json_value specversion = {0}, base64 = {0}, type = {0};
    *event = (jm_cloudevent){.prefix = ""};
    if (json->root.kind != JM_JSON_OBJECT)
        return jm_err_field(err, "", "a CloudEvent must be an object, not %s",
                            jm_json_kind_text(json->root.kind));
    for (size_t i = 0; i < json->n_members; i++) {
        const jm_json_member *m = &json->members[i];
        jm_json_value *to = jm_json_equals(&m->name, "specversion", 11)       ? &specversion
                            : jm_json_equals(&m->name, "data", 4)             ? &event->data
                            : jm_json_equals(&m->name, "data_base64", 11)     ? &base64
                            : jm_json_equals(&m->name, "datacontenttype", 15) ? &type
                                                                              : NULL;
        for (size_t j = 0; !to && j < N_ATTRIBUTES; j++)
            if (jm_json_equals(&m->name, attributes[j].name, strlen(attributes[j].name)))
                to = slot(event, j);
        /* A null attribute is the same as none (JSON format of CloudEvents, 2.2); so is null data.
         */
        if (to && m->value.kind != JM_JSON_NULL)
            *to = m->value;
    }
    int rc = check_required(event, &specversion, err);
    return rc ? rc : check_data(event, &base64, &type, err);
}
