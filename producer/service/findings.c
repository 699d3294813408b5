/* Findings about a document, for people and as JSON. */
#include "producer/service/findings.h"

#include <stdlib.h>
#include <string.h>

void jm_findings_fini(jm_findings *findings)
{
    jm_arena_free(findings->arena);
    free(findings->items);
    *findings = (jm_findings){0};
}

void jm_findings_add(jm_findings *findings, const jm_place *place, const jm_err *err)
{
    if (findings->total++ >= JM_FINDINGS_MAX)
        return;
    if (!findings->arena)
        findings->arena = jm_arena_new(0);
    if (findings->n == findings->cap) {
        findings->cap = findings->cap ? 2 * findings->cap : 16;
        findings->items = jm_realloc(findings->items, findings->cap * sizeof *findings->items);
    }
    findings->items[findings->n++] =
        (jm_finding){.file = jm_arena_strdup(findings->arena, place ? place->file : NULL),
                     .path = jm_arena_strdup(findings->arena, place ? place->path : ""),
                     .field = jm_arena_strdup(findings->arena, err->field),
                     .message = jm_arena_strdup(findings->arena, err->msg)};
}

int jm_findings_code(const jm_findings *findings)
{
    return findings->total ? JM_ERR_INVALID : JM_OK;
}

void jm_findings_print(const jm_findings *findings, size_t most, jm_buf *out)
{
    size_t n = findings->n < most ? findings->n : most;
    for (size_t i = 0; i < n; i++) {
        const jm_finding *f = &findings->items[i];
        if (f->file)
            jm_buf_addf(out, "%s: ", f->file);
        if (*f->path || *f->field)
            jm_buf_addf(out, "%s%s%s: ", f->path, *f->path && *f->field ? "." : "", f->field);
        jm_buf_addf(out, "%s\n", f->message);
    }
    if (findings->total > n)
        jm_buf_addf(out, "and %zu more\n", findings->total - n);
}

static void add_pointer(json_t *error, const jm_finding *f)
{
    jm_buf pointer = {0};
    if (*f->path)
        jm_buf_add_pointer(&pointer, f->path, strlen(f->path));
    if (*f->field)
        jm_buf_add_pointer(&pointer, f->field, strlen(f->field));
    if (pointer.len)
        json_object_set_new(error, "pointer", json_string(jm_buf_str(&pointer)));
    jm_buf_fini(&pointer);
}

json_t *jm_findings_json(const jm_findings *findings)
{
    json_t *list = json_array();
    for (size_t i = 0; i < findings->n; i++) {
        json_t *error = json_object();
        add_pointer(error, &findings->items[i]);
        json_object_set_new(error, "detail", json_string(findings->items[i].message));
        json_array_append_new(list, error);
    }
    if (findings->total > findings->n) {
        char more[40];
        snprintf(more, sizeof more, "and %zu more", findings->total - findings->n);
        json_array_append_new(list, json_pack("{s:s}", "detail", more));
    }
    return list;
}
