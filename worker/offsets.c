/* Windows of open offsets, by partition. */
#include "worker/offsets.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"

struct entry {
    int64_t offset;
    bool done;
};

/* entries[first .. first + n) in rising order; the first of them is open. */
struct window {
    int32_t partition;
    struct entry *entries;
    size_t first, n, cap;
};

struct jm_offsets {
    struct window *windows;
    int n_windows;
    size_t open;
};

jm_offsets *jm_offsets_new(void)
{
    return jm_calloc(1, sizeof(jm_offsets));
}

void jm_offsets_free(jm_offsets *offsets)
{
    if (!offsets)
        return;
    for (int i = 0; i < offsets->n_windows; i++)
        free(offsets->windows[i].entries);
    free(offsets->windows);
    free(offsets);
}

static struct window *find_window(jm_offsets *offsets, int32_t partition)
{
    for (int i = 0; i < offsets->n_windows; i++)
        if (offsets->windows[i].partition == partition)
            return &offsets->windows[i];
    return NULL;
}

static struct window *add_window(jm_offsets *offsets, int32_t partition)
{
    size_t n = (size_t)offsets->n_windows + 1;
    offsets->windows = jm_realloc(offsets->windows, n * sizeof *offsets->windows);
    struct window *window = &offsets->windows[offsets->n_windows++];
    *window = (struct window){.partition = partition};
    return window;
}

/* Room for one more: by moving the window to the front, or by growing. */
static void make_room(struct window *window)
{
    if (window->first + window->n < window->cap)
        return;
    if (window->first > window->n) {
        memcpy(window->entries, window->entries + window->first,
               window->n * sizeof *window->entries);
    } else {
        window->cap = window->cap ? window->cap * 2 : 256;
        struct entry *entries = jm_malloc(window->cap * sizeof *entries);
        if (window->n)
            memcpy(entries, window->entries + window->first, window->n * sizeof *entries);
        free(window->entries);
        window->entries = entries;
    }
    window->first = 0;
}

void jm_offsets_add(jm_offsets *offsets, int32_t partition, int64_t offset)
{
    struct window *window = find_window(offsets, partition);
    if (!window)
        window = add_window(offsets, partition);
    if (window->n && window->entries[window->first + window->n - 1].offset >= offset) {
        offsets->open -= window->n;
        window->n = 0;
    }
    make_room(window);
    window->entries[window->first + window->n++] = (struct entry){offset, false};
    offsets->open++;
}

static struct entry *find_entry(struct window *window, int64_t offset)
{
    size_t lo = window->first, hi = window->first + window->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (window->entries[mid].offset < offset)
            lo = mid + 1;
        else
            hi = mid;
    }
    bool found = lo < window->first + window->n && window->entries[lo].offset == offset;
    return found ? &window->entries[lo] : NULL;
}

int64_t jm_offsets_done(jm_offsets *offsets, int32_t partition, int64_t offset)
{
    struct window *window = find_window(offsets, partition);
    struct entry *entry = window ? find_entry(window, offset) : NULL;
    if (!entry)
        return -1;
    entry->done = true;
    int64_t next = -1;
    while (window->n && window->entries[window->first].done) {
        next = window->entries[window->first++].offset + 1;
        window->n--;
        offsets->open--;
    }
    return next;
}

size_t jm_offsets_open(const jm_offsets *offsets)
{
    return offsets->open;
}
