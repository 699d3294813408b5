/* The error object: what went wrong, whether trying again can help, and which field is at fault. */
#ifndef JM_ERR_H
#define JM_ERR_H

#include <stdbool.h>
#include <stddef.h>

/* Negative codes; 0 is success. Every fallible function returns one of these. */
enum {
    JM_OK = 0,
    JM_ERR_INVALID = -1,     /* input that cannot be understood; err->field may name the culprit */
    JM_ERR_NOT_FOUND = -2,   /* no such object */
    JM_ERR_CONFLICT = -3,    /* the object exists or has moved on */
    JM_ERR_IO = -4,          /* file, socket, process */
    JM_ERR_DB = -5,          /* PostgreSQL refused; err->sqlstate says why */
    JM_ERR_DB_DOWN = -6,     /* the connection is gone; whether the last COMMIT held is unknown */
    JM_ERR_KAFKA = -7,       /* librdkafka; err->kafka is its code */
    JM_ERR_CLOSED = -8,      /* the queue or thread is stopping */
    JM_ERR_TIMEOUT = -9,     /* a deadline passed */
    JM_ERR_UNSUPPORTED = -10 /* understood, and not built yet */
};

/* Filled by the function that fails; undefined after success. Small enough to live on the stack. */
typedef struct jm_err {
    int code;
    bool retriable;    /* the same call may succeed later without a change */
    bool no_partition; /* PostgreSQL has no partition for a row */
    char sqlstate[6];  /* five characters, or "" */
    int kafka;         /* rd_kafka_resp_err_t, or 0 */
    char field[80];    /* the input field at fault, or "" */
    char msg[480];     /* one line, no trailing period or newline, no secret */
} jm_err;

/* Fills err (which may be NULL) and returns code, so that `return jm_err_set(...)` reads well.
 * err->field, sqlstate and kafka are cleared. */
int jm_err_set(jm_err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As jm_err_set with JM_ERR_INVALID, and names the field. */
int jm_err_field(jm_err *err, const char *field, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* As jm_err_set, with ": strerror(errno)" behind the message. */
int jm_err_errno(jm_err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the message that is there. Returns err->code. */
int jm_err_prefix(jm_err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
