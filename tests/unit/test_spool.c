/* The spool: what it says is on disk survives a loss of power, a torn tail is cut, a file changes
 * hands when its owner is gone; and reports keep their meaning on the way.
 *
 * fdatasync and fsync below stand in for the C library's: they note how much of the file, and which
 * names of the directory, the disk has. lose_power() takes away the rest. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "common/mem.h"
#include "worker/report_wire.h"
#include "worker/spool.h"

static char dir[64];
static off_t durable_bytes; /* of the one file there is */
static bool durable_name;
static bool disk_full;

int fdatasync(int fd)
{
    struct stat st;
    if (disk_full) {
        errno = ENOSPC;
        return -1;
    }
    ck_assert_int_eq(fstat(fd, &st), 0);
    if (S_ISREG(st.st_mode))
        durable_bytes = st.st_size;
    else
        durable_name = true;
    return 0;
}

int fsync(int fd)
{
    return fdatasync(fd);
}

static jm_uuid owner;

static void path_of(char *path, size_t size)
{
    char id[JM_UUID_TEXT];
    jm_uuid_format(&owner, id);
    snprintf(path, size, "%s/%s.spool", dir, id);
}

static void set_up(void)
{
    memcpy(dir, "/tmp/jm-spool-XXXXXX", 21);
    ck_assert_ptr_nonnull(mkdtemp(dir));
    owner = jm_uuid7_new();
    durable_bytes = 0;
    durable_name = disk_full = false;
    jm_log_init(JM_ERROR, false);
}

static void tear_down(void)
{
    char path[160];
    DIR *list = opendir(dir);
    for (struct dirent *e; (e = readdir(list));)
        if (e->d_name[0] != '.') {
            snprintf(path, sizeof path, "%.50s/%.100s", dir, e->d_name);
            unlink(path);
        }
    closedir(list);
    ck_assert_int_eq(rmdir(dir), 0);
}

/* What the file has when the machine comes up again; the process is gone. */
static void lose_power(jm_spool *spool)
{
    char path[128], keep[160];
    struct stat st;
    path_of(path, sizeof path);
    ck_assert_int_eq(stat(path, &st), 0);
    off_t size = durable_bytes < st.st_size ? durable_bytes : st.st_size;
    /* Its end must not tidy up: the dead do not. */
    snprintf(keep, sizeof keep, "%s.kept", path);
    ck_assert_int_eq(link(path, keep), 0);
    jm_spool_close(spool);
    unlink(path);
    if (durable_name) {
        ck_assert_int_eq(rename(keep, path), 0);
        ck_assert_int_eq(truncate(path, size), 0);
    } else {
        unlink(keep);
    }
}

static jm_spool *open_own(int64_t max)
{
    jm_err err = {0};
    jm_spool *spool = NULL;
    ck_assert_msg(jm_spool_open(dir, &owner, max, &spool, &err) == JM_OK, "%s", err.msg);
    return spool;
}

static int adopt(jm_spool **spool)
{
    jm_err err = {0};
    jm_uuid me = jm_uuid7_new();
    return jm_spool_adopt(dir, &me, spool, &err);
}

static void add(jm_spool *spool, int i)
{
    char text[64];
    int n = snprintf(text, sizeof text, "record %d", i);
    ck_assert(jm_spool_add(spool, text, (size_t)n));
}

/* Reads records from..to and expects no more. */
static void expect(jm_spool *spool, int from, int to)
{
    const void *payload;
    size_t len;
    char text[64];
    for (int i = from; i < to; i++) {
        int n = snprintf(text, sizeof text, "record %d", i);
        ck_assert_msg(jm_spool_read(spool, &payload, &len), "record %d is missing", i);
        ck_assert_int_eq((int)len, n);
        ck_assert_mem_eq(payload, text, len);
    }
    ck_assert(!jm_spool_read(spool, &payload, &len));
}

START_TEST(test_what_is_synced_survives_a_loss_of_power)
{
    jm_err err;
    jm_spool *spool = open_own(1 << 20), *found = NULL;
    for (int i = 0; i < 100; i++) {
        add(spool, i);
        if (i % 10 == 9)
            ck_assert_int_eq(jm_spool_sync(spool, &err), JM_OK);
    }
    add(spool, 100); /* added and never synced: nobody was told that it is safe */
    lose_power(spool);
    ck_assert_int_eq(adopt(&found), JM_OK);
    ck_assert_mem_eq(jm_spool_worker(found)->b, owner.b, 16);
    expect(found, 0, 100);
    jm_spool_take(found);
    jm_spool_close(found);
    ck_assert_int_eq(adopt(&found), JM_ERR_NOT_FOUND);
}
END_TEST

START_TEST(test_order_back_and_unread)
{
    jm_err err;
    const void *payload;
    size_t len;
    jm_spool *spool = open_own(1 << 20);
    for (int i = 0; i < 10; i++)
        add(spool, i);
    ck_assert(!jm_spool_read(spool, &payload, &len)); /* not before it is safe */
    ck_assert_int_eq(jm_spool_sync(spool, &err), JM_OK);
    ck_assert(jm_spool_read(spool, &payload, &len));
    jm_spool_take(spool);
    ck_assert(jm_spool_read(spool, &payload, &len));
    ck_assert(jm_spool_read(spool, &payload, &len));
    jm_spool_back(spool);
    add(spool, 10); /* written while it is being read */
    ck_assert_int_eq(jm_spool_sync(spool, &err), JM_OK);
    expect(spool, 2, 11);
    jm_spool_unread(spool);
    expect(spool, 1, 11);
    jm_spool_take(spool);
    ck_assert_int_eq(jm_spool_bytes(spool), 0);
    add(spool, 11); /* it is used again */
    ck_assert_int_eq(jm_spool_sync(spool, &err), JM_OK);
    expect(spool, 11, 12);
    jm_spool_take(spool);
    jm_spool_close(spool);
}
END_TEST

/* Every way to tear the last record: what stands before it is read, the rest is cut. */
START_TEST(test_torn_tail)
{
    jm_err err;
    char path[128];
    path_of(path, sizeof path);
    for (int torn = 1; torn <= 8 + 8; torn++) {
        durable_name = false;
        jm_spool *spool = open_own(1 << 20), *found = NULL;
        for (int i = 0; i < 3; i++)
            add(spool, i);
        ck_assert_int_eq(jm_spool_sync(spool, &err), JM_OK);
        lose_power(spool);
        struct stat st;
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_eq(truncate(path, st.st_size - torn), 0);
        if (torn % 2) /* a tail of zeros, as some file systems leave it */
            ck_assert_int_eq(truncate(path, st.st_size + 4096), 0);
        ck_assert_int_eq(adopt(&found), JM_OK);
        expect(found, 0, 2);
        ck_assert_int_eq(stat(path, &st), 0);
        ck_assert_int_eq(st.st_size, JM_SPOOL_HEAD_BYTES + 2 * 16);
        jm_spool_take(found);
        jm_spool_close(found);
    }
}
END_TEST

START_TEST(test_changed_byte_is_noticed)
{
    jm_err err;
    char path[128];
    path_of(path, sizeof path);
    for (int at = JM_SPOOL_HEAD_BYTES; at < JM_SPOOL_HEAD_BYTES + 16; at++) {
        jm_spool *spool = open_own(1 << 20), *found = NULL;
        add(spool, 0);
        ck_assert_int_eq(jm_spool_sync(spool, &err), JM_OK);
        lose_power(spool);
        char byte;
        int fd = open(path, O_RDWR);
        ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
        byte ^= 0x10;
        ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
        close(fd);
        ck_assert_int_eq(adopt(&found), JM_OK);
        expect(found, 0, 0);
        jm_spool_close(found);
    }
}
END_TEST

START_TEST(test_owner_alive)
{
    jm_err err;
    jm_spool *spool = open_own(1 << 20), *found = NULL;
    add(spool, 0);
    ck_assert_int_eq(jm_spool_sync(spool, &err), JM_OK);
    ck_assert_int_eq(adopt(&found), JM_ERR_NOT_FOUND);
    jm_spool_close(spool); /* with something in it: the file stays */
    ck_assert_int_eq(adopt(&found), JM_OK);
    jm_spool *second = NULL;
    ck_assert_int_eq(adopt(&second), JM_ERR_NOT_FOUND);
    expect(found, 0, 1);
    jm_spool_close(found); /* read, but not taken */
    ck_assert_int_eq(adopt(&found), JM_OK);
    expect(found, 0, 1);
    jm_spool_take(found);
    jm_spool_close(found);
}
END_TEST

START_TEST(test_another_format_is_left_alone)
{
    char path[128];
    jm_spool *found = NULL;
    path_of(path, sizeof path);
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_eq(write(fd, "JMSPOOL9 from the future, and more of it", 40), 40);
    close(fd);
    ck_assert_int_eq(adopt(&found), JM_ERR_UNSUPPORTED);
    ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(test_full)
{
    jm_err err = {0};
    jm_spool *spool = open_own(JM_SPOOL_HEAD_BYTES + 3 * 16);
    for (int i = 0; i < 3; i++)
        add(spool, i);
    ck_assert(!jm_spool_add(spool, "record 3", 8));
    ck_assert_int_eq(jm_spool_sync(spool, &err), JM_OK);
    expect(spool, 0, 3);
    jm_spool_take(spool);
    add(spool, 3);
    disk_full = true;
    ck_assert_int_eq(jm_spool_sync(spool, &err), JM_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.msg, dir));
    disk_full = false;
    expect(spool, 0, 0); /* nothing of what failed is there */
    add(spool, 4);
    ck_assert_int_eq(jm_spool_sync(spool, &err), JM_OK);
    expect(spool, 4, 5);
    jm_spool_take(spool);
    jm_spool_close(spool);
}
END_TEST

START_TEST(test_bad_directory_names_the_key)
{
    jm_err err = {0};
    jm_spool *spool = NULL;
    ck_assert_int_eq(jm_spool_open("/proc/nowhere/at/all", &owner, 1 << 20, &spool, &err),
                     JM_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.msg, "spool_dir"));
}
END_TEST

/* ---- reports as bytes ---- */

static jm_report *sample(jm_job *job)
{
    static jm_step_row steps[2] = {
        {.seq = 1,
         .name = "a",
         .status = "success",
         .data = "{\"n\":1.10}",
         .attempts = 2,
         .started_us = 1000,
         .ended_us = 2000,
         .update = true},
        {.seq = 2, .name = "b", .status = "running", .error = "e\xc3\xa9", .started_us = 3000}};
    static jm_log_row logs[2] = {
        {.seq = 5, .step = "a", .at_us = 1500, .level = JM_WARNING, .message = "", .details = "[]"},
        {.seq = 6, .at_us = 1600, .level = JM_DEBUG, .message = "two\nlines"}};
    *job = (jm_job){.id = owner,
                    .attempt = 3,
                    .max_attempts = 5,
                    .type = "t",
                    .project = "p",
                    .queue = "q",
                    .external_id = "x",
                    .has_schedule = true,
                    .schedule_id = owner,
                    .due_at_us = 77};
    jm_report *report = jm_report_new(job);
    report->end = JM_END_RETRY;
    report->error = "why";
    report->reason = "timeout";
    report->retry_in_us = 123;
    report->started_us = 1000;
    report->ended_us = 5000;
    report->result = "null";
    report->set_metadata = "{\"k\":1}";
    report->progress = "{}";
    report->items_ok = 0;
    report->out_text = "out";
    report->return_code = 75;
    report->output_files = "[]";
    report->total_size = INT64_MAX;
    report->steps = steps;
    report->n_steps = 2;
    report->logs = logs;
    report->n_logs = 2;
    return report;
}

START_TEST(test_report_to_bytes_and_back)
{
    jm_job job;
    jm_db_clock clock = {.offset_us = 1000000};
    jm_buf once = {0}, twice = {0};
    jm_report *report = sample(&job);
    jm_report_encode(report, &clock, true, &once);
    jm_report *back = jm_report_decode(once.data, once.len);
    ck_assert_ptr_nonnull(back);
    ck_assert(back->from_spool);
    ck_assert_mem_eq(back->job->id.b, owner.b, 16);
    ck_assert_int_eq(back->job->attempt, 3);
    ck_assert_int_eq(back->end, JM_END_RETRY);
    ck_assert_int_eq(back->started_us, 1001000); /* by PostgreSQL's clock */
    ck_assert_int_eq(back->retry_in_us, 123);
    ck_assert_int_eq(back->items_total, -1);
    ck_assert_int_eq(back->items_ok, 0);
    ck_assert_str_eq(back->steps[0].data, "{\"n\":1.10}");
    ck_assert_int_eq(back->steps[1].ended_us, 0);
    ck_assert_str_eq(back->logs[1].message, "two\nlines");
    ck_assert_ptr_null(back->logs[1].step);
    ck_assert_ptr_null(back->err_text);
    clock.offset_us = 5; /* what was read back keeps its times */
    jm_report_encode(back, &clock, true, &twice);
    ck_assert_int_eq(once.len, twice.len);
    ck_assert_mem_eq(once.data, twice.data, once.len);
    jm_report_free(back);
    jm_buf_clear(&twice);
    jm_report_encode(report, &clock, false, &twice);
    back = jm_report_decode(twice.data, twice.len);
    ck_assert_int_eq(back->n_logs, 0);
    ck_assert_int_eq(back->n_steps, 2);
    jm_report_free(back);
    for (size_t cut = 0; cut < once.len; cut++) { /* no piece of it is read beyond its end */
        char *copy = malloc(cut + 1);
        memcpy(copy, once.data, cut);
        jm_report_free(jm_report_decode(copy, cut));
        free(copy);
    }
    jm_report_free(report);
    jm_buf_fini(&once);
    jm_buf_fini(&twice);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spool");
    TCase *file = tcase_create("file");
    tcase_add_checked_fixture(file, set_up, tear_down);
    tcase_add_test(file, test_what_is_synced_survives_a_loss_of_power);
    tcase_add_test(file, test_order_back_and_unread);
    tcase_add_test(file, test_torn_tail);
    tcase_add_test(file, test_changed_byte_is_noticed);
    tcase_add_test(file, test_owner_alive);
    tcase_add_test(file, test_another_format_is_left_alone);
    tcase_add_test(file, test_full);
    tcase_add_test(file, test_bad_directory_names_the_key);
    tcase_add_test(file, test_report_to_bytes_and_back);
    suite_add_tcase(suite, file);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
