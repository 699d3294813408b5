/* The servers of jobmill dev: a PostgreSQL made for it and the embedded broker, both gone when it
 * ends. */
#ifndef JM_CLI_DEV_SERVERS_H
#define JM_CLI_DEV_SERVERS_H

#include "common/err.h"
#include "producer/cli/programs.h"

typedef struct jm_dev_servers {
    char dir[40]; /* of all that they keep */
    jm_cli_program postgres, broker;
    char database_url[160], bootstrap_servers[80];
} jm_dev_servers;

/* Starts both and waits until they answer. Errors: JM_ERR_NOT_FOUND (PostgreSQL's server programs
 * are not installed), JM_ERR_IO (one did not get ready: its log has been printed), JM_ERR_CLOSED
 * (SIGINT or SIGTERM came first). */
int jm_dev_servers_start(jm_dev_servers *servers, jm_err *err);
/* Ends what runs and removes the directory. After a start that failed, too. */
void jm_dev_servers_stop(jm_dev_servers *servers);

/* Prints what a program has written to its log, for one that failed. */
void jm_dev_servers_print_log(const char *path);

#endif
