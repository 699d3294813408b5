/* How far long work is: a bar on a terminal, elsewhere a line each 10 s, both on standard error. */
#include "producer/cli/progress.h"

#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"

enum {
    TERMINAL_MS = 200,
    LINE_MS = 10000,
    BAR = 24,
    KNOWN_MS = 2000 /* the rest is guessed only after this */
};

void jm_cli_progress_begin(jm_cli_progress *progress, const char *what)
{
    int64_t now_ms = jm_mono_ms();
    *progress = (jm_cli_progress){
        .what = what, .began_ms = now_ms, .said_ms = now_ms, .terminal = isatty(STDERR_FILENO)};
}

static void add_bar(jm_buf *text, int percent)
{
    jm_buf_addc(text, '[');
    for (int i = 0; i < BAR; i++)
        jm_buf_addc(text, i < percent * BAR / 100 ? '#' : '.');
    jm_buf_addf(text, "] %3d %%  ", percent);
}

static void add_left(jm_buf *text, int64_t done, int64_t of, int64_t elapsed_ms)
{
    if (elapsed_ms < KNOWN_MS || !done || done >= of)
        return;
    int64_t s = (int64_t)((double)elapsed_ms / (double)done * (double)(of - done) / 1000) + 1;
    if (s < 120)
        jm_buf_addf(text, ", %lld s left", (long long)s);
    else if (s < 7200)
        jm_buf_addf(text, ", %lld min left", (long long)(s / 60));
    else
        jm_buf_addf(text, ", %lld h left", (long long)(s / 3600));
}

void jm_cli_progress_text(jm_buf *text, const char *what, int64_t done, int64_t of,
                          int64_t elapsed_ms, bool bar)
{
    bool known = of > 0 && done <= of;
    int percent = known ? (int)((double)done * 100 / (double)of) : 0;
    if (known && bar)
        add_bar(text, percent);
    jm_buf_addf(text, "%lld ", (long long)done);
    if (known)
        jm_buf_addf(text, "of %lld ", (long long)of);
    jm_buf_adds(text, what);
    if (known && !bar)
        jm_buf_addf(text, " (%d %%)", percent);
    if (known)
        add_left(text, done, of, elapsed_ms);
}

void jm_cli_progress_at(jm_cli_progress *progress, int64_t done, int64_t of)
{
    int64_t now_ms = jm_mono_ms();
    jm_buf text = {0};
    if (now_ms - progress->said_ms < (progress->terminal ? TERMINAL_MS : LINE_MS))
        return;
    progress->said_ms = now_ms;
    progress->drawn = true;
    jm_cli_progress_text(&text, progress->what, done, of, now_ms - progress->began_ms,
                         progress->terminal);
    fprintf(stderr, progress->terminal ? "\r%s\033[K" : "%s\n", jm_buf_str(&text));
    jm_buf_fini(&text);
}

void jm_cli_progress_end(jm_cli_progress *progress)
{
    if (progress->terminal && progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
}
