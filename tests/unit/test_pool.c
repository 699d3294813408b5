/* The pool: tasks are done on threads and end on the loop's, threads that do not come back are
 * replaced up to a bound, and nothing is leaked or waited for that is stuck. */
#include <check.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/mem.h"
#include "worker/pool.h"

enum { DEADLINE_US = 20000000 };

/* What a test sees of its tasks: outlives them. */
typedef struct tally {
    _Atomic int begun, freed, running, most;
    int done, refused, taken, last_note;
    bool in_order;
    _Atomic bool go; /* lets tasks return that wait for it */
} tally;

typedef struct job {
    jm_pool_task task;
    tally *tally;
    int notes;       /* to be said */
    bool waits_go;   /* until the tally says so */
    bool waits_told; /* until it is cancelled */
} job;

typedef struct number {
    jm_pool_note note;
    int n;
} number;

static jm_loop *loop;
static jm_pool *pool;
static jm_pool_meter meter;

static void work(jm_pool_task *task)
{
    job *j = (job *)task;
    int running = atomic_fetch_add(&j->tally->running, 1) + 1;
    if (running > atomic_load(&j->tally->most))
        atomic_store(&j->tally->most, running);
    atomic_fetch_add(&j->tally->begun, 1);
    for (int i = 0; i < j->notes; i++) {
        number *note = jm_calloc(1, sizeof *note);
        note->n = i + 1;
        jm_pool_say(task, &note->note);
    }
    while (j->waits_go && !atomic_load(&j->tally->go))
        usleep(1000);
    struct pollfd fd = {.fd = jm_pool_cancel_fd(task), .events = POLLIN};
    if (j->waits_told)
        ck_assert_int_eq(poll(&fd, 1, 20000), 1);
    ck_assert(!j->waits_told || jm_pool_is_cancelled(task));
    atomic_fetch_sub(&j->tally->running, 1);
}

static void take(jm_pool_task *task, jm_pool_note *note)
{
    tally *t = ((job *)task)->tally;
    const number *said = (const number *)note;
    t->in_order = t->in_order && said->n == t->last_note + 1;
    t->last_note = said->n;
    t->taken++;
}

static void done(jm_pool_task *task)
{
    tally *t = ((job *)task)->tally;
    t->refused += task->refused;
    t->done++;
}

static void task_free(jm_pool_task *task)
{
    atomic_fetch_add(&((job *)task)->tally->freed, 1);
    free(task);
}

static const jm_pool_ops ops = {work, take, done, task_free};

static void setup(int threads)
{
    jm_err err;
    ck_assert(!jm_loop_new(&loop, &err));
    ck_assert(!jm_pool_new(loop, "trial", threads, &meter, &pool, &err));
}

static void teardown(void)
{
    jm_pool_free(pool);
    jm_loop_free(loop);
}

static job *submit(job like)
{
    jm_err err;
    job *j = jm_malloc(sizeof *j);
    *j = like;
    ck_assert_msg(!jm_pool_submit(pool, &j->task, &ops, &err), "%s", err.msg);
    return j;
}

#define UNTIL(condition)                                                                           \
    do {                                                                                           \
        for (int64_t end = jm_mono_us() + DEADLINE_US; !(condition);) {                            \
            ck_assert_msg(jm_mono_us() < end, "never: %s", #condition);                            \
            jm_loop_turn(loop, 5);                                                                 \
        }                                                                                          \
    } while (0)

START_TEST(all_are_done_on_few_threads)
{
    tally t = {.in_order = true};
    setup(4);
    for (int i = 0; i < 500; i++)
        submit((job){.tally = &t});
    UNTIL(t.done == 500);
    ck_assert_int_le(t.most, 4);
    ck_assert_int_le(jm_pool_get_counts(pool).threads, 4);
    teardown();
    ck_assert_int_eq(t.freed, 500);
}
END_TEST

/* More notes than the queue takes at once: the thread waits, none is lost. */
START_TEST(notes_come_in_order_before_the_end)
{
    tally t = {.in_order = true};
    setup(1);
    submit((job){.tally = &t, .notes = 5000});
    UNTIL(t.done == 1);
    ck_assert(t.in_order);
    ck_assert_int_eq(t.taken, 5000);
    teardown();
}
END_TEST

START_TEST(cancel_reaches_a_task_before_and_while_it_works)
{
    tally t = {0};
    setup(1);
    job *first = submit((job){.tally = &t, .waits_told = true});
    job *second = submit((job){.tally = &t, .waits_told = true});
    UNTIL(t.begun == 1);
    jm_pool_cancel(&second->task);
    jm_pool_cancel(&first->task);
    UNTIL(t.done == 2);
    teardown();
}
END_TEST

START_TEST(a_waiting_task_is_abandoned_without_a_trace)
{
    tally t = {0};
    setup(1);
    submit((job){.tally = &t, .waits_go = true});
    job *second = submit((job){.tally = &t});
    UNTIL(t.begun == 1);
    ck_assert(!jm_pool_abandon(&second->task));
    ck_assert_int_eq(jm_pool_get_counts(pool).stuck, 0);
    atomic_store(&t.go, true);
    UNTIL(t.freed == 2);
    ck_assert_int_eq(t.done, 1);
    ck_assert_int_eq(t.begun, 1);
    teardown();
}
END_TEST

START_TEST(stuck_threads_are_replaced_up_to_a_bound)
{
    tally stuck = {0}, t = {0};
    jm_err err;
    setup(2);
    for (int i = 0; i < 4; i++) {
        job *j = submit((job){.tally = &stuck, .waits_go = true});
        UNTIL(stuck.begun == i + 1);
        submit((job){.tally = &t});
        ck_assert(jm_pool_abandon(&j->task));
        UNTIL(t.done == i + 1);
        ck_assert_int_eq(jm_pool_get_counts(pool).stuck, i + 1);
        ck_assert_int_eq(meter.stuck, i + 1);
    }
    job *extra = jm_calloc(1, sizeof *extra);
    ck_assert_int_eq(jm_pool_submit(pool, &extra->task, &ops, &err), JM_ERR_IO);
    ck_assert_int_eq(t.refused, 1); /* the last that waited */
    ck_assert_ptr_nonnull(strstr(err.msg, "all threads for trial are stuck (4)"));
    free(extra);
    /* They come back, and so does the room. */
    atomic_store(&stuck.go, true);
    UNTIL(stuck.freed == 4);
    ck_assert_int_eq(stuck.done, 0);
    ck_assert_int_eq(jm_pool_get_counts(pool).stuck, 0);
    ck_assert_int_eq(jm_pool_get_counts(pool).stuck_total, 4);
    ck_assert_int_eq(meter.stuck, 0);
    ck_assert_int_eq(meter.stuck_total, 4);
    submit((job){.tally = &t});
    UNTIL(t.done == 5);
    ck_assert_int_le(jm_pool_get_counts(pool).threads, 2);
    teardown();
}
END_TEST

START_TEST(notes_of_an_abandoned_task_are_dropped)
{
    tally t = {0};
    setup(1);
    job *j = submit((job){.tally = &t, .notes = 100000});
    UNTIL(t.taken > 0);
    ck_assert(jm_pool_abandon(&j->task));
    int taken = t.taken;
    UNTIL(t.freed == 1);
    ck_assert_int_eq(t.taken, taken);
    ck_assert_int_eq(t.done, 0);
    teardown();
}
END_TEST

/* A pool whose thread is stuck ends at once; the thread returns later into what is left for it. */
START_TEST(free_does_not_wait_for_what_is_stuck)
{
    tally t = {0};
    setup(1);
    job *j = submit((job){.tally = &t, .waits_go = true});
    UNTIL(t.begun == 1);
    jm_pool_abandon(&j->task);
    int64_t before = jm_mono_us();
    teardown();
    ck_assert_int_lt(jm_mono_us() - before, 5000000);
    ck_assert_int_eq(t.freed, 0);
    atomic_store(&t.go, true);
    for (int64_t end = jm_mono_us() + DEADLINE_US; !t.freed;) {
        ck_assert(jm_mono_us() < end);
        usleep(1000);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pool");
    TCase *tc = tcase_create("pool");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, all_are_done_on_few_threads);
    tcase_add_test(tc, notes_come_in_order_before_the_end);
    tcase_add_test(tc, cancel_reaches_a_task_before_and_while_it_works);
    tcase_add_test(tc, a_waiting_task_is_abandoned_without_a_trace);
    tcase_add_test(tc, stuck_threads_are_replaced_up_to_a_bound);
    tcase_add_test(tc, notes_of_an_abandoned_task_are_dropped);
    tcase_add_test(tc, free_does_not_wait_for_what_is_stuck);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
