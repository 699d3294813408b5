/* Who changes something, and by what way: for the audit log. */
#ifndef JM_SERVICE_CHANGE_H
#define JM_SERVICE_CHANGE_H

#include <stdbool.h>

typedef struct jm_change {
    const char *actor;  /* "cli:alice" */
    const char *source; /* cli, api, import, sync */
    const char *reason; /* or NULL */
    bool dry_run;       /* judge it all, and take it back */
    bool ended_ok;      /* a schedule that has no instant to come is kept as one that has ended */
} jm_change;

#endif
