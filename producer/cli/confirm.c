/* Asking before what cannot be taken back. */
#include "producer/cli/confirm.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "producer/cli/commands.h"

enum { QUESTION_MAX = 500, ANSWER_MAX = 200 };

/* Said already, or nothing is going to be done. */
static bool is_settled(const jm_cli *cli)
{
    return jm_cli_option_flag(cli, "yes") ||
           (jm_cli_has_option(cli, "dry-run") && jm_cli_option_flag(cli, "dry-run"));
}

static bool is_terminal(void)
{
    return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

static int needs_yes(const jm_cli *cli, const char *question)
{
    return jm_cli_usage(cli, "this %s: say --yes", question);
}

/* The answer without its end; "" for none. */
static void read_answer(char answer[ANSWER_MAX])
{
    answer[0] = 0;
    if (!fgets(answer, ANSWER_MAX, stdin))
        answer[0] = 0;
    answer[strcspn(answer, "\n")] = 0;
}

static int judge(const jm_cli *cli, bool yes)
{
    return yes ? JM_EXIT_OK : jm_cli_say(cli, JM_EXIT_FAILURE, "nothing was done");
}

int jm_cli_confirm(jm_cli *cli, bool must, const char *fmt, ...)
{
    char question[QUESTION_MAX], answer[ANSWER_MAX];
    va_list ap;
    if (is_settled(cli) || (!is_terminal() && !must))
        return JM_EXIT_OK;
    va_start(ap, fmt);
    vsnprintf(question, sizeof question, fmt, ap);
    va_end(ap);
    if (!is_terminal())
        return needs_yes(cli, question);
    fprintf(stderr, "This %s. Go on? [y/N] ", question);
    read_answer(answer);
    return judge(cli, answer[0] == 'y' || answer[0] == 'Y');
}

int jm_cli_confirm_name(jm_cli *cli, const char *name, const char *fmt, ...)
{
    char question[QUESTION_MAX], answer[ANSWER_MAX];
    va_list ap;
    if (is_settled(cli))
        return JM_EXIT_OK;
    va_start(ap, fmt);
    vsnprintf(question, sizeof question, fmt, ap);
    va_end(ap);
    if (!is_terminal())
        return needs_yes(cli, question);
    fprintf(stderr, "This %s. Type %s to go on: ", question, name);
    read_answer(answer);
    return judge(cli, !strcmp(answer, name));
}
