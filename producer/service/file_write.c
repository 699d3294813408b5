/* Writes a file so that nobody finds half of it. */
#include "producer/service/file_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"

/* All of it, and closes the file. */
static int write_text(FILE *file, const char *text, const char *path, jm_err *err)
{
    int failed = fprintf(file, "%s\n", text) < 0 || fflush(file) ? errno : 0;
    if (fclose(file) && !failed)
        failed = errno;
    errno = failed;
    return failed ? jm_err_errno(err, JM_ERR_IO, "%.300s", path) : JM_OK;
}

/* What is no regular file: a terminal, a pipe, a link to nothing yet. */
static int write_through(const char *text, const char *path, jm_err *err)
{
    FILE *file = fopen(path, "we");
    return file ? write_text(file, text, path, err) : jm_err_errno(err, JM_ERR_IO, "%.300s", path);
}

static mode_t mode_of_new_files(void)
{
    mode_t mask = umask(0);
    umask(mask);
    return 0666 & ~mask;
}

/* Writes beside the file and puts it in its place: nobody reads half of it. */
static int write_aside(const char *text, const char *path, mode_t mode, jm_err *err)
{
    jm_buf aside = {0};
    jm_buf_addf(&aside, "%s.XXXXXX", path);
    int fd = mkostemp(aside.data, O_CLOEXEC);
    FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
    int rc = file && !fchmod(fd, mode) ? JM_OK : jm_err_errno(err, JM_ERR_IO, "%.300s", path);
    if (file && rc)
        fclose(file);
    else if (!file && fd >= 0)
        close(fd);
    else if (file)
        rc = write_text(file, text, path, err);
    if (!rc && rename(jm_buf_str(&aside), path))
        rc = jm_err_errno(err, JM_ERR_IO, "%.300s", path);
    if (rc && fd >= 0)
        unlink(jm_buf_str(&aside));
    jm_buf_fini(&aside);
    return rc;
}

int jm_file_write(const char *path, const char *text, jm_err *err)
{
    struct stat st, link;
    bool found = !stat(path, &st);
    char *target = found && S_ISREG(st.st_mode) ? realpath(path, NULL) : NULL;
    int rc;
    if (target)
        rc = write_aside(text, target, st.st_mode & 07777, err);
    else if (found || !lstat(path, &link))
        rc = write_through(text, path, err);
    else
        rc = write_aside(text, path, mode_of_new_files(), err);
    free(target);
    return rc;
}
