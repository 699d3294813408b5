/* jobmill job update: metadata and priority of a job that is there. */
#include "producer/cli/job_update.h"

#include <string.h>

#include "common/json_exact.h"
#include "producer/cli/change.h"
#include "producer/service/jobs.h"
#include "producer/service/outside.h"

int jm_cli_update_job(jm_cli *cli)
{
    const char *text = NULL;
    json_t *metadata = NULL, *job = NULL;
    int64_t priority;
    jm_uuid id;
    char shown[JM_UUID_TEXT];
    jm_change change;
    jm_err err;
    if (jm_cli_option_json(cli, "metadata", JSON_OBJECT, &text) ||
        jm_cli_option_int(cli, "priority", -1, 0, 9, &priority))
        return JM_EXIT_USAGE;
    if (!text && priority < 0)
        return jm_cli_usage(cli, "say what is to change: --metadata or --priority");
    struct jm_pg *pg = jm_cli_change_begin(cli, &change);
    if (!pg)
        return JM_EXIT_FAILURE;
    int rc = text ? jm_json_exact_load(text, strlen(text), &metadata, &err) : JM_OK;
    if (!rc)
        rc = jm_jobs_resolve(pg, jm_cli_operand(cli, 0), NULL, &id, &err);
    if (!rc)
        rc = jm_jobs_show(pg, &id, &job, &err);
    if (!rc)
        rc = jm_jobs_patch(pg, &id, metadata, (int)priority, &change, NULL, &err);
    json_decref(metadata);
    json_decref(job);
    if (rc)
        return jm_cli_fail(cli, &err);
    jm_uuid_format(&id, shown);
    return jm_cli_print_fate(cli, &change, json_pack("{s:s}", "id", shown), "updated");
}
