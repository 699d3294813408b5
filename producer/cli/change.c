/* What commands say that change something, or with --dry-run would. */
#include "producer/cli/change.h"

#include <stdio.h>
#include <unistd.h>

struct jm_pg *jm_cli_change_begin(jm_cli *cli, jm_change *change)
{
    struct jm_pg *pg = jm_cli_pg(cli);
    if (pg)
        jm_cli_change(cli, change);
    return pg;
}

const char *jm_cli_project(const jm_cli *cli)
{
    const char *project = jm_cli_option_text(cli, "project");
    return project ? project : "default";
}

/* In front of the answer where people see both, else a line of its own. */
static void say_would(const char *done)
{
    bool one_line = isatty(STDOUT_FILENO) && isatty(STDERR_FILENO);
    fprintf(stderr, "would be%s%s:%c", *done ? " " : "", done, one_line ? ' ' : '\n');
}

int jm_cli_print_changed(jm_cli *cli, const jm_change *change, json_t *what, const char *member,
                         const char *done)
{
    if (change->dry_run && jm_cli_json(cli))
        json_object_set_new(what, "dry_run", json_true());
    else if (change->dry_run)
        say_would(done);
    return jm_cli_print_value(cli, what, member);
}

int jm_cli_print_fate(jm_cli *cli, const jm_change *change, json_t *what, const char *fate)
{
    json_object_set_new(what, "fate", json_string(fate));
    return jm_cli_print_changed(cli, change, what, "fate", "");
}
