/* The directory that a job's children leave files in. */
#include "output_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/text.h"

enum { MAX_FILES = 1000, MAX_DEPTH = 16 };

char *jm_output_dir_path(const char *work_dir, const jm_job *job)
{
    char id[JM_UUID_TEXT];
    jm_buf buf = {0};
    jm_uuid_format(&job->id, id);
    jm_buf_addf(&buf, "%s/%s-%d", work_dir, id, job->attempt);
    return jm_buf_take(&buf);
}

int jm_output_dir_make(const char *path, bool may_exist, jm_err *err)
{
    if (!mkdir(path, 0700) || (may_exist && errno == EEXIST))
        return JM_OK;
    return jm_err_errno(err, JM_ERR_IO, "cannot make the output directory %s", path);
}

typedef struct listing {
    jm_buf *list;
    int64_t total_size;
    int n;
} listing;

static void add_file(listing *files, const char *name, int64_t size)
{
    jm_buf clean = {0};
    files->total_size += size;
    if (files->n++ >= MAX_FILES)
        return;
    jm_text_clean(&clean, name, strlen(name));
    jm_buf_adds(files->list, files->list->len ? ",{\"name\":" : "[{\"name\":");
    jm_buf_add_json(files->list, clean.data, clean.len);
    jm_buf_addf(files->list, ",\"size\":%lld}", (long long)size);
    jm_buf_fini(&clean);
}

/* Lists the directory at fd, which it closes. Links are not followed. */
static void list_files(listing *files, int fd, jm_buf *prefix, int depth)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return;
    }
    size_t prefix_len = prefix->len;
    for (struct dirent *entry; files->n < MAX_FILES && (entry = readdir(dir));) {
        struct stat st;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW))
            continue;
        jm_buf_adds(prefix, entry->d_name);
        if (S_ISREG(st.st_mode)) {
            add_file(files, prefix->data, st.st_size);
        } else if (S_ISDIR(st.st_mode) && depth < MAX_DEPTH) {
            int sub =
                openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            jm_buf_addc(prefix, '/');
            if (sub >= 0)
                list_files(files, sub, prefix, depth + 1);
        }
        prefix->len = prefix_len;
        prefix->data[prefix_len] = 0;
    }
    closedir(dir);
}

void jm_output_dir_close(const char *path, jm_buf *list, int64_t *total_size)
{
    *total_size = 0;
    if (!rmdir(path) || errno == ENOENT)
        return;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    listing files = {.list = list};
    jm_buf prefix = {0};
    jm_buf_adds(&prefix, "");
    list_files(&files, fd, &prefix, 0);
    jm_buf_fini(&prefix);
    if (list->len)
        jm_buf_addc(list, ']');
    *total_size = files.total_size;
}
