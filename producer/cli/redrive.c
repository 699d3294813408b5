/* jobmill dead redrive: what is given, how far it is, and what became of it. */
#include "producer/cli/redrive.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/job_message.h"
#include "common/mem.h"
#include "producer/cli/input.h"
#include "producer/cli/progress.h"
#include "producer/cli/table.h"
#include "producer/service/redrive.h"

enum { SHOWN = 20 };

static const jm_cli_column columns[] = {{"ID", "id", JM_CLI_TEXT},
                                        {"TOPIC", "topic", JM_CLI_TEXT},
                                        {"AS JOB", "redriven_as", JM_CLI_TEXT},
                                        {"LEFT BECAUSE", "refused", JM_CLI_WIDE},
                                        {NULL, NULL, JM_CLI_TEXT}};

static bool say_progress(void *ctx, int64_t done, int64_t of)
{
    jm_cli_progress_at(ctx, done, of);
    return true;
}

/* "100" or "100/s". Exit code. */
static int read_rate(jm_cli *cli, double *rate)
{
    const char *text = jm_cli_option_text(cli, "rate");
    char *end = NULL;
    if (!text)
        return JM_EXIT_OK;
    *rate = strtod(text, &end);
    if (end == text || (*end && strcmp(end, "/s") != 0) || !(*rate > 0))
        return jm_cli_usage(cli, "--rate \"%s\" is no number of records a second", text);
    return JM_EXIT_OK;
}

static int read_ids(jm_cli *cli, jm_uuid *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *text = jm_cli_operand(cli, (int)i);
        if (!jm_uuid_parse(text, strlen(text), &ids[i]))
            return jm_cli_usage(
                cli, "\"%.80s\" is no id of a dead letter; jobmill dead list shows them", text);
    }
    return JM_EXIT_OK;
}

static int read_options(jm_cli *cli, jm_redrive *how)
{
    how->filter = (jm_dead_filter){.reason = jm_cli_option_text(cli, "code"),
                                   .topic = jm_cli_option_text(cli, "topic"),
                                   .field = jm_cli_option_text(cli, "field")};
    how->again = jm_cli_option_flag(cli, "again");
    if (read_rate(cli, &how->rate) ||
        jm_cli_option_int(cli, "limit", 0, 1, INT32_MAX, &how->limit) ||
        jm_cli_option_time(cli, "from", &how->filter.from_us) ||
        jm_cli_option_time(cli, "to", &how->filter.to_us))
        return JM_EXIT_USAGE;
    const jm_dead_filter *f = &how->filter;
    bool chosen = f->reason || f->topic || f->field || f->from_us || f->to_us || how->n_ids;
    if (!chosen && !jm_cli_option_flag(cli, "all"))
        return jm_cli_usage(cli, "give ids or what to choose by, or --all for all that are open");
    if (jm_cli_option_text(cli, "set-value") && how->n_ids != 1)
        return jm_cli_usage(cli, "--set-value is for one dead letter: give its id");
    return JM_EXIT_OK;
}

static void say_result(const json_t *result)
{
    long long redriven = json_integer_value(json_object_get(result, "redriven"));
    long long refused = json_integer_value(json_object_get(result, "refused"));
    long long left = json_integer_value(json_object_get(result, "left"));
    bool dry = json_is_true(json_object_get(result, "dry_run"));
    fprintf(stderr, "%lld %ssent again", redriven, dry ? "would be " : "");
    if (refused)
        fprintf(stderr, ", %lld left since they would only be put aside again", refused);
    if (left)
        fprintf(stderr, ", %lld not looked at", left);
    fputc('\n', stderr);
}

static int run(jm_cli *cli, const jm_redrive *how)
{
    jm_cli_progress *progress = how->ctx;
    json_t *result;
    jm_err err;
    jm_change change;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg)
        return JM_EXIT_FAILURE;
    jm_cli_change(cli, &change);
    jm_cli_progress_begin(progress, "dead letters");
    int rc = jm_redrive_run(jm_cli_config(cli), pg, how, &change, &result, &err);
    jm_cli_progress_end(progress);
    int code = rc ? jm_cli_fail(cli, &err) : JM_EXIT_OK;
    if (!rc && how->n_ids && json_integer_value(json_object_get(result, "refused")))
        code = JM_EXIT_FAILURE; /* it was asked for, and is not done */
    if (jm_cli_json(cli)) {
        int printed = jm_cli_print_json(cli, result);
        return code ? code : printed;
    }
    if (!rc || json_integer_value(json_object_get(result, "redriven")))
        say_result(result);
    if (json_array_size(json_object_get(result, "items")))
        jm_cli_print_table(cli, json_object_get(result, "items"), columns);
    json_decref(result);
    return code;
}

int jm_cli_redrive(jm_cli *cli)
{
    jm_cli_progress progress;
    jm_buf value = {0};
    jm_redrive how = {.n_ids = (size_t)jm_cli_n_operands(cli),
                      .shown = SHOWN,
                      .progress = say_progress,
                      .ctx = &progress};
    jm_uuid *ids = jm_calloc(how.n_ids + 1, sizeof *ids);
    const char *file = jm_cli_option_text(cli, "set-value");
    how.ids = how.n_ids ? ids : NULL;
    int code = read_ids(cli, ids, how.n_ids);
    code = code ? code : read_options(cli, &how);
    if (!code && file)
        code = jm_cli_read_file(cli, file, JM_MESSAGE_BYTES_MAX, &value);
    how.value = file ? jm_buf_str(&value) : NULL;
    code = code ? code : run(cli, &how);
    jm_buf_fini(&value);
    free(ids);
    return code;
}

const jm_cli_option jm_cli_redrive_options[] = {
    {.name = "code", .value = "CODE", .help = "Only those with this reason, such as bad_json."},
    {.name = "topic", .value = "TOPIC", .help = "Only those from this topic."},
    {.name = "field", .value = "FIELD", .help = "Only those in which this field is at fault."},
    {.name = "from",
     .value = "TIME",
     .help = "Only those put there then or later: a time, or 2h for two hours ago."},
    {.name = "to", .value = "TIME", .help = "Only those put there before that time."},
    {.name = "all", .help = "All that are open."},
    {.name = "again", .help = "Also those that were sent again before: each makes a job more."},
    {.name = "rate", .value = "N[/s]", .help = "At most so many a second (default: no bound)."},
    {.name = "limit", .value = "N", .help = "At most so many, the oldest (default: all)."},
    {.name = "set-value",
     .value = "FILE",
     .help = "For one id: send this value in the place of its own, which stays as it is."},
    {.name = NULL}};
