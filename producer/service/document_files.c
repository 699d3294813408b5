/* Reads the files of a document, in an order that is always the same. */
#include "producer/service/document_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"

enum { DEPTH_MAX = 32 /* of directories; links may go in circles */, CHUNK_BYTES = 65536 };

typedef struct walk {
    jm_document_file_fn *fn;
    void *ctx;
    size_t bytes; /* read up to now */
    int n;
} walk;

static int read_all(FILE *file, const char *name, size_t most, jm_buf *text, jm_err *err)
{
    size_t got;
    do {
        got = fread(jm_buf_reserve(text, CHUNK_BYTES), 1, CHUNK_BYTES, file);
        text->len += got;
    } while (got && text->len <= most);
    if (ferror(file))
        return jm_err_errno(err, JM_ERR_IO, "%.300s", name);
    if (text->len > most)
        return jm_err_set(err, JM_ERR_INVALID, "%.300s: more than %zu MiB", name,
                          JM_DOCUMENT_BYTES_MAX >> 20);
    jm_buf_reserve(text, 1)[0] = '\0';
    return JM_OK;
}

static int read_one(walk *w, const char *path, jm_err *err)
{
    jm_buf text = {0};
    FILE *file = strcmp(path, "-") != 0 ? fopen(path, "re") : stdin;
    if (!file)
        return jm_err_errno(err, JM_ERR_IO, "%.300s", path);
    int rc = read_all(file, path, JM_DOCUMENT_BYTES_MAX - w->bytes, &text, err);
    if (file != stdin)
        fclose(file);
    if (!rc) {
        w->bytes += text.len;
        w->n++;
        w->fn(w->ctx, path, text.data, text.len);
    }
    jm_buf_fini(&text);
    return rc;
}

static int is_not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static bool is_json(const char *name)
{
    size_t len = strlen(name);
    return len > 5 && !strcmp(name + len - 5, ".json");
}

static int read_dir(walk *w, const char *path, int depth, jm_err *err);

/* A file, or a directory, of a directory. */
static int read_entry(walk *w, const char *path, int depth, jm_err *err)
{
    struct stat st;
    if (stat(path, &st))
        return is_json(path) ? jm_err_errno(err, JM_ERR_IO, "%.300s", path) : JM_OK;
    if (S_ISDIR(st.st_mode))
        return read_dir(w, path, depth + 1, err);
    return is_json(path) && S_ISREG(st.st_mode) ? read_one(w, path, err) : JM_OK;
}

static int read_dir(walk *w, const char *path, int depth, jm_err *err)
{
    struct dirent **entries;
    jm_buf child = {0};
    int rc = JM_OK;
    if (depth > DEPTH_MAX)
        return jm_err_set(err, JM_ERR_INVALID, "%.300s: more than %d directories deep", path,
                          DEPTH_MAX);
    int n = scandir(path, &entries, is_not_hidden, by_bytes);
    if (n < 0)
        return jm_err_errno(err, JM_ERR_IO, "%.300s", path);
    size_t len = strlen(path);
    for (int i = 0; i < n; i++) {
        jm_buf_clear(&child);
        jm_buf_addf(&child, "%s%s%s", path, len && path[len - 1] == '/' ? "" : "/",
                    entries[i]->d_name);
        if (!rc)
            rc = read_entry(w, jm_buf_str(&child), depth, err);
        free(entries[i]);
    }
    free(entries);
    jm_buf_fini(&child);
    return rc;
}

int jm_document_files_each(const char *path, jm_document_file_fn *fn, void *ctx, jm_err *err)
{
    walk w = {.fn = fn, .ctx = ctx};
    struct stat st;
    if (!strcmp(path, "-") || stat(path, &st) || !S_ISDIR(st.st_mode))
        return read_one(&w, path, err);
    int rc = read_dir(&w, path, 1, err);
    if (!rc && !w.n) /* a directory that is not mounted is no document without schedules */
        rc = jm_err_set(err, JM_ERR_INVALID, "%.300s: there is no .json file in it", path);
    return rc;
}
