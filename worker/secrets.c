/* Reads secrets from files. */
#include "secrets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/mem.h"

/* One that has been read, and what its file looked like. */
typedef struct secret {
    struct secret *next;
    char *path;
    struct stat seen;
    char *value;
    size_t len;
} secret;

struct jm_secrets {
    char *dir;
    secret *all;
};

bool jm_secret_name_ok(const char *name)
{
    static const char *const chars =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t len = strlen(name);
    return len && len <= 100 && strspn(name, chars) == len && *name != '.';
}

jm_secrets *jm_secrets_new(const char *dir)
{
    jm_secrets *secrets = jm_calloc(1, sizeof *secrets);
    secrets->dir = jm_strdup(dir && *dir ? dir : NULL);
    return secrets;
}

static void forget(secret *s)
{
    if (s->value)
        explicit_bzero(s->value, s->len);
    free(s->value);
    s->value = NULL;
    s->len = 0;
}

void jm_secrets_free(jm_secrets *secrets)
{
    if (!secrets)
        return;
    for (secret *s = secrets->all, *next; s; s = next) {
        next = s->next;
        forget(s);
        free(s->path);
        free(s);
    }
    free(secrets->dir);
    free(secrets);
}

static secret *entry(jm_secrets *secrets, const char *path)
{
    for (secret *s = secrets->all; s; s = s->next)
        if (!strcmp(s->path, path))
            return s;
    secret *s = jm_calloc(1, sizeof *s);
    s->path = jm_strdup(path);
    s->next = secrets->all;
    return secrets->all = s;
}

static bool is_unchanged(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mode == b->st_mode && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
           a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static int check_file(const char *name, const char *path, const struct stat *st, jm_err *err)
{
    if (!S_ISREG(st->st_mode))
        return jm_err_set(err, JM_ERR_INVALID, "secret %s: %s is no file", name, path);
    if (st->st_mode & (S_IROTH | S_IWOTH))
        return jm_err_set(err, JM_ERR_INVALID,
                          "secret %s: %s may be read or written by everybody: chmod o-rw", name,
                          path);
    if (st->st_size > JM_SECRET_MAX_BYTES)
        return jm_err_set(err, JM_ERR_INVALID, "secret %s: %s has more than %d bytes", name, path,
                          JM_SECRET_MAX_BYTES);
    return JM_OK;
}

static int read_all(int fd, const char *name, secret *s, jm_err *err)
{
    char *text = jm_calloc(1, JM_SECRET_MAX_BYTES + 1);
    size_t len = 0;
    ssize_t n;
    while (len < JM_SECRET_MAX_BYTES &&
           ((n = read(fd, text + len, JM_SECRET_MAX_BYTES - len)) > 0 || (n < 0 && errno == EINTR)))
        len += n > 0 ? (size_t)n : 0;
    if (len && text[len - 1] == '\n')
        len--;
    if (len && text[len - 1] == '\r')
        len--;
    s->value = jm_strndup(text, len);
    s->len = len;
    explicit_bzero(text, JM_SECRET_MAX_BYTES);
    free(text);
    if (memchr(s->value, 0, len))
        return jm_err_set(err, JM_ERR_INVALID, "secret %s has a NUL byte in it", name);
    if (len < JM_SECRET_MIN_BYTES)
        return jm_err_set(err, JM_ERR_INVALID, "secret %s has fewer than %d bytes", name,
                          JM_SECRET_MIN_BYTES);
    return JM_OK;
}

static int load(secret *s, const char *name, jm_err *err)
{
    struct stat now;
    /* Without waiting: it might be a pipe. */
    int fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &now)) {
        bool absent = errno == ENOENT;
        jm_err_errno(err, absent ? JM_ERR_NOT_FOUND : JM_ERR_IO, "secret %s: cannot read %s", name,
                     s->path);
        if (fd >= 0)
            close(fd);
        forget(s);
        return err->code;
    }
    int rc = check_file(name, s->path, &now, err);
    if (rc || !s->value || !is_unchanged(&now, &s->seen)) {
        forget(s);
        s->seen = now;
        rc = rc ? rc : read_all(fd, name, s, err);
        if (rc)
            forget(s);
    }
    close(fd);
    return rc;
}

int jm_secrets_get(jm_secrets *secrets, const char *name, const char *path, const char **value,
                   size_t *len, jm_err *err)
{
    jm_buf own = {0};
    if (!path && !secrets->dir)
        return jm_err_set(err, JM_ERR_NOT_FOUND, "secret %s: [worker] secrets_dir is not set",
                          name);
    if (!path)
        jm_buf_addf(&own, "%s/%s", secrets->dir, name);
    secret *s = entry(secrets, path ? path : own.data);
    jm_buf_fini(&own);
    if (load(s, name, err))
        return err->code;
    *value = s->value;
    *len = s->len;
    return JM_OK;
}
