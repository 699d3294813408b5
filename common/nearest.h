/* The nearest known word to one that was mistyped: for "did you mean". */
#ifndef JM_NEAREST_H
#define JM_NEAREST_H

#include <stddef.h>

/* The known word with the smallest edit distance to word (insert, delete, replace, swap of
 * neighbours; case is ignored), or NULL when none is near enough to be worth a mention: more than a
 * third of the longer one's letters differ. The first of equals wins. Words past 63 bytes have no
 * neighbours. */
const char *jm_nearest(const char *word, const char *const *known, size_t n);

#endif
