/* jobmill topics: the Kafka topics of queues. */
#include "producer/cli/commands.h"
#include "producer/cli/table.h"
#include "producer/service/topics.h"

static const jm_cli_column created_columns[] = {{"TOPIC", "topic", JM_CLI_TEXT},
                                                {"QUEUE", "queue", JM_CLI_TEXT},
                                                {"CREATED", "created", JM_CLI_TEXT},
                                                {NULL, NULL, JM_CLI_TEXT}};
static const jm_cli_column list_columns[] = {{"TOPIC", "topic", JM_CLI_TEXT},
                                             {"QUEUE", "queue", JM_CLI_TEXT},
                                             {"PARTITIONS", "partitions", JM_CLI_RIGHT},
                                             {"REPLICATION", "replication", JM_CLI_RIGHT},
                                             {NULL, NULL, JM_CLI_TEXT}};

static int create(jm_cli *cli)
{
    json_t *items = json_array(), *item;
    jm_err err;
    int n = jm_cli_n_operands(cli);
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

static int list(jm_cli *cli)
{
    json_t *items;
    jm_err err;
    if (jm_topics_list(jm_cli_config(cli), 10000, &items, &err))
        return jm_cli_fail(cli, &err);
    return jm_cli_print_list(cli, items, list_columns,
                             "no topics yet: jobmill topics create makes them");
}

const jm_cli_command jm_cli_topics_commands[] = {
    {.verb = "create",
     .operands = "[QUEUE...]",
     .max_operands = -1,
     .summary = "Make the topics of queues",
     .description = "Makes <prefix>.jobs.<queue> with [topics] partitions and replication, and "
                    "LogAppendTime. A "
                    "topic that is there is left as it is. Without a QUEUE: default.",
     .examples = "jobmill topics create default mail",
     .run = create},
    {.verb = "list", .summary = "List the topics under the prefix", .run = list},
    {.summary = NULL}};
