/* Findings about a document, a line each. */
#include "producer/service/findings.h"

#include <string.h>

void jm_findings_add(jm_findings *findings, const jm_place *place, const jm_err *err)
{
    jm_buf *out = findings->out;
    if (findings->n++ >= JM_FINDINGS_MAX)
        return;
    const char *path = place ? place->path : "";
    if (place)
        jm_buf_addf(out, "%s: ", place->file);
    if (*path || *err->field)
        jm_buf_addf(out, "%s%s%s: ", path, *path && *err->field ? "." : "", err->field);
    jm_buf_addf(out, "%s\n", err->msg);
}

int jm_findings_end(jm_findings *findings)
{
    if (findings->n > JM_FINDINGS_MAX)
        jm_buf_addf(findings->out, "and %d more\n", findings->n - JM_FINDINGS_MAX);
    return findings->n ? JM_ERR_INVALID : JM_OK;
}

static void add_pointer(json_t *error, const char *place, size_t len)
{
    jm_buf pointer = {0};
    jm_buf_add_pointer(&pointer, place, len);
    json_object_set_new(error, "pointer", json_string(jm_buf_str(&pointer)));
    jm_buf_fini(&pointer);
}

/* A place has no blank in it, which what is wrong has. */
static size_t place_of(const char *line, size_t len)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-[]";
    size_t n = strspn(line, letters);
    return n && n + 1 < len && line[n] == ':' && line[n + 1] == ' ' ? n : 0;
}

json_t *jm_findings_list(const jm_buf *written)
{
    json_t *list = json_array();
    const char *line = jm_buf_str((jm_buf *)(uintptr_t)written);
    for (size_t len; *line; line += len + (line[len] == '\n')) {
        len = strcspn(line, "\n");
        json_t *error = json_object();
        const char *file = memchr(line, ':', len);
        size_t skip = file && file[1] == ' ' && !memchr(line, ' ', (size_t)(file - line))
                          ? (size_t)(file - line) + 2
                          : 0;
        size_t place = skip ? place_of(line + skip, len - skip) : 0;
        if (place) {
            add_pointer(error, line + skip, place);
            skip += place + 2;
        }
        json_object_set_new(error, "detail", json_stringn(line + skip, len - skip));
        json_array_append_new(list, error);
    }
    return list;
}
