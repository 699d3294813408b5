/* jobmill doctor: what is wrong, and how to mend it. */
#include <stdio.h>

#include "producer/cli/commands.h"
#include "producer/service/doctor.h"

static int doctor(jm_cli *cli)
{
    bool wrong;
    json_t *findings = jm_doctor_look(jm_cli_config(cli), &wrong), *finding;
    int rc = JM_EXIT_OK;
    if (jm_cli_json(cli)) {
        rc = jm_cli_print_json(cli, json_pack("{s:b, s:o}", "ok", !wrong, "items", findings));
    } else {
        size_t i;
        json_array_foreach(findings, i, finding)
        {
            const char *mend = json_string_value(json_object_get(finding, "mend"));
            printf("%-8s  %-12s  %s\n", json_string_value(json_object_get(finding, "state")),
                   json_string_value(json_object_get(finding, "check")),
                   json_string_value(json_object_get(finding, "message")));
            if (mend)
                printf("%-8s  %-12s  -> %s\n", "", "", mend);
        }
        json_decref(findings);
    }
    return rc ? rc : wrong ? JM_EXIT_FAILURE : JM_EXIT_OK;
}

const jm_cli_command jm_cli_doctor_commands[] = {
    {.summary = "Look for what is wrong and say how to mend it",
     .description = "Looks at the database (version, durability, clock, a pooler in between, long "
                    "transactions), the "
                    "schema, Kafka and its topics, workers, what waits, and the disk. A warning "
                    "does no harm yet; exits "
                    "1 when something is wrong.",
     .run = doctor},
    {.summary = NULL}};
