/* What requests hand to a thread that looks after all of it. */
#include <check.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/clock.h"
#include "producer/http/inbox.h"

enum { ADDERS = 4, EACH = 500, FAR_MS = 60000 };

typedef struct item {
    jm_inbox_item item;
    int adder, n;
} item;

typedef struct server {
    jm_inbox inbox;
    _Atomic int taken, in_order, stopped;
    int last[ADDERS];
    _Atomic bool hold; /* nothing is let go */
} server;

static bool take(void *ctx, jm_inbox_item *at)
{
    server *s = ctx;
    item *i = (item *)at;
    if (s->hold)
        return true;
    s->in_order += i->n == s->last[i->adder]++;
    s->taken++;
    free(i);
    return false;
}

static bool stop(void *ctx, jm_inbox_item *at)
{
    server *s = ctx;
    s->stopped++;
    free(at);
    return false;
}

static void run(void *ctx)
{
    server *s = ctx;
    while (jm_inbox_take(&s->inbox, jm_mono_ms() + FAR_MS))
        jm_inbox_sift(&s->inbox, take, s);
    jm_inbox_sift(&s->inbox, stop, s);
}

static void rest_first(void *ctx)
{
    server *s = ctx;
    jm_inbox_rest(&s->inbox, jm_mono_ms() + FAR_MS);
    run(ctx);
}

static void begin(server *s, int max, void (*thread)(void *ctx))
{
    *s = (server){0};
    jm_inbox_init(&s->inbox,
                  &(jm_inbox_options){.name = "inbox", .run = thread, .ctx = s, .max = max});
}

static void end(server *s)
{
    jm_inbox_stop(&s->inbox);
    jm_inbox_join(&s->inbox);
    jm_inbox_join(&s->inbox); /* a second time is harmless */
    jm_inbox_fini(&s->inbox);
}

static bool add(server *s, int adder, int n)
{
    item *i = calloc(1, sizeof *i);
    *i = (item){.adder = adder, .n = n};
    bool taken = jm_inbox_add(&s->inbox, &i->item);
    if (!taken)
        free(i);
    return taken;
}

struct adder {
    server *server;
    int n;
};

static void *add_all(void *arg)
{
    const struct adder *a = arg;
    for (int n = 0; n < EACH; n++)
        if (!add(a->server, a->n, n))
            abort();
    return NULL;
}

START_TEST(each_is_taken_in_its_order)
{
    server s;
    struct adder adders[ADDERS];
    pthread_t thread[ADDERS];
    begin(&s, ADDERS * EACH, run);
    for (int i = 0; i < ADDERS; i++) {
        adders[i] = (struct adder){&s, i};
        ck_assert_int_eq(pthread_create(&thread[i], NULL, add_all, &adders[i]), 0);
    }
    for (int i = 0; i < ADDERS; i++)
        pthread_join(thread[i], NULL);
    end(&s);
    ck_assert_int_eq(s.taken + s.stopped, ADDERS * EACH);
    ck_assert_int_eq(s.in_order, s.taken);
}
END_TEST

START_TEST(no_more_than_its_most_and_none_after_the_end)
{
    server s;
    begin(&s, 2, run);
    s.hold = true;
    ck_assert(add(&s, 0, 0) && add(&s, 0, 1));
    ck_assert(!add(&s, 0, 2));
    jm_inbox_stop(&s.inbox);
    ck_assert(!add(&s, 0, 3));
    end(&s);
    ck_assert_int_eq(s.stopped, 2);
}
END_TEST

START_TEST(room_is_made_by_what_ends)
{
    server s;
    begin(&s, 1, run);
    for (int n = 0; n < 100; n++)
        while (!add(&s, 0, n))
            sched_yield();
    end(&s);
    ck_assert_int_eq(s.taken + s.stopped, 100);
}
END_TEST

/* What comes meanwhile is kept; the end is heard at once. */
START_TEST(rest_is_ended_by_the_end_alone)
{
    server s;
    int64_t began_ms = jm_mono_ms();
    begin(&s, 10, rest_first);
    ck_assert(add(&s, 0, 0) && add(&s, 0, 1));
    end(&s);
    ck_assert_int_lt(jm_mono_ms() - began_ms, FAR_MS);
    ck_assert_int_eq(s.taken, 0);
    ck_assert_int_eq(s.stopped, 2);
}
END_TEST

START_TEST(nobody_came)
{
    server s;
    begin(&s, 1, run);
    end(&s);
    ck_assert_int_eq(s.taken + s.stopped, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("inbox");
    TCase *tcase = tcase_create("inbox");
    tcase_add_test(tcase, each_is_taken_in_its_order);
    tcase_add_test(tcase, no_more_than_its_most_and_none_after_the_end);
    tcase_add_test(tcase, room_is_made_by_what_ends);
    tcase_add_test(tcase, rest_is_ended_by_the_end_alone);
    tcase_add_test(tcase, nobody_came);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
