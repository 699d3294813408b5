/* Findings about a document, a line each. */
#include "producer/service/findings.h"

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
