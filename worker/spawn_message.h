/* What worker and spawner helper say to each other: one packet a message on a SEQPACKET socket.
 * Both are the same program, so structs travel as they are. */
#ifndef JM_SPAWN_MESSAGE_H
#define JM_SPAWN_MESSAGE_H

#include <stdint.h>
#include <sys/resource.h>

enum { SPAWN_PACKET_MAX = 160 * 1024, SPAWN_FDS = 4 };

typedef enum spawn_order_kind { SPAWN_START, SPAWN_KILL } spawn_order_kind;

/* To the helper. A start carries four descriptors and, behind this header, NUL-terminated strings:
 * cwd, user and output directory (empty: none), then argc arguments and envc variables. */
typedef struct spawn_order {
    spawn_order_kind kind;
    int signal;
    uint64_t id;
    int64_t cpu_s, memory_bytes, files;
    uint32_t argc, envc;
} spawn_order;

/* Before the program runs, what can go wrong. */
typedef enum spawn_stage {
    SPAWN_STAGE_NONE, /* it ran */
    SPAWN_STAGE_FORK,
    SPAWN_STAGE_USER,
    SPAWN_STAGE_FDS,
    SPAWN_STAGE_LIMITS,
    SPAWN_STAGE_CWD,
    SPAWN_STAGE_EXEC
} spawn_stage;

/* From the helper: the one and only about a start. */
typedef struct spawn_report {
    uint64_t id;
    int status; /* of waitpid */
    spawn_stage stage;
    int error;
} spawn_report;

/* The helper's main loop; ends when the socket's other end is gone. child_files: soft limit of
 * descriptors that children get. */
void spawner_helper_run(int socket, rlim_t child_files);

#endif
