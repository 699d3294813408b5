/* Options of the command line that say what a schedule is, and the JSON definition they make. */
#ifndef JM_CLI_SCHEDULE_OPTIONS_H
#define JM_CLI_SCHEDULE_OPTIONS_H

#include <jansson.h>

#include "common/uuid7.h"
#include "producer/cli/commands.h"

/* The definition that the options given make; NULL after a message, with *code the exit code. The
 * caller drops the reference. */
json_t *jm_cli_schedule_definition(jm_cli *cli, int *code);
/* As jm_cli_fail, with the option at fault in front. */
int jm_cli_schedule_fail(jm_cli *cli, jm_err *err);
/* The schedule that the first operand names, in the project that --project names. Returns an exit
 * code, after a message where that is none of success. */
int jm_cli_schedule_find(jm_cli *cli, struct jm_pg **pg, jm_uuid *id);
/* schedule backfill. */
int jm_cli_schedule_backfill(jm_cli *cli);

/* Prints up to rows coming instants to stderr: what was saved means this. Of a list of preview
 * items; those that a calendar leaves out before them take a line. */
void jm_cli_schedule_print_preview(const json_t *items, int rows);

extern const char *const jm_cli_overlap_words[],
    *const jm_cli_catch_up_words[], *const jm_cli_gap_words[], *const jm_cli_fold_words[];

#define JM_CLI_WHEN_OPTIONS                                                                        \
    {.name = "cron",                                                                               \
     .value = "E",                                                                                 \
     .help = "Cron expression: minute, hour, day of month, month, day of week (6 fields: seconds " \
             "first); or @hourly, @daily, @weekly, @monthly, @yearly, or @every 5m (as --every "   \
             "5m)."},                                                                              \
        {.name = "every",                                                                          \
         .value = "DURATION",                                                                      \
         .help = "Elapsed time between runs, such as 90s, 5m or 1h30m."},                          \
        {.name = "at", .value = "T", .help = "Once, at this instant (RFC 3339)."},                 \
        {.name = "timezone",                                                                       \
         .value = "Z",                                                                             \
         .help = "Time zone in which the cron expression is read, such as Europe/Paris "           \
                 "(default UTC)."},                                                                \
        {.name = "dst-gap",                                                                        \
         .value = "RULE",                                                                          \
         .choices = jm_cli_gap_words,                                                              \
         .help = "For local times that a clock change leaves out: run at the first instant after " \
                 "the gap, or not at all. Default: after for fixed times, skip for times with a "  \
                 "star as minute or hour."},                                                       \
    {                                                                                              \
        .name = "dst-fold", .value = "RULE", .choices = jm_cli_fold_words,                         \
        .help = "For local times that come twice. Default: first for fixed times, both for times " \
                "with a star as minute or hour."                                                   \
    }

#define JM_CLI_SCHEDULE_OPTIONS                                                                    \
    JM_CLI_WHEN_OPTIONS,                                                                           \
        {.name = "params", .value = "JSON", .help = "Params of its jobs (default {})."},           \
        {.name = "profile", .value = "NAME", .help = "Named set of default params of the type."},  \
        {.name = "metadata", .value = "JSON", .help = "Metadata of its jobs."},                    \
        {.name = "queue", .value = "Q", .help = "Queue of its jobs (default \"default\")."},       \
        {.name = "priority", .value = "N", .help = "Priority of its jobs, 0 to 9 (default 4)."},   \
        {.name = "exclusive",                                                                      \
         .value = "NAME",                                                                          \
         .help = "At most one job of this name in the project runs at a time."},                   \
        {.name = "callback-url", .value = "URL", .help = "Called when a job of it has ended."},    \
        {.name = "external-id", .value = "ID", .help = "Its id in the system that it came from."}, \
        {.name = "project", .value = "P", .help = "Project (default \"default\")."},               \
        {.name = "calendar",                                                                       \
         .value = "NAME",                                                                          \
         .help = "Calendar of days to leave out (jobmill calendar add)."},                         \
        {.name = "overlap",                                                                        \
         .value = "POLICY",                                                                        \
         .choices = jm_cli_overlap_words,                                                          \
         .help = "When earlier jobs of it are unfinished: skip the run, queue it behind them, "    \
                 "allow it beside them, or cancel them (default skip)."},                          \
        {.name = "max-instances",                                                                  \
         .value = "N",                                                                             \
         .help = "Jobs of it at once, except with --overlap allow (default 1)."},                  \
        {.name = "misfire-grace",                                                                  \
         .value = "DURATION",                                                                      \
         .help = "A run found late by at most this is still made (default 300s)."},                \
        {.name = "catch-up",                                                                       \
         .value = "POLICY",                                                                        \
         .choices = jm_cli_catch_up_words,                                                         \
         .help = "For runs missed by more: none of them, one for all, or each (default one)."},    \
        {.name = "catch-up-limit",                                                                 \
         .value = "N",                                                                             \
         .help = "At most this many with --catch-up all (default 100)."},                          \
        {.name = "coalesce-grace", .help = "Several late runs inside the grace become one."},      \
        {.name = "jitter",                                                                         \
         .value = "DURATION",                                                                      \
         .help = "Jobs start up to this much later, always the same for an instant."},             \
        {.name = "starts-at", .value = "T", .help = "No run before this instant (RFC 3339)."},     \
        {.name = "ends-at", .value = "T", .help = "No run after this instant (RFC 3339)."},        \
    {                                                                                              \
        .name = "description", .value = "TEXT", .help = "For people."                              \
    }

#endif
