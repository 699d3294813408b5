/* Output directories: listed, given to later jobs when they are empty and as they were made, left
 * alone otherwise, and none is left behind. */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "worker/output_dir.h"

static char work_dir[64];
static jm_output_dirs *dirs;
static int attempts;

static void setup(void)
{
    snprintf(work_dir, sizeof work_dir, "/tmp/jm-output-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(work_dir));
    dirs = jm_output_dirs_new(work_dir);
}

static void teardown(void)
{
    jm_output_dirs_free(dirs);
    ck_assert_int_eq(rmdir(work_dir), 0); /* nothing is left in it */
}

static char *make(void)
{
    jm_err err = {0};
    jm_job job = {.attempt = ++attempts};
    char *path = jm_output_dirs_path(dirs, &job);
    ck_assert_int_eq(jm_output_dirs_make(dirs, path, false, &err), JM_OK);
    struct stat st;
    ck_assert(!stat(path, &st) && (st.st_mode & 07777) == 0700);
    return path;
}

static ino_t inode_of(const char *path)
{
    struct stat st;
    return stat(path, &st) ? 0 : st.st_ino;
}

/* Ends with an empty list. */
static void close_empty(char *path)
{
    jm_buf list = {0};
    int64_t size = -1;
    jm_output_dirs_close(dirs, path, &list, &size);
    ck_assert(!list.len && !size);
    ck_assert_int_ne(access(path, F_OK), 0);
    free(path);
}

static void write_file(const char *dir, const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fputs("abc", file);
    fclose(file);
}

START_TEST(empty_ones_serve_later_jobs)
{
    char *path = make();
    ino_t first = inode_of(path), next = 0;
    close_empty(path);
    int64_t deadline_us = jm_mono_us() + 10000000;
    do { /* it rests for a moment, so that the next ones may be new */
        path = make();
        next = inode_of(path);
        close_empty(path);
    } while (next != first && jm_mono_us() < deadline_us);
    ck_assert_uint_eq(next, first);
}
END_TEST

START_TEST(changed_ones_do_not)
{
    char *path = make();
    ck_assert_int_eq(chmod(path, 0755), 0);
    close_empty(path);
    DIR *left = opendir(work_dir);
    int n = 0;
    while (readdir(left))
        n++;
    closedir(left);
    ck_assert_int_eq(n, 2); /* . and .. */
}
END_TEST

START_TEST(empty_directories_go_with_it)
{
    char sub[200], file[200];
    char *path = make();
    jm_buf list = {0};
    int64_t size = 0;
    for (int i = 0; i < 2; i++) {
        snprintf(sub, sizeof sub, i ? "%s/x/y" : "%s/x", path);
        ck_assert_int_eq(mkdir(sub, 0700), 0);
    }
    close_empty(path);
    path = make(); /* a link is no file, and stays */
    snprintf(file, sizeof file, "%s/link", path);
    ck_assert_int_eq(symlink("/nowhere", file), 0);
    jm_output_dirs_close(dirs, path, &list, &size);
    ck_assert(!list.len && !size);
    ck_assert_int_eq(unlink(file), 0);
    ck_assert_int_eq(rmdir(path), 0);
    free(path);
}
END_TEST

START_TEST(what_the_dead_left_goes)
{
    char left[200];
    pid_t child = fork();
    if (!child) { /* leaves one behind, as a process that is killed does */
        dirs = jm_output_dirs_new(work_dir);
        close_empty(make());
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    snprintf(left, sizeof left, "%s/.jobmill-%d-1", work_dir, (int)child);
    ck_assert_int_eq(access(left, F_OK), 0);
    jm_output_dirs_free(dirs);
    dirs = jm_output_dirs_new(work_dir);
    ck_assert_int_ne(access(left, F_OK), 0);
}
END_TEST

START_TEST(files_are_listed_and_stay)
{
    char *path = make(), file[200];
    jm_buf list = {0};
    int64_t size = 0;
    write_file(path, "a.txt");
    jm_output_dirs_close(dirs, path, &list, &size);
    ck_assert_str_eq(list.data, "[{\"name\":\"a.txt\",\"size\":3}]");
    ck_assert_int_eq(size, 3);
    snprintf(file, sizeof file, "%s/a.txt", path);
    ck_assert_int_eq(unlink(file), 0);
    ck_assert_int_eq(rmdir(path), 0);
    jm_buf_fini(&list);
    free(path);
}
END_TEST

START_TEST(a_name_that_is_taken_is_refused)
{
    jm_err err = {0};
    char *path = make();
    ck_assert_int_eq(jm_output_dirs_make(dirs, path, true, &err), JM_OK);
    ck_assert_int_ne(jm_output_dirs_make(dirs, path, false, &err), JM_OK);
    ck_assert_ptr_nonnull(strstr(err.msg, path));
    close_empty(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("output_dir");
    TCase *tc = tcase_create("all");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, empty_ones_serve_later_jobs);
    tcase_add_test(tc, changed_ones_do_not);
    tcase_add_test(tc, empty_directories_go_with_it);
    tcase_add_test(tc, what_the_dead_left_goes);
    tcase_add_test(tc, files_are_listed_and_stay);
    tcase_add_test(tc, a_name_that_is_taken_is_refused);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
