/* The table of nouns, and finding in it. */
#include "producer/cli/commands.h"

#include <string.h>

#include "common/job_fields.h"
#include "common/nearest.h"

const jm_cli_noun jm_cli_nouns[] = {
    {"job", "Submit jobs and look at them", jm_cli_job_commands},
    {"schedule", "What is to run when", jm_cli_schedule_commands},
    {"calendar", "Days on which schedules do not run", jm_cli_calendar_commands},
    {"worker", "Workers and producers that are alive", jm_cli_worker_commands},
    {"type", "Job types", jm_cli_type_commands},
    {"run", "Run a job type here and now, with neither Kafka nor database", jm_cli_run_commands},
    {"dev", "Run all of jobmill here, to write handlers against", jm_cli_dev_commands},
    {"lock", "Locks of jobs, people and scripts", jm_cli_lock_commands},
    {"document", "JSON of applications, handed to jobs", jm_cli_document_commands},
    {"dead", "Messages that could not become jobs", jm_cli_dead_commands},
    {"backup", "Write what is set up to a file", jm_cli_backup_commands},
    {"restore", "Set up what a backup says", jm_cli_restore_commands},
    {"cleanup", "Remove what is old", jm_cli_cleanup_commands},
    {"topics", "Kafka topics of queues", jm_cli_topics_commands},
    {"schema", "Tables in the database", jm_cli_schema_commands},
    {"project", "Tenants: whose jobs and schedules they are", jm_cli_project_commands},
    {"key", "Keys of the HTTP API", jm_cli_key_commands},
    {"audit", "Who changed what", jm_cli_audit_commands},
    {"doctor", "Look for what is wrong and say how to mend it", jm_cli_doctor_commands},
    {NULL, NULL, NULL}};

const jm_cli_noun *jm_cli_noun_find(const char *name)
{
    for (const jm_cli_noun *noun = jm_cli_nouns; noun->name; noun++)
        if (!strcmp(noun->name, name))
            return noun;
    return NULL;
}

const jm_cli_command *jm_cli_command_find(const jm_cli_noun *noun, const char *verb)
{
    for (const jm_cli_command *command = noun->commands; command->summary; command++)
        if (!command->verb || (verb && !strcmp(command->verb, verb)))
            return command;
    return NULL;
}

/* Field i of those that this version supports. */
static const jm_field *supported_field(int i)
{
    for (int f = 0; f < JM_JOB_FIELDS; f++)
        if (jm_job_fields[f].supported && i-- == 0)
            return &jm_job_fields[f];
    return NULL;
}

static const struct {
    unsigned share;
    jm_cli_option option;
} shared[] = {
    {JM_CLI_PAGE,
     {.name = "limit", .value = "N", .help = "At most this many (default 50, up to 10000)."}},
    {JM_CLI_PAGE, {.name = "offset", .value = "N", .help = "Leave out the first N."}},
    {JM_CLI_CURSOR,
     {.name = "cursor",
      .value = "C",
      .help = "Go on behind the page that gave this as \"next\": unlike with --offset, nothing is "
              "left out or shown twice while rows come."}},
    {JM_CLI_WATCH,
     {.name = "watch",
      .value = "[S]",
      .bare = true,
      .help = "Show it again each S seconds (default 2), until Ctrl-C."}},
    {JM_CLI_DRY_RUN, {.name = "dry-run", .help = "Only say what would be done."}},
    {JM_CLI_REASON, {.name = "reason", .value = "TEXT", .help = "Why, for the audit log."}},
    {JM_CLI_YES,
     {.name = "yes",
      .help =
          "Do not ask. Without a terminal nothing is asked: there what removes much at once needs "
          "this, the rest does not."}},
};
enum { N_SHARED = sizeof shared / sizeof *shared };

static int count_fields(void)
{
    int n = 0;
    for (int f = 0; f < JM_JOB_FIELDS; f++)
        n += jm_job_fields[f].supported;
    return n;
}

/* Field i of the job message as an option. */
static bool field_at(int i, jm_cli_option *out)
{
    const jm_field *field = supported_field(i);
    if (field)
        *out = (jm_cli_option){.name = field->name,
                               .value = field->placeholder,
                               .help = field->help,
                               .required = field->required};
    return field != NULL;
}

static bool shared_at(unsigned shares, int i, jm_cli_option *out)
{
    for (int s = 0; s < N_SHARED; s++) {
        if ((shares & shared[s].share) && i-- == 0) {
            *out = shared[s].option;
            return true;
        }
    }
    return false;
}

bool jm_cli_option_at(const jm_cli_command *command, int i, jm_cli_option *out)
{
    if (command->job_fields && field_at(i, out))
        return true;
    if (command->job_fields)
        i -= count_fields();
    for (const jm_cli_option *o = command->options; o && o->name; o++) {
        if (i-- == 0) {
            *out = *o;
            return true;
        }
    }
    return shared_at(command->shares, i, out);
}

const char *jm_cli_option_name(const jm_cli_option *option, char name[JM_CLI_NAME_MAX])
{
    snprintf(name, JM_CLI_NAME_MAX, "%s", option->name);
    for (char *p = name; *p; p++)
        if (*p == '_')
            *p = '-';
    return name;
}

const char *jm_cli_noun_near(const char *name)
{
    const char *known[32];
    size_t n = 0;
    for (const jm_cli_noun *noun = jm_cli_nouns; noun->name; noun++)
        known[n++] = noun->name;
    return jm_nearest(name, known, n);
}

const char *jm_cli_verb_near(const jm_cli_noun *noun, const char *verb)
{
    const char *known[32];
    size_t n = 0;
    for (const jm_cli_command *command = noun->commands; command->summary; command++)
        if (command->verb)
            known[n++] = command->verb;
    return jm_nearest(verb, known, n);
}
