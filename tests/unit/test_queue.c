/* The queue between threads: order, bound, close, wake, descriptor; and many producers at once. */
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/err.h"
#include "common/mem.h"
#include "common/queue.h"

typedef struct item {
    jm_node node;
    int value;
} item;

static jm_chain chain_of(int from, int n)
{
    jm_chain chain = {0};
    for (int i = 0; i < n; i++) {
        item *it = jm_calloc(1, sizeof *it);
        it->value = from + i;
        jm_chain_add(&chain, &it->node);
    }
    return chain;
}

static int take(jm_chain *chain)
{
    item *it = (item *)jm_chain_take(chain);
    int value = it ? it->value : -1;
    free(it);
    return value;
}

START_TEST(keeps_order)
{
    jm_queue *queue = jm_queue_new(0);
    jm_chain a = chain_of(0, 3), b = chain_of(3, 2), out = {0};
    ck_assert_int_eq(jm_queue_push(queue, &a), JM_OK);
    ck_assert_int_eq(jm_queue_push(queue, &b), JM_OK);
    ck_assert_uint_eq(jm_queue_len(queue), 5);
    ck_assert_ptr_null(a.head);
    ck_assert_int_eq(jm_queue_pop_all(queue, &out, 0), JM_OK);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(take(&out), i);
    ck_assert_ptr_null(jm_chain_take(&out));
    ck_assert_int_eq(jm_queue_pop_all(queue, &out, 0), JM_ERR_TIMEOUT);
    jm_queue_free(queue);
}
END_TEST

START_TEST(bound_makes_pushers_wait)
{
    jm_queue *queue = jm_queue_new(2);
    jm_chain a = chain_of(0, 2), b = chain_of(2, 1), out = {0};
    jm_queue_push(queue, &a);
    ck_assert(jm_queue_is_full(queue));
    int64_t before = jm_mono_ms();
    ck_assert_int_eq(jm_queue_push_wait(queue, &b, 30), JM_ERR_TIMEOUT);
    ck_assert_int_ge(jm_mono_ms() - before, 29);
    ck_assert_uint_eq(b.n, 1); /* stays with the caller */
    jm_queue_pop_all(queue, &out, 0);
    ck_assert(!jm_queue_is_full(queue));
    ck_assert_int_eq(jm_queue_push_wait(queue, &b, 30), JM_OK);
    jm_queue_pop_all(queue, &out, 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(take(&out), i);
    jm_queue_free(queue);
}
END_TEST

START_TEST(close_lets_the_rest_out)
{
    jm_queue *queue = jm_queue_new(0);
    jm_chain a = chain_of(7, 1), b = chain_of(8, 1), out = {0};
    jm_queue_push(queue, &a);
    jm_queue_close(queue);
    ck_assert_int_eq(jm_queue_push(queue, &b), JM_ERR_CLOSED);
    ck_assert_int_eq(jm_queue_pop_all(queue, &out, -1), JM_OK);
    ck_assert_int_eq(take(&out), 7);
    ck_assert_int_eq(take(&b), 8);
    ck_assert_int_eq(jm_queue_pop_all(queue, &out, -1), JM_ERR_CLOSED);
    jm_queue_free(queue);
}
END_TEST

static bool is_readable(int fd)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    return poll(&pfd, 1, 0) == 1;
}

START_TEST(descriptor_follows)
{
    jm_queue *queue = jm_queue_new(0);
    jm_chain a = chain_of(1, 1), out = {0};
    int fd = jm_queue_fd(queue);
    ck_assert(!is_readable(fd));
    jm_queue_push(queue, &a);
    ck_assert(is_readable(fd));
    jm_queue_pop_all(queue, &out, 0);
    ck_assert(!is_readable(fd));
    jm_queue_wake(queue);
    ck_assert(is_readable(fd));
    ck_assert_int_eq(jm_queue_pop_all(queue, &out, -1), JM_ERR_TIMEOUT); /* woken: nothing there */
    jm_queue_close(queue);
    ck_assert(is_readable(fd));
    take(&out);
    jm_queue_free(queue);
}
END_TEST

enum { THREADS = 4, PUSHES = 2000 };

static void *push_many(void *arg)
{
    jm_queue *queue = arg;
    for (int i = 0; i < PUSHES; i++) {
        jm_chain chain = chain_of(1, 1 + i % 3);
        while (jm_queue_push_wait(queue, &chain, 1000))
            ;
    }
    return NULL;
}

START_TEST(many_producers)
{
    jm_queue *queue = jm_queue_new(64);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, push_many, queue);
    long expected = 0, got = 0;
    for (int i = 0; i < PUSHES; i++)
        expected += (1 + i % 3) * THREADS;
    jm_chain out = {0};
    int64_t deadline = jm_mono_ms() + 30000;
    for (; got < expected && jm_mono_ms() < deadline;) {
        jm_queue_pop_all(queue, &out, 1000);
        while (out.n) {
            take(&out);
            got++;
        }
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(got, expected);
    jm_queue_free(queue);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue");
    TCase *tc = tcase_create("queue");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, keeps_order);
    tcase_add_test(tc, bound_makes_pushers_wait);
    tcase_add_test(tc, close_lets_the_rest_out);
    tcase_add_test(tc, descriptor_follows);
    tcase_add_test(tc, many_producers);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? 1 : 0;
}
