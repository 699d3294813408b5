/* Text that a command is given in a file or on its standard input. */
#include "producer/cli/input.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { PIECE = 65536 };

int jm_cli_read_file(const jm_cli *cli, const char *path, size_t max_bytes, jm_buf *text)
{
    FILE *file = strcmp(path, "-") != 0 ? fopen(path, "re") : stdin;
    size_t got;
    if (!file)
        return jm_cli_say(cli, JM_EXIT_FAILURE, "%s: %s", path, strerror(errno));
    do {
        got = fread(jm_buf_reserve(text, PIECE), 1, PIECE, file);
        text->len += got;
    } while (got && text->len <= max_bytes);
    int failed = ferror(file) ? errno : 0;
    if (file != stdin)
        fclose(file);
    if (failed)
        return jm_cli_say(cli, JM_EXIT_FAILURE, "%s: %s", path, strerror(failed));
    if (text->len > max_bytes)
        return jm_cli_say(cli, JM_EXIT_USAGE, "%s: more than %zu bytes", path, max_bytes);
    jm_buf_reserve(text, 1)[0] = '\0';
    return strlen(jm_buf_str(text)) == text->len
               ? JM_EXIT_OK
               : jm_cli_say(cli, JM_EXIT_USAGE, "%s: it is no text", path);
}

int jm_cli_refuse(const jm_cli *cli, const jm_findings *findings, int rc)
{
    jm_buf text = {0};
    jm_findings_print(findings, JM_FINDINGS_MAX, &text);
    fputs(jm_buf_str(&text), stderr);
    jm_buf_fini(&text);
    return jm_cli_say(cli, rc == JM_ERR_IO ? JM_EXIT_FAILURE : JM_EXIT_USAGE, "nothing is changed");
}
