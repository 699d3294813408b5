/* jobmill topics: the Kafka topics of queues. */
#include <string.h>

#include "producer/cli/commands.h"
#include "producer/cli/confirm.h"
#include "producer/cli/held_signals.h"
#include "producer/cli/table.h"
#include "producer/service/topics.h"
#include "producer/service/topics_recreate.h"

enum { LIST_MS = 10000 };

static const jm_cli_column created_columns[] = {{"TOPIC", "topic", JM_CLI_TEXT},
                                                {"QUEUE", "queue", JM_CLI_TEXT},
                                                {"CREATED", "created", JM_CLI_TEXT},
                                                {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column missing_columns[] = {{"QUEUE", "queue", JM_CLI_TEXT},
                                                {"WOULD BE MADE", "missing", JM_CLI_TEXT},
                                                {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column list_columns[] = {{"TOPIC", "topic", JM_CLI_TEXT},
                                             {"QUEUE", "queue", JM_CLI_TEXT},
                                             {"PARTITIONS", "partitions", JM_CLI_RIGHT},
                                             {"REPLICATION", "replication", JM_CLI_RIGHT},
                                             {NULL, NULL, JM_CLI_TEXT}};

static bool has_queue(const json_t *topics, const char *queue)
{
    size_t i;
    const json_t *topic;
    json_array_foreach(topics, i, topic)
    {
        const char *of = json_string_value(json_object_get(topic, "queue"));
        if (of && !strcmp(of, queue))
            return true;
    }
    return false;
}

/* Which of the queues have no topic yet. */
static int print_missing(jm_cli *cli)
{
    json_t *topics, *items;
    jm_err err;
    int n = jm_cli_n_operands(cli);
    if (jm_topics_list(jm_cli_config(cli), LIST_MS, &topics, &err))
        return jm_cli_fail(cli, &err);
    items = json_array();
    for (int i = 0; i < (n ? n : 1); i++) {
        const char *queue = n ? jm_cli_operand(cli, i) : "default";
        json_array_append_new(items, json_pack("{s:s, s:b}", "queue", queue, "missing",
                                               (int)!has_queue(topics, queue)));
    }
    json_decref(topics);
    return jm_cli_print_list(cli, items, missing_columns, "");
}

static int create(jm_cli *cli)
{
    json_t *items = json_array(), *item;
    jm_err err;
    int n = jm_cli_n_operands(cli);
    if (jm_cli_option_flag(cli, "dry-run")) {
        json_decref(items);
        return print_missing(cli);
    }
    for (int i = 0; i < (n ? n : 1); i++) {
        if (jm_topics_create(jm_cli_config(cli), n ? jm_cli_operand(cli, i) : "default", &item,
                             &err)) {
            json_decref(items);
            return jm_cli_fail(cli, &err);
        }
        json_array_append_new(items, item);
    }
    return jm_cli_print_list(cli, items, created_columns, "");
}

/* What can be said without Kafka. */
static int list_known(jm_cli *cli, const jm_err *away)
{
    json_t *items;
    jm_err err;
    int code = jm_cli_fail(cli, away);
    if (!jm_config_bool(jm_cli_config(cli), "database.enabled"))
        return code;
    struct jm_pg *pg = jm_cli_pg(cli);
    if (!pg || jm_topics_known(pg, jm_cli_config(cli), &items, &err))
        return code;
    jm_cli_say(cli, code,
               "these are the queues of workers and schedules; whether their topics are there, and "
               "with how many partitions, only Kafka knows");
    jm_cli_print_list(cli, items, list_columns, "none");
    return code;
}

static int list(jm_cli *cli)
{
    json_t *items;
    jm_err err;
    if (jm_topics_list(jm_cli_config(cli), LIST_MS, &items, &err))
        return err.retriable ? list_known(cli, &err) : jm_cli_fail(cli, &err);
    return jm_cli_print_list(cli, items, list_columns,
                             "no topics yet: jobmill topics create makes them");
}

static const jm_cli_column recreated_columns[] = {
    {"Topic", "topic", JM_CLI_TEXT},
    {"Queue", "queue", JM_CLI_TEXT},
    {"Jobs published again", "republished", JM_CLI_TEXT},
    {NULL, NULL, JM_CLI_TEXT}};

static void say_progress(void *ctx, const char *text)
{
    jm_cli_say(ctx, JM_EXIT_OK, "%s", text);
}

static int recreate(jm_cli *cli)
{
    int64_t timeout_s;
    int rc = jm_cli_option_int(cli, "timeout", 60, 1, 3600, &timeout_s);
    struct jm_pg *pg = rc ? NULL : jm_cli_pg(cli);
    if (!pg)
        return rc ? rc : JM_EXIT_FAILURE;
    jm_topics_recreation recreation = {.queue = jm_cli_operand(cli, 0),
                                       .lose_records = jm_cli_option_flag(cli, "lose_records"),
                                       .timeout_s = (int)timeout_s,
                                       .say = say_progress,
                                       .is_stopped = jm_cli_signals_came,
                                       .ctx = cli};
    json_t *done;
    jm_err err = {0};
    rc = jm_cli_confirm(
        cli, false, "deletes the topic of queue %s and makes it anew%s", recreation.queue,
        recreation.lose_records ? "; records that no worker has accepted are lost" : "");
    if (rc)
        return rc;
    /* Dying on the way would keep the workers out until the lock has expired, perhaps with no
     * topic: recreate() looks at signals where it can still turn back. */
    jm_cli_signals_hold();
    if (jm_topics_recreate(pg, jm_cli_config(cli), &recreation, &done, &err))
        return jm_cli_fail(cli, &err);
    return jm_cli_print_object(cli, done, recreated_columns);
}

static const jm_cli_option recreate_options[] = {
    {.name = "lose_records",
     .help = "Go on although the topic has records that no worker has accepted."},
    {.name = "timeout",
     .value = "S",
     .help = "Seconds to wait for the workers to leave the queue; default 60."},
    {.name = NULL}};

const jm_cli_command jm_cli_topics_commands[] = {
    {.verb = "create",
     .operands = "[QUEUE...]",
     .max_operands = -1,
     .summary = "Make the topics of queues",
     .description = "Makes <prefix>.jobs.<queue> with [topics] partitions and replication, and "
                    "LogAppendTime. A "
                    "topic that is there is left as it is. Without a QUEUE: default.",
     .examples = "jobmill topics create default mail",
     .shares = JM_CLI_DRY_RUN,
     .run = create},
    {.verb = "list",
     .summary = "List the topics under the prefix",
     .description =
         "While Kafka is away it says so, lists the queues that workers and schedules name "
         "in the database, and exits 1.",
     .shares = JM_CLI_WATCH,
     .run = list},
    {.verb = "recreate",
     .operands = "QUEUE",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "Delete the topic of a queue and make it anew",
     .description =
         "For another number of partitions, or after a topic has been damaged. Workers leave the "
         "queue first and come back by themselves; jobs of the database that were in the topic are "
         "published again. Records that no worker has accepted yet exist nowhere else: while there "
         "are any, nothing is done, unless --lose-records says so. Keep others from writing to the "
         "topic meanwhile. Ctrl-C before the topic is deleted leaves all as it was; after that it "
         "is finished first.",
     .options = recreate_options,
     .shares = JM_CLI_YES,
     .examples = "jobmill topics recreate default --topics.partitions=24",
     .run = recreate},
    {.summary = NULL}};
