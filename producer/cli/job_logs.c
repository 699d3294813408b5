/* jobmill job logs: the log lines of a job, those that are there or as they come. */
#include "producer/cli/job_logs.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/json_exact.h"
#include "common/rows.h"
#include "producer/cli/table.h"
#include "producer/service/follow.h"
#include "producer/service/jobs.h"
#include "producer/service/session.h"

enum { LINES_MAX = 1000, PAUSE_MIN_MS = 100, PAUSE_MAX_MS = 1000 };

/* "2026-11-22T14:30:00.123Z  INFO     1  run  message  {details}" */
static void print_line(const jm_cli *cli, const json_t *line)
{
    const char *ts = json_string_value(json_object_get(line, "ts"));
    const char *level = json_string_value(json_object_get(line, "level"));
    char *step = jm_cli_table_cell(json_object_get(line, "step"), JM_CLI_TEXT);
    char *message = jm_cli_table_cell(json_object_get(line, "message"), JM_CLI_TEXT);
    const json_t *details = json_object_get(line, "details");
    char *more = details && !json_is_null(details) ? jm_cli_table_cell(details, JM_CLI_TEXT) : NULL;
    const char *escape = jm_cli_color(cli) ? jm_cli_table_color(level) : "";
    char stamp[32];
    const char *dot = strchr(ts, '.');
    size_t digits = dot ? strspn(dot + 1, "0123456789") : 0;
    snprintf(stamp, sizeof stamp, "%.19s.%.*sZ", ts, (int)(digits < 3 ? digits : 3),
             dot ? dot + 1 : "");
    printf("%-24s  %s%-7s%s  %lld  %-12s  %s%s%s\n", stamp, escape, level, *escape ? "\033[m" : "",
           (long long)json_integer_value(json_object_get(line, "attempt")), step, message,
           more ? "  " : "", more ? more : "");
    free(step);
    free(message);
    free(more);
}

/* ---- those that are there ---- */

static void print_page(jm_cli *cli, const json_t *items)
{
    json_t *line;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)items, i, line)
    {
        print_line(cli, line);
    }
}

/* A page at a time; with --json all of them as one list. */
static int print_all(jm_cli *cli, struct jm_pg *pg, const jm_uuid *id)
{
    const char *level = jm_cli_option_text(cli, "level");
    jm_page page = {.limit = LINES_MAX};
    json_t *items, *all = json_array();
    char *at = NULL, *next;
    bool whole = jm_cli_json(cli) && !jm_cli_json_lines(cli);
    int rc;
    jm_err err;
    do {
        page.cursor = at;
        rc = jm_jobs_logs(pg, id, level, &page, &items, &next, &err);
        if (rc)
            break;
        if (!at && !json_array_size(items) && !jm_cli_json(cli))
            fputs("no log lines\n", stderr);
        if (whole)
            json_array_extend(all, items);
        else if (jm_cli_json(cli))
            rc = jm_cli_print_list(cli, json_incref(items), NULL, "");
        else
            print_page(cli, items);
        json_decref(items);
        free(at);
        at = next;
    } while (!rc && at && !ferror(stdout));
    free(at);
    if (rc < 0)
        rc = jm_cli_fail(cli, &err);
    if (whole && !rc)
        return jm_cli_print_list(cli, all, NULL, "");
    json_decref(all);
    return rc;
}

/* ---- as they come ---- */

typedef struct follower {
    jm_cli *cli;
    int level; /* lines of this one and above */
    jm_followed job;
    bool there, ended;
    char end[200]; /* what became of it, once it has ended */
} follower;

static int level_of(const char *word)
{
    static const char *const words[] = {"DEBUG", "INFO", "WARNING", "ERROR"};
    for (int i = 0; word && i < 4; i++)
        if (!strcasecmp(words[i], word))
            return i;
    return 0;
}

static void on_line(void *ctx, int n, const jm_followed_line *line)
{
    follower *f = ctx;
    json_t *value;
    jm_err err;
    (void)n;
    if (jm_json_exact_load(line->json, strlen(line->json), &value, &err))
        return;
    bool shown = level_of(json_string_value(json_object_get(value, "level"))) >= f->level;
    if (shown && jm_cli_json(f->cli))
        puts(line->json);
    else if (shown)
        print_line(f->cli, value);
    json_decref(value);
}

static void on_state(void *ctx, int n, const jm_followed_state *state)
{
    follower *f = ctx;
    json_t *value;
    jm_err err;
    (void)n;
    f->there = true;
    f->ended = state->ended;
    if (!f->ended || jm_json_exact_load(state->json, strlen(state->json), &value, &err))
        return;
    const char *error = json_string_value(json_object_get(value, "error"));
    snprintf(f->end, sizeof f->end, "the job is %s%s%.150s",
             json_string_value(json_object_get(value, "status")), error ? ": " : "",
             error ? error : "");
    json_decref(value);
}

/* One look; *more when there are lines left. JM_ERR_DB_DOWN: later. */
static int look(follower *f, struct jm_pg *pg, bool *more, jm_err *err)
{
    const jm_followed_calls calls = {.on_state = on_state, .on_line = on_line, .ctx = f};
    jm_followed *jobs[] = {&f->job};
    f->there = false;
    f->job.n_new = 0;
    int rc = jm_session_ensure(pg, err);
    if (!rc)
        rc = jm_follow_look(pg, jobs, 1, LINES_MAX, &calls, err);
    if (rc)
        return err->retriable ? JM_ERR_DB_DOWN : rc;
    *more = f->job.n_new == LINES_MAX;
    return f->there ? JM_OK : jm_err_set(err, JM_ERR_NOT_FOUND, "the job has been deleted");
}

/* Until the job has ended and its last line is told. Goes on while the database is away. */
static int follow(jm_cli *cli, struct jm_pg *pg, const jm_uuid *id)
{
    follower f = {.cli = cli,
                  .level = level_of(jm_cli_option_text(cli, "level")),
                  .job = {.id = *id, .lines = true, .attempt = -1}};
    jm_err err;
    for (int pause_ms = PAUSE_MIN_MS;;) {
        bool more = false;
        int rc = look(&f, pg, &more, &err);
        if (rc && rc != JM_ERR_DB_DOWN)
            return jm_cli_fail(cli, &err);
        if (fflush(stdout))
            return jm_cli_say(cli, JM_EXIT_FAILURE, "cannot write the lines");
        if (!rc && f.ended && !more)
            break;
        if (f.job.n_new)
            pause_ms = PAUSE_MIN_MS;
        else if (pause_ms < PAUSE_MAX_MS)
            pause_ms = pause_ms * 3 / 2;
        if (!more)
            poll(NULL, 0, pause_ms);
    }
    if (!jm_cli_json(cli))
        fprintf(stderr, "%s\n", f.end);
    return JM_EXIT_OK;
}

int jm_cli_job_logs(jm_cli *cli)
{
    jm_uuid id;
    json_t *job = NULL;
    jm_err err;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    if (jm_jobs_resolve(pg, jm_cli_operand(cli, 0), NULL, &id, &err) ||
        jm_jobs_show(pg, &id, &job, &err))
        return jm_cli_fail(cli, &err);
    json_decref(job);
    return jm_cli_option_flag(cli, "follow") ? follow(cli, pg, &id) : print_all(cli, pg, &id);
}

static const char *const level_words[] = {"debug", "info",    "warning", "error", "DEBUG",
                                          "INFO",  "WARNING", "ERROR",   NULL};
const jm_cli_option jm_cli_job_logs_options[] = {
    {.name = "level",
     .value = "L",
     .help = "Only lines of this level and above.",
     .choices = level_words},
    {.name = "follow",
     .letter = 'f',
     .help = "Go on with what comes, until the job has ended. With --json each line is one object, "
             "as with --json=lines."},
    {.name = NULL}};
