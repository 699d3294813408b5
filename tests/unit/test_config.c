/* Tests of the configuration: precedence, near misses, ranges, masking, the connection string. */
#include "common/config.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/config_table.h"

static char path[64];

static void write_file(const char *text)
{
    snprintf(path, sizeof path, "/tmp/test_config.XXXXXX");
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void teardown(void)
{
    if (*path)
        unlink(path);
    path[0] = 0;
}

/* Loads with the file that was written and up to three more arguments. */
static int load(jm_config **config, jm_err *err, const char *a, const char *b, const char *c)
{
    char file[80];
    snprintf(file, sizeof file, "--config=%s", *path ? path : "/dev/null");
    char *argv[] = {(char *)"test", file, (char *)a, (char *)b, (char *)c, NULL};
    int argc = 2 + (a != NULL) + (b != NULL) + (c != NULL);
    return jm_config_load(config, &argc, argv, err);
}

static void expect_error(const char *text, const char *field, const char *part)
{
    jm_config *config;
    jm_err err = {0};
    write_file(text);
    ck_assert_int_ne(load(&config, &err, NULL, NULL, NULL), JM_OK);
    ck_assert_msg(strstr(err.msg, part) != NULL, "\"%s\" is not in \"%s\"", part, err.msg);
    if (field)
        ck_assert_str_eq(err.field, field);
    ck_assert_ptr_null(config);
    teardown();
}

START_TEST(defaults)
{
    jm_config *config;
    jm_err err;
    ck_assert_int_eq(load(&config, &err, NULL, NULL, NULL), JM_OK);
    ck_assert_str_eq(jm_config_str(config, "database.schema"), "jobmill");
    ck_assert_str_eq(jm_config_str(config, "kafka.bootstrap.servers"), "127.0.0.1:9092");
    ck_assert_int_eq(jm_config_int(config, "worker.lease_s"), 30);
    ck_assert(jm_config_bool(config, "database.auto_migrate"));
    ck_assert_ptr_null(jm_config_str(config, "database.url"));
    jm_config_free(config);
}
END_TEST

START_TEST(later_source_wins)
{
    jm_config *config;
    jm_err err;
    write_file("[worker]\nlease_s = 10\nqueues = a, b:3, ab\nmax_waiting = 5\n");
    setenv("JOBMILL_WORKER_LEASE_S", "11", 1);
    setenv("JOBMILL_WORKER_MAX_WAITING", "6", 1);
    setenv("JOBMILL_WORKER_BATCH_ROWS", "", 1); /* empty: none */
    ck_assert_int_eq(load(&config, &err, "--worker.lease_s=12", NULL, NULL), JM_OK);
    ck_assert_int_eq(jm_config_int(config, "worker.lease_s"), 12);
    ck_assert_int_eq(jm_config_int(config, "worker.max_waiting"), 6);
    ck_assert_int_eq(jm_config_int(config, "worker.batch_rows"), 1000);
    ck_assert_str_eq(jm_config_str(config, "worker.queues"), "a, b:3, ab");
    jm_config_free(config);
    unsetenv("JOBMILL_WORKER_LEASE_S");
    unsetenv("JOBMILL_WORKER_MAX_WAITING");
    unsetenv("JOBMILL_WORKER_BATCH_ROWS");
}
END_TEST

START_TEST(arguments_are_taken_out)
{
    jm_config *config;
    jm_err err;
    char *argv[] = {(char *)"jobmill",
                    (char *)"job",
                    (char *)"--log.level=debug",
                    (char *)"list",
                    (char *)"--json",
                    (char *)"--params={\"a.b\":1}",
                    (char *)"--",
                    (char *)"--log.level=error",
                    NULL};
    int argc = 8;
    ck_assert_int_eq(jm_config_load(&config, &argc, argv, &err), JM_OK);
    ck_assert_int_eq(argc, 7);
    ck_assert_str_eq(argv[2], "list");
    ck_assert_str_eq(argv[4], "--params={\"a.b\":1}");
    ck_assert_str_eq(argv[6], "--log.level=error");
    ck_assert_ptr_null(argv[7]);
    ck_assert_str_eq(jm_config_str(config, "log.level"), "debug");
    jm_config_free(config);
}
END_TEST

START_TEST(errors_name_place_and_mend)
{
    expect_error("[worker]\n\nleas_s = 3\n", "worker.leas_s",
                 ":3: unknown key worker.leas_s; did you mean lease_s?");
    expect_error("[wroker]\nlease_s = 3\n", "wroker",
                 "unknown section wroker; did you mean worker?");
    expect_error("[worker]\nlease_s = 1\n", "worker.lease_s",
                 ":2: worker.lease_s is 1, needs a number from 2 to 3600");
    expect_error("[worker]\nlease_s = 3s\n", "worker.lease_s", "needs a whole number");
    expect_error("[worker]\nlease_s = 99999999999999999999\n", "worker.lease_s",
                 "needs a number from");
    expect_error("[worker]\nqueues = Fast\n", "worker.queues", "needs queues as name");
    expect_error("[worker]\nqueues = fast:0\n", "worker.queues", "needs queues as name");
    expect_error("[worker]\nqueues = a:2, b,a\n", "worker.queues", "each once");
    expect_error("[worker]\nlease_s = 5\nlease_s = 6\n", NULL, "already set in line 2");
    expect_error("[log]\nlevel = loud\n", "log.level", "needs debug, info, warning or error");
    expect_error("[database]\nenabled = perhaps\n", "database.enabled", "needs true or false");
    expect_error("lease_s = 5\n", NULL, ":1: a key needs a [section]");
    expect_error("[worker]\nlease_s\n", NULL, ":2: neither a [section]");
    expect_error("[kafka]\nbootstrap.server = x\n", "kafka.bootstrap.server",
                 "did you mean bootstrap.servers?");
    expect_error("[kafka]\nsocket.timeout.ms = -4\n", "kafka.socket.timeout.ms",
                 ":2: kafka.socket.timeout.ms: ");
}
END_TEST

START_TEST(environment)
{
    jm_config *config;
    jm_err err = {0};
    setenv("JOBMILL_OUTPUT_DIR", "/tmp", 1);
    setenv("JOBMILL_JOB_ID", "x", 1);
    setenv("JOBMILL_KAFKA_SOCKET_TIMEOUT_MS", "5000", 1);
    ck_assert_int_eq(load(&config, &err, NULL, NULL, NULL), JM_OK);
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    jm_config_print(config, to);
    fclose(to);
    ck_assert_ptr_nonnull(strstr(text, "socket.timeout.ms = 5000"));
    ck_assert_ptr_nonnull(strstr(text, "environment JOBMILL_KAFKA_SOCKET_TIMEOUT_MS"));
    free(text);
    jm_config_free(config);
    unsetenv("JOBMILL_KAFKA_SOCKET_TIMEOUT_MS");
    setenv("JOBMILL_DATABASE_URI", "x", 1);
    ck_assert_int_eq(load(&config, &err, NULL, NULL, NULL), JM_ERR_INVALID);
    ck_assert_ptr_nonnull(
        strstr(err.msg, "JOBMILL_DATABASE_URI: unknown key database.uri; did you mean url?"));
    unsetenv("JOBMILL_DATABASE_URI");
}
END_TEST

START_TEST(secrets_are_masked)
{
    jm_config *config;
    jm_err err;
    write_file("[database]\nurl = postgresql://u:hunter2@h/db\n[kafka]\nsasl.password = hunter2\n");
    ck_assert_int_eq(load(&config, &err, NULL, NULL, NULL), JM_OK);
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);
    jm_config_print(config, to);
    fclose(to);
    ck_assert_ptr_null(strstr(text, "hunter2"));
    ck_assert_ptr_nonnull(strstr(text, "postgresql://u:***@h/db"));
    free(text);
    jm_config_free(config);
}
END_TEST

START_TEST(connection_string)
{
    jm_config *config;
    jm_err err = {0};
    char *info, password[] = "/tmp/test_config_pw.XXXXXX";
    int fd = mkstemp(password);
    ck_assert_int_eq(write(fd, "it's\\x\nsecond line\n", 18), 18);
    close(fd);
    char file[80];
    snprintf(file, sizeof file, "--database.password_file=%s", password);
    ck_assert_int_eq(load(&config, &err, "--database.host=h", "--database.port=5433", file), JM_OK);
    ck_assert_int_eq(jm_config_conninfo(config, &info, &err), JM_OK);
    ck_assert_str_eq(info, "host='h' port='5433' password='it\\'s\\\\x'");
    free(info);
    jm_config_free(config);
    ck_assert_int_eq(load(&config, &err, "--database.url=postgresql://u@h:1/d", file, NULL), JM_OK);
    ck_assert_int_eq(jm_config_conninfo(config, &info, &err), JM_OK);
    ck_assert_ptr_nonnull(strstr(info, "user='u'"));
    ck_assert_ptr_nonnull(strstr(info, "dbname='d'"));
    ck_assert_ptr_nonnull(strstr(info, "password='it\\'s\\\\x'"));
    free(info);
    jm_config_free(config);
    unlink(password);
    ck_assert_int_eq(
        load(&config, &err, "--database.url=postgresql://u:hunter2@[::1/d", NULL, NULL), JM_OK);
    ck_assert_int_eq(jm_config_conninfo(config, &info, &err), JM_ERR_INVALID);
    ck_assert_ptr_null(strstr(err.msg, "hunter2"));
    jm_config_free(config);
    ck_assert_int_eq(
        load(&config, &err, "--database.url=postgresql://u:hun@ter2@h:1/d", NULL, NULL), JM_OK);
    ck_assert_int_eq(jm_config_conninfo(config, &info, &err), JM_ERR_INVALID);
    ck_assert(strstr(err.msg, "%40") && !strstr(err.msg, "ter2"));
    jm_config_free(config);
    ck_assert_int_eq(load(&config, &err, "--database.enabled=false", NULL, NULL), JM_OK);
    ck_assert_int_eq(jm_config_conninfo(config, &info, &err), JM_ERR_UNSUPPORTED);
    jm_config_free(config);
}
END_TEST

START_TEST(reload)
{
    jm_config *config;
    jm_err err = {0};
    write_file("[log]\nlevel = info\n[worker]\nlease_s = 10\n");
    ck_assert_int_eq(load(&config, &err, NULL, NULL, NULL), JM_OK);
    FILE *file = fopen(path, "w");
    fputs("[log]\nlevel = error\n[worker]\nlease_s = 20\n", file);
    fclose(file);
    ck_assert_int_eq(jm_config_reload(config, &err), JM_OK);
    ck_assert_str_eq(jm_config_str(config, "log.level"), "error");
    ck_assert_int_eq(jm_config_int(config, "worker.lease_s"), 10);
    file = fopen(path, "w");
    fputs("[log]\nlevel = debug\n[worker]\nlease = 20\n", file);
    fclose(file);
    ck_assert_int_eq(jm_config_reload(config, &err), JM_ERR_INVALID);
    ck_assert_str_eq(jm_config_str(config, "log.level"), "error");
    jm_config_free(config);
}
END_TEST

START_TEST(missing_file)
{
    jm_config *config;
    jm_err err = {0};
    char *argv[] = {(char *)"x", (char *)"--config", (char *)"/nonexistent/jobmill.conf", NULL};
    int argc = 3;
    ck_assert_int_eq(jm_config_load(&config, &argc, argv, &err), JM_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.msg, "/nonexistent/jobmill.conf"));
}
END_TEST

/* Every default passes its own check, and every key is written once. */
START_TEST(table_is_sane)
{
    for (size_t i = 0; i < jm_config_n_keys; i++) {
        const jm_config_key *key = &jm_config_keys[i];
        ck_assert_int_eq(jm_config_key_find(key->section, key->name), (int)i);
        ck_assert_int_ge(jm_config_section_find(key->section), 0);
        ck_assert(key->check == NULL || key->needs != NULL);
        size_t n = strlen(key->help);
        ck_assert_msg(n && key->help[n - 1] == '.', "help of %s ends without a period", key->name);
    }
}
END_TEST

int main(void)
{
    for (char **e = environ; *e;) { /* the caller's own configuration is none of ours */
        if (strncmp(*e, "JOBMILL_", 8) != 0) {
            e++;
            continue;
        }
        char *name = strndup(*e, strcspn(*e, "="));
        unsetenv(name);
        free(name);
        e = environ;
    }
    Suite *suite = suite_create("config");
    TCase *tcase = tcase_create("config");
    tcase_add_checked_fixture(tcase, NULL, teardown);
    tcase_add_test(tcase, defaults);
    tcase_add_test(tcase, later_source_wins);
    tcase_add_test(tcase, arguments_are_taken_out);
    tcase_add_test(tcase, errors_name_place_and_mend);
    tcase_add_test(tcase, environment);
    tcase_add_test(tcase, secrets_are_masked);
    tcase_add_test(tcase, connection_string);
    tcase_add_test(tcase, reload);
    tcase_add_test(tcase, missing_file);
    tcase_add_test(tcase, table_is_sane);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
