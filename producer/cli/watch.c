/* Running a command once, or again and again until Ctrl-C (--watch). */
#include "producer/cli/watch.h"

#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

enum { EVERY_MS = 2000, MIN_MS = 100, MAX_MS = 86400000, SCREEN_BYTES = 1 << 18 };

/* Seconds, or a duration such as 500ms or 1m. */
static int read_every(jm_cli *cli, int64_t *ms)
{
    const char *text = jm_cli_option_text(cli, "watch");
    char *end;
    int64_t us = EVERY_MS * 1000;
    jm_err err;
    double seconds = strtod(text, &end);
    if (end != text && !*end && seconds >= 0 && seconds * 1000 <= MAX_MS)
        us = (int64_t)(seconds * 1e6);
    else if (*text && jm_duration_parse(text, &us, &err))
        return jm_cli_usage(cli, "--watch \"%s\" is no time such as 5, 500ms or 1m", text);
    *ms = us / 1000;
    return *ms < MIN_MS || *ms > MAX_MS ? jm_cli_usage(cli, "--watch needs from 100ms to 24h")
                                        : JM_EXIT_OK;
}

static void pause_ms(int64_t ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* What stands over each answer. It waits in the buffer for the answer, so that a screen is drawn in
 * one go. */
static void begin(const jm_cli *cli, bool terminal, bool first)
{
    char at[JM_RFC3339_TEXT];
    if (jm_cli_json(cli))
        return;
    jm_rfc3339_format(jm_utc_us(), at);
    if (terminal)
        printf("\033[H\033[J%.19sZ\n\n", at);
    else if (!first)
        putchar('\n');
}

int jm_cli_watch(jm_cli *cli, const jm_cli_command *command)
{
    int64_t every_ms = EVERY_MS;
    if (!(command->shares & JM_CLI_WATCH) || !jm_cli_option_text(cli, "watch"))
        return command->run(cli);
    if (read_every(cli, &every_ms))
        return JM_EXIT_USAGE;
    bool terminal = isatty(STDOUT_FILENO);
    setvbuf(stdout, NULL, _IOFBF, SCREEN_BYTES);
    for (bool first = true;; first = false) {
        begin(cli, terminal, first);
        int code = command->run(cli);
        if (code)
            __fpurge(stdout); /* it would wipe out what was said on the same terminal */
        if (fflush(stdout) || code == JM_EXIT_USAGE || code == JM_EXIT_NOT_FOUND)
            return code ? code : JM_EXIT_FAILURE;
        if (code)
            jm_cli_drop_pg(cli);
        pause_ms(every_ms);
    }
}
