/* jobmill-worker: consumes queues, runs jobs, records them. */
#include <stdio.h>
#include <string.h>

#include "common/daemon.h"
#include "worker/run_command.h"
#include "worker/type_test.h"
#include "worker/worker.h"

static const char usage[] =
    "Usage: jobmill-worker [options]                  run jobs until told to stop\n"
    "       jobmill-worker run TYPE [--params JSON]   run one job here and now, without Kafka and "
    "database\n"
    "       jobmill-worker check FILE...              check job type definitions\n"
    "       jobmill-worker test FILE                  run a job type against its fixtures\n"
    "\n"
    "SIGTERM stops gracefully, a second one at once; SIGHUP reloads job types; SIGUSR1 prints the "
    "status.\n";

/* The verbs that need no servers. */
static int run_verb(int argc, char **argv)
{
    jm_config *config = NULL;
    jm_err err;
    if (jm_config_load(&config, &argc, argv, &err)) {
        fprintf(stderr, "jobmill-worker: %s\n", err.msg);
        return 2;
    }
    int status = strcmp(argv[1], "test") ? jm_run_command(argc, argv, config)
                                         : jm_type_test_command(argc, argv, config);
    jm_config_free(config);
    return status;
}

int main(int argc, char **argv)
{
    jm_config *config = NULL;
    int status = 0;
    if (argc > 1 &&
        (!strcmp(argv[1], "run") || !strcmp(argv[1], "check") || !strcmp(argv[1], "test")))
        return run_verb(argc, argv);
    if (!jm_daemon_start(&config, argc, argv, "jobmill-worker", usage, &status))
        return status;
    jm_daemon_init();
    status = jm_worker_run(config);
    jm_config_free(config);
    return status;
}
