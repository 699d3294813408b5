/* Who of several is next, so that each gets its share by weight of what there is: the one that has
 * had least. Who had nothing to take gets no credit for it. Of one thread. */
#ifndef JM_SHARES_H
#define JM_SHARES_H

typedef struct jm_shares jm_shares;

/* weights: n of them, each at least 1; borrowed. */
jm_shares *jm_shares_new(const int *weights, int n);
void jm_shares_free(jm_shares *shares);

/* Begins a round, in which each is asked once. */
void jm_shares_begin(jm_shares *shares);
/* Who is to be asked next; -1: all have been. */
int jm_shares_next(jm_shares *shares);
/* It has taken so many in this round. */
void jm_shares_took(jm_shares *shares, int which, int n);
/* It has got so many beside the rounds. That counts only once over what the others have had, so
 * that no debt piles up while there is enough for all and nobody asks. */
void jm_shares_got(jm_shares *shares, int which, int n);

#endif
