/* Documents from files and fixtures, for people who write handlers. */
#include "worker/given_documents.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/document_name.h"
#include "common/json_scan.h"
#include "common/mem.h"

static int read_file(const char *path, jm_buf *text, jm_err *err)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return jm_err_errno(err, JM_ERR_NOT_FOUND, "%.200s", path);
    char part[8192];
    for (size_t n; (n = fread(part, 1, sizeof part, file)) > 0;)
        jm_buf_add(text, part, n);
    int rc = ferror(file) ? jm_err_errno(err, JM_ERR_IO, "%.200s", path) : JM_OK;
    fclose(file);
    return rc;
}

/* Kept as text, so that no number loses a digit. */
static int load(json_t *given, const char *name, const char *path, jm_err *err)
{
    jm_buf text = {0};
    jm_json json;
    int rc = read_file(path, &text, err);
    if (!rc) {
        rc = jm_json_scan(&json, jm_buf_str(&text), text.len, JM_JSON_DEPTH_MAX, err);
        jm_json_fini(&json);
        if (rc)
            jm_err_prefix(err, "%.200s", path);
    }
    if (!rc)
        json_object_set_new(given, name, json_stringn(jm_buf_str(&text), text.len));
    jm_buf_fini(&text);
    return rc;
}

int jm_given_documents_add(json_t *given, const char *name_and_file, jm_err *err)
{
    const char *equals = strchr(name_and_file, '=');
    if (!equals || !equals[1])
        return jm_err_field(err, "document", "--document %.200s: NAME=FILE expected",
                            name_and_file);
    char *name = jm_strdup(name_and_file);
    name[equals - name_and_file] = 0;
    int rc = jm_document_name_ok(name) ? load(given, name, equals + 1, err)
                                       : jm_err_field(err, "document", "--document %.200s: %s",
                                                      name_and_file, JM_DOCUMENT_NAME_RULE);
    free(name);
    return rc;
}

/* The text of one, from either; NULL: it is not given. */
static char *text_of(const json_t *given, const json_t *first, const char *name)
{
    const json_t *body = json_object_get(first, name);
    if (body)
        return json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY);
    return jm_strdup(json_string_value(json_object_get(given, name)));
}

char *jm_given_documents_text(const json_t *given, const json_t *first, const jm_job_type *type,
                              const char **missing)
{
    jm_buf out = {0};
    *missing = NULL;
    for (char **name = type->documents; *name && !*missing; name++) {
        char *text = text_of(given, first, *name);
        if (!text)
            *missing = *name;
        jm_buf_adds(&out, out.len ? "," : "{");
        jm_buf_addf(&out, "\"%s\":%s", *name, text ? text : "");
        free(text);
    }
    if (*missing || !out.len) {
        jm_buf_fini(&out);
        return NULL;
    }
    jm_buf_addc(&out, '}');
    return jm_buf_take(&out);
}
