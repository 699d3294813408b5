/* jobmill: the command line for people and scripts. */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "producer/cli/commands.h"
#include "producer/cli/completion.h"
#include "producer/cli/man.h"
#include "producer/cli/watch.h"

/* Which words of argv are the noun and the verb: 0 where there is none. */
struct words {
    int noun, verb;
    bool help, version, print_config;
};

static struct words find_words(int argc, char **argv)
{
    struct words words = {0};
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
            words.help = true;
        else if (!strcmp(argv[i], "--version"))
            words.version = true;
        else if (!strcmp(argv[i], "--print-config"))
            words.print_config = true;
        else if (!strcmp(argv[i], "--config") || !strcmp(argv[i], "--color"))
            i++;
        else if (argv[i][0] == '-')
            continue;
        else if (!words.noun)
            words.noun = i;
        else if (!words.verb)
            words.verb = i;
    }
    if (words.noun && !strcmp(argv[words.noun], "help")) { /* jobmill help job list */
        words.help = true;
        words.noun = words.verb;
        words.verb = words.noun && words.noun + 1 < argc ? words.noun + 1 : 0;
    }
    return words;
}

static void take_word(int *argc, char **argv, int i)
{
    memmove(argv + i, argv + i + 1, (size_t)(*argc - i) * sizeof *argv);
    --*argc;
}

static int no_noun(const char *word)
{
    const char *near = jm_cli_noun_near(word);
    fprintf(stderr, "jobmill: there is no %s%s%s%s; see jobmill --help\n", word,
            near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    return JM_EXIT_USAGE;
}

static int no_verb(const jm_cli_noun *noun, const char *word)
{
    const char *near = word ? jm_cli_verb_near(noun, word) : NULL;
    if (!word)
        fprintf(stderr, "jobmill: %s needs a verb; see jobmill %s --help\n", noun->name,
                noun->name);
    else
        fprintf(stderr, "jobmill: there is no %s %s%s%s%s; see jobmill %s --help\n", noun->name,
                word, near ? "; did you mean " : "", near ? near : "", near ? "?" : "", noun->name);
    return JM_EXIT_USAGE;
}

static int load(jm_config **config, int *argc, char **argv)
{
    jm_err err;
    if (jm_config_load(config, argc, argv, &err)) {
        fprintf(stderr, "jobmill: %s\n", err.msg);
        return JM_EXIT_USAGE;
    }
    jm_config_apply_log(*config);
    return JM_EXIT_OK;
}

static int print_config(int argc, char **argv)
{
    jm_config *config;
    int rc = load(&config, &argc, argv);
    if (rc)
        return rc;
    jm_config_print(config, stdout);
    jm_config_free(config);
    return JM_EXIT_OK;
}

static int run(const jm_cli_noun *noun, const jm_cli_command *command, int argc, char **argv)
{
    jm_config *config = NULL;
    jm_cli *cli;
    int rc = command->pass ? JM_EXIT_OK : load(&config, &argc, argv);
    if (!rc)
        rc = jm_cli_new(noun, command, config, argc, argv, &cli);
    if (!rc) {
        rc = jm_cli_watch(cli, command);
        jm_cli_free(cli);
    }
    jm_config_free(config);
    return rc;
}

/* For the build: the pages that are generated from the tables. */
static bool print_page(const char *option)
{
    static const struct {
        const char *option;
        void (*print)(FILE *to);
    } pages[] = {{"--print-config-markdown", jm_config_print_markdown},
                 {"--print-config-sample", jm_config_print_sample},
                 {"--print-cli-markdown", jm_cli_print_markdown},
                 {"--print-man", jm_cli_print_man_pages}};
    for (size_t i = 0; i < sizeof pages / sizeof *pages; i++) {
        if (!strcmp(option, pages[i].option)) {
            pages[i].print(stdout);
            return true;
        }
    }
    return false;
}

/* Those of which there are several. */
static bool print_one(const char *option, const char *which)
{
    if (!strcmp(option, "--print-man"))
        return jm_cli_print_man(stdout, which);
    return !strcmp(option, "--print-completion") && jm_cli_print_completion(stdout, which);
}

/* No noun among the words. */
static int no_words(int argc, char **argv)
{
    if (argc > 1)
        fprintf(stderr, "jobmill: there is no noun beside %s; see jobmill --help\n", argv[1]);
    else
        jm_cli_print_help(stderr, NULL, NULL);
    return JM_EXIT_USAGE;
}

static int call(int argc, char **argv)
{
    if ((argc == 2 && print_page(argv[1])) || (argc == 3 && print_one(argv[1], argv[2])))
        return JM_EXIT_OK;
    /* libsmartcols measures and escapes by the locale; what the database sends is UTF-8. */
    if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
        setlocale(LC_CTYPE, "C.UTF-8");
    struct words words = find_words(argc, argv);
    const jm_cli_noun *noun = words.noun ? jm_cli_noun_find(argv[words.noun]) : NULL;
    const jm_cli_command *command =
        noun ? jm_cli_command_find(noun, words.verb ? argv[words.verb] : NULL) : NULL;
    if (words.version && !noun) {
        printf("jobmill %s\n", JM_VERSION);
        return JM_EXIT_OK;
    }
    if (words.print_config)
        return print_config(argc, argv);
    if (words.noun && !noun)
        return no_noun(argv[words.noun]);
    if (noun && !command && (!words.help || words.verb))
        return no_verb(noun, words.verb ? argv[words.verb] : NULL);
    if (words.help) {
        jm_cli_print_help(stdout, noun, command);
        return JM_EXIT_OK;
    }
    if (!noun)
        return no_words(argc, argv);
    if (command->verb)
        take_word(&argc, argv, words.verb);
    take_word(&argc, argv, words.noun);
    return run(noun, command, argc, argv);
}

int main(int argc, char **argv)
{
    int rc = call(argc, argv);
    if (rc || (!fflush(stdout) && !ferror(stdout)))
        return rc;
    fprintf(stderr, "jobmill: cannot write the answer: %s\n", strerror(errno));
    return JM_EXIT_FAILURE;
}
