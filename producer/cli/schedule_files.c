/* jobmill schedule export and import. */
#include "producer/cli/schedule_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "producer/cli/input.h"
#include "producer/cli/progress.h"
#include "producer/service/schedule_export.h"
#include "producer/service/schedule_import.h"

enum { PREVIEW_ROWS = 3 };

int jm_cli_schedule_export(jm_cli *cli)
{
    json_t *document;
    jm_err err;
    const char *output = jm_cli_option_text(cli, "output");
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_schedule_export(pg, jm_cli_option_text(cli, "project"), &document, &err))
        return jm_cli_fail(cli, &err);
    if (!output)
        return jm_cli_print_json(cli, document);
    int rc = jm_schedule_document_write(document, output, &err);
    if (!rc)
        fprintf(stderr, "%zu schedules and %zu calendars written\n",
                json_array_size(json_object_get(document, "schedules")),
                json_array_size(json_object_get(document, "calendars")));
    json_decref(document);
    return rc ? jm_cli_fail(cli, &err) : JM_EXIT_OK;
}

/* ---- importing ---- */

static void say_progress(void *ctx, const char *stage, size_t done, size_t of)
{
    jm_cli_progress *progress = ctx;
    char what[80];
    snprintf(what, sizeof what, "schedules %s", stage);
    progress->what = what;
    jm_cli_progress_at(progress, (int64_t)done, (int64_t)of);
    progress->what = "schedules";
}

int jm_cli_schedule_print_changes(jm_cli *cli, const jm_schedule_changes *changes)
{
    jm_buf text = {0};
    if (jm_cli_json(cli))
        return jm_cli_print_json(cli, jm_schedule_changes_json(changes));
    jm_schedule_changes_print(changes, &text);
    fputs(jm_buf_str(&text), stdout);
    jm_buf_fini(&text);
    return fflush(stdout) ? jm_cli_say(cli, JM_EXIT_FAILURE, "cannot write the answer")
                          : JM_EXIT_OK;
}

/* Finds, shows, does. findings are those about what is not in the document. */
static int import_document(jm_cli *cli, const jm_schedule_document *document, jm_findings *findings)
{
    jm_cli_progress progress;
    const jm_schedule_import import = {.document = document,
                                       .prune = jm_cli_option_flag(cli, "prune"),
                                       .preview = jm_cli_json(cli) ? 0 : PREVIEW_ROWS,
                                       .progress = say_progress,
                                       .ctx = &progress};
    jm_schedule_changes *changes;
    jm_change change;
    jm_err err;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return findings->total ? jm_cli_refuse(cli, findings, JM_ERR_INVALID) : JM_EXIT_FAILURE;
    jm_cli_change(cli, &change);
    change.source = "import";
    jm_cli_progress_begin(&progress, "schedules");
    int rc = jm_schedule_import_find(pg, &import, &changes, findings, &err);
    jm_cli_progress_end(&progress);
    int code = findings->total ? jm_cli_refuse(cli, findings, rc) : rc ? jm_cli_fail(cli, &err) : 0;
    if (!rc) {
        code = jm_cli_schedule_print_changes(cli, changes);
        rc = code ? JM_OK : jm_schedule_import_apply(pg, &import, changes, &change, &err);
        jm_cli_progress_end(&progress);
        code = rc ? jm_cli_fail(cli, &err) : code;
    }
    jm_schedule_changes_free(changes);
    return code;
}

int jm_cli_schedule_import(jm_cli *cli)
{
    jm_schedule_document *document;
    jm_findings findings = {0};
    int rc = jm_schedule_document_load(jm_cli_operand(cli, 0), &document, &findings);
    bool nothing = rc && !document->n_schedules && !document->n_calendars;
    int code = nothing || rc == JM_ERR_IO ? jm_cli_refuse(cli, &findings, rc)
                                          : import_document(cli, document, &findings);
    jm_findings_fini(&findings);
    jm_schedule_document_free(document);
    return code;
}

/* ---- options ---- */

const jm_cli_option jm_cli_schedule_export_options[] = {
    {.name = "project", .value = "P", .help = "Only those of this project."},
    {.name = "output",
     .value = "FILE|DIR",
     .help = "Write to this file; or to a directory (there already, or with a slash at its end), "
             "one file for each schedule and calendar. Files of schedules that are gone stay."},
    {.name = NULL}};

const jm_cli_option jm_cli_schedule_import_options[] = {
    {.name = "prune",
     .help = "Delete the schedules of the document's projects that it has not. Those that a sync "
             "owns stay, and calendars."},
    {.name = NULL}};
