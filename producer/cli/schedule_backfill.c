/* jobmill schedule backfill. */
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "producer/cli/progress.h"
#include "producer/cli/schedule_options.h"
#include "producer/service/schedule_run.h"

static void say_progress(void *ctx, int64_t done, int64_t of)
{
    jm_cli_progress_at(ctx, done, of);
}

static void say_backfilled(const jm_backfill *b, const jm_backfilled *done)
{
    char first[JM_RFC3339_TEXT] = "", last[JM_RFC3339_TEXT] = "";
    if (done->instants) {
        jm_rfc3339_format(done->first_us, first);
        jm_rfc3339_format(done->last_us, last);
    }
    fprintf(stderr, "%lld instants%s%s%s%s: ", (long long)done->instants,
            done->instants ? " from " : "", first, done->instants ? " to " : "", last);
    if (b->missed_only)
        fprintf(stderr, "%lld had fired by the calendar, ", (long long)done->left_out);
    if (b->dry_run)
        fprintf(stderr, "%lld had been backfilled before, %lld jobs would start over %.0f s\n",
                (long long)done->already, (long long)done->fired, done->seconds);
    else
        fprintf(stderr, "%lld jobs made, %lld had been backfilled before; they start over %.0f s\n",
                (long long)done->fired, (long long)done->already, done->seconds);
}

int jm_cli_schedule_backfill(jm_cli *cli)
{
    struct jm_pg *pg;
    jm_uuid id;
    jm_err err;
    jm_change change;
    jm_backfilled done;
    jm_cli_progress progress;
    jm_backfill b = {.rate = 10,
                     .missed_only = jm_cli_option_flag(cli, "missed"),
                     .progress = say_progress,
                     .ctx = &progress};
    const char *rate = jm_cli_option_text(cli, "rate");
    char *end = NULL;
    if (rate)
        b.rate = strtod(rate, &end);
    if (rate && (end == rate || *end))
        return jm_cli_usage(cli, "--rate \"%s\" is no number of jobs a second", rate);
    if (jm_cli_option_time(cli, "from", &b.from_us) || jm_cli_option_time(cli, "to", &b.to_us))
        return JM_EXIT_USAGE;
    int code = jm_cli_schedule_find(cli, &pg, &id);
    if (code)
        return code;
    jm_cli_change(cli, &change);
    b.dry_run = change.dry_run;
    jm_cli_progress_begin(&progress, "instants");
    int rc = jm_schedules_backfill(pg, &id, &b, &change, &done, &err);
    jm_cli_progress_end(&progress);
    if (rc)
        return jm_cli_schedule_fail(cli, &err);
    if (jm_cli_json(cli))
        return jm_cli_print_json(
            cli, json_pack("{s:I, s:I, s:I, s:I, s:f}", "instants", (json_int_t)done.instants,
                           "fired", (json_int_t)done.fired, "already", (json_int_t)done.already,
                           "left_out", (json_int_t)done.left_out, "seconds", done.seconds));
    say_backfilled(&b, &done);
    return JM_EXIT_OK;
}
