/* jobmill-worker: consumes queues, runs jobs, records them. */
#include "common/daemon.h"
#include "worker/worker.h"

static const char usage[] =
    "Usage: jobmill-worker [options]                  run jobs until told to stop\n"
    "       jobmill-worker run TYPE [--params JSON]   run one job here and now, without Kafka and "
    "database\n"
    "       jobmill-worker check FILE...              check job type definitions\n"
    "\n"
    "SIGTERM stops gracefully, a second one at once; SIGHUP reloads job types; SIGUSR1 prints the "
    "status.\n";

int main(int argc, char **argv)
{
    jm_config *config = NULL;
    int status = 0;
    if (!jm_daemon_start(&config, argc, argv, "jobmill-worker", usage, &status))
        return status;
    jm_daemon_init();
    status = jm_worker_run(config);
    jm_config_free(config);
    return status;
}
