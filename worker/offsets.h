/* Which records of a queue are done, where an offset may only be committed once everything before
 * it is: one window of open offsets a partition. For workers without a database. One thread. */
#ifndef JM_OFFSETS_H
#define JM_OFFSETS_H

#include <stddef.h>
#include <stdint.h>

typedef struct jm_offsets jm_offsets;

jm_offsets *jm_offsets_new(void);
void jm_offsets_free(jm_offsets *offsets); /* NULL is fine */

/* A record has come. Offsets of a partition rise; one that does not means that the partition was
 * read again from there, and its window starts anew. */
void jm_offsets_add(jm_offsets *offsets, int32_t partition, int64_t offset);
/* The record is done with. Returns the offset to go on from, to be committed, when it has moved;
 * -1 when something before it is still open, or when it is not in the window. */
int64_t jm_offsets_done(jm_offsets *offsets, int32_t partition, int64_t offset);
/* Records in the windows, of all partitions: bounds how far a slow job is run ahead of. */
size_t jm_offsets_open(const jm_offsets *offsets);

#endif
