/* A tree of directories under inotify: each directory is a watch of its own. */
#include "producer/cli/file_watch.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 16 };

static const uint32_t EVENTS =
    IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF;

static bool is_ignored(const char *name)
{
    return name[0] == '.' || !strcmp(name, "__pycache__") || !strcmp(name, "node_modules");
}

/* Adds the directory and those below; one that is watched already stays. */
static int add(const jm_file_watch *watch, const char *path, int depth)
{
    char below[PATH_MAX];
    struct stat st;
    if (inotify_add_watch(watch->fd, path, EVENTS | IN_ONLYDIR) < 0)
        return -1;
    DIR *dir = depth < DEPTH_MAX ? opendir(path) : NULL;
    for (const struct dirent *entry; dir && (entry = readdir(dir));) {
        if (is_ignored(entry->d_name) ||
            snprintf(below, sizeof below, "%s/%s", path, entry->d_name) >= PATH_MAX)
            continue;
        if (lstat(below, &st) == 0 && S_ISDIR(st.st_mode))
            (void)add(watch, below, depth + 1); /* it may have gone meanwhile */
    }
    if (dir)
        closedir(dir);
    return 0;
}

int jm_file_watch_open(jm_file_watch *watch, const char *directory)
{
    watch->directory = directory;
    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->fd < 0)
        return -1;
    if (add(watch, directory, 0) == 0)
        return 0;
    int saved = errno;
    jm_file_watch_close(watch);
    errno = saved;
    return -1;
}

void jm_file_watch_close(jm_file_watch *watch)
{
    close(watch->fd);
}

/* A file that is made is told of again when it is closed; a link is not. */
static bool counts(const struct inotify_event *event)
{
    return event->len == 0 ? event->mask & IN_DELETE_SELF : !is_ignored(event->name);
}

bool jm_file_watch_take(jm_file_watch *watch)
{
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool changed = false;
    for (ssize_t n; (n = read(watch->fd, events, sizeof events)) > 0;) {
        for (const char *at = events; at < events + n;) {
            const struct inotify_event *event = (const void *)at;
            changed = changed || counts(event);
            at += sizeof *event + event->len;
        }
    }
    (void)add(watch, watch->directory, 0);
    return changed;
}
