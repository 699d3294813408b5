/* Who changes something, from where, and by what way: for the audit log. */
#ifndef JM_SERVICE_CHANGE_H
#define JM_SERVICE_CHANGE_H

#include <stdbool.h>

typedef struct jm_change {
    const char *actor;      /* "cli:alice", "key:deploy" */
    const char *source;     /* cli, api, import, sync */
    const char *reason;     /* or NULL */
    const char *address;    /* the client's address, or the host of the command line; or NULL */
    const char *request_id; /* of the API; or NULL */
    bool dry_run;           /* judge it all, and take it back */
    bool ended_ok; /* a schedule that has no instant to come is kept as one that has ended */
} jm_change;

#endif
