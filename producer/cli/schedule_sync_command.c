/* jobmill schedule sync: rounds of the sync by hand. */
#include <stdio.h>
#include <unistd.h>

#include "common/url.h"
#include "common/clock.h"
#include "producer/cli/schedule_files.h"
#include "producer/service/schedule_sync_round.h"

enum { BUSY_S = 60 /* another sync is waited for */, PAUSE_US = 300000 };

static void show(void *ctx, const jm_schedule_changes *changes)
{
    (void)jm_cli_schedule_print_changes(ctx, changes);
}

/* What came of a round; an exit code. */
static int answer(jm_cli *cli, const jm_sync_result *result)
{
    switch (result->outcome) {
    case JM_SYNC_CHANGED:
    case JM_SYNC_UNCHANGED:
    case JM_SYNC_NOT_DUE:
        return JM_EXIT_OK;
    case JM_SYNC_REFUSED:
        return jm_cli_say(cli, JM_EXIT_FAILURE, "%s", jm_buf_str(&result->message));
    case JM_SYNC_FAILED:
        fprintf(stderr, "%s\n", jm_buf_str(&result->message));
        return jm_cli_say(cli, JM_EXIT_FAILURE, "nothing is changed");
    case JM_SYNC_BUSY:
        return jm_cli_say(cli, JM_EXIT_FAILURE, "another sync is under way");
    }
    return JM_EXIT_FAILURE;
}

/* One round, after those of others. */
static int one_round(jm_cli *cli, const jm_sync_options *options)
{
    struct jm_pg *pg = jm_cli_pg(cli);
    int64_t until_ms = jm_mono_ms() + BUSY_S * 1000;
    if (!pg)
        return JM_EXIT_FAILURE;
    for (;;) {
        jm_sync_result result;
        jm_err err;
        int rc = jm_schedule_sync_round(pg, options, &result, &err);
        bool again = !rc && result.outcome == JM_SYNC_BUSY && jm_mono_ms() < until_ms;
        int code = again ? JM_EXIT_OK : rc ? jm_cli_fail(cli, &err) : answer(cli, &result);
        jm_sync_result_fini(&result);
        if (!again)
            return code;
        usleep(PAUSE_US);
    }
}

int jm_cli_schedule_sync(jm_cli *cli)
{
    jm_sync_options options;
    const char *source = jm_cli_option_text(cli, "source");
    jm_sync_options_init(&options, jm_cli_config(cli));
    unsigned interval_s = (unsigned)options.interval_s;
    options.source = source ? source : options.source;
    options.interval_s = 0;
    options.always_compare = true;
    options.allow_deletes = jm_cli_option_flag(cli, "allow-deletes");
    options.dry_run = jm_cli_option_flag(cli, "dry-run");
    options.show = show;
    options.ctx = cli;
    if (!options.source)
        return jm_cli_usage(cli, "give --source, or set [schedule_sync] source");
    if (!jm_url_is_source(options.source))
        return jm_cli_usage(
            cli,
            "--source \"%s\": an http or https URL with a host, a directory or a file expected",
            options.source);
    int code = one_round(cli, &options);
    while (!jm_cli_option_flag(cli, "once")) {
        sleep(interval_s);
        char at[JM_RFC3339_TEXT];
        jm_rfc3339_format(jm_utc_us(), at);
        fprintf(stderr, "%.19sZ\n", at);
        code = one_round(cli, &options);
    }
    return code;
}

const jm_cli_option jm_cli_schedule_sync_options[] = {
    {.name = "once", .help = "Only one round."},
    {.name = "allow-deletes", .help = "Also if it deletes more than max_deletes_percent."},
    {.name = "source",
     .value = "S",
     .help = "Another source than [schedule_sync] names: a URL, a directory or a file. What the "
             "sync owns and this source has not is deleted."},
    {.name = NULL}};
