/* Tells that files below a directory have changed, through inotify(7). */
#ifndef JM_CLI_FILE_WATCH_H
#define JM_CLI_FILE_WATCH_H

#include <stdbool.h>

typedef struct jm_file_watch {
    const char *directory; /* borrowed */
    int fd;                /* to be polled for POLLIN */
} jm_file_watch;

/* Watches directory and those below it, without hidden ones and those where interpreters and
 * package managers keep their own files. Returns -1 with errno. */
int jm_file_watch_open(jm_file_watch *watch, const char *directory);
void jm_file_watch_close(jm_file_watch *watch);
/* Takes what has happened; true when a file that is not hidden has changed, come or gone. Looks
 * for new directories, also for one in the place of the directory itself. */
bool jm_file_watch_take(jm_file_watch *watch);

#endif
