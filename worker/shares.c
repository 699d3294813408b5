/* Fair queueing by weight. */
#include "worker/shares.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/mem.h"

enum { UNIT = 1 << 20 };

struct jm_shares {
    const int *weights;
    int n;
    int64_t *had;  /* units, by weight */
    int64_t floor; /* the least of those that had something to take, as of the last round */
    bool *asked;   /* in this round */
    bool someone;  /* has taken something in this round */
};

jm_shares *jm_shares_new(const int *weights, int n)
{
    jm_shares *shares = jm_calloc(1, sizeof *shares);
    *shares = (jm_shares){.weights = weights, .n = n};
    shares->had = jm_calloc((size_t)n, sizeof *shares->had);
    shares->asked = jm_calloc((size_t)n, sizeof *shares->asked);
    return shares;
}

void jm_shares_free(jm_shares *shares)
{
    if (!shares)
        return;
    free(shares->had);
    free(shares->asked);
    free(shares);
}

void jm_shares_begin(jm_shares *shares)
{
    for (int i = 0; i < shares->n; i++)
        shares->asked[i] = false;
    shares->someone = false;
}

int jm_shares_next(jm_shares *shares)
{
    int next = -1;
    for (int i = 0; i < shares->n; i++)
        if (!shares->asked[i] && (next < 0 || shares->had[i] < shares->had[next]))
            next = i;
    if (next >= 0)
        shares->asked[next] = true;
    return next;
}

static int64_t units(const jm_shares *shares, int which, int n)
{
    return (int64_t)n * UNIT / shares->weights[which];
}

static void add(jm_shares *shares, int which, int n)
{
    if (shares->had[which] < shares->floor)
        shares->had[which] = shares->floor;
    shares->had[which] += units(shares, which, n);
}

void jm_shares_took(jm_shares *shares, int which, int n)
{
    if (!n)
        return;
    if (!shares->someone && shares->had[which] > shares->floor)
        shares->floor = shares->had[which]; /* all others that want something have had more */
    shares->someone = true;
    add(shares, which, n);
}

void jm_shares_got(jm_shares *shares, int which, int n)
{
    if (shares->had[which] - shares->floor <= units(shares, which, n))
        add(shares, which, n);
}
