/* Help of every level and the reference page, from the table of commands. */
#include "producer/cli/help.h"

#include <string.h>

const char jm_cli_everywhere[] =
    "  --json[=lines]         print one JSON document instead of text, or one a line\n"
    "  --color WHEN           colour statuses: auto (on a terminal), always or never\n"
    "  --config FILE          read this configuration\n"
    "  --section.key=value    set a configuration key, such as --database.url=URL\n"
    "  --print-config         print the effective configuration and where it came from\n"
    "  --help, --version";

static const char exits[] = "Exit status: 0 done, 1 failed, 2 used wrongly, 3 not found.\n";

/* Wraps text to 78 columns: each line behind indent, but for the first, which begins at column at.
 */
static void print_wrapped(FILE *to, int at, int indent, const char *text)
{
    while (*text) {
        size_t width = (size_t)(at < 60 ? 78 - at : 18);
        size_t n = strcspn(text, "\n");
        if (n > width) {
            for (n = width; n && text[n] != ' ';)
                n--;
            if (!n)
                n = strcspn(text, " \n");
        }
        fprintf(to, "%.*s\n", (int)n, text);
        text += n;
        if (*text == ' ' || *text == '\n')
            text++;
        if (*text && *text != '\n')
            fprintf(to, "%*s", indent, "");
        at = indent;
    }
}

static void print_usage(FILE *to, const jm_cli_noun *noun, const jm_cli_command *command)
{
    fprintf(to, "jobmill %s", noun->name);
    if (command->verb)
        fprintf(to, " %s", command->verb);
    if (command->operands)
        fprintf(to, " %s", command->operands);
    bool optional = false;
    jm_cli_option option;
    char name[JM_CLI_NAME_MAX];
    for (int i = 0; jm_cli_option_at(command, i, &option); i++) {
        if (option.required)
            fprintf(to, " --%s %s", jm_cli_option_name(&option, name), option.value);
        else
            optional = true;
    }
    fputs(optional ? " [OPTION...]\n" : "\n", to);
}

void jm_cli_option_help(jm_buf *text, const jm_cli_option *option, const char *quote)
{
    jm_buf_adds(text, option->help);
    if (text->len && text->data[text->len - 1] != '.')
        jm_buf_addc(text, '.');
    for (const char *const *w = option->choices; w && *w; w++)
        jm_buf_addf(text, "%s%s%s%s%s", w == option->choices ? " One of " : ", ", quote, *w, quote,
                    w[1] ? "" : ".");
}

static void print_option(FILE *to, const jm_cli_option *option)
{
    char name[JM_CLI_NAME_MAX];
    int n = fprintf(to, "  --%s%s%s", jm_cli_option_name(option, name), option->value ? " " : "",
                    option->value ? option->value : "");
    if (option->letter)
        n += fprintf(to, ", -%c", option->letter);
    if (n > 24) {
        fputc('\n', to);
        n = 0;
    }
    fprintf(to, "%*s", 26 - n, "");
    jm_buf text = {0};
    jm_cli_option_help(&text, option, "");
    print_wrapped(to, 26, 26, jm_buf_str(&text));
    jm_buf_fini(&text);
}

static void print_command(FILE *to, const jm_cli_noun *noun, const jm_cli_command *command)
{
    fprintf(to, "%s.\n\nUsage: ", command->summary);
    print_usage(to, noun, command);
    if (command->description) {
        fputc('\n', to);
        print_wrapped(to, 0, 0, command->description);
    }
    jm_cli_option option;
    for (int i = 0; jm_cli_option_at(command, i, &option); i++) {
        fputs(i ? "" : "\nOptions:\n", to);
        print_option(to, &option);
    }
    if (command->examples)
        fprintf(to, "\nFor example:\n  ");
    for (const char *p = command->examples; p && *p; p++) {
        fputc(*p, to);
        if (*p == '\n')
            fputs("  ", to);
    }
    if (command->examples)
        fputc('\n', to);
    fprintf(to, "\nEverywhere:\n%s\n", jm_cli_everywhere);
}

static void print_noun(FILE *to, const jm_cli_noun *noun)
{
    fprintf(to, "%s.\n\nUsage: jobmill %s VERB [OPTION...]\n\nVerbs:\n", noun->summary, noun->name);
    for (const jm_cli_command *command = noun->commands; command->summary; command++)
        fprintf(to, "  %-12s %s\n", command->verb, command->summary);
    fprintf(to, "\njobmill %s VERB --help says more.\n", noun->name);
}

static void print_program(FILE *to)
{
    fputs("jobmill: jobs through Kafka, recorded in PostgreSQL.\n\n"
          "Usage: jobmill NOUN [VERB] [OPTION...]\n\nNouns:\n",
          to);
    for (const jm_cli_noun *noun = jm_cli_nouns; noun->name; noun++) {
        fprintf(to, "  %-10s %s", noun->name, noun->summary);
        for (const jm_cli_command *c = noun->commands; c->summary && c->verb; c++)
            fprintf(to, "%s%s%s", c == noun->commands ? ": " : ", ", c->verb, "");
        fputc('\n', to);
    }
    fprintf(to, "\njobmill NOUN --help says more.\n\nEverywhere:\n%s\n\n%s", jm_cli_everywhere,
            exits);
}

void jm_cli_print_help(FILE *to, const jm_cli_noun *noun, const jm_cli_command *command)
{
    if (noun && !command)
        command = noun->commands->verb ? NULL : noun->commands;
    if (command)
        print_command(to, noun, command);
    else if (noun)
        print_noun(to, noun);
    else
        print_program(to);
}

/* As Markdown takes it inside a table. */
static void print_cell(FILE *to, const char *text)
{
    for (; *text; text++)
        fputs(*text == '<' ? "&lt;" : *text == '|' ? "\\|" : (char[]){*text, 0}, to);
}

static void print_option_row(FILE *to, const jm_cli_option *option, bool first)
{
    char name[JM_CLI_NAME_MAX];
    jm_buf text = {0};
    jm_cli_option_help(&text, option, "`");
    fputs(first ? "\n| option | what it is |\n|---|---|\n" : "", to);
    fprintf(to, "| `--%s%s%s` | ", jm_cli_option_name(option, name), option->value ? " " : "",
            option->value ? option->value : "");
    if (option->letter)
        fprintf(to, "or `-%c`. ", option->letter);
    print_cell(to, jm_buf_str(&text));
    fputs(option->required ? " Required. |\n" : " |\n", to);
    jm_buf_fini(&text);
}

static void print_section(FILE *to, const jm_cli_noun *noun, const jm_cli_command *command)
{
    fprintf(to, "\n### jobmill %s%s%s\n\n%s.\n\n```\n", noun->name, command->verb ? " " : "",
            command->verb ? command->verb : "", command->summary);
    print_usage(to, noun, command);
    fputs("```\n", to);
    if (command->description)
        fprintf(to, "\n%s\n", command->description);
    jm_cli_option option;
    for (int i = 0; jm_cli_option_at(command, i, &option); i++)
        print_option_row(to, &option, i == 0);
    if (command->examples)
        fprintf(to, "\n```\n%s\n```\n", command->examples);
}

void jm_cli_print_markdown(FILE *to)
{
    fputs("<!-- Generated from the table of commands in producer/cli: jobmill "
          "--print-cli-markdown. -->\n"
          "# Command line\n\n"
          "`jobmill NOUN VERB` talks to PostgreSQL and Kafka directly, with the configuration of\n"
          "[configuration.md](configuration.md). On a terminal it prints tables fitted to it, in a "
          "pipe\n"
          "plain columns that are never cut, and with `--json` one document; lists are\n"
          "`{\"items\": [...]}`, and members are the columns of the tables. Options may stand "
          "anywhere,\n"
          "as `--name value` or `--name=value`; what follows `--` is no option.\n\n```\n",
          to);
    fprintf(to, "Everywhere:\n%s\n```\n\n%s", jm_cli_everywhere, exits);
    for (const jm_cli_noun *noun = jm_cli_nouns; noun->name; noun++) {
        fprintf(to, "\n## %s\n\n%s.\n", noun->name, noun->summary);
        for (const jm_cli_command *command = noun->commands; command->summary; command++)
            print_section(to, noun, command);
    }
}
