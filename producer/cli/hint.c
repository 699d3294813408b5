/* What to do next after an error. */
#include "producer/cli/hint.h"

#include <stdio.h>
#include <string.h>

static bool has_verb(const jm_cli_noun *noun, const char *verb)
{
    const jm_cli_command *command = noun ? jm_cli_command_find(noun, verb) : NULL;
    return command && command->verb;
}

/* The command that lists what was not found. */
static bool lists(const jm_cli_noun *noun, const jm_cli_command *command, const char *msg,
                  char hint[JM_CLI_HINT_MAX])
{
    static const char *const others[] = {"project", "schedule", "calendar", "document"};
    const char *verb = !strstr(msg, "version")           ? "list"
                       : has_verb(noun, "versions")      ? "versions"
                       : !strcmp(noun->name, "document") ? "history"
                                                         : "list";
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        char words[40];
        snprintf(words, sizeof words, "no %s ", others[i]);
        if (strstr(msg, words) && has_verb(jm_cli_noun_find(others[i]), "list"))
            noun = jm_cli_noun_find(others[i]);
    }
    if (!has_verb(noun, verb) || (command->verb && !strcmp(command->verb, verb)))
        return false;
    snprintf(hint, JM_CLI_HINT_MAX, "jobmill %s %s shows those that there are", noun->name, verb);
    return true;
}

/* What a command has for who finds that it is there, held, or not yet so. */
static const struct {
    const char *noun, *verb, *hint;
} conflicts[] = {
    {"schedule", "add", "jobmill schedule update changes it"},
    {"calendar", "add", "--replace gives it another definition"},
    {"calendar", "import", "--replace gives it another definition"},
    {"lock", "acquire", "--wait S waits until it is free"},
    {"lock", "run", "--wait S waits until it is free"},
    {"job", "cancel", "jobmill job retry runs it again, as a new job"},
};

static bool resolves(const jm_cli_noun *noun, const jm_cli_command *command,
                     char hint[JM_CLI_HINT_MAX])
{
    for (size_t i = 0; command->verb && i < sizeof conflicts / sizeof *conflicts; i++) {
        if (strcmp(conflicts[i].noun, noun->name) != 0 ||
            strcmp(conflicts[i].verb, command->verb) != 0)
            continue;
        snprintf(hint, JM_CLI_HINT_MAX, "%s", conflicts[i].hint);
        return true;
    }
    return false;
}

bool jm_cli_hint(const jm_cli_noun *noun, const jm_cli_command *command, const jm_err *err,
                 char hint[JM_CLI_HINT_MAX])
{
    if (strstr(err->msg, "jobmill "))
        return false;
    if (err->code == JM_ERR_DB_DOWN)
        snprintf(hint, JM_CLI_HINT_MAX,
                 "is [database] url (JOBMILL_DATABASE_URL) right? jobmill "
                 "doctor looks closer");
    else if (err->code == JM_ERR_KAFKA && strstr(err->msg, "Local: ")) /* not what a broker says */
        snprintf(hint, JM_CLI_HINT_MAX,
                 "does the broker run, and is [kafka] bootstrap.servers "
                 "(JOBMILL_KAFKA_BOOTSTRAP_SERVERS) right? jobmill doctor "
                 "looks closer");
    else if (err->code == JM_ERR_NOT_FOUND)
        return lists(noun, command, err->msg, hint);
    else if (err->code == JM_ERR_CONFLICT && !strstr(err->msg, "could not be kept"))
        return resolves(noun, command, hint);
    else
        return false;
    return true;
}
