/* Memory: allocation that never returns NULL, and arenas that are freed whole. */
#include "mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct block {
    struct block *next;
    size_t used, size;
    _Alignas(16) unsigned char data[];
};

struct jm_arena {
    struct block *head;
    size_t block_bytes, total;
};

static void *check(void *p, size_t bytes)
{
    if (!p && bytes) {
        fprintf(stderr, "jobmill: out of memory (%zu bytes)\n", bytes);
        abort();
    }
    return p;
}

void *jm_malloc(size_t bytes)
{
    return check(malloc(bytes), bytes);
}

void *jm_calloc(size_t n, size_t bytes)
{
    return check(calloc(n, bytes), n * bytes);
}

void *jm_realloc(void *p, size_t bytes)
{
    return check(realloc(p, bytes), bytes);
}

char *jm_strdup(const char *s)
{
    return s ? jm_strndup(s, strlen(s)) : NULL;
}

char *jm_strndup(const char *s, size_t len)
{
    char *copy = jm_malloc(len + 1);
    if (len)
        memcpy(copy, s, len);
    copy[len] = 0;
    return copy;
}

jm_arena *jm_arena_new(size_t block_bytes)
{
    jm_arena *arena = jm_calloc(1, sizeof *arena);
    arena->block_bytes = block_bytes ? block_bytes : 65536;
    return arena;
}

void jm_arena_free(jm_arena *arena)
{
    if (!arena)
        return;
    for (struct block *b = arena->head, *next; b; b = next) {
        next = b->next;
        free(b);
    }
    free(arena);
}

void *jm_arena_alloc(jm_arena *arena, size_t bytes)
{
    bytes = (bytes + 15) & ~(size_t)15;
    struct block *b = arena->head;
    if (!b || b->size - b->used < bytes) {
        size_t size = bytes > arena->block_bytes ? bytes : arena->block_bytes;
        b = jm_malloc(sizeof *b + size);
        b->used = 0;
        b->size = size;
        arena->total += size;
        if (bytes > arena->block_bytes / 2 && arena->head) { /* keep filling the current block */
            b->next = arena->head->next;
            arena->head->next = b;
        } else {
            b->next = arena->head;
            arena->head = b;
        }
    }
    void *p = b->data + b->used;
    b->used += bytes;
    return p;
}

void *jm_arena_calloc(jm_arena *arena, size_t bytes)
{
    return memset(jm_arena_alloc(arena, bytes), 0, bytes);
}

char *jm_arena_strndup(jm_arena *arena, const char *s, size_t len)
{
    char *copy = jm_arena_alloc(arena, len + 1);
    if (len)
        memcpy(copy, s, len);
    copy[len] = 0;
    return copy;
}

char *jm_arena_strdup(jm_arena *arena, const char *s)
{
    return s ? jm_arena_strndup(arena, s, strlen(s)) : NULL;
}

size_t jm_arena_bytes(const jm_arena *arena)
{
    return arena->total;
}
