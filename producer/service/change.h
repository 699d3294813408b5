/* Who changes something, and by what way: for the audit log. */
#ifndef JM_SERVICE_CHANGE_H
#define JM_SERVICE_CHANGE_H

#include <stdbool.h>

typedef struct jm_change {
    const char *actor;  /* "cli:alice" */
    const char *source; /* cli, api, import, sync */
    const char *reason; /* or NULL */
    bool dry_run;       /* judge it all, and take it back */
} jm_change;

#endif
