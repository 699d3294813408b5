/* Tests of schedules in memory: rows in binary, spellings, what is refused, jitter. */
#include "producer/schedule.h"

#include <check.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A result of one row, made by hand as the server would send it. */
typedef struct cell {
    const char *name;
    const void *value; /* NULL: null */
    int len;
} cell;

static PGresult *make_row(const cell *cells, int n)
{
    PGresAttDesc attrs[64];
    memset(attrs, 0, sizeof attrs);
    for (int i = 0; i < n; i++)
        attrs[i] = (PGresAttDesc){.name = (char *)cells[i].name, .format = 1, .typlen = -1};
    PGresult *res = PQmakeEmptyPGresult(NULL, PGRES_TUPLES_OK);
    ck_assert(PQsetResultAttrs(res, n, attrs));
    for (int i = 0; i < n; i++)
        ck_assert(
            PQsetvalue(res, 0, i, (char *)cells[i].value, cells[i].value ? cells[i].len : -1));
    return res;
}

#define TEXT(name, s)                                                                              \
    {                                                                                              \
        name, s, (int)sizeof(s) - 1                                                                \
    }
#define BYTES(name, v)                                                                             \
    {                                                                                              \
        name, &(v), (int)sizeof(v)                                                                 \
    }

/* 2026-11-22T14:30:00Z as PostgreSQL counts: microseconds since 2000. */
#define AT_US INT64_C(1795357800000000)

static int from_row(const cell *cells, int n, jm_arena *arena, jm_schedule *out, jm_err *err)
{
    PGresult *res = make_row(cells, n);
    jm_schedule_columns columns;
    jm_schedule_columns_init(&columns, res);
    int code = jm_schedule_from_row(&columns, res, 0, arena, out, err);
    PQclear(res);
    return code;
}

START_TEST(row)
{
    uint64_t at = htobe64((uint64_t)(AT_US - INT64_C(946684800000000)));
    uint64_t interval = htobe64(90), id[2] = {1, 2};
    uint32_t grace = htobe32(300);
    uint16_t priority = htobe16(7);
    char yes = 1;
    const cell cells[] = {BYTES("id", id),
                          TEXT("name", "nightly"),
                          TEXT("project", "p"),
                          TEXT("type", "report"),
                          {"profile", NULL, 0},
                          TEXT("params", "\x01{\"a\": 1}"),
                          BYTES("priority", priority),
                          TEXT("kind", "interval"),
                          BYTES("interval_seconds", interval),
                          BYTES("anchor_at", at),
                          {"dst_gap", NULL, 0},
                          TEXT("dst_fold", "second"),
                          BYTES("misfire_grace_seconds", grace),
                          BYTES("coalesce_grace", yes),
                          TEXT("catch_up", "all"),
                          TEXT("overlap", "allow"),
                          BYTES("next_run_at", at),
                          {"ends_at", NULL, 0},
                          TEXT("something_else", "x")};
    jm_arena *arena = jm_arena_new(0);
    jm_schedule s;
    jm_err err = {0};
    ck_assert_msg(from_row(cells, sizeof cells / sizeof *cells, arena, &s, &err) == 0, "%s",
                  err.msg);
    ck_assert_mem_eq(s.id.b, id, 16);
    ck_assert_str_eq(s.name, "nightly");
    ck_assert_str_eq(s.project, "p");
    ck_assert_str_eq(s.type, "report");
    ck_assert_ptr_null(s.profile);
    ck_assert_str_eq(s.queue, "default"); /* not selected: its default */
    ck_assert_int_eq(s.priority, 7);
    ck_assert_int_eq(s.when.kind, JM_RECURRENCE_INTERVAL);
    ck_assert_int_eq(s.when.interval_s, 90);
    ck_assert_int_eq(s.when.anchor_at_us, AT_US);
    ck_assert_int_eq(s.when.dst_gap, JM_DST_GAP_CRON);
    ck_assert_int_eq(s.when.dst_fold, JM_DST_FOLD_SECOND);
    ck_assert_int_eq(s.when.ends_at_us, 0);
    ck_assert_int_eq(s.misfire_grace_s, 300);
    ck_assert(s.coalesce_grace);
    ck_assert_int_eq(s.catch_up, JM_CATCH_UP_ALL);
    ck_assert_int_eq(s.overlap, JM_OVERLAP_ALLOW);
    ck_assert_int_eq(s.next_run_us, AT_US);
    jm_arena_free(arena);
}
END_TEST

/* What no program of this version writes is an error that can still name the schedule. */
START_TEST(unknown_word)
{
    const cell cells[] = {TEXT("overlap", "sometimes"), TEXT("name", "later"),
                          TEXT("kind", "cron")};
    jm_arena *arena = jm_arena_new(0);
    jm_schedule s;
    jm_err err = {0};
    ck_assert_int_eq(from_row(cells, 3, arena, &s, &err), JM_ERR_INVALID);
    ck_assert_str_eq(err.field, "overlap");
    ck_assert_str_eq(s.name, "later");
    ck_assert_int_eq(from_row(cells, 3, arena, &s, NULL), JM_ERR_INVALID);
    const cell null_kind[] = {{"kind", NULL, 0}};
    ck_assert_int_eq(from_row(null_kind, 1, arena, &s, &err), JM_ERR_INVALID);
    ck_assert_str_eq(err.field, "kind");
    jm_arena_free(arena);
}
END_TEST

START_TEST(spellings)
{
    jm_recurrence_kind kind;
    jm_dst_gap gap;
    jm_dst_fold fold;
    jm_overlap overlap;
    jm_catch_up catch_up;
    for (int i = 0; i <= JM_RECURRENCE_ONCE; i++)
        ck_assert(jm_recurrence_kind_parse(jm_recurrence_kind_text((jm_recurrence_kind)i), &kind) &&
                  (int)kind == i);
    for (int i = 0; i <= JM_DST_GAP_SKIP; i++)
        ck_assert(jm_dst_gap_parse(jm_dst_gap_text((jm_dst_gap)i), &gap) && (int)gap == i);
    for (int i = 0; i <= JM_DST_FOLD_BOTH; i++)
        ck_assert(jm_dst_fold_parse(jm_dst_fold_text((jm_dst_fold)i), &fold) && (int)fold == i);
    for (int i = 0; i <= JM_OVERLAP_CANCEL_RUNNING; i++)
        ck_assert(jm_overlap_parse(jm_overlap_text((jm_overlap)i), &overlap) && (int)overlap == i);
    for (int i = 0; i <= JM_CATCH_UP_ALL; i++)
        ck_assert(jm_catch_up_parse(jm_catch_up_text((jm_catch_up)i), &catch_up) &&
                  (int)catch_up == i);
    ck_assert(!jm_dst_gap_parse("", &gap));
    ck_assert(!jm_dst_gap_parse("both", &gap));
    ck_assert(!jm_overlap_parse(NULL, &overlap));
    ck_assert(!jm_overlap_parse("Skip", &overlap));
    ck_assert(!jm_recurrence_kind_parse("", &kind));
}
END_TEST

static jm_schedule good(void)
{
    jm_schedule s;
    jm_schedule_init(&s);
    s.name = "a";
    s.type = "noop";
    s.when.cron_expression = "* * * * *";
    return s;
}

static char long_name[600];

/* One field set wrong at a time. */
static void spoil(jm_schedule *s, int i, int *code, const char **field)
{
    *code = JM_ERR_INVALID;
    switch (i) {
    case 0:
        s->name = "", *field = "name";
        break;
    case 1:
        s->name = long_name, *field = "name";
        break;
    case 2:
        s->type = "Report", *field = "type";
        break;
    case 3:
        s->type = ".a", *field = "type";
        break;
    case 4:
        s->type = NULL, *field = "type";
        break;
    case 5:
        s->project = "a b", *field = "project";
        break;
    case 6:
        s->queue = "a_b", *field = "queue";
        break;
    case 7:
        s->queue = "", *field = "queue";
        break;
    case 8:
        s->priority = 10, *field = "priority";
        break;
    case 9:
        s->max_instances = 0, *field = "max_instances";
        break;
    case 10:
        s->misfire_grace_s = -1, *field = "misfire_grace_seconds";
        break;
    case 11:
        s->catch_up_limit = 0, *field = "catch_up_limit";
        break;
    case 12:
        s->jitter_s = -1, *field = "jitter_seconds";
        break;
    case 13:
        s->when.cron_expression = "x", *field = "cron_expression";
        break;
    case 14:
        s->calendar = "Holidays", *field = "calendar";
        break;
    case 15:
        s->type = "jobmill.callback", *field = "type";
        break;
    case 16:
        s->calendar = "", *field = "calendar";
        break;
    case 17:
        s->exclusive = "order:t/k", *field = "exclusive";
        break;
    case 18:
        s->callback_url = "ftp://x", *field = "callback_url";
        break;
    }
}

START_TEST(refused)
{
    jm_zone_cache *zones = jm_zone_cache_new(NULL);
    jm_schedule s = good();
    jm_err err = {0};
    int code;
    const char *field = "";
    memset(long_name, 'n', 256);
    ck_assert_int_eq(jm_schedule_resolve(&s, zones, &err), 0);
    spoil(&s, _i, &code, &field);
    ck_assert_int_eq(jm_schedule_resolve(&s, zones, &err), code);
    ck_assert_str_eq(err.field, field);
    jm_zone_cache_free(zones);
}
END_TEST

/* Names are counted in characters, queues may begin with a hyphen. */
START_TEST(accepted)
{
    jm_zone_cache *zones = jm_zone_cache_new(NULL);
    jm_schedule s = good();
    jm_err err = {0};
    for (int i = 0; i < 255; i++)
        memcpy(long_name + (ptrdiff_t)2 * i, "\xc3\xa9", 2);
    long_name[510] = 0;
    s.name = long_name;
    s.queue = "-a-9";
    s.type = "0.a_b-c";
    ck_assert_msg(jm_schedule_resolve(&s, zones, &err) == 0, "%s: %s", err.field, err.msg);
    jm_zone_cache_free(zones);
}
END_TEST

START_TEST(jitter)
{
    jm_schedule s = good();
    ck_assert_int_eq(jm_schedule_jitter_us(&s, AT_US), 0);
    s.jitter_s = 60;
    int64_t low = INT64_MAX, high = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t us = jm_schedule_jitter_us(&s, AT_US + i * INT64_C(60000000));
        ck_assert_int_ge(us, 0);
        ck_assert_int_le(us, 60000000);
        ck_assert_int_eq(us, jm_schedule_jitter_us(&s, AT_US + i * INT64_C(60000000)));
        low = us < low ? us : low;
        high = us > high ? us : high;
    }
    ck_assert_int_lt(low, 1000000);
    ck_assert_int_gt(high, 59000000);
    int64_t before = jm_schedule_jitter_us(&s, AT_US);
    s.id.b[15] = 1; /* another schedule, another jitter */
    ck_assert_int_ne(jm_schedule_jitter_us(&s, AT_US), before);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedule");
    TCase *tc = tcase_create("schedule");
    tcase_add_test(tc, row);
    tcase_add_test(tc, unknown_word);
    tcase_add_test(tc, spellings);
    tcase_add_loop_test(tc, refused, 0, 19);
    tcase_add_test(tc, accepted);
    tcase_add_test(tc, jitter);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
