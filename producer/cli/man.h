/* Man pages from the tables: sources for scdoc. */
#ifndef JM_CLI_MAN_H
#define JM_CLI_MAN_H

#include <stdbool.h>
#include <stdio.h>

/* The pages that there are, a line each: jobmill.1, jobmill-job.1, jobmill.conf.5. */
void jm_cli_print_man_pages(FILE *to);
/* One of them, by its noun, or its name with or without the section. false: there is none. */
bool jm_cli_print_man(FILE *to, const char *page);

#endif
