/* A child with mode "loop": one job a line in on its stdin, lines on its descriptor 3 until
 * {"end"}, and so on until it leaves. Its pool is worker/exec_loop.c. */
#ifndef JM_LOOP_CHILD_H
#define JM_LOOP_CHILD_H

#include "worker/exec_child.h"
#include "worker/exec_output.h"

typedef enum jm_loop_child_state {
    JM_LOOP_CHILD_IDLE,
    JM_LOOP_CHILD_BUSY,
    JM_LOOP_CHILD_STOPPING, /* busy, and asked to end its job: takes no other */
    JM_LOOP_CHILD_LEAVING   /* has no job and gets none: its end is waited for */
} jm_loop_child_state;

typedef struct jm_loop_child jm_loop_child;

/* What its pool hears. */
typedef struct jm_loop_child_events {
    /* Its job has ended, and it can take another. */
    void (*idle)(jm_loop_child *child);
    /* It is leaving. */
    void (*left)(jm_loop_child *child);
    /* It died before it read the job it was given, which another child may have; its line is still
     * child->input. */
    void (*unread)(jm_loop_child *child, jm_step_run *run);
    /* Its process has ended; it is freed after the call. Comes behind left. */
    void (*gone)(jm_loop_child *child);
} jm_loop_child_events;

struct jm_loop_child {
    /* The pool's. */
    void *pool;
    jm_loop_child *prev, *next;           /* of all children */
    jm_loop_child *idle_prev, *idle_next; /* of the idle ones */
    int64_t idle_us;                      /* since when */
    unsigned generation;
    int handed_back; /* how often the job at hand was given to a child before */

    /* Its own. */
    const jm_loop_child_events *events;
    const jm_exec_def *def; /* borrowed from the type, which the pool holds */
    const char *type;       /* its name, likewise */
    jm_loop *loop;
    struct jm_spawner *spawner;
    int kill_grace_ms;
    uint64_t id;
    jm_loop_child_state state;
    int fds[JM_CHILD_STREAMS]; /* -1: closed */
    jm_watch *watches[JM_CHILD_STREAMS];
    jm_buf input; /* the job's line */
    size_t written;
    jm_lines lines; /* of descriptor 3 */
    jm_exec_output output;
    jm_timer timer;   /* until SIGKILL, or until what it closed is held against it */
    int64_t began_us; /* the job at hand */
    int n_jobs;       /* that it has ended */
    bool ended;       /* the job's end was read, and is: */
    int exit;
    jm_buf error;
    bool left_idle; /* by itself, between two jobs */
    jm_buf wrong;   /* what it did against the protocol; it is not used again */
};

/* Starts one by run's definition, idle. */
int jm_loop_child_new(jm_step_run *run, const jm_loop_child_events *events, void *pool,
                      jm_loop_child **out, jm_err *err);
void jm_loop_child_free(jm_loop_child *child); /* without waiting for it; NULL is fine */
/* Gives it a job and its line, whose memory it takes over. It must be idle. */
void jm_loop_child_give(jm_loop_child *child, jm_step_run *run, jm_buf *line);
/* SIGTERM, and SIGKILL after the grace; it is done with when its job has ended. */
void jm_loop_child_stop(jm_loop_child *child);
/* An idle one: end of file on its stdin, and SIGKILL after the grace. */
void jm_loop_child_leave(jm_loop_child *child);

#endif
