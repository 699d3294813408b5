/* jobmill cleanup, and jobmill job delete --older-than. */
#include <stdint.h>
#include <stdio.h>

#include "common/clock.h"
#include "producer/cli/cleanup.h"
#include "producer/cli/commands.h"
#include "producer/cli/confirm.h"
#include "producer/cli/held_signals.h"
#include "producer/cli/progress.h"
#include "producer/cli/table.h"
#include "producer/service/cleanup.h"

static const jm_cli_column columns[] = {{"Older than", "before", JM_CLI_TIME},
                                        {"Jobs", "jobs", JM_CLI_TEXT},
                                        {"Steps", "steps", JM_CLI_TEXT},
                                        {"Log rows", "logs", JM_CLI_TEXT},
                                        {"Attempts", "attempts", JM_CLI_TEXT},
                                        {"Metadata", "metadata", JM_CLI_TEXT},
                                        {"Ledger rows", "ticks", JM_CLI_TEXT},
                                        {"Dead letters", "dead_letters", JM_CLI_TEXT},
                                        {"Tables dropped", "partitions", JM_CLI_TEXT},
                                        {NULL, NULL, JM_CLI_TEXT}};

static void say_progress(void *ctx, const json_t *removed)
{
    jm_cli_progress_at(ctx, json_integer_value(json_object_get(removed, "jobs")), 0);
}

static int read_age(jm_cli *cli, int64_t *age_us)
{
    const char *text = jm_cli_option_text(cli, "older-than");
    jm_err err;
    if (jm_duration_parse(text, age_us, &err))
        return jm_cli_usage(cli, "--older-than \"%s\": %s", text, err.msg);
    return jm_cli_confirm(
        cli, true, "removes what is older than %s for good, which --dry-run would show before",
        text);
}

static int run_it(jm_cli *cli, jm_cleanup *how, json_t **removed)
{
    jm_err err;
    jm_change change;
    *removed = NULL;
    how->project = jm_cli_option_text(cli, "project");
    how->statuses = jm_cli_option_text(cli, "status");
    how->progress = say_progress;
    int code = read_age(cli, &how->older_than_us);
    struct jm_pg *pg = code ? NULL : jm_cli_pg(cli);
    if (!pg)
        return code ? code : JM_EXIT_FAILURE;
    jm_cli_change(cli, &change);
    if (!change.dry_run) { /* the audit log is to say what went, also of a part */
        jm_cli_signals_hold();
        how->is_stopped = jm_cli_signals_came;
    }
    jm_cli_progress_begin(how->ctx, "jobs removed");
    int rc = jm_cleanup_run(pg, how, &change, removed, &err);
    jm_cli_progress_end(how->ctx);
    return rc ? jm_cli_fail(cli, &err) : JM_EXIT_OK;
}

/* Whether an error came before anything was removed, so that there is nothing to print. */
static bool is_nothing(int code, const json_t *removed)
{
    const char *name;
    json_t *value;
    if (!removed)
        return true;
    json_object_foreach((json_t *)(uintptr_t)removed, name, value)
    {
        if (json_integer_value(value))
            return false;
    }
    return code != JM_EXIT_OK;
}

static int run(jm_cli *cli)
{
    json_t *removed;
    jm_cli_progress progress;
    jm_cleanup how = {.open_dead = jm_cli_option_flag(cli, "dead-letters"), .ctx = &progress};
    int code = run_it(cli, &how, &removed);
    if (is_nothing(code, removed)) {
        json_decref(removed);
        return code;
    }
    if (!jm_cli_json(cli))
        fprintf(stderr, jm_cli_option_flag(cli, "dry-run") ? "would be removed:\n" : "removed:\n");
    int printed = jm_cli_print_object(cli, removed, columns);
    return code ? code : printed;
}

int jm_cli_delete_jobs(jm_cli *cli)
{
    json_t *removed;
    jm_cli_progress progress;
    jm_cleanup how = {.jobs_only = true, .ctx = &progress};
    int code = run_it(cli, &how, &removed);
    if (is_nothing(code, removed)) {
        json_decref(removed);
        return code;
    }
    int printed = jm_cli_print_value(cli, removed, "jobs");
    return code ? code : printed;
}

static const jm_cli_option options[] = {
    {.name = "older-than",
     .value = "DURATION",
     .help = "What is older: jobs that were made before, and have ended. Such as 30d.",
     .required = true},
    {.name = "project", .value = "P", .help = "Only of this project; no dead letters then."},
    {.name = "status",
     .value = "S[,S...]",
     .help = "Only jobs that ended so (completed, failed, cancelled, expired), and nothing else."},
    {.name = "dead-letters", .help = "Also dead letters that were not sent again."},
    {.name = NULL}};

const jm_cli_command jm_cli_cleanup_commands[] = {
    {.summary = "Remove what is older than you want to keep, and say what it was",
     .description =
         "Ended jobs with their steps, logs, attempts and metadata, rows of the schedules' ledger, "
         "and dead letters that were sent again. Whole weeks go as tables where nothing is left in "
         "them, the rest in batches, so that others are not held up. A job that has not ended "
         "stays. What the statistics count stays counted; the audit log stays.",
     .examples = "jobmill cleanup --older-than 30d --dry-run\n"
                 "jobmill cleanup --older-than 90d --status completed --project shop --yes",
     .options = options,
     .shares = JM_CLI_CHANGE | JM_CLI_YES,
     .run = run},
    {.summary = NULL}};
