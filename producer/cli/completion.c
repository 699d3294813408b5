/* Scripts that complete the command line in a shell, from the table of commands. */
#include "producer/cli/completion.h"

#include <string.h>

#include "producer/cli/commands.h"

typedef struct place {
    const jm_cli_noun *noun;
    const jm_cli_command *command;
} place;

static const char *verb_of(const place *at)
{
    return at->command->verb ? at->command->verb : "";
}

/* Calls print for each command. */
static void each_command(FILE *to, void (*print)(FILE *to, const place *at))
{
    for (const jm_cli_noun *noun = jm_cli_nouns; noun->name; noun++)
        for (const jm_cli_command *c = noun->commands; c->summary; c++)
            print(to, &(place){noun, c});
}

/* Calls print for each option of a command; of those that pass argv on, what the worker reads. */
static void each_option(FILE *to, const place *at,
                        void (*print)(FILE *to, const place *at, const jm_cli_option *option,
                                      const char *name))
{
    jm_cli_option option;
    char name[JM_CLI_NAME_MAX];
    for (int i = 0; jm_cli_option_at(at->command, i, &option); i++)
        print(to, at, &option, jm_cli_option_name(&option, name));
}

static bool is_file(const char *what)
{
    return what && (strstr(what, "FILE") || strstr(what, "DIR"));
}

static void print_words(FILE *to, const char *const *words)
{
    for (const char *const *w = words; *w; w++)
        fprintf(to, "%s%s", w == words ? "" : " ", *w);
}

/* The first sentence of text, with a backslash before each of the characters of special; inside
 * single quotes a single one is written '\''. */
static void print_sentence(FILE *to, const char *text, const char *special)
{
    for (; *text && !(text[0] == '.' && (!text[1] || text[1] == ' ')); text++) {
        if (*text == '\'')
            fputs("'\\''", to);
        else if (strchr(special, *text))
            fprintf(to, "\\%c", *text);
        else
            fputc(*text == '\n' ? ' ' : *text, to);
    }
}

/* ---- bash ---- */

static const char bash_begin[] =
    "# Completion of jobmill for bash. Generated: jobmill --print-completion bash\n"
    "_jobmill_verbs() {\n  case $1 in\n";

static void bash_noun(FILE *to, const jm_cli_noun *noun)
{
    if (!noun->commands->verb)
        return;
    fprintf(to, "    %s) echo '", noun->name);
    for (const jm_cli_command *c = noun->commands; c->summary; c++)
        fprintf(to, "%s%s", c == noun->commands ? "" : " ", c->verb);
    fputs("' ;;\n", to);
}

static void bash_option(FILE *to, const place *at, const jm_cli_option *option, const char *name)
{
    (void)at;
    (void)option;
    fprintf(to, " --%s", name);
}

static void bash_options(FILE *to, const place *at)
{
    fprintf(to, "    '%s %s') echo '", at->noun->name, verb_of(at));
    each_option(to, at, bash_option);
    fputs("' ;;\n", to);
}

static void bash_value(FILE *to, const place *at, const jm_cli_option *option, const char *name)
{
    if (!option->value)
        return;
    fprintf(to, "    '%s %s --%s') ", at->noun->name, verb_of(at), name);
    if (option->choices) {
        fputs("echo '", to);
        print_words(to, option->choices);
        fputs("' ;;\n", to);
    } else {
        fputs(is_file(option->value) ? "echo @file ;;\n"
              : option->bare         ? "return 1 ;;\n"
                                     : "echo ;;\n",
              to);
    }
}

static void bash_values(FILE *to, const place *at)
{
    each_option(to, at, bash_value);
}

static void bash_operands(FILE *to, const place *at)
{
    if (is_file(at->command->operands))
        fprintf(to, "    '%s %s') return 0 ;;\n", at->noun->name, verb_of(at));
}

/* What of the line is noun, verb and the option whose value is written. bash breaks words at "=".
 */
static const char bash_end[] =
    "    *) return 1 ;;\n  esac\n}\n"
    "_jobmill() {\n"
    "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} noun='' verb='' word "
    "words option='' i\n"
    "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "    word=${COMP_WORDS[i]}\n"
    "    case $word in\n"
    "      --config | --color) ((i++)) ;;\n"
    "      -* | =) ;;\n"
    "      *)\n"
    "        if [ -z \"$noun\" ]; then noun=$word\n"
    "        elif [ -z \"$verb\" ] && [ -n \"$(_jobmill_verbs \"$noun\")\" ]; then verb=$word; fi "
    ";;\n"
    "    esac\n"
    "  done\n"
    "  if [ \"$cur\" = = ]; then\n    option=$prev cur=''\n"
    "  elif [ \"$prev\" = = ]; then\n    option=${COMP_WORDS[COMP_CWORD - 2]}\n"
    "  else\n    case $prev in --*) option=$prev ;; esac\n  fi\n"
    "  if [ -n \"$option\" ] && words=$(_jobmill_values \"$noun $verb\" \"$option\"); then\n"
    "    :\n"
    "  elif [[ $cur == -* ]]; then\n"
    "    words=\"$(_jobmill_options \"$noun $verb\") --json --color --config --help\"\n"
    "  elif [ -z \"$noun\" ]; then\n"
    "    words=$_jobmill_nouns\n"
    "  elif [ -z \"$verb\" ] && [ -n \"$(_jobmill_verbs \"$noun\")\" ]; then\n"
    "    words=$(_jobmill_verbs \"$noun\")\n"
    "  elif _jobmill_takes_file \"$noun $verb\"; then\n    words=@file\n"
    "  else\n    words=''\n  fi\n"
    "  if [ \"$words\" = @file ]; then\n"
    "    mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
    "    compopt -o filenames 2>/dev/null\n"
    "  else\n"
    "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
    "  fi\n"
    "}\n"
    "complete -F _jobmill jobmill\n";

static void print_bash(FILE *to)
{
    fputs(bash_begin, to);
    for (const jm_cli_noun *noun = jm_cli_nouns; noun->name; noun++)
        bash_noun(to, noun);
    fputs("  esac\n}\n_jobmill_nouns='", to);
    for (const jm_cli_noun *noun = jm_cli_nouns; noun->name; noun++)
        fprintf(to, "%s%s", noun == jm_cli_nouns ? "" : " ", noun->name);
    fputs("'\n_jobmill_options() {\n  case $1 in\n", to);
    each_command(to, bash_options);
    fputs("  esac\n}\n"
          "# The words that an option takes, @file for files; fails where it takes none.\n"
          "_jobmill_values() {\n  case \"$1 $2\" in\n"
          "    *' --color') echo 'auto always never' ;;\n"
          "    *' --config') echo @file ;;\n",
          to);
    each_command(to, bash_values);
    fputs("    *) return 1 ;;\n  esac\n}\n_jobmill_takes_file() {\n  case $1 in\n", to);
    each_command(to, bash_operands);
    fputs(bash_end, to);
}

/* ---- zsh ---- */

static void zsh_option(FILE *to, const place *at, const jm_cli_option *option, const char *name)
{
    (void)at;
    fprintf(to, " \\\n        '--%s%s[", name, !option->value ? "" : option->bare ? "=-" : "=");
    print_sentence(to, option->help, "[]:\\");
    fputc(']', to);
    if (option->value) {
        fputs(option->bare ? "::" : ":", to);
        print_sentence(to, option->value, "[]:\\");
        fputs(is_file(option->value) ? ":_files" : ":", to);
    }
    if (option->choices) {
        fputc('(', to);
        print_words(to, option->choices);
        fputc(')', to);
    }
    fputc('\'', to);
}

static void zsh_command(FILE *to, const place *at)
{
    fputs("_arguments $everywhere", to);
    each_option(to, at, zsh_option);
    if (is_file(at->command->operands))
        fputs(" \\\n        '*:file:_files'", to);
    else if (at->command->operands)
        fputs(" \\\n        '*: :{true}'", to);
    fputs(" ;;\n", to);
}

static void zsh_described(FILE *to, const char *word, const char *summary)
{
    fprintf(to, " '%s:", word);
    print_sentence(to, summary, ":\\");
    fputc('\'', to);
}

static void zsh_noun(FILE *to, const jm_cli_noun *noun)
{
    if (!noun->commands->verb) {
        fprintf(to, "    %s) ", noun->name);
        zsh_command(to, &(place){noun, noun->commands});
        return;
    }
    fprintf(to, "    %s)\n      words_of=(", noun->name);
    for (const jm_cli_command *c = noun->commands; c->summary; c++)
        zsh_described(to, c->verb, c->summary);
    fputs(")\n      _arguments -C -A '-*' $everywhere '1: :->verb' '*:: :->rest'\n"
          "      [[ $state == verb ]] && _describe verb words_of\n"
          "      [[ $state == rest ]] && case $line[1] in\n",
          to);
    for (const jm_cli_command *c = noun->commands; c->summary; c++) {
        fprintf(to, "      %s) ", c->verb);
        zsh_command(to, &(place){noun, c});
    }
    fputs("      esac ;;\n", to);
}

static void print_zsh(FILE *to)
{
    fputs("#compdef jobmill\n"
          "# Completion of jobmill for zsh. Generated: jobmill --print-completion zsh\n"
          "_jobmill() {\n"
          "  local curcontext=$curcontext state line\n"
          "  typeset -A opt_args\n"
          "  local -a words_of everywhere=('--json=-[print JSON instead of text]::form:(document "
          "lines)' '--color=[colour statuses]:when:(auto always never)' '--config=[read this "
          "configuration]:file:_files' '--help[print help]')\n"
          "  _arguments -C -A '-*' $everywhere '1: :->noun' '*:: :->rest'\n"
          "  case $state in\n  noun)\n    words_of=(",
          to);
    for (const jm_cli_noun *noun = jm_cli_nouns; noun->name; noun++)
        zsh_described(to, noun->name, noun->summary);
    fputs(")\n    _describe noun words_of ;;\n  rest)\n    case $line[1] in\n", to);
    for (const jm_cli_noun *noun = jm_cli_nouns; noun->name; noun++)
        zsh_noun(to, noun);
    fputs(
        "    esac ;;\n  esac\n}\n"
        "if [ \"$funcstack[1]\" = _jobmill ]; then _jobmill \"$@\"; else compdef _jobmill jobmill; "
        "fi\n",
        to);
}

/* ---- fish ---- */

static void fish_sentence(FILE *to, const char *text)
{
    fputs(" -d '", to);
    for (; *text && !(text[0] == '.' && (!text[1] || text[1] == ' ')); text++) {
        if (*text == '\'' || *text == '\\')
            fputc('\\', to);
        fputc(*text == '\n' ? ' ' : *text, to);
    }
    fputs("'\n", to);
}

static void fish_option(FILE *to, const place *at, const jm_cli_option *option, const char *name)
{
    fprintf(to, "complete -c jobmill -n '__jobmill_in %s%s%s' -l %s", at->noun->name,
            at->command->verb ? " " : "", verb_of(at), name);
    if (option->value && !option->bare)
        fputs(is_file(option->value) ? " -r -F" : " -x", to);
    if (option->choices) {
        fputs(" -a '", to);
        print_words(to, option->choices);
        fputc('\'', to);
    }
    fish_sentence(to, option->help);
}

static void fish_command(FILE *to, const place *at)
{
    if (at->command->verb) {
        fprintf(to, "complete -c jobmill -n '__jobmill_verb %s' -a %s", at->noun->name,
                verb_of(at));
        fish_sentence(to, at->command->summary);
    }
    each_option(to, at, fish_option);
    if (is_file(at->command->operands))
        fprintf(to, "complete -c jobmill -n '__jobmill_in %s%s%s' -F\n", at->noun->name,
                at->command->verb ? " " : "", verb_of(at));
}

static void print_fish(FILE *to)
{
    fputs("# Completion of jobmill for fish. Generated: jobmill --print-completion fish\n"
          "function __jobmill_words\n"
          "  set -l skip 0\n"
          "  for word in (commandline -opc)[2..]\n"
          "    if test $skip = 1\n      set skip 0\n"
          "    else if contains -- $word --config --color\n      set skip 1\n"
          "    else if not string match -q -- '-*' $word\n      echo $word\n    end\n"
          "  end\n"
          "end\n"
          "function __jobmill_noun\n  test (count (__jobmill_words)) = 0\nend\n"
          "function __jobmill_verb\n"
          "  set -l words (__jobmill_words)\n"
          "  test (count $words) = 1; and test $words[1] = $argv[1]\n"
          "end\n"
          "function __jobmill_in\n"
          "  set -l words (__jobmill_words)\n"
          "  set -l n (count $argv)\n"
          "  test (count $words) -ge $n; or return 1\n"
          "  test \"$words[1..$n]\" = \"$argv\"\n"
          "end\n"
          "complete -c jobmill -f\n"
          "complete -c jobmill -l json -d 'print JSON instead of text'\n"
          "complete -c jobmill -l color -x -a 'auto always never' -d 'colour statuses'\n"
          "complete -c jobmill -l config -r -F -d 'read this configuration'\n"
          "complete -c jobmill -l help -d 'print help'\n",
          to);
    for (const jm_cli_noun *noun = jm_cli_nouns; noun->name; noun++) {
        fprintf(to, "complete -c jobmill -n __jobmill_noun -a %s", noun->name);
        fish_sentence(to, noun->summary);
    }
    each_command(to, fish_command);
}

bool jm_cli_print_completion(FILE *to, const char *shell)
{
    static const struct {
        const char *shell;
        void (*print)(FILE *to);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (!strcmp(shells[i].shell, shell)) {
            shells[i].print(to);
            return true;
        }
    }
    return false;
}
