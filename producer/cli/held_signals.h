/* Work that is not to be cut off in the middle: signals that would end the program wait. */
#ifndef JM_CLI_HELD_SIGNALS_H
#define JM_CLI_HELD_SIGNALS_H

#include <stdbool.h>

/* From here on SIGINT, SIGTERM and SIGHUP stay pending; those that are ignored, as SIGHUP under
 * nohup, stay ignored. */
void jm_cli_signals_hold(void);
/* Whether one has come since: the work is to stop where it can. ctx is not looked at. */
bool jm_cli_signals_came(void *ctx);

#endif
