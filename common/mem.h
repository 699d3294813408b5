/* Memory: allocation that never returns NULL, and arenas that are freed whole. */
#ifndef JM_MEM_H
#define JM_MEM_H

#include <stddef.h>

/* As malloc, calloc, realloc and strdup, but log and abort when memory is exhausted: the process is
 * restarted by its supervisor and nothing accepted is lost, which no half-working process can say.
 */
void *jm_malloc(size_t bytes);
void *jm_calloc(size_t n, size_t bytes);
void *jm_realloc(void *p, size_t bytes);
char *jm_strdup(const char *s);              /* NULL gives NULL */
char *jm_strndup(const char *s, size_t len); /* copies exactly len bytes and adds a NUL */

/* Bump allocator; everything in it lives until jm_arena_free. Not thread-safe: one owner at a time.
 */
typedef struct jm_arena jm_arena;

jm_arena *jm_arena_new(size_t block_bytes); /* 0: 64 KiB blocks */
void jm_arena_free(jm_arena *arena);
void *jm_arena_alloc(jm_arena *arena, size_t bytes); /* aligned to 16, not zeroed */
void *jm_arena_calloc(jm_arena *arena, size_t bytes);
char *jm_arena_strndup(jm_arena *arena, const char *s, size_t len);
char *jm_arena_strdup(jm_arena *arena, const char *s); /* NULL gives NULL */
size_t jm_arena_bytes(const jm_arena *arena);          /* held, for bounds */

#endif
