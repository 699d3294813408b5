/* What has changed about jobs that somebody watches, asked for many at once. */
#ifndef JM_SERVICE_FOLLOW_H
#define JM_SERVICE_FOLLOW_H

#include <stdbool.h>

#include "common/err.h"
#include "common/uuid7.h"

struct jm_pg;

typedef struct jm_followed {
    jm_uuid id;
    bool lines;       /* whether its log is asked for */
    int attempt, seq; /* of the last line that was told; moved on */
    int n_new;        /* lines that the last look had */
    char state[64];   /* the word of the state that was told last; the caller moves it on */
} jm_followed;

typedef struct jm_followed_line {
    int attempt, seq;
    const char *json;
} jm_followed_line;

typedef struct jm_followed_state {
    bool ended;
    const char *word; /* changes with the state */
    const char *json;
} jm_followed_state;

typedef struct jm_followed_calls {
    void (*on_state)(void *ctx, int n, const jm_followed_state *state); /* may be NULL */
    void (*on_line)(void *ctx, int n, const jm_followed_line *line);
    void *ctx;
} jm_followed_calls;

/* Calls on_state for each job that is there, then on_line for each new line, at most max_lines of
 * a job, n being its place. Two queries, however many jobs. */
int jm_follow_look(struct jm_pg *pg, jm_followed *const *jobs, int n, int max_lines,
                   const jm_followed_calls *calls, jm_err *err);

#endif
