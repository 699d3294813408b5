/* A bounded file in which a worker keeps reports while the database is away: appended and synced in
 * batches, read in order, and left to any other worker when its owner is gone. What the records
 * mean is worker/report_wire.h's. Used by one thread at a time; reading and writing block on the
 * disk.
 *
 * The file is <worker id>.spool in [worker] spool_dir, held with flock for as long as its worker
 * lives: whoever gets the lock of another's file owns it. Its head is 8 bytes that name the format,
 * 16 of the worker's id and a checksum; a record is its length, its checksum (CRC-32 of length and
 * payload, both words little-endian) and its payload. */
#ifndef JM_SPOOL_H
#define JM_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/uuid7.h"

#define JM_SPOOL_HEAD_BYTES 28
#define JM_SPOOL_RECORD_MAX (64 << 20) /* longer records are refused and count as damage */

typedef struct jm_spool jm_spool;

/* Makes the worker's own file in dir, which is made if it is missing (not its parents). max_bytes
 * bounds the file. Errors: JM_ERR_IO. */
int jm_spool_open(const char *dir, const jm_uuid *worker_id, int64_t max_bytes, jm_spool **out,
                  jm_err *err);
/* Takes a file in dir whose owner is gone; its head is read and files without one record removed.
 * JM_ERR_NOT_FOUND: there is none. JM_ERR_UNSUPPORTED: one has another format (err names it) and is
 * left alone; JM_ERR_IO. */
int jm_spool_adopt(const char *dir, const jm_uuid *own_id, jm_spool **out, jm_err *err);
/* Gives up the lock; a file of which everything has been taken is removed. */
void jm_spool_close(jm_spool *spool);

const jm_uuid *jm_spool_worker(const jm_spool *spool); /* whose reports they are */
const char *jm_spool_path(const jm_spool *spool);

/* Adds a record to the batch that the next sync writes. false: the file has no room for it. */
bool jm_spool_add(jm_spool *spool, const void *payload, size_t len);
/* Writes the batch and waits until the disk has it. After an error nothing of it is in the file. */
int jm_spool_sync(jm_spool *spool, jm_err *err);

/* The next record that has been synced and not been read; borrowed until the next call. false at
 * the end. Damage, such as a tail that was torn when the machine lost power, ends the file: it is
 * cut there, once, with a log line. */
bool jm_spool_read(jm_spool *spool, const void **payload, size_t *len);
void jm_spool_back(jm_spool *spool);           /* the record read last is to be read again */
void jm_spool_take(jm_spool *spool);           /* what was read is done with */
void jm_spool_unread(jm_spool *spool);         /* reading goes on behind what has been taken */
int64_t jm_spool_bytes(const jm_spool *spool); /* of records that have not been taken */

/* The record at *pos of what stands behind a head, and *pos behind it. false: none is whole there.
 */
bool jm_spool_parse(const char *data, size_t size, size_t *pos, const void **payload, size_t *len);

#endif
