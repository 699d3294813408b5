/* The directory of job types of a worker, and the types that exist without a file. */
#include "type_dir.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/mem.h"

enum { MAX_FILE_BYTES = 1 << 20 };

/* A list of types, sorted by name once it is complete. */
typedef struct type_list {
    jm_job_type **types;
    size_t n;
} type_list;

struct jm_type_dir {
    char *path;
    pthread_mutex_t lock; /* of what follows */
    type_list list;
    uint64_t generation;
};

static void list_add(type_list *list, jm_job_type *type)
{
    list->types = jm_realloc(list->types, (list->n + 1) * sizeof *list->types);
    list->types[list->n++] = type;
}

static void list_fini(type_list *list)
{
    for (size_t i = 0; i < list->n; i++)
        jm_job_type_unref(list->types[i]);
    free(list->types);
    *list = (type_list){0};
}

static int by_name(const void *a, const void *b)
{
    const jm_job_type *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static jm_job_type *list_find(const type_list *list, const char *name)
{
    size_t from = 0, to = list->n;
    while (from < to) {
        size_t mid = (from + to) / 2;
        int cmp = strcmp(name, list->types[mid]->name);
        if (!cmp)
            return list->types[mid];
        if (cmp < 0)
            to = mid;
        else
            from = mid + 1;
    }
    return NULL;
}

static int read_file(const char *path, jm_buf *text, jm_err *err)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return jm_err_errno(err, JM_ERR_IO, "%s", path);
    size_t n;
    do {
        n = fread(jm_buf_reserve(text, 65536), 1, 65536, f);
        text->len += n;
    } while (n && text->len <= MAX_FILE_BYTES);
    jm_buf_add(text, "", 0);
    int rc = JM_OK;
    if (ferror(f))
        rc = jm_err_errno(err, JM_ERR_IO, "%s", path);
    else if (text->len > MAX_FILE_BYTES)
        rc = jm_err_set(err, JM_ERR_INVALID, "%s: larger than %d bytes", path, MAX_FILE_BYTES);
    fclose(f);
    return rc;
}

int jm_type_dir_load_file(const char *path, jm_job_type **out, jm_err *err)
{
    jm_buf text = {0};
    int rc = read_file(path, &text, err);
    if (!rc)
        rc = jm_job_type_parse(path, jm_buf_str(&text), text.len, out, err);
    jm_buf_fini(&text);
    return rc;
}

static bool ends_in(const char *text, const char *end)
{
    size_t len = strlen(text), n = strlen(end);
    return len > n && !strcmp(text + len - n, end);
}

/* The type a file name stands for, or NULL when it is no definition; the caller frees. Fixtures lie
 * beside definitions. */
static char *type_of_file(const char *file)
{
    size_t len = strlen(file);
    if (file[0] == '.' || !ends_in(file, ".json") || ends_in(file, ".tests.json"))
        return NULL;
    return jm_strndup(file, len - 5);
}

static int load_one(const char *dir, const char *name, jm_job_type **out, jm_err *err)
{
    jm_buf path = {0};
    jm_buf_addf(&path, "%s/%s.json", dir, name);
    int rc = jm_type_dir_load_file(path.data, out, err);
    if (!rc && strcmp((*out)->name, name) != 0) {
        rc = jm_err_field(err, "/type", "%s: /type: the file is named for type %s and defines %s",
                          path.data, name, (*out)->name);
        jm_job_type_unref(*out);
        *out = NULL;
    }
    jm_buf_fini(&path);
    return rc;
}

/* Fills list from the directory. A broken file: with old, is logged and its definition in old is
 * kept; without, is the error of the call. */
static int load_files(const char *path, const type_list *old, type_list *list, jm_err *err)
{
    DIR *dir = path ? opendir(path) : NULL;
    if (!dir)
        return !path || errno == ENOENT ? JM_OK : jm_err_errno(err, JM_ERR_IO, "%s", path);
    int rc = JM_OK;
    for (struct dirent *entry; rc == JM_OK && (entry = readdir(dir));) {
        char *name = type_of_file(entry->d_name);
        if (!name)
            continue;
        jm_job_type *type = NULL;
        rc = load_one(path, name, &type, err);
        if (rc && old) {
            rc = JM_OK;
            type = list_find(old, name);
            jm_log_kv(JM_ERROR, "types", err->msg, "type", name, "kept",
                      type ? "the definition before" : "nothing", NULL);
            if (type)
                jm_job_type_ref(type);
        }
        if (type)
            list_add(list, type);
        free(name);
    }
    closedir(dir);
    return rc;
}

/* A file of the same name takes a built-in type's place. */
static int add_builtins(type_list *list, jm_err *err)
{
    static const char *const names[] = {"noop", "sleep", "fail", "jobmill.callback"};
    size_t n_files = list->n;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool taken = false;
        for (size_t j = 0; j < n_files; j++)
            taken = taken || !strcmp(list->types[j]->name, names[i]);
        jm_job_type *type;
        if (taken)
            continue;
        if (jm_job_type_builtin(names[i], &type, err))
            return err->code;
        list_add(list, type);
    }
    qsort(list->types, list->n, sizeof *list->types, by_name);
    return JM_OK;
}

/* Where a definition is unchanged the object before is kept: jobs under way and limits stay with
 * it. Returns whether anything differs. */
static bool keep_unchanged(const type_list *old, type_list *list)
{
    bool changed = old->n != list->n;
    for (size_t i = 0; i < list->n; i++) {
        jm_job_type *before = list_find(old, list->types[i]->name);
        if (!before || strcmp(before->hash, list->types[i]->hash) != 0) {
            changed = true;
        } else if (before != list->types[i]) {
            jm_job_type_unref(list->types[i]);
            list->types[i] = jm_job_type_ref(before);
        }
    }
    return changed;
}

int jm_type_dir_new(const char *path, jm_type_dir **out, jm_err *err)
{
    type_list list = {0};
    if (load_files(path, NULL, &list, err) || add_builtins(&list, err)) {
        list_fini(&list);
        return err->code;
    }
    jm_type_dir *dir = jm_calloc(1, sizeof *dir);
    dir->path = jm_strdup(path);
    dir->list = list;
    dir->generation = 1;
    pthread_mutex_init(&dir->lock, NULL);
    *out = dir;
    return JM_OK;
}

int jm_type_dir_reload(jm_type_dir *dir, jm_err *err)
{
    type_list list = {0};
    pthread_mutex_lock(&dir->lock);
    int rc = load_files(dir->path, &dir->list, &list, err);
    if (!rc)
        rc = add_builtins(&list, err);
    if (!rc) {
        type_list old = dir->list;
        if (keep_unchanged(&old, &list))
            dir->generation++;
        dir->list = list;
        list = old;
    }
    pthread_mutex_unlock(&dir->lock);
    list_fini(&list);
    return rc;
}

void jm_type_dir_free(jm_type_dir *dir)
{
    if (!dir)
        return;
    list_fini(&dir->list);
    pthread_mutex_destroy(&dir->lock);
    free(dir->path);
    free(dir);
}

jm_job_type *jm_type_dir_get(jm_type_dir *dir, const char *name)
{
    pthread_mutex_lock(&dir->lock);
    jm_job_type *type = list_find(&dir->list, name);
    if (type)
        jm_job_type_ref(type);
    pthread_mutex_unlock(&dir->lock);
    return type;
}

jm_job_type **jm_type_dir_all(jm_type_dir *dir)
{
    pthread_mutex_lock(&dir->lock);
    jm_job_type **all = jm_calloc(dir->list.n + 1, sizeof *all);
    for (size_t i = 0; i < dir->list.n; i++)
        all[i] = jm_job_type_ref(dir->list.types[i]);
    pthread_mutex_unlock(&dir->lock);
    return all;
}

uint64_t jm_type_dir_generation(jm_type_dir *dir)
{
    pthread_mutex_lock(&dir->lock);
    uint64_t generation = dir->generation;
    pthread_mutex_unlock(&dir->lock);
    return generation;
}
