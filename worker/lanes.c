/* Waiting jobs by type and priority. */
#include "worker/lanes.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

enum { LEVELS = 10 }; /* priorities */

struct lane {
    char *type;
    jm_chain levels[LEVELS];
    struct lane *next;
};

struct jm_lanes {
    struct lane *first;
    size_t n;
};

jm_lanes *jm_lanes_new(void)
{
    return jm_calloc(1, sizeof(jm_lanes));
}

void jm_lanes_free(jm_lanes *lanes)
{
    if (!lanes)
        return;
    assert(!lanes->n);
    for (struct lane *lane = lanes->first, *next; lane; lane = next) {
        next = lane->next;
        free(lane->type);
        free(lane);
    }
    free(lanes);
}

static struct lane *lane_of(jm_lanes *lanes, const char *type)
{
    for (struct lane *lane = lanes->first; lane; lane = lane->next)
        if (!strcmp(lane->type, type))
            return lane;
    struct lane *lane = jm_calloc(1, sizeof *lane);
    lane->type = jm_strdup(type);
    lane->next = lanes->first;
    lanes->first = lane;
    return lane;
}

void jm_lanes_add(jm_lanes *lanes, jm_job *job)
{
    jm_chain_add(&lane_of(lanes, job->type)->levels[job->priority], &job->node);
    lanes->n++;
}

static void take_lane(jm_lanes *lanes, struct lane *lane, jm_slots *slots, jm_chain *chain)
{
    for (int level = LEVELS - 1; level >= 0; level--) {
        jm_chain *waiting = &lane->levels[level];
        while (waiting->head) {
            jm_job_type *type = ((jm_job *)waiting->head)->job_type;
            if (!jm_slots_available(slots, type, 1))
                return;
            jm_slots_take(slots, type, 1);
            jm_chain_add(chain, jm_chain_take(waiting));
            lanes->n--;
        }
    }
}

static void turn(jm_lanes *lanes)
{
    struct lane *first = lanes->first, *last = first;
    if (!first || !first->next)
        return;
    while (last->next)
        last = last->next;
    lanes->first = first->next;
    last->next = first;
    first->next = NULL;
}

void jm_lanes_take(jm_lanes *lanes, jm_slots *slots, jm_chain *chain)
{
    for (struct lane *lane = lanes->first; lane; lane = lane->next)
        take_lane(lanes, lane, slots, chain);
    turn(lanes);
}

void jm_lanes_take_all(jm_lanes *lanes, jm_chain *chain)
{
    for (struct lane *lane = lanes->first; lane; lane = lane->next)
        for (int level = LEVELS - 1; level >= 0; level--)
            for (jm_node *node; (node = jm_chain_take(&lane->levels[level]));)
                jm_chain_add(chain, node);
    lanes->n = 0;
}

size_t jm_lanes_n(const jm_lanes *lanes)
{
    return lanes->n;
}
