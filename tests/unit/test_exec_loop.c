/* exec with mode "loop", with real children: who gets which job, and whatever children do wrong. */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/mem.h"
#include "tests/unit/runner_fixture.h"
#include "worker/executor.h"

enum { IDLE_MS = 300 };

static const jm_executor_env idle_soon = {.loop_idle_ms = IDLE_MS};

/* A handler in bash: in the body, $job is the line, and say writes on descriptor 3. */
static jm_job_type *handler(const char *body, const char *more)
{
    jm_buf text = {0}, script = {0};
    jm_buf_addf(&script, "say() { echo \"$1\" >&3; }; while read -r job; do %s\ndone", body);
    jm_buf_adds(&text, "{\"type\":\"t\",\"steps\":[{\"name\":\"run\",\"exec\":{\"mode\":\"loop\","
                       "\"argv\":[\"bash\",\"-c\",");
    jm_buf_add_json(&text, script.data, script.len);
    jm_buf_addf(&text, "]%s}}]}", more ? more : "");
    jm_job_type *type = fixture_type(text.data);
    jm_buf_fini(&script);
    jm_buf_fini(&text);
    return type;
}

static void start(fixture *f)
{
    jm_err err;
    fixture_init_with(f, &idle_soon);
    ck_assert_msg(!jm_runner_start(f->runner, &err), "%s", err.msg);
}

/* Runs a job of the type, whose reference stays the caller's. */
static jm_report *run_job(fixture *f, jm_job_type *type, const char *params)
{
    return fixture_run(f, jm_job_type_ref(type), params);
}

/* The process that served it, by its result. */
static int pid_of(const jm_report *report)
{
    ck_assert_msg(report->end == JM_END_COMPLETED, "%s", report->error);
    ck_assert_ptr_nonnull(report->result);
    return (int)strtol(report->result, NULL, 10);
}

static void push(fixture *f, jm_job *job)
{
    jm_chain chain = {0};
    jm_chain_add(&chain, &job->node);
    ck_assert_int_eq(jm_runner_push(f->runner, &chain), 0);
}

static const char good[] = "say '{\"result\":'$$',\"end\":{\"exit\":0}}'";

START_TEST(one_child_serves_many)
{
    fixture f;
    start(&f);
    jm_job_type *type = handler(good, NULL);
    int pid = pid_of(run_job(&f, type, "{}"));
    for (int i = 0; i < 30; i++)
        ck_assert_int_eq(pid_of(run_job(&f, type, "{}")), pid);
    ck_assert(alive(pid));
    assert_dies(pid); /* nothing more comes for a while */
    ck_assert_int_ne(pid_of(run_job(&f, type, "{}")), pid);
    jm_job_type_unref(type);
    fixture_fini(&f);
}
END_TEST

START_TEST(what_is_said_belongs_to_the_job_at_hand)
{
    static const char body[] =
        "n=${job##*\\\"n\\\":}; n=${n%%\\}*}\n"
        "echo out $n; echo err $n >&2; say '{\"log\":{\"message\":\"log '$n'\"}}'\n"
        "say '{\"set\":{\"n\":'$n'},\"progress\":{\"ok\":'$n'},\"step\":{\"name\":\"s'$n'\"}}'\n"
        "echo '{\"n\":'$n'}'; say '{\"end\":{}}'";
    fixture f;
    start(&f);
    jm_job_type *type = handler(body, NULL);
    for (int n = 1; n < 4; n++) {
        char params[32], want[100];
        snprintf(params, sizeof params, "{\"n\":%d}", n);
        jm_report *report = run_job(&f, type, params);
        ck_assert_int_eq(report->end, JM_END_COMPLETED);
        ck_assert_int_eq(report->return_code, 0);
        snprintf(want, sizeof want, "{\"n\":%d}", n);
        ck_assert_str_eq(report->result, want);
        snprintf(want, sizeof want, "out %d\n{\"n\":%d}\n", n, n);
        ck_assert_str_eq(report->out_text, want);
        snprintf(want, sizeof want, "err %d\n", n);
        ck_assert_str_eq(report->err_text, want);
        const fixture_rows *rows = fixture_collect(&f);
        ck_assert_int_eq(rows->n_steps, 2);
        ck_assert_int_eq(rows->n_logs, 3);
    }
    jm_job_type_unref(type);
    fixture_fini(&f);
}
END_TEST

START_TEST(ends)
{
    static const struct {
        const char *end;
        jm_end want;
        int return_code;
        const char *error;
    } cases[] = {
        {"{\"exit\":0}", JM_END_COMPLETED, 0, NULL},
        {"{\"exit\":3}", JM_END_RETRY, 3, "exit status 3"},
        {"{\"exit\":75,\"error\":\"later\"}", JM_END_RETRY, 75, "later"},
        {"{\"exit\":65,\"error\":\"no good\"}", JM_END_FAILED, 65, "no good"},
        {"{\"error\":\"just so\"}", JM_END_RETRY, 1, "just so"},
    };
    char body[200];
    fixture f;
    start(&f);
    snprintf(body, sizeof body, "case $job in *ask*) say '{\"end\":%s}';; *) %s;; esac",
             cases[_i].end, good);
    jm_job_type *type = handler(body, NULL);
    int pid = pid_of(run_job(&f, type, "{}"));
    jm_report *report = run_job(&f, type, "{\"ask\":1}");
    ck_assert_int_eq(report->end, cases[_i].want);
    ck_assert_int_eq(report->return_code, cases[_i].return_code);
    if (cases[_i].error)
        ck_assert_pstr_eq(report->error, cases[_i].error);
    ck_assert_int_eq(pid_of(run_job(&f, type, "{}")), pid);
    jm_job_type_unref(type);
    fixture_fini(&f);
}
END_TEST

/* Each fails the job at hand alone, says why, and the next job has a child of its own. */
START_TEST(children_go_wrong)
{
    static const struct {
        const char *body;
        jm_end end;
        int return_code;
        const char *error;
    } cases[] = {
        {"echo why >&2; exit 3", JM_END_RETRY, 3,
         "the handler's process ended before the job: exit status 3: why"},
        {"exit 65", JM_END_FAILED, 65, "ended before the job: exit status 65"},
        {"exit 0", JM_END_RETRY, 0, "exit status 0, without an end"},
        {"kill -9 $$", JM_END_RETRY, 137, "ended before the job: killed by signal 9 (SIGKILL"},
        {"exec 3>&-; sleep 100", JM_END_RETRY, -1, "it closed descriptor 3"},
        {"say hello; sleep 100", JM_END_RETRY, -1, "broke the protocol: "},
        {"say '{\"end\":{\"exit\":\"x\"}}'; sleep 100", JM_END_RETRY, -1, "end.exit must be"},
        {"say '{\"end\":{\"exit\":0,\"id\":\"other\"}}'; sleep 100", JM_END_RETRY, -1,
         "ended a job that it does not have"},
        {"head -c 1100000 /dev/zero | tr '\\0' x >&3; say; sleep 100", JM_END_RETRY, -1,
         "longer than 1 MiB"},
    };
    char body[300];
    fixture f;
    start(&f);
    snprintf(body, sizeof body, "case $job in *oops*) %s;; *) %s;; esac", cases[_i].body, good);
    jm_job_type *type = handler(body, NULL);
    int pid = pid_of(run_job(&f, type, "{}"));
    jm_report *report = run_job(&f, type, "{\"oops\":1}");
    ck_assert_int_eq(report->end, cases[_i].end);
    ck_assert_int_eq(report->return_code, cases[_i].return_code);
    ck_assert_msg(strstr(report->error, cases[_i].error) != NULL, "%s", report->error);
    ck_assert_int_ne(pid_of(run_job(&f, type, "{}")), pid);
    assert_dies(pid);
    jm_job_type_unref(type);
    fixture_fini(&f);
}
END_TEST

static bool is_logged(fixture *f, const char *part)
{
    const fixture_rows *rows = fixture_collect(f);
    for (int i = 0; i < rows->n_logs; i++)
        if (strstr(rows->logs[i].message, part))
            return true;
    return false;
}

/* The job has ended well, but what comes from such a child next cannot be trusted. */
START_TEST(writes_behind_the_end)
{
    static const char *const behind[] = {"\\n{\"log\":{\"message\":\"x\"}}\\n",
                                         "\\n{\"end\":{}}\\n", "\\nrest"};
    char body[300];
    fixture f;
    start(&f);
    snprintf(body, sizeof body, "printf '{\"result\":'$$',\"end\":{}}%s' | cat >&3", behind[_i]);
    jm_job_type *type = handler(body, NULL);
    int pid = pid_of(run_job(&f, type, "{}"));
    ck_assert(is_logged(&f, "the handler's process is replaced: it wrote behind the end"));
    ck_assert_int_ne(pid_of(run_job(&f, type, "{}")), pid);
    jm_job_type_unref(type);
    fixture_fini(&f);
}
END_TEST

/* Broken members that do not end the job are warnings, as with mode "once". */
START_TEST(small_errors_are_warnings)
{
    fixture f;
    start(&f);
    jm_job_type *type = handler("say '{\"logs\":1}'; say '{\"result\":'$$',\"end\":{}}'", NULL);
    int pid = pid_of(run_job(&f, type, "{}"));
    ck_assert(is_logged(&f, "unknown key \"logs\""));
    ck_assert_int_eq(pid_of(run_job(&f, type, "{}")), pid);
    jm_job_type_unref(type);
    fixture_fini(&f);
}
END_TEST

/* A child may leave behind each end: no job comes to harm by that. */
START_TEST(children_may_leave_between_jobs)
{
    fixture f;
    start(&f);
    jm_job_type *type =
        handler("say '{\"result\":'$$',\"end\":{}}'; [ $((++i)) = 3 ] && exit", NULL);
    for (int i = 0; i < 40; i++)
        pid_of(run_job(&f, type, "{}"));
    jm_job_type_unref(type);
    fixture_fini(&f);
}
END_TEST

START_TEST(timeout_term_then_kill)
{
    static const char *const bodies[] = {"sleep 600", "trap '' TERM; sleep 600 & wait; sleep 600",
                                         "trap 'say \"{\\\"end\\\":{}}\"' TERM; sleep 600 & wait"};
    char body[300];
    fixture f;
    start(&f);
    snprintf(body, sizeof body, "case $job in *oops*) echo $$ >&2; %s;; *) %s;; esac", bodies[_i],
             good);
    jm_job_type *type = handler(body, NULL);
    int pid = pid_of(run_job(&f, type, "{}"));
    jm_job_type_unref(f.job.job_type);
    fixture_job(&f, &f.job, jm_job_type_ref(type), "{\"oops\":1}");
    f.job.timeout_s = 1;
    jm_report *report = fixture_run_job(&f);
    ck_assert_int_eq(report->end, JM_END_RETRY);
    ck_assert_str_eq(report->reason, "timeout");
    ck_assert_str_eq(report->error, "timed out: the job took longer than 1 s");
    ck_assert_int_ne(pid_of(run_job(&f, type, "{}")), pid);
    assert_dies(pid);
    jm_job_type_unref(type);
    fixture_fini(&f);
}
END_TEST

/* While one hangs, others go by in other children; cancelled, it alone is gone. */
START_TEST(a_hanging_job_holds_up_no_other)
{
    char body[300];
    fixture f;
    jm_job hanging;
    start(&f);
    snprintf(body, sizeof body, "case $job in *oops*) sleep 600;; *) %s;; esac", good);
    jm_job_type *type = handler(body, NULL);
    fixture_job(&f, &hanging, type, "{\"oops\":1}");
    push(&f, &hanging);
    int pid = pid_of(run_job(&f, type, "{}"));
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(pid_of(run_job(&f, type, "{}")), pid);
    jm_runner_stop_job(f.runner, &hanging.id, 1, JM_END_CANCELLED, "not needed");
    jm_report *report = fixture_wait(&f);
    ck_assert_ptr_eq(report->job, &hanging);
    ck_assert_int_eq(report->end, JM_END_CANCELLED);
    ck_assert_int_eq(pid_of(run_job(&f, type, "{}")), pid);
    jm_job_type_unref(type);
    fixture_fini(&f);
}
END_TEST

/* Slow jobs soon have a child each; those that are cancelled while they wait for one have none. */
START_TEST(slow_jobs_get_children)
{
    enum { N = 40 };
    char body[300], gate[64];
    fixture f;
    jm_job jobs[N];
    start(&f);
    /* Each waits for a line of the pipe, which is open here all the time. */
    snprintf(gate, sizeof gate, "/tmp/jm_loop_gate_%d", (int)getpid());
    unlink(gate);
    ck_assert_int_eq(mkfifo(gate, 0600), 0);
    int fd = open(gate, O_RDWR | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    snprintf(body, sizeof body, "echo here >&2; read go < %s; %s", gate, good);
    jm_job_type *type = handler(body, NULL);
    for (int i = 0; i < N; i++) {
        fixture_job(&f, &jobs[i], type, "{}");
        push(&f, &jobs[i]);
    }
    jm_runner_stop_job(f.runner, &jobs[N - 1].id, 1, JM_END_CANCELLED, "not needed");
    jm_report *report = fixture_wait(&f);
    ck_assert_ptr_eq(report->job, &jobs[N - 1]);
    ck_assert_int_eq(report->end, JM_END_CANCELLED);
    for (int here = 0; here < N - 1;) {
        report = fixture_next(&f);
        ck_assert_int_eq(report->end, JM_END_NONE);
        for (int i = 0; i < report->n_logs; i++)
            here += !strcmp(report->logs[i].message, "here");
    }
    for (int i = 0; i < N - 1; i++)
        ck_assert_int_eq(write(fd, "\n", 1), 1);
    for (int i = 0; i < N - 1; i++)
        ck_assert_int_eq(fixture_wait(&f)->end, JM_END_COMPLETED);
    close(fd);
    unlink(gate);
    jm_job_type_unref(type);
    fixture_fini(&f);
}
END_TEST

START_TEST(reload_brings_fresh_children)
{
    fixture f;
    start(&f);
    jm_job_type *type = handler(
        "case $job in *slow*) echo here >&2; sleep 1; esac; say '{\"result\":'$$',\"end\":{}}'",
        NULL);
    int pid = pid_of(run_job(&f, type, "{}"));
    jm_runner_reload(f.runner);
    assert_dies(pid);
    jm_job slow;
    fixture_job(&f, &slow, type, "{\"slow\":1}");
    push(&f, &slow);
    while (!fixture_next(&f)->n_logs)
        ;
    jm_runner_reload(f.runner); /* what runs, runs to its end */
    pid = pid_of(fixture_wait(&f));
    ck_assert_int_ne(pid_of(run_job(&f, type, "{}")), pid);
    assert_dies(pid);
    jm_job_type_unref(type);
    fixture_fini(&f);
}
END_TEST

START_TEST(a_new_definition_replaces_the_children)
{
    static const jm_executor_env idle_late = {.loop_idle_ms = 600000};
    fixture f;
    jm_err err;
    fixture_init_with(&f, &idle_late);
    ck_assert_int_eq(jm_runner_start(f.runner, &err), 0);
    jm_job_type *first = handler(good, NULL), *second = handler(good, ",\"env\":{\"V\":\"2\"}");
    int pid = pid_of(run_job(&f, first, "{}"));
    int other = pid_of(run_job(&f, second, "{}"));
    ck_assert_int_ne(pid, other);
    assert_dies(pid);
    ck_assert(alive(other));
    /* A job that still has the old definition gets what it is due, once. */
    pid = pid_of(run_job(&f, first, "{}"));
    ck_assert_int_ne(pid, other);
    jm_job_type_unref(first);
    jm_job_type_unref(second);
    fixture_fini(&f);
    assert_dies(other); /* nothing outlives the runner */
}
END_TEST

/* More types than processes: the idle child of one makes room for another's. */
START_TEST(idle_children_count)
{
    static const jm_executor_env two = {.loop_idle_ms = 600000, .processes = 2};
    fixture f;
    jm_err err;
    jm_job_type *types[4];
    int pids[4];
    fixture_init_with(&f, &two);
    ck_assert_int_eq(jm_runner_start(f.runner, &err), 0);
    for (int i = 0; i < 4; i++) {
        char text[300];
        snprintf(
            text, sizeof text,
            "{\"type\":\"t%d\",\"steps\":[{\"name\":\"run\",\"exec\":{\"mode\":\"loop\",\"argv\":["
            "\"bash\",\"-c\",\"while read -r j; do echo '{\\\"result\\\":'$$',\\\"end\\\":{}}' "
            ">&3; done\"]}}]}",
            i);
        types[i] = fixture_type(text);
        pids[i] = pid_of(run_job(&f, types[i], "{}"));
    }
    int living = 0;
    for (int64_t by_ms = jm_mono_ms() + 10000; jm_mono_ms() < by_ms; usleep(2000)) {
        living = 0;
        for (int i = 0; i < 4; i++)
            living += alive(pids[i]);
        if (living <= 2)
            break;
    }
    ck_assert_int_eq(living, 2);
    ck_assert(alive(pids[3]));
    for (int i = 0; i < 4; i++)
        jm_job_type_unref(types[i]);
    fixture_fini(&f);
}
END_TEST

START_TEST(large_params_and_capped_output)
{
    fixture f;
    start(&f);
    jm_buf params = {0};
    jm_job_type *type =
        handler("case $job in *flood*) yes | head -c 300000;; *) echo ${#job};; esac; "
                "say '{\"result\":'$$',\"end\":{}}'",
                ",\"limits\":{\"output_bytes\":1000}");
    jm_buf_adds(&params, "{\"s\":\"");
    while (params.len < 1 << 20)
        jm_buf_adds(&params, "0123456789abcdef");
    jm_buf_adds(&params, "\"}");
    jm_report *report = run_job(&f, type, "{\"flood\":1}");
    int pid = pid_of(report);
    ck_assert_ptr_nonnull(strstr(report->out_text, "the cap is 1000"));
    report = run_job(&f, type, params.data);
    ck_assert_int_eq(pid_of(report), pid);
    ck_assert_int_gt(strtol(report->out_text, NULL, 10), 1 << 20);
    jm_buf_fini(&params);
    jm_job_type_unref(type);
    fixture_fini(&f);
}
END_TEST

START_TEST(cannot_start)
{
    fixture f;
    start(&f);
    jm_report *report = fixture_run(
        &f,
        fixture_type("{\"type\":\"t\",\"steps\":[{\"name\":\"run\",\"exec\":{\"mode\":\"loop\","
                     "\"argv\":[\"/nonexistent/program\"]}}]}"),
        "{}");
    ck_assert_int_eq(report->end, JM_END_RETRY);
    ck_assert_str_eq(report->error,
                     "cannot run the program (/nonexistent/program): No such file or directory");
    fixture_fini(&f);
}
END_TEST

START_TEST(output_dir_is_made_by_the_handler)
{
    static const char body[] =
        "d=${job##*\\\"output_dir\\\":\\\"}; d=${d%%\\\"*}\n"
        "mkdir $d; echo hello > $d/x; say '{\"result\":\"'$d'\",\"end\":{}}'";
    fixture f;
    start(&f);
    jm_job_type *type = handler(body, NULL);
    jm_report *report = run_job(&f, type, "{}");
    ck_assert_msg(report->end == JM_END_COMPLETED, "%s", report->error);
    ck_assert_str_eq(report->output_files, "[{\"name\":\"x\",\"size\":6}]");
    char path[300];
    snprintf(path, sizeof path, "%.*s", (int)strlen(report->result) - 2, report->result + 1);
    ck_assert_int_eq(chdir(path), 0);
    ck_assert_int_eq(unlink("x"), 0);
    ck_assert_int_eq(rmdir(path), 0);
    jm_job_type_unref(type);
    fixture_fini(&f);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exec_loop");
    TCase *tc = tcase_create("exec_loop");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, one_child_serves_many);
    tcase_add_test(tc, what_is_said_belongs_to_the_job_at_hand);
    tcase_add_loop_test(tc, ends, 0, 5);
    tcase_add_loop_test(tc, children_go_wrong, 0, 9);
    tcase_add_loop_test(tc, writes_behind_the_end, 0, 3);
    tcase_add_test(tc, small_errors_are_warnings);
    tcase_add_test(tc, children_may_leave_between_jobs);
    tcase_add_loop_test(tc, timeout_term_then_kill, 0, 3);
    tcase_add_test(tc, a_hanging_job_holds_up_no_other);
    tcase_add_test(tc, slow_jobs_get_children);
    tcase_add_test(tc, reload_brings_fresh_children);
    tcase_add_test(tc, a_new_definition_replaces_the_children);
    tcase_add_test(tc, idle_children_count);
    tcase_add_test(tc, large_params_and_capped_output);
    tcase_add_test(tc, cannot_start);
    tcase_add_test(tc, output_dir_is_made_by_the_handler);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
