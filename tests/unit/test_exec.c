/* The executor exec with real children: protocol, ends, limits, and nothing left behind. */
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "tests/unit/runner_fixture.h"
#include "worker/exec.h"

/* A type with one step that runs a shell script; more are members of exec. */
static jm_job_type *shell(const char *script, const char *more)
{
    jm_buf text = {0};
    jm_buf_adds(&text,
                "{\"type\":\"t\",\"steps\":[{\"name\":\"run\",\"exec\":{\"argv\":[\"sh\",\"-c\",");
    jm_buf_add_json(&text, script, strlen(script));
    jm_buf_addf(&text, "]%s}}]}", more ? more : "");
    jm_job_type *type = fixture_type(text.data);
    jm_buf_fini(&text);
    return type;
}

START_TEST(true_and_its_environment)
{
    fixture f;
    fixture_init(&f);
    ck_assert_int_eq(setenv("SECRET", "leak", 1), 0);
    jm_job_type *type =
        shell("env | sort; ls /proc/self/fd", ",\"env\":{\"X\":\"a b\",\"LANG\":\"C\"}");
    fixture_job(&f, &f.job, type, "{}");
    f.job.attempt = 2;
    f.job.trace_context = "00-abc-def-01";
    jm_report *report = fixture_run_job(&f);
    ck_assert_int_eq(report->end, JM_END_COMPLETED);
    ck_assert_int_eq(report->return_code, 0);
    ck_assert_ptr_null(report->err_text);
    ck_assert_ptr_null(report->result);
    ck_assert_ptr_null(report->output_files);
    char id[JM_UUID_TEXT], want[512];
    jm_uuid_format(&f.job.id, id);
    const char *tmp = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
    snprintf(want, sizeof want,
             "HOME=%s\nJOBMILL_ATTEMPT=2\nJOBMILL_JOB_ID=%s\nJOBMILL_MODE=once\n"
             "JOBMILL_OUTPUT_DIR=%s/%s-2\nJOBMILL_SDK_DIR=/",
             getenv("HOME") ? getenv("HOME") : "/", id, tmp, id);
    ck_assert_msg(!strncmp(report->out_text, want, strlen(want)), "%s", report->out_text);
    ck_assert_ptr_nonnull(strstr(report->out_text, "\nTRACEPARENT=00-abc-def-01\nX=a b\n"));
    ck_assert_ptr_null(strstr(report->out_text, "SECRET"));
    /* ls has one more open, for the directory it lists. */
    ck_assert_ptr_nonnull(strstr(report->out_text, "\n0\n1\n2\n3\n4\n"));
    ck_assert_ptr_null(strstr(report->out_text, "\n5\n"));
    fixture_fini(&f);
}
END_TEST

START_TEST(protocol)
{
    static const char script[] =
        "import sys, json, os\n"
        "job = json.loads(sys.stdin.readline())\n"
        "assert sys.stdin.read() == ''\n"
        "out = os.fdopen(3, 'w')\n"
        "def say(**line): out.write(json.dumps(line) + '\\n')\n"
        "say(log={'level': 'warning', 'message': 'hello', 'details': {'n': 1}})\n"
        "say(progress={'total': 10, 'ok': 3})\n"
        "say(progress={'failed': 1})\n"
        "say(set={'region': 'eu', 'n': 1})\n"
        "say(set={'n': 2})\n"
        "say(step={'name': 'read', 'status': 'running'})\n"
        "say(step={'name': 'read', 'data': {'rows': 5}})\n"
        "say(step={'name': 'write', 'status': 'failed', 'error': 'disk full'})\n"
        "say(step={'name': 'unfinished', 'status': 'running'})\n"
        "out.write('no json\\n\\n')\n"
        "say(result={'first': True})\n"
        "say(result={'params': job['job']['params'], 'step': job['step']})\n"
        "out.flush()\n"
        "print('not the result')\n"
        "print('{\"nor\": \"this\"}')\n"
        "sys.stderr.write('one\\n\\ntwo')\n";
    fixture f;
    fixture_init(&f);
    jm_buf text = {0};
    jm_buf_adds(&text,
                "{\"type\":\"t\",\"steps\":[{\"name\":\"run\",\"set\":{\"rows\":\"/params/n\","
                "\"missing\":\"/nope\"},\"exec\":{\"argv\":[\"/usr/bin/python3\",\"-c\",");
    jm_buf_add_json(&text, script, strlen(script));
    jm_buf_adds(&text, "]}}]}");
    jm_report *report = fixture_run(&f, fixture_type(text.data), "{\"n\":12345678901234567890}");
    ck_assert_msg(report->end == JM_END_COMPLETED, "%s %s", report->error, report->err_text);
    ck_assert_str_eq(report->result, "{\"params\": {\"n\": 12345678901234567890}, "
                                     "\"step\": {\"name\": \"run\", \"attempt\": 1}}");
    ck_assert_str_eq(report->out_text, "not the result\n{\"nor\": \"this\"}\n");
    ck_assert_str_eq(report->err_text, "one\n\ntwo\n");
    const fixture_rows *rows = fixture_collect(&f);
    ck_assert_int_eq(rows->n_steps, 4);
    ck_assert_str_eq(rows->steps[0].name, "run");
    ck_assert_str_eq(rows->steps[0].data, report->result);
    ck_assert_str_eq(rows->steps[1].name, "read");
    ck_assert_str_eq(rows->steps[1].status, "success");
    ck_assert_str_eq(rows->steps[1].data, "{\"rows\": 5}");
    ck_assert_str_eq(rows->steps[2].error, "disk full");
    ck_assert_str_eq(rows->steps[3].name, "unfinished");
    ck_assert_str_eq(rows->steps[3].status, "success");
    jm_buf all = {0};
    for (int i = 0; i < rows->n_logs; i++)
        jm_buf_addf(&all, "%d %s|", rows->logs[i].level, rows->logs[i].message);
    ck_assert_ptr_nonnull(strstr(all.data, "2 hello|"));
    ck_assert_ptr_nonnull(strstr(all.data, "2 a line on descriptor 3 is not understood: "));
    ck_assert_ptr_nonnull(strstr(all.data, "1 one|1 two|"));
    ck_assert_ptr_nonnull(strstr(all.data, "2 metadata missing is not set"));
    jm_buf_clear(&all);
    const char *progress = NULL;
    for (int i = 0; i < f.n_reports; i++) {
        if (f.reports[i]->set_metadata)
            jm_buf_adds(&all, f.reports[i]->set_metadata);
        progress = f.reports[i]->progress ? f.reports[i]->progress : progress;
    }
    ck_assert_str_eq(all.data, "{\"region\":\"eu\",\"n\":2,\"rows\":12345678901234567890}");
    ck_assert_str_eq(progress, "{\"total\":10,\"ok\":3,\"failed\":1}");
    jm_buf_fini(&all);
    jm_buf_fini(&text);
    fixture_fini(&f);
}
END_TEST

START_TEST(last_line_of_stdout)
{
    static const struct {
        const char *script, *result;
    } cases[] = {
        {"echo x; echo '{\"a\": 1.10}'", "{\"a\": 1.10}"},
        {"printf '{\"a\":1}\\n\\n  \\n'", "{\"a\":1}"},
        {"printf '{\"a\":1}'", "{\"a\":1}"},
        {"echo '{\"a\":1}'; echo done", NULL},
        {"echo '[1]'", NULL},
        {"echo '{\"a\":1'", NULL},
        {"echo '{\"a\":1}'; echo '{\"result\":5}' >&3", "5"},
        {"echo '{\"a\":1}'; echo '{\"result\":null}' >&3", "{\"a\":1}"},
        {"true", NULL},
    };
    fixture f;
    fixture_init(&f);
    jm_report *report = fixture_run(&f, shell(cases[_i].script, NULL), "{}");
    ck_assert_int_eq(report->end, JM_END_COMPLETED);
    if (cases[_i].result)
        ck_assert_pstr_eq(report->result, cases[_i].result);
    else
        ck_assert_ptr_null(report->result);
    fixture_fini(&f);
}
END_TEST

START_TEST(ends)
{
    static const struct {
        const char *script;
        jm_end end;
        int return_code;
        const char *error;
    } cases[] = {
        {"exit 0", JM_END_COMPLETED, 0, NULL},
        {"exit 1", JM_END_RETRY, 1, "exit status 1"},
        {"echo first >&2; echo why >&2; exit 3", JM_END_RETRY, 3, "exit status 3: why"},
        {"exit 75", JM_END_RETRY, 75, "exit status 75 (asks to be tried again)"},
        {"exit 65", JM_END_FAILED, 65, "exit status 65 (its input will never do)"},
        {"kill -9 $$", JM_END_RETRY, 137, "killed by signal 9 (SIGKILL, Killed)"},
        {"kill -SEGV $$", JM_END_RETRY, 139, "killed by signal 11 (SIGSEGV, Segmentation fault)"},
        {"nosuchprogram", JM_END_RETRY, 127, "exit status 127: sh: 1: nosuchprogram: not found"},
    };
    fixture f;
    fixture_init(&f);
    jm_report *report = fixture_run(&f, shell(cases[_i].script, NULL), "{}");
    ck_assert_int_eq(report->end, cases[_i].end);
    ck_assert_int_eq(report->return_code, cases[_i].return_code);
    if (cases[_i].error)
        ck_assert_pstr_eq(report->error, cases[_i].error);
    else
        ck_assert_ptr_null(report->error);
    fixture_fini(&f);
}
END_TEST

START_TEST(cannot_start)
{
    static const struct {
        const char *exec, *error;
    } cases[] = {
        {"{\"argv\":[\"/nonexistent/program\"]}",
         "cannot run the program (/nonexistent/program): No such file or directory"},
        {"{\"argv\":[\"nosuchprogram\"]}",
         "cannot run the program (nosuchprogram): No such file or directory"},
        {"{\"argv\":[\"/etc/passwd\"]}", "cannot run the program (/etc/passwd): Permission denied"},
        {"{\"argv\":[\"true\"],\"cwd\":\"/nonexistent\"}",
         "cannot enter the working directory (true): No such file or directory"},
        {"{\"argv\":[\"true\"],\"user\":\"nobody-knows-me\"}",
         "cannot switch the user (true): No such file or directory"},
    };
    fixture f;
    fixture_init(&f);
    char text[300];
    snprintf(text, sizeof text, "{\"type\":\"t\",\"steps\":[{\"name\":\"run\",\"exec\":%s}]}",
             cases[_i].exec);
    jm_report *report = fixture_run(&f, fixture_type(text), "{}");
    ck_assert_int_eq(report->end, JM_END_RETRY);
    ck_assert_str_eq(report->error, cases[_i].error);
    ck_assert_int_eq(report->return_code, -1);
    fixture_fini(&f);
}
END_TEST

START_TEST(too_large_to_start)
{
    fixture f;
    fixture_init(&f);
    size_t len = 300000;
    char *script = jm_malloc(len + 1);
    memset(script, 'x', len);
    script[len] = 0;
    jm_report *report = fixture_run(&f, shell(script, NULL), "{}");
    ck_assert_int_eq(report->end, JM_END_RETRY);
    ck_assert_ptr_nonnull(strstr(report->error, "larger than"));
    free(script);
    fixture_fini(&f);
}
END_TEST

/* A megabyte of params into a child that reads late, while another job goes by. */
START_TEST(large_params_block_nobody)
{
    fixture f;
    fixture_init(&f);
    size_t len = 1 << 20;
    jm_buf params = {0};
    jm_buf_adds(&params, "{\"s\":\"");
    while (params.len < len)
        jm_buf_adds(&params, "0123456789abcdef");
    jm_buf_adds(&params, "\"}");
    char fifo[64];
    snprintf(fifo, sizeof fifo, "/tmp/jm_exec_fifo_%d", (int)getpid());
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    char script[200];
    snprintf(script, sizeof script, "read x < %s; wc -c; head -c 100 /dev/null", fifo);
    fixture_job(&f, &f.job, shell(script, NULL), params.data);
    jm_job quick;
    jm_job_type *noop;
    ck_assert_int_eq(jm_job_type_builtin("noop", &noop, NULL), 0);
    fixture_job(&f, &quick, noop, "{}");
    jm_chain chain = {0};
    jm_chain_add(&chain, &f.job.node);
    ck_assert_int_eq(jm_runner_push(f.runner, &chain), 0);
    int fd = open(fifo, O_WRONLY); /* the child is at its read */
    ck_assert_int_ge(fd, 0);
    jm_chain_add(&chain, &quick.node);
    ck_assert_int_eq(jm_runner_push(f.runner, &chain), 0);
    ck_assert_ptr_eq(fixture_wait(&f)->job, &quick);
    ck_assert_int_eq(write(fd, "go\n", 3), 3);
    close(fd);
    jm_report *report = fixture_wait(&f);
    ck_assert_int_eq(report->end, JM_END_COMPLETED);
    ck_assert_int_gt(strtol(report->out_text, NULL, 10), (long)len);
    unlink(fifo);
    jm_buf_fini(&params);
    jm_job_type_unref(noop);
    fixture_fini(&f);
}
END_TEST

START_TEST(unread_stdin_is_no_failure)
{
    fixture f;
    fixture_init(&f);
    jm_buf params = {0};
    jm_buf_addf(&params, "{\"s\":\"%0200000d\"}", 0);
    jm_report *report = fixture_run(&f, shell("exec <&-; echo ok", NULL), params.data);
    ck_assert_int_eq(report->end, JM_END_COMPLETED);
    ck_assert_str_eq(report->out_text, "ok\n");
    jm_buf_fini(&params);
    fixture_fini(&f);
}
END_TEST

START_TEST(timeout_term_then_kill)
{
    static const struct {
        const char *script;
        int return_code;
    } cases[] = {{"sleep 600", 128 + SIGTERM},
                 {"trap '' TERM; while :; do sleep 600; done", 128 + SIGKILL},
                 {"trap 'exit 0' TERM; sleep 600 & wait", 0}};
    fixture f;
    fixture_init(&f);
    fixture_job(&f, &f.job, shell(cases[_i].script, NULL), "{}");
    f.job.timeout_s = 1;
    jm_report *report = fixture_run_job(&f);
    ck_assert_int_eq(report->end, JM_END_RETRY);
    ck_assert_str_eq(report->reason, "timeout");
    ck_assert_str_eq(report->error, "timed out: the job took longer than 1 s");
    ck_assert_int_eq(report->return_code, cases[_i].return_code);
    fixture_fini(&f);
}
END_TEST

/* The first line that the child writes on stderr, as a number, once it has been reported. */
static int pid_from_log(fixture *f)
{
    for (;;) {
        jm_report *report = fixture_next(f);
        ck_assert_int_eq(report->end, JM_END_NONE);
        for (int i = 0; i < report->n_logs; i++)
            if (strtol(report->logs[i].message, NULL, 10) > 0)
                return (int)strtol(report->logs[i].message, NULL, 10);
    }
}

START_TEST(stop_kills_the_group)
{
    fixture f;
    fixture_init(&f);
    jm_chain chain = {0};
    fixture_job(&f, &f.job, shell("sleep 600 & echo $! >&2; wait", NULL), "{}");
    jm_chain_add(&chain, &f.job.node);
    ck_assert_int_eq(jm_runner_push(f.runner, &chain), 0);
    int pid = pid_from_log(&f);
    ck_assert(alive(pid));
    jm_runner_stop_job(f.runner, &f.job.id, 1, JM_END_CANCELLED, "not needed");
    jm_report *report = fixture_wait(&f);
    ck_assert_int_eq(report->end, JM_END_CANCELLED);
    ck_assert_str_eq(report->steps[0].status, "cancelled");
    assert_dies(pid);
    fixture_fini(&f);
}
END_TEST

/* Grandchildren that outlive the job: in its group, and in a session of their own. */
/* The process that kills children hangs itself: the job cannot end, which is told until it does. */
START_TEST(a_job_that_cannot_be_killed)
{
    fixture f;
    fixture_init(&f);
    char path[80], text[32] = "";
    jm_chain chain = {0};
    fixture_job(&f, &f.job, shell("echo $$ >&2; sleep 600", NULL), "{}");
    jm_chain_add(&chain, &f.job.node);
    ck_assert_int_eq(jm_runner_push(f.runner, &chain), 0);
    int pid = pid_from_log(&f);
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", getpid(), getpid());
    FILE *children = fopen(path, "r"); /* of this process there is one, the spawner */
    ck_assert_ptr_nonnull(fgets(text, sizeof text, children));
    fclose(children);
    int spawner = (int)strtol(text, NULL, 10);
    ck_assert_int_eq(kill(spawner, SIGSTOP), 0);
    jm_runner_stop_job(f.runner, &f.job.id, 1, JM_END_CANCELLED, "not needed");
    int64_t by_ms = jm_mono_ms() + 20000;
    while (!jm_runner_stuck(f.runner) && jm_mono_ms() < by_ms)
        usleep(10000);
    ck_assert_int_eq(jm_runner_stuck(f.runner), 1);
    ck_assert_int_eq(kill(spawner, SIGCONT), 0);
    ck_assert_int_eq(fixture_wait(&f)->end, JM_END_CANCELLED);
    ck_assert_int_eq(jm_runner_stuck(f.runner), 0);
    ck_assert_int_eq(jm_runner_stuck_ever(f.runner), 1);
    assert_dies(pid);
    fixture_fini(&f);
}
END_TEST

START_TEST(nothing_is_left_behind)
{
    static const char *const scripts[] = {
        "sleep 600 & echo $! >&2",
        "setsid sh -c 'echo $$ >&2; exec sleep 600' & while [ ! -e $JOBMILL_OUTPUT_DIR/x ]; do "
        "touch $JOBMILL_OUTPUT_DIR/x; sleep 0.2; done",
    };
    fixture f;
    fixture_init(&f);
    jm_report *report = fixture_run(&f, shell(scripts[_i], NULL), "{}");
    ck_assert_int_eq(report->end, JM_END_COMPLETED);
    ck_assert_ptr_nonnull(report->err_text);
    int pid = (int)strtol(report->err_text, NULL, 10);
    ck_assert_int_gt(pid, 1);
    assert_dies(pid);
    if (report->output_files) {
        ck_assert_str_eq(report->output_files, "[{\"name\":\"x\",\"size\":0}]");
        char id[JM_UUID_TEXT], path[200];
        jm_uuid_format(&f.job.id, id);
        snprintf(path, sizeof path, "%s/%s-1", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", id);
        ck_assert_int_eq(chdir(path), 0);
        ck_assert_int_eq(unlink("x"), 0);
        ck_assert_int_eq(rmdir(path), 0);
    }
    fixture_fini(&f);
}
END_TEST

/* A worker that is killed takes everything with it. */
START_TEST(worker_dies)
{
    int pipe_fds[2];
    ck_assert_int_eq(pipe(pipe_fds), 0);
    /* Strays of the dead worker's spawner come to us, so that they can be seen and reaped. */
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    pid_t worker = fork();
    if (!worker) {
        static fixture f;
        fixture_init(&f);
        jm_chain chain = {0};
        fixture_job(&f, &f.job, shell("setsid sleep 601 & sleep 600 & echo $! >&2; wait", NULL),
                    "{}");
        jm_chain_add(&chain, &f.job.node);
        jm_runner_push(f.runner, &chain);
        int pid = pid_from_log(&f);
        if (write(pipe_fds[1], &pid, sizeof pid) != sizeof pid)
            _exit(1);
        for (;;)
            pause();
    }
    int pid = 0;
    ck_assert_int_eq(read(pipe_fds[0], &pid, sizeof pid), sizeof pid);
    ck_assert(alive(pid));
    ck_assert_int_eq(kill(worker, SIGKILL), 0);
    ck_assert_int_eq(waitpid(worker, NULL, 0), worker);
    assert_dies(pid);
    while (waitpid(-1, NULL, 0) > 0) /* the spawner, once it has killed and reaped everything */
        ;
    ck_assert_int_eq(errno, ECHILD);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}
END_TEST

/* Without its spawner a worker can neither start nor stop children: it ends. */
START_TEST(spawner_dies)
{
    pid_t worker = fork();
    if (!worker) {
        static fixture f;
        char path[64];
        int spawner = 0;
        fixture_init(&f);
        snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
        FILE *children = fopen(path, "r");
        if (!children || fscanf(children, "%d", &spawner) != 1)
            _exit(1);
        kill(spawner, SIGKILL);
        fixture_next(&f);
        _exit(2);
    }
    int status;
    ck_assert_int_eq(waitpid(worker, &status, 0), worker);
    ck_assert(WIFEXITED(status));
    ck_assert_int_eq(WEXITSTATUS(status), 70);
}
END_TEST

START_TEST(work_dir_must_do)
{
    jm_runner *runner = NULL;
    jm_err err;
    jm_queue *queue = jm_queue_new(0);
    jm_runner_options options = {.reports = queue, .work_dir = "/nonexistent/a/b"};
    ck_assert_int_eq(jm_runner_new(&options, &runner, &err), JM_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.msg, "work_dir /nonexistent/a/b"));
    jm_queue_free(queue);
}
END_TEST

START_TEST(log_bytes_are_capped)
{
    fixture f;
    fixture_init(&f);
    jm_report *report = fixture_run(
        &f, shell("yes $(head -c 8000 /dev/zero | tr '\\0' x) | head -n 3000 >&2", NULL), "{}");
    ck_assert_int_eq(report->end, JM_END_COMPLETED);
    size_t bytes = 0;
    bool noted = false;
    for (int i = 0; i < f.n_reports; i++) {
        for (int j = 0; j < f.reports[i]->n_logs; j++) {
            bytes += strlen(f.reports[i]->logs[j].message);
            noted = noted ||
                    strstr(f.reports[i]->logs[j].message, "more than 10000 log lines or 8 MiB");
        }
    }
    ck_assert(noted);
    ck_assert_uint_lt(bytes, 9 << 20);
    ck_assert_uint_gt(bytes, 7 << 20);
    fixture_fini(&f);
}
END_TEST

START_TEST(step_data_is_capped)
{
    static const char script[] =
        "import os, json\n"
        "out = os.fdopen(3, 'w')\n"
        "for n in range(30):\n"
        "    out.write(json.dumps({'step': {'name': 's%d' % n, 'data': 'x' * 1000000}}) + '\\n')\n";
    fixture f;
    fixture_init(&f);
    jm_buf text = {0};
    jm_buf_adds(&text, "{\"type\":\"t\",\"steps\":[{\"name\":\"run\",\"exec\":{\"argv\":[\"/usr/"
                       "bin/python3\",\"-c\",");
    jm_buf_add_json(&text, script, strlen(script));
    jm_buf_adds(&text, "]}}]}");
    ck_assert_int_eq(fixture_run(&f, fixture_type(text.data), "{}")->end, JM_END_COMPLETED);
    const fixture_rows *rows = fixture_collect(&f);
    ck_assert_int_eq(rows->n_steps, 31);
    int with_data = 0;
    for (int i = 0; i < rows->n_steps; i++)
        with_data += rows->steps[i].data != NULL;
    ck_assert_int_eq(with_data, 16);
    ck_assert_ptr_nonnull(strstr(rows->logs[0].message, "more than 16 MiB of data"));
    jm_buf_fini(&text);
    fixture_fini(&f);
}
END_TEST

START_TEST(output_is_capped)
{
    fixture f;
    fixture_init(&f);
    jm_report *report =
        fixture_run(&f,
                    shell("yes 0123456789 | head -c 5000000; echo; echo '{\"a\":1}'",
                          ",\"limits\":{\"output_bytes\":1000}"),
                    "{}");
    ck_assert_int_eq(report->end, JM_END_COMPLETED);
    ck_assert_uint_lt(strlen(report->out_text), 1100);
    ck_assert_ptr_nonnull(strstr(report->out_text, "bytes left out, the cap is 1000 ...]"));
    ck_assert_str_eq(report->result, "{\"a\":1}");
    fixture_fini(&f);
}
END_TEST

START_TEST(bytes_that_are_no_text)
{
    fixture f;
    fixture_init(&f);
    jm_report *report =
        fixture_run(&f, shell("printf 'a\\377b\\000c\\n' >&2; printf '\\303'", NULL), "{}");
    ck_assert_int_eq(report->end, JM_END_COMPLETED);
    ck_assert_str_eq(report->err_text, "a\xef\xbf\xbd"
                                       "b\xef\xbf\xbd"
                                       "c\n");
    ck_assert_str_eq(report->out_text, "\xef\xbf\xbd\n");
    ck_assert_str_eq(report->logs[0].message, "a\xef\xbf\xbd"
                                              "b\xef\xbf\xbd"
                                              "c");
    fixture_fini(&f);
}
END_TEST

START_TEST(log_lines_are_capped)
{
    fixture f;
    fixture_init(&f);
    jm_report *report = fixture_run(&f, shell("seq 1 30000 >&2", NULL), "{}");
    ck_assert_int_eq(report->end, JM_END_COMPLETED);
    int n = 0, last_seq = 0;
    bool noted = false;
    for (int i = 0; i < f.n_reports; i++) {
        for (int j = 0; j < f.reports[i]->n_logs; j++, n++) {
            ck_assert_int_eq(f.reports[i]->logs[j].seq, ++last_seq);
            noted = noted || strstr(f.reports[i]->logs[j].message, "more than 10000 log lines");
        }
    }
    ck_assert_int_eq(n, 10002); /* with the note and jobmill's own row at the end */
    ck_assert(noted);
    fixture_fini(&f);
}
END_TEST

START_TEST(limits)
{
    fixture f;
    fixture_init(&f);
    jm_report *report = fixture_run(
        &f,
        shell("ulimit -n; ulimit -t; ulimit -v; grep NoNewPrivs /proc/self/status; "
              "grep SigBlk /proc/self/status; grep SigIgn /proc/self/status; ps -o pgid= -o sid= "
              "-p $$; echo $$",
              ",\"limits\":{\"files\":50,\"cpu_s\":7,\"memory_bytes\":1073741824},\"cwd\":\"/\""),
        "{}");
    ck_assert_int_eq(report->end, JM_END_COMPLETED);
    ck_assert_msg(!strncmp(report->out_text,
                           "50\n7\n1048576\nNoNewPrivs:\t1\nSigBlk:\t0000000000000000\n"
                           "SigIgn:\t0000000000000000\n",
                           40),
                  "%s", report->out_text);
    report = fixture_run(&f, shell("while :; do :; done", ",\"limits\":{\"cpu_s\":1}"), "{}");
    ck_assert_ptr_nonnull(strstr(report->error, "SIGXCPU"));
    fixture_fini(&f);
}
END_TEST

START_TEST(another_user)
{
    if (geteuid() != 0 || !getpwnam("nobody"))
        return; /* only root may switch */
    fixture f;
    fixture_init(&f);
    jm_report *report = fixture_run(
        &f,
        shell("id -un; id -G; echo $USER; touch $JOBMILL_OUTPUT_DIR/f && rm $JOBMILL_OUTPUT_DIR/f",
              ",\"user\":\"nobody\""),
        "{}");
    ck_assert_msg(report->end == JM_END_COMPLETED, "%s", report->error);
    ck_assert_str_eq(report->out_text, "nobody\n65534\nnobody\n");
    fixture_fini(&f);
}
END_TEST

START_TEST(step_retry_and_data_between_steps)
{
    fixture f;
    fixture_init(&f);
    jm_job_type *type =
        fixture_type("{\"type\":\"t\",\"steps\":["
                     "{\"name\":\"a\",\"retry\":{\"attempts\":2,\"delay_s\":0},\"exec\":{\"argv\":["
                     "\"sh\",\"-c\","
                     "\"grep -q '\\\"attempt\\\":2}' || exit 9; echo '{\\\"rows\\\":7}'\"]}},"
                     "{\"name\":\"b\",\"noop\":{}},"
                     "{\"name\":\"c\",\"exec\":{\"argv\":[\"sh\",\"-c\",\"cat >&2\"]}}]}");
    jm_report *report = fixture_run(&f, type, "{}");
    ck_assert_int_eq(report->end, JM_END_COMPLETED);
    ck_assert_str_eq(report->result, "{\"rows\":7}");
    ck_assert_ptr_nonnull(strstr(report->err_text, "\"steps\":{\"a\":{\"rows\":7},\"b\":null}"));
    const fixture_rows *rows = fixture_collect(&f);
    ck_assert_int_eq(rows->n_steps, 3);
    ck_assert_int_eq(rows->steps[0].attempts, 2);
    fixture_fini(&f);
}
END_TEST

/* Their descriptors are far more than the soft limit, which they get as it was. */
START_TEST(many_at_once)
{
    enum { N = 500 };
    fixture f;
    struct rlimit limit;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = 64;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    fixture_init(&f);
    char gate[64], script[200];
    snprintf(gate, sizeof gate, "/tmp/jm_exec_gate_%d", (int)getpid());
    ck_assert_int_eq(mkfifo(gate, 0600), 0);
    /* None ends before all have been started: the gate opens for readers when there is a writer. */
    snprintf(script, sizeof script,
             "read job; echo here >&2; read x < %s; echo {\\\"files\\\":$(ulimit -n)}", gate);
    jm_job_type *type = shell(script, NULL);
    jm_job jobs[N];
    jm_chain chain = {0};
    for (int i = 0; i < N; i++) {
        fixture_job(&f, &jobs[i], type, "{}");
        jm_chain_add(&chain, &jobs[i].node);
    }
    ck_assert_int_eq(jm_runner_push(f.runner, &chain), 0);
    for (int here = 0; here < N;) {
        jm_report *report = fixture_next(&f);
        ck_assert_int_eq(report->end, JM_END_NONE);
        here += report->n_logs;
    }
    int fd = open(gate, O_RDWR);
    ck_assert_int_ge(fd, 0);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(write(fd, "\n", 1), 1);
    for (int i = 0; i < N; i++) {
        jm_report *report = fixture_wait(&f);
        ck_assert_int_eq(report->end, JM_END_COMPLETED);
        ck_assert_pstr_eq(report->result, "{\"files\":64}");
    }
    close(fd);
    unlink(gate);
    fixture_fini(&f);
    jm_job_type_unref(type);
}
END_TEST

static const struct {
    const char *exec, *field, *message;
} refused[] = {
    {"{}", "/steps/0/exec", "exec has no argv"},
    {"{\"argv\":[]}", "/steps/0/exec/argv", "non-empty list of strings"},
    {"{\"argv\":\"ls\"}", "/steps/0/exec/argv", "list of strings"},
    {"{\"argv\":[\"ls\",\"\"]}", "/steps/0/exec/argv", "must not be empty"},
    {"{\"argv\":[\"ls\",5]}", "/steps/0/exec/argv", "list of strings"},
    {"{\"argv\":[\"a\"],\"arv\":1}", "/steps/0/exec/arv", "did you mean \"argv\"?"},
    {"{\"argv\":[\"a\"],\"env\":{\"A\":1}}", "/steps/0/exec/env", "env.A must be a string"},
    {"{\"argv\":[\"a\"],\"env\":{\"A=B\":\"x\"}}", "/steps/0/exec/env", "without '='"},
    {"{\"argv\":[\"a\"],\"env\":{\"JOBMILL_JOB_ID\":\"x\"}}", "/steps/0/exec/env",
     "set by jobmill"},
    {"{\"argv\":[\"a\"],\"cwd\":\"\"}", "/steps/0/exec/cwd", "must not be empty"},
    {"{\"argv\":[\"a\"],\"mode\":\"lop\"}", "/steps/0/exec/mode", "one of once, loop"},
    {"{\"argv\":[\"a\"],\"mode\":\"loop\",\"limits\":{\"cpu_s\":5}}", "/steps/0/exec/limits/cpu_s",
     "would add up its jobs"},
    {"{\"argv\":[\"a\"],\"limits\":{\"cpus\":1}}", "/steps/0/exec/limits/cpus",
     "did you mean \"cpu_s\"?"},
    {"{\"argv\":[\"a\"],\"limits\":{\"memory_bytes\":5}}", "/steps/0/exec/limits/memory_bytes",
     "from"},
};

START_TEST(definitions_refused)
{
    char text[300];
    jm_job_type *type;
    jm_err err = {0};
    snprintf(text, sizeof text, "{\"type\":\"t\",\"steps\":[{\"name\":\"run\",\"exec\":%s}]}",
             refused[_i].exec);
    ck_assert_int_eq(jm_job_type_parse("f", text, strlen(text), &type, &err), JM_ERR_INVALID);
    ck_assert_str_eq(err.field, refused[_i].field);
    ck_assert_msg(strstr(err.msg, refused[_i].message) != NULL, "%s", err.msg);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exec");
    TCase *tc = tcase_create("exec");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, true_and_its_environment);
    tcase_add_test(tc, protocol);
    tcase_add_loop_test(tc, last_line_of_stdout, 0, 9);
    tcase_add_loop_test(tc, ends, 0, 8);
    tcase_add_loop_test(tc, cannot_start, 0, 5);
    tcase_add_test(tc, too_large_to_start);
    tcase_add_test(tc, large_params_block_nobody);
    tcase_add_test(tc, unread_stdin_is_no_failure);
    tcase_add_loop_test(tc, timeout_term_then_kill, 0, 3);
    tcase_add_test(tc, stop_kills_the_group);
    tcase_add_test(tc, a_job_that_cannot_be_killed);
    tcase_add_loop_test(tc, nothing_is_left_behind, 0, 2);
    tcase_add_test(tc, worker_dies);
    tcase_add_test(tc, spawner_dies);
    tcase_add_test(tc, work_dir_must_do);
    tcase_add_test(tc, log_bytes_are_capped);
    tcase_add_test(tc, step_data_is_capped);
    tcase_add_test(tc, output_is_capped);
    tcase_add_test(tc, bytes_that_are_no_text);
    tcase_add_test(tc, log_lines_are_capped);
    tcase_add_test(tc, limits);
    tcase_add_test(tc, another_user);
    tcase_add_test(tc, step_retry_and_data_between_steps);
    tcase_add_test(tc, many_at_once);
    tcase_add_loop_test(tc, definitions_refused, 0, sizeof refused / sizeof *refused);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
