/* The spool: a file of checksummed records, locked by its worker, taken over by another. */
#include "worker/spool.h"

#include <assert.h>
#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/mem.h"

enum { FRAME_BYTES = 8, ID_AT = 8, HEAD_SUM_AT = 24, READ_BYTES = 1 << 20 };

static const char magic[8] = {'J', 'M', 'S', 'P', 'O', 'O', 'L', '1'};
static const char suffix[] = ".spool";

struct jm_spool {
    int fd, dir_fd;
    char *path;
    const char *name; /* within the directory; part of path */
    jm_uuid worker_id;
    int64_t max_bytes;
    int64_t taken, read, end; /* offsets: all before taken is done, records before end are synced */
    int64_t last;             /* where the record read last begins */
    jm_buf batch;             /* added, not yet written */
    jm_buf window;            /* what was read ahead */
    int64_t window_at;        /* where it stands in the file */
};

/* ---- format ---- */

static void put_32(char *to, uint32_t v)
{
    v = htole32(v);
    memcpy(to, &v, 4);
}

static uint32_t get_32(const char *from)
{
    uint32_t v;
    memcpy(&v, from, 4);
    return le32toh(v);
}

/* Of the length as well: a tail of zeros is no series of empty records. */
static uint32_t sum(const char *length, const void *payload, size_t len)
{
    uLong crc = crc32(0, (const Bytef *)length, 4);
    return (uint32_t)crc32(crc, payload, (uInt)len);
}

static void make_head(char head[JM_SPOOL_HEAD_BYTES], const jm_uuid *worker_id)
{
    memcpy(head, magic, sizeof magic);
    memcpy(head + ID_AT, worker_id->b, sizeof worker_id->b);
    put_32(head + HEAD_SUM_AT, (uint32_t)crc32(0, (const Bytef *)head, HEAD_SUM_AT));
}

bool jm_spool_parse(const char *data, size_t size, size_t *pos, const void **payload, size_t *len)
{
    if (size < *pos || size - *pos < FRAME_BYTES)
        return false;
    const char *frame = data + *pos;
    uint32_t n = get_32(frame);
    if (!n || n > JM_SPOOL_RECORD_MAX || size - *pos - FRAME_BYTES < n ||
        get_32(frame + 4) != sum(frame, frame + FRAME_BYTES, n))
        return false;
    *payload = frame + FRAME_BYTES;
    *len = n;
    *pos += FRAME_BYTES + n;
    return true;
}

/* ---- making, finding, closing ---- */

static jm_spool *spool_new(const char *dir, const char *name, int fd, int dir_fd)
{
    jm_spool *spool = jm_calloc(1, sizeof *spool);
    jm_buf path = {0};
    jm_buf_addf(&path, "%s/%s", dir, name);
    spool->path = jm_buf_take(&path);
    spool->name = spool->path + strlen(dir) + 1;
    spool->fd = fd;
    spool->dir_fd = dir_fd;
    spool->taken = spool->read = spool->end = JM_SPOOL_HEAD_BYTES;
    return spool;
}

static void spool_free(jm_spool *spool)
{
    jm_buf_fini(&spool->batch);
    jm_buf_fini(&spool->window);
    close(spool->fd);
    close(spool->dir_fd);
    free(spool->path);
    free(spool);
}

static int open_dir(const char *dir, bool make, int *out, jm_err *err)
{
    if (make && mkdir(dir, 0700) && errno != EEXIST)
        return jm_err_errno(err, JM_ERR_IO, "[worker] spool_dir: cannot make %s", dir);
    *out = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*out < 0)
        return jm_err_errno(err, JM_ERR_IO, "[worker] spool_dir: cannot open %s", dir);
    return JM_OK;
}

/* Writes all of it at an offset, or sets errno and returns false. */
static bool write_at(int fd, const char *data, size_t len, int64_t at)
{
    while (len) {
        ssize_t n = pwrite(fd, data, len, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n ? errno : ENOSPC;
            return false;
        }
        data += n;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

int jm_spool_open(const char *dir, const jm_uuid *worker_id, int64_t max_bytes, jm_spool **out,
                  jm_err *err)
{
    int dir_fd = -1; /* gcc cannot tell that it is set where rc is 0 */
    int rc = open_dir(dir, true, &dir_fd, err);
    if (rc)
        return rc;
    char name[JM_UUID_TEXT + sizeof suffix], fresh[sizeof name + 4], head[JM_SPOOL_HEAD_BYTES];
    jm_uuid_format(worker_id, name);
    memcpy(name + strlen(name), suffix, sizeof suffix);
    snprintf(fresh, sizeof fresh, "%s.new", name);
    int fd = openat(dir_fd, fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        rc = jm_err_errno(err, JM_ERR_IO, "[worker] spool_dir: cannot make a file in %s", dir);
        close(dir_fd);
        return rc;
    }
    jm_spool *spool = spool_new(dir, name, fd, dir_fd);
    spool->worker_id = *worker_id;
    spool->max_bytes = max_bytes;
    make_head(head, worker_id);
    /* It gets its name when it is locked: nobody finds it without an owner. The name must last as
     * well as what is written later. */
    if (flock(fd, LOCK_EX | LOCK_NB) || !write_at(fd, head, sizeof head, 0) || fdatasync(fd) ||
        renameat(dir_fd, fresh, dir_fd, name) || fsync(dir_fd)) {
        rc = jm_err_errno(err, JM_ERR_IO, "[worker] spool_dir: cannot write %s", spool->path);
        unlinkat(dir_fd, fresh, 0);
        unlinkat(dir_fd, name, 0);
        spool_free(spool);
        return rc;
    }
    *out = spool;
    return JM_OK;
}

/* Reads head and size of a file whose lock we have. */
static int look_into(jm_spool *spool, jm_err *err)
{
    char head[JM_SPOOL_HEAD_BYTES], made[JM_SPOOL_HEAD_BYTES];
    struct stat st;
    if (fstat(spool->fd, &st) || !st.st_nlink) /* taken and removed between open and lock */
        return jm_err_set(err, JM_ERR_NOT_FOUND, "%s has been taken", spool->path);
    spool->max_bytes = spool->end = st.st_size;
    if (st.st_size <= JM_SPOOL_HEAD_BYTES) { /* its worker ended with nothing in it */
        unlinkat(spool->dir_fd, spool->name, 0);
        return jm_err_set(err, JM_ERR_NOT_FOUND, "%s is empty", spool->path);
    }
    if (pread(spool->fd, head, sizeof head, 0) != (ssize_t)sizeof head)
        return jm_err_errno(err, JM_ERR_IO, "cannot read %s", spool->path);
    memcpy(spool->worker_id.b, head + ID_AT, sizeof spool->worker_id.b);
    make_head(made, &spool->worker_id);
    if (memcmp(head, made, sizeof head) != 0)
        return jm_err_set(err, JM_ERR_UNSUPPORTED,
                          "%s is not a spool that this version can read; move it away, or run a "
                          "worker of the version that wrote it",
                          spool->path);
    return JM_OK;
}

static int adopt_one(const char *dir, int dir_fd, const char *name, jm_spool **out, jm_err *err)
{
    int fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return jm_err_errno(err, errno == ENOENT ? JM_ERR_NOT_FOUND : JM_ERR_IO,
                            "cannot open %s/%s", dir, name);
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        close(fd);
        return jm_err_set(err, JM_ERR_NOT_FOUND, "%s/%s has an owner", dir, name);
    }
    jm_spool *spool = spool_new(dir, name, fd, fcntl(dir_fd, F_DUPFD_CLOEXEC, 0));
    int rc = look_into(spool, err);
    if (rc)
        spool_free(spool);
    else
        *out = spool;
    return rc;
}

static bool is_spool_name(const char *name)
{
    size_t n = strlen(name);
    return n == JM_UUID_TEXT - 1 + sizeof suffix - 1 && !strcmp(name + JM_UUID_TEXT - 1, suffix);
}

int jm_spool_adopt(const char *dir, const jm_uuid *own_id, jm_spool **out, jm_err *err)
{
    char own[JM_UUID_TEXT];
    int dir_fd;
    int rc = open_dir(dir, false, &dir_fd, err);
    if (rc)
        return rc;
    jm_uuid_format(own_id, own);
    DIR *list = fdopendir(dir_fd);
    if (!list) {
        rc = jm_err_errno(err, JM_ERR_IO, "[worker] spool_dir: cannot read %s", dir);
        close(dir_fd);
        return rc;
    }
    rc = jm_err_set(err, JM_ERR_NOT_FOUND, "no spool without an owner");
    for (struct dirent *entry; rc && (entry = readdir(list));) {
        jm_err one;
        if (!is_spool_name(entry->d_name) || !strncmp(entry->d_name, own, JM_UUID_TEXT - 1))
            continue;
        int found = adopt_one(dir, dir_fd, entry->d_name, out, &one);
        if (found != JM_ERR_NOT_FOUND) { /* a file that cannot be read holds up no other */
            rc = found;
            if (err && rc)
                *err = one;
        }
    }
    closedir(list);
    return rc;
}

void jm_spool_close(jm_spool *spool)
{
    if (!spool)
        return;
    if (!jm_spool_bytes(spool))
        unlinkat(spool->dir_fd, spool->name, 0);
    spool_free(spool);
}

const jm_uuid *jm_spool_worker(const jm_spool *spool)
{
    return &spool->worker_id;
}

const char *jm_spool_path(const jm_spool *spool)
{
    return spool->path;
}

/* ---- writing ---- */

bool jm_spool_add(jm_spool *spool, const void *payload, size_t len)
{
    assert(len);
    int64_t size = spool->end + (int64_t)(spool->batch.len + FRAME_BYTES + len);
    if (len > JM_SPOOL_RECORD_MAX || size > spool->max_bytes)
        return false;
    char *frame = jm_buf_reserve(&spool->batch, FRAME_BYTES + len);
    put_32(frame, (uint32_t)len);
    put_32(frame + 4, sum(frame, payload, len));
    memcpy(frame + FRAME_BYTES, payload, len);
    spool->batch.len += FRAME_BYTES + len;
    spool->batch.data[spool->batch.len] = 0;
    return true;
}

int jm_spool_sync(jm_spool *spool, jm_err *err)
{
    int rc = JM_OK;
    int64_t len = (int64_t)spool->batch.len;
    if (!len)
        return JM_OK;
    if (write_at(spool->fd, spool->batch.data, spool->batch.len, spool->end) &&
        fdatasync(spool->fd) == 0) {
        spool->end += len;
    } else {
        rc = jm_err_errno(err, JM_ERR_IO, "cannot write %s", spool->path);
        /* What did get there must not be found later: the caller keeps it. */
        if (ftruncate(spool->fd, spool->end))
            jm_logf(JM_WARNING, "spool", "cannot shorten %s", spool->path);
    }
    jm_buf_clear(&spool->batch);
    return rc;
}

/* ---- reading ---- */

/* Has the bytes of the file from read on in the window, at least need of them. */
static bool fill(jm_spool *spool, size_t need)
{
    int64_t have = spool->window_at + (int64_t)spool->window.len - spool->read;
    if (spool->read >= spool->window_at && have >= (int64_t)need)
        return true;
    int64_t left = spool->end - spool->read;
    if (left < (int64_t)need)
        return false;
    size_t want = need > READ_BYTES ? need : READ_BYTES;
    want = left < (int64_t)want ? (size_t)left : want;
    jm_buf_clear(&spool->window);
    char *to = jm_buf_reserve(&spool->window, want);
    spool->window_at = spool->read;
    while (spool->window.len < want) {
        ssize_t n = pread(spool->fd, to + spool->window.len, want - spool->window.len,
                          spool->read + (int64_t)spool->window.len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        spool->window.len += (size_t)n;
    }
    spool->window.data[spool->window.len] = 0;
    return spool->window.len >= need;
}

/* Ends the file where the damage begins. */
static void cut(jm_spool *spool)
{
    jm_logf(JM_WARNING, "spool", "%s: the last %lld bytes are damaged and were cut off",
            spool->path, (long long)(spool->end - spool->read));
    spool->end = spool->read;
    if (ftruncate(spool->fd, spool->end))
        jm_logf(JM_WARNING, "spool", "cannot shorten %s", spool->path);
}

bool jm_spool_read(jm_spool *spool, const void **payload, size_t *len)
{
    if (spool->read == spool->end)
        return false;
    size_t pos = 0;
    if (fill(spool, FRAME_BYTES)) {
        size_t n = get_32(spool->window.data + (spool->read - spool->window_at));
        if (n <= JM_SPOOL_RECORD_MAX)
            fill(spool, FRAME_BYTES + n);
        size_t at = (size_t)(spool->read - spool->window_at);
        if (jm_spool_parse(spool->window.data + at, spool->window.len - at, &pos, payload, len)) {
            spool->last = spool->read;
            spool->read += (int64_t)pos;
            return true;
        }
    }
    cut(spool);
    return false;
}

void jm_spool_back(jm_spool *spool)
{
    spool->read = spool->last;
}

void jm_spool_take(jm_spool *spool)
{
    spool->taken = spool->read;
    if (spool->taken < spool->end || spool->end == JM_SPOOL_HEAD_BYTES)
        return;
    /* Not synced: to record what is found here again changes nothing. */
    if (ftruncate(spool->fd, JM_SPOOL_HEAD_BYTES)) {
        jm_logf(JM_WARNING, "spool", "cannot shorten %s", spool->path);
        return;
    }
    spool->taken = spool->read = spool->end = JM_SPOOL_HEAD_BYTES;
    jm_buf_fini(&spool->window);
    spool->window_at = 0;
}

void jm_spool_unread(jm_spool *spool)
{
    spool->read = spool->taken;
}

int64_t jm_spool_bytes(const jm_spool *spool)
{
    return spool->end - spool->taken;
}
