/* Scripts that complete the command line in a shell, from the table of commands. */
#ifndef JM_CLI_COMPLETION_H
#define JM_CLI_COMPLETION_H

#include <stdbool.h>
#include <stdio.h>

/* shell: bash, zsh or fish; false for others. The scripts know nouns, verbs, options and the words
 * that an option takes; they run no program. */
bool jm_cli_print_completion(FILE *to, const char *shell);

#endif
