/* Man pages from the tables: sources for scdoc. */
#include "producer/cli/man.h"

#include <string.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/scdoc.h"
#include "producer/cli/commands.h"
#include "producer/cli/help.h"

static void print_text(FILE *to, const char *text)
{
    jm_scdoc_text(to, "", text);
}

/* Lines that stand as they are. */
static void print_literal(FILE *to, const char *text)
{
    fprintf(to, "```\n%s\n```\n", text);
}

static void print_title(FILE *to, const char *name, const char *summary)
{
    fprintf(to, "%s(1)\n\n# NAME\n\n%s - ", name, name);
    print_text(to, summary);
    fputs("\n\n# SYNOPSIS\n\n", to);
}

static void print_usage(FILE *to, const jm_cli_noun *noun, const jm_cli_command *command)
{
    jm_cli_option option;
    char name[JM_CLI_NAME_MAX];
    bool optional = false;
    fprintf(to, "*jobmill %s%s%s*", noun->name, command->verb ? " " : "",
            command->verb ? command->verb : "");
    if (command->operands) {
        fputc(' ', to);
        print_text(to, command->operands);
    }
    for (int i = 0; jm_cli_option_at(command, i, &option); i++) {
        optional = optional || !option.required;
        if (!option.required)
            continue;
        fprintf(to, " *--%s* ", jm_cli_option_name(&option, name));
        print_text(to, option.value);
    }
    fputs(optional ? " \\[OPTION...\\]" : "", to);
}

static void print_option(FILE *to, const jm_cli_option *option)
{
    char name[JM_CLI_NAME_MAX];
    jm_buf text = {0};
    jm_cli_option_help(&text, option, "");
    fprintf(to, "\n*--%s*", jm_cli_option_name(option, name));
    if (option->letter)
        fprintf(to, ", *-%c*", option->letter);
    if (option->value) {
        fputc(' ', to);
        print_text(to, option->value);
    }
    fputs("\n\t", to);
    jm_scdoc_text(to, "\t", jm_buf_str(&text));
    fputs(option->required ? " Required.\n" : "\n", to);
    jm_buf_fini(&text);
}

static void print_command(FILE *to, const jm_cli_noun *noun, const jm_cli_command *command)
{
    jm_cli_option option;
    if (command->verb) {
        fprintf(to, "\n## %s\n\n", command->verb);
        print_usage(to, noun, command);
        fputs("\n\n", to);
        print_text(to, command->summary);
        fputs(".\n", to);
    }
    if (command->description) {
        fputc('\n', to);
        print_text(to, command->description);
        fputc('\n', to);
    }
    for (int i = 0; jm_cli_option_at(command, i, &option); i++)
        print_option(to, &option);
    if (command->examples) {
        fputs("\nFor example:\n\n", to);
        print_literal(to, command->examples);
    }
}

/* Options of every command, exit codes, files: the end of each page. */
static void print_end(FILE *to)
{
    fputs("\n# EVERYWHERE\n\n", to);
    print_literal(to, jm_cli_everywhere);
    fputs(
        "\nOptions may stand anywhere, as *--name value* or *--name=value*; what follows *--* is "
        "no option.\n\n# EXIT STATUS\n\n0\n\tdone\n\n1\n\tfailed\n\n2\n\tused wrongly\n\n3\n\tnot "
        "found\n",
        to);
}

static void print_noun(FILE *to, const jm_cli_noun *noun)
{
    char name[JM_CLI_NAME_MAX];
    snprintf(name, sizeof name, "jobmill-%s", noun->name);
    print_title(to, name, noun->summary);
    if (noun->commands->verb) {
        fprintf(to, "*jobmill %s* VERB \\[OPTION...\\]\n\n# VERBS\n", noun->name);
    } else {
        print_usage(to, noun, noun->commands);
        fputs("\n\n# DESCRIPTION\n", to);
    }
    for (const jm_cli_command *command = noun->commands; command->summary; command++)
        print_command(to, noun, command);
    print_end(to);
    fputs("\n# SEE ALSO\n\n*jobmill*(1), *jobmill.conf*(5)\n", to);
}

static void print_program(FILE *to)
{
    print_title(to, "jobmill", "jobs through Kafka, recorded in PostgreSQL");
    fputs(
        "*jobmill* NOUN \\[VERB\\] \\[OPTION...\\]\n\n# DESCRIPTION\n\n"
        "The command line for people and scripts. It talks to PostgreSQL and Kafka directly, with "
        "the configuration of *jobmill.conf*(5). On a terminal it prints tables fitted to it, in "
        "a pipe plain columns that are never cut, and with *--json* one document.\n\n# NOUNS\n",
        to);
    for (const jm_cli_noun *noun = jm_cli_nouns; noun->name; noun++) {
        fprintf(to, "\n*jobmill-%s*(1)\n\t", noun->name);
        print_text(to, noun->summary);
        for (const jm_cli_command *c = noun->commands; c->summary && c->verb; c++)
            fprintf(to, "%s%s", c == noun->commands ? ": " : ", ", c->verb);
        fputc('\n', to);
    }
    print_end(to);
    fputs("\n# FILES\n\n_/etc/jobmill/jobmill.conf_\n\tConfiguration, unless *--config* or "
          "*JOBMILL\\_CONFIG* names another file.\n\n# SEE ALSO\n\n*jobmill.conf*(5), "
          "*jobmill-producer*(8), *jobmill-worker*(8)\n",
          to);
}

void jm_cli_print_man_pages(FILE *to)
{
    fputs("jobmill.1\njobmill.conf.5\n", to);
    for (const jm_cli_noun *noun = jm_cli_nouns; noun->name; noun++)
        fprintf(to, "jobmill-%s.1\n", noun->name);
}

bool jm_cli_print_man(FILE *to, const char *page)
{
    char name[JM_CLI_NAME_MAX];
    size_t n = strlen(page);
    bool section = n > 2 && (!strcmp(page + n - 2, ".1") || !strcmp(page + n - 2, ".5"));
    snprintf(name, sizeof name, "%.*s", (int)(section ? n - 2 : n), page);
    const jm_cli_noun *noun = jm_cli_noun_find(strncmp(name, "jobmill-", 8) != 0 ? name : name + 8);
    if (noun)
        print_noun(to, noun);
    else if (!strcmp(name, "jobmill"))
        print_program(to);
    else if (!strcmp(name, "jobmill.conf"))
        jm_config_print_scdoc(to);
    else
        return false;
    return true;
}
