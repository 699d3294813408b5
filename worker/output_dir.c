/* The directories that jobs' children leave files in. */
#include "output_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "worker/text.h"

enum { MAX_FILES = 1000, MAX_DEPTH = 16, MAX_SPARE = 512 };

/* A process that outlives its job may have the directory open: the spawner has killed it by then.
 */
enum { REST_US = 100000 };

#define SPARE_PREFIX ".jobmill-" /* then process id and number */

/* An empty directory, named by number. */
typedef struct spare {
    int64_t since_us;
    unsigned number;
} spare;

struct jm_output_dirs {
    char *work_dir;
    spare spare[MAX_SPARE]; /* a ring: the longest at first */
    unsigned first, n;
    unsigned last_number;
};

/* Spare directories of a process that was killed. One that only seems to be gone, from within a
 * container, makes itself a new one. */
static void remove_left(const char *work_dir)
{
    DIR *dir = opendir(work_dir);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strncmp(entry->d_name, SPARE_PREFIX, strlen(SPARE_PREFIX)) != 0)
            continue;
        char *end;
        long pid = strtol(entry->d_name + strlen(SPARE_PREFIX), &end, 10);
        if (*end == '-' && pid > 0 && (pid == getpid() || (kill((pid_t)pid, 0) && errno == ESRCH)))
            unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
    }
    closedir(dir);
}

jm_output_dirs *jm_output_dirs_new(const char *work_dir)
{
    jm_output_dirs *dirs = jm_calloc(1, sizeof *dirs);
    dirs->work_dir = jm_strdup(work_dir);
    remove_left(work_dir);
    return dirs;
}

static char *spare_path(const jm_output_dirs *dirs, unsigned number)
{
    jm_buf buf = {0};
    jm_buf_addf(&buf, "%s/" SPARE_PREFIX "%d-%u", dirs->work_dir, (int)getpid(), number);
    return jm_buf_take(&buf);
}

static char *take_first(jm_output_dirs *dirs)
{
    char *path = spare_path(dirs, dirs->spare[dirs->first].number);
    dirs->first = (dirs->first + 1) % MAX_SPARE;
    dirs->n--;
    return path;
}

void jm_output_dirs_free(jm_output_dirs *dirs)
{
    if (!dirs)
        return;
    while (dirs->n) {
        char *path = take_first(dirs);
        rmdir(path);
        free(path);
    }
    free(dirs->work_dir);
    free(dirs);
}

char *jm_output_dirs_path(const jm_output_dirs *dirs, const jm_job *job)
{
    char id[JM_UUID_TEXT];
    jm_buf buf = {0};
    jm_uuid_format(&job->id, id);
    jm_buf_addf(&buf, "%s/%s-%d", dirs->work_dir, id, job->attempt);
    return jm_buf_take(&buf);
}

/* Gives a spare directory this name; false if there is none, or the name is taken. */
static bool take_spare(jm_output_dirs *dirs, const char *path)
{
    if (!dirs->n || jm_mono_us() - dirs->spare[dirs->first].since_us < REST_US)
        return false;
    char *from = take_first(dirs);
    bool taken = !renameat2(AT_FDCWD, from, AT_FDCWD, path, RENAME_NOREPLACE);
    if (!taken)
        rmdir(from);
    free(from);
    return taken;
}

/* Keeps an empty directory for another job; false if it is not to be kept. */
static bool keep_spare(jm_output_dirs *dirs, const char *path)
{
    if (dirs->n == MAX_SPARE)
        return false;
    unsigned number = ++dirs->last_number;
    char *to = spare_path(dirs, number);
    bool kept = !renameat2(AT_FDCWD, path, AT_FDCWD, to, RENAME_NOREPLACE);
    if (kept)
        dirs->spare[(dirs->first + dirs->n++) % MAX_SPARE] = (spare){jm_mono_us(), number};
    free(to);
    return kept;
}

int jm_output_dirs_make(jm_output_dirs *dirs, const char *path, bool may_exist, jm_err *err)
{
    if (take_spare(dirs, path) || !mkdir(path, 0700) || (may_exist && errno == EEXIST))
        return JM_OK;
    return jm_err_errno(err, JM_ERR_IO, "cannot make the output directory %s", path);
}

typedef struct listing {
    jm_buf *list;
    int64_t total_size;
    int n;
    bool empty; /* nothing at all is there */
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
        files->empty = false;
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

/* Removes what is nothing but directories. */
static void remove_empty(int fd, int depth)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return;
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        int sub = depth < MAX_DEPTH ? openat(dirfd(dir), entry->d_name,
                                             O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                                    : -1;
        if (sub >= 0)
            remove_empty(sub, depth + 1);
        unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);
    }
    closedir(dir);
}

/* As it was made: a child may have changed it. */
static bool is_as_made(int fd)
{
    struct stat st;
    return !fstat(fd, &st) && st.st_uid == geteuid() && (st.st_mode & 07777) == 0700;
}

void jm_output_dirs_close(jm_output_dirs *dirs, const char *path, jm_buf *list, int64_t *total_size)
{
    listing files = {.list = list, .empty = true};
    jm_buf prefix = {0};
    *total_size = 0;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        if (errno != ENOENT) /* it was made: a child has changed it */
            rmdir(path);
        return;
    }
    bool as_made = is_as_made(fd);
    jm_buf_adds(&prefix, "");
    list_files(&files, fd, &prefix, 0);
    jm_buf_fini(&prefix);
    if (!files.empty && !files.n) {
        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0)
            remove_empty(fd, 0);
    }
    if (!files.n && !(files.empty && as_made && keep_spare(dirs, path)))
        rmdir(path); /* which leaves what is no file and no directory */
    if (list->len)
        jm_buf_addc(list, ']');
    *total_size = files.total_size;
}
