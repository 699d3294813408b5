/* Tests of time zones: offsets against known ones, the footer's rules far ahead, names, broken
 * files. */
#include "producer/zone.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"

static jm_zone_cache *cache;
static char dir[64];

static void setup(void)
{
    cache = jm_zone_cache_new(NULL);
    snprintf(dir, sizeof dir, "/tmp/test_zone.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void path_in_dir(const char *name, char out[128])
{
    snprintf(out, 128, "%s/%s", dir, name);
}

static void teardown(void)
{
    char path[128];
    jm_zone_cache_free(cache);
    path_in_dir("X", path);
    unlink(path);
    path_in_dir("tzdata.zi", path);
    unlink(path);
    rmdir(dir);
}

static const jm_zone *get(const char *name)
{
    const jm_zone *zone;
    jm_err err = {0};
    ck_assert_msg(jm_zone_cache_get(cache, name, &zone, &err) == 0, "%s: %s", name, err.msg);
    return zone;
}

static int64_t utc(const char *text)
{
    int64_t us;
    ck_assert_int_eq(jm_rfc3339_parse(text, strlen(text), &us, NULL), 0);
    return us / 1000000;
}

static const struct {
    const char *zone, *at;
    int offset_s;
} offsets[] = {
    {"UTC", "2026-11-22T00:00:00Z", 0},
    {"Etc/UTC", "2026-11-22T00:00:00Z", 0},
    {"Etc/GMT+5", "2026-11-22T00:00:00Z", -5 * 3600},
    {"Europe/Paris", "2026-03-29T00:59:59Z", 3600},
    {"Europe/Paris", "2026-03-29T01:00:00Z", 7200},
    {"Europe/Paris", "2026-10-25T00:59:59Z", 7200},
    {"Europe/Paris", "2026-10-25T01:00:00Z", 3600},
    {"Europe/Paris", "1900-01-01T00:00:00Z", 561},
    {"America/New_York", "2026-03-08T06:59:59Z", -18000},
    {"America/New_York", "2026-03-08T07:00:00Z", -14400},
    {"America/New_York", "2400-07-01T00:00:00Z", -14400},
    {"America/New_York", "2437-07-01T00:00:00Z", -14400},
    {"America/New_York", "2438-01-01T00:00:00Z", -18000},
    {"America/New_York", "9998-07-01T00:00:00Z", -14400},
    {"America/New_York", "9998-12-01T00:00:00Z", -18000},
    {"Europe/Dublin", "2050-01-15T00:00:00Z", 0}, /* its daylight time is negative */
    {"Europe/Dublin", "2050-07-15T00:00:00Z", 3600},
    {"Australia/Lord_Howe", "2026-12-01T00:00:00Z", 39600},
    {"Australia/Lord_Howe", "2026-06-01T00:00:00Z", 37800},
    {"Asia/Kathmandu", "2026-06-01T00:00:00Z", 20700},
    {"Pacific/Apia", "2011-12-30T09:59:59Z", -36000},
    {"Pacific/Apia", "2011-12-30T10:00:00Z", 50400},
    {"America/Sao_Paulo", "2018-11-04T02:59:59Z", -10800},
    {"America/Sao_Paulo", "2018-11-04T03:00:00Z", -7200},
    {"America/Sao_Paulo", "2030-01-01T00:00:00Z", -10800},
    {"Antarctica/Troll", "2060-07-01T00:00:00Z", 7200},
    {"EST5EDT", "2026-07-01T00:00:00Z", -14400},
};

START_TEST(offset)
{
    jm_zone_span span = jm_zone_find(get(offsets[_i].zone), utc(offsets[_i].at));
    ck_assert_msg(span.offset_s == offsets[_i].offset_s, "%s %s: %d", offsets[_i].zone,
                  offsets[_i].at, span.offset_s);
}
END_TEST

/* Walks all stretches to the year 9999: they meet, differ, and the same answer holds inside. */
static int walk(const jm_zone *zone)
{
    int n = 0;
    jm_zone_span span = jm_zone_find(zone, INT64_MIN);
    ck_assert_int_eq(span.start_s, INT64_MIN);
    while (span.end_s < INT64_C(253402300800)) {
        jm_zone_span next = jm_zone_find(zone, span.end_s);
        jm_zone_span inside = jm_zone_find(zone, next.start_s + 1);
        ck_assert_int_eq(next.start_s, span.end_s);
        ck_assert_int_gt(next.end_s, next.start_s);
        ck_assert_int_ne(next.offset_s, span.offset_s);
        ck_assert_int_eq(inside.start_s, next.start_s);
        ck_assert_int_eq(inside.end_s, next.end_s);
        /* Searching and counting look at neighbours only: no overlap may reach past one. */
        ck_assert_int_gt(next.end_s - next.start_s, labs((long)next.offset_s - span.offset_s));
        span = next;
        n++;
    }
    return n;
}

START_TEST(stretches)
{
    ck_assert_int_eq(walk(get("UTC")), 0);
    ck_assert_int_eq(walk(get("Etc/GMT-14")), 0);
    ck_assert_int_gt(walk(get("Europe/Paris")), 2 * 7900);
    ck_assert_int_gt(walk(get("America/New_York")), 2 * 7900);
    ck_assert_int_gt(walk(get("Australia/Lord_Howe")), 2 * 7900);
    ck_assert_int_gt(walk(get("Africa/Casablanca")), 50);
    ck_assert_int_gt(walk(get("Africa/El_Aaiun")), 50);
    ck_assert_int_gt(walk(get("Asia/Gaza")), 100);
    ck_assert_int_gt(walk(get("Asia/Manila")), 5);
    ck_assert_int_gt(walk(get("America/Juneau")), 5);
}
END_TEST

START_TEST(cached)
{
    ck_assert_ptr_eq(get("Europe/Paris"), get("Europe/Paris"));
    ck_assert_ptr_ne(get("Europe/Paris"), get("Europe/Berlin"));
}
END_TEST

static const char *const no_zones[] = {"",
                                       ".",
                                       "..",
                                       "/etc/passwd",
                                       "../../etc/passwd",
                                       "Europe/../Europe/Paris",
                                       "Europe//Paris",
                                       "Europe/",
                                       "Europe",
                                       "/usr/share/zoneinfo/UTC",
                                       "Mars/Olympus",
                                       "Europe/Paris ",
                                       " UTC",
                                       "zone.tab",
                                       "tzdata.zi",
                                       "leapseconds",
                                       "right/Europe/Paris",
                                       "EST5EDT4,M3.2.0,M11.1.0",
                                       "UTC+2",
                                       "+02:00",
                                       "Europe/Par\xc3\xads",
                                       "iso3166.tab"};

START_TEST(no_zone)
{
    const jm_zone *zone;
    jm_err err = {0};
    ck_assert_msg(jm_zone_cache_get(cache, no_zones[_i], &zone, &err) == JM_ERR_INVALID, "%s",
                  no_zones[_i]);
    ck_assert_str_eq(err.field, "timezone");
}
END_TEST

START_TEST(no_tzdata)
{
    const jm_zone *zone;
    jm_err err = {0};
    jm_zone_cache_free(cache);
    cache = jm_zone_cache_new("/nonexistent/zoneinfo");
    ck_assert_int_eq(jm_zone_cache_get(cache, "Europe/Paris", &zone, &err), JM_ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.msg, "tzdata"));
    ck_assert_int_eq(jm_zone_cache_get(cache, "UTC", &zone, &err), 0);
}
END_TEST

static void write_file(const char *name, const void *p, size_t len)
{
    char path[128];
    path_in_dir(name, path);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(p, 1, len, file), len);
    fclose(file);
}

static void write_zone(const void *p, size_t len)
{
    write_file("X", p, len);
}

static size_t read_zone(const char *name, char *out, size_t max)
{
    char path[128];
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    size_t len = fread(out, 1, max, file);
    fclose(file);
    return len;
}

/* As a package is unpacked: another file takes the name at once. */
static void replace_by(const char *zone)
{
    static char bytes[16384];
    char from[128], to[128];
    write_file("new", bytes, read_zone(zone, bytes, sizeof bytes));
    path_in_dir("new", from);
    path_in_dir("X", to);
    ck_assert_int_eq(rename(from, to), 0);
}

static int load_from_dir(jm_err *err)
{
    const jm_zone *zone;
    jm_zone_cache *own = jm_zone_cache_new(dir);
    int code = jm_zone_cache_get(own, "X", &zone, err);
    if (!code)
        walk(zone);
    jm_zone_cache_free(own);
    return code;
}

/* Every file cut short and files with one byte changed: refused or read, never worse. */
START_TEST(broken_files)
{
    static char good[16384], bad[16384];
    size_t len = read_zone("Europe/Paris", good, sizeof good);
    jm_err err = {0};
    ck_assert_uint_gt(len, 100);
    write_zone(good, len);
    ck_assert_int_eq(load_from_dir(&err), 0);
    for (size_t cut = 0; cut < len; cut += cut < 200 || cut > len - 40 ? 1 : 37) {
        write_zone(good, cut);
        ck_assert_msg(load_from_dir(&err) == JM_ERR_INVALID, "cut at %zu", cut);
    }
    jm_zone_cache *own = NULL;
    for (size_t i = 0; i < len; i += i < 200 || i > len - 40 ? 1 : 37) {
        for (int v = 0; v < 3; v++) {
            const jm_zone *zone;
            memcpy(bad, good, len);
            bad[i] = (char)(bad[i] ^ (v == 0 ? 1 : v == 1 ? 0x80 : 0x7f));
            write_zone(bad, len);
            own = jm_zone_cache_new(dir);
            if (!jm_zone_cache_get(own, "X", &zone, &err))
                jm_zone_find(zone, 1790000000);
            jm_zone_cache_free(own);
        }
    }
}
END_TEST

static void put32(jm_buf *buf, uint32_t v)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        jm_buf_addc(buf, (char)(v >> shift));
}

/* A file with no change and one type of offset 0, and that footer. */
static void write_footer(const char *footer)
{
    jm_buf buf = {0};
    for (int block = 0; block < 2; block++) {
        static const uint32_t counts[] = {0, 0, 0, 0, 1, 4};
        jm_buf_add(&buf, "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
        for (int i = 0; i < 6; i++)
            put32(&buf, counts[i]);
        jm_buf_add(&buf, "\0\0\0\0\0\0UTC\0", 10);
    }
    jm_buf_addf(&buf, "\n%s\n", footer);
    write_zone(buf.data, buf.len);
    jm_buf_fini(&buf);
}

static const struct {
    const char *footer, *at;
    int offset_s; /* -1: the footer is refused */
} footers[] = {
    {"", "2026-01-01T00:00:00Z", 0},
    {"UTC0", "2026-01-01T00:00:00Z", 0},
    {"<+0530>-5:30", "2026-01-01T00:00:00Z", 19800},
    {"<-00>0", "2026-01-01T00:00:00Z", 0},
    {"ABC-1:02:03", "2026-01-01T00:00:00Z", 3723},
    {"EST5EDT,M3.2.0,M11.1.0", "2026-03-08T06:59:59Z", -18000},
    {"EST5EDT,M3.2.0,M11.1.0", "2026-03-08T07:00:00Z", -14400},
    {"EST5EDT4,M3.2.0/2,M11.1.0/2:00:00", "2026-11-01T05:59:59Z", -14400},
    {"EST5EDT4,M3.2.0/2,M11.1.0/2:00:00", "2026-11-01T06:00:00Z", -18000},
    {"AAA0BBB,J60/0,J300/0", "2028-03-01T00:00:00Z", 3600}, /* J60 is 1 March in leap years too */
    {"AAA0BBB,J60/0,J300/0", "2028-02-29T23:59:59Z", 0},
    {"AAA0BBB,59/0,300/0", "2028-02-29T00:00:00Z", 3600},        /* day 59 is 29 February in them */
    {"AAA0BBB,M3.4.4/50,M10.4.4/50", "2026-03-28T01:59:59Z", 0}, /* Thursday the 26th and 50 h */
    {"AAA0BBB,M3.4.4/50,M10.4.4/50", "2026-03-28T02:00:00Z", 3600},
    {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T00:59:59Z", -7200},
    {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T01:00:00Z", -3600},
    {"XXX3EDT4,0/0,J365/23", "2026-06-01T00:00:00Z", -14400}, /* daylight time all year */
    {"IST-1GMT0,M10.5.0,M3.5.0/1", "2026-01-01T00:00:00Z", 0},
    {"IST-1GMT0,M10.5.0,M3.5.0/1", "2026-07-01T00:00:00Z", 3600},
    {"E5", "", -1},
    {"EST", "", -1},
    {"EST5EDT", "", -1},
    {"EST5EDT,M3.2.0", "", -1},
    {"EST5EDT,M13.2.0,M11.1.0", "", -1},
    {"EST5EDT,M3.6.0,M11.1.0", "", -1},
    {"EST5EDT,M3.2.7,M11.1.0", "", -1},
    {"EST5EDT,M3.2.0,M11.1.0x", "", -1},
    {"EST5EDT,J0,J366", "", -1},
    {"<EST5", "", -1},
    {"EST200", "", -1},
    {"EST5:60", "", -1},
};

START_TEST(footer)
{
    const jm_zone *zone;
    jm_err err = {0};
    write_footer(footers[_i].footer);
    jm_zone_cache *own = jm_zone_cache_new(dir);
    int code = jm_zone_cache_get(own, "X", &zone, &err);
    if (footers[_i].offset_s == -1) {
        ck_assert_msg(code == JM_ERR_INVALID, "%s", footers[_i].footer);
    } else {
        ck_assert_msg(code == 0, "%s: %s", footers[_i].footer, err.msg);
        int got = jm_zone_find(zone, utc(footers[_i].at)).offset_s;
        ck_assert_msg(got == footers[_i].offset_s, "%s at %s: %d", footers[_i].footer,
                      footers[_i].at, got);
    }
    jm_zone_cache_free(own);
}
END_TEST

typedef struct told {
    int changed, failed;
    char name[32];
} told;

static void tell(void *arg, const char *name, const jm_err *err)
{
    told *t = arg;
    t->changed += !err;
    t->failed += err && err->code && err->msg[0];
    snprintf(t->name, sizeof t->name, "%s", name);
}

START_TEST(refresh)
{
    const jm_zone *zone, *utc_zone;
    char path[128];
    told t = {0};
    int64_t july = utc("2026-07-01T00:00:00Z");
    jm_zone_cache *own = jm_zone_cache_new(dir);
    path_in_dir("X", path);
    replace_by("Europe/Paris");
    ck_assert(!jm_zone_cache_refresh(own, tell, &t)); /* nothing is loaded */
    ck_assert_int_eq(jm_zone_cache_get(own, "X", &zone, NULL), 0);
    ck_assert_int_eq(jm_zone_cache_get(own, "UTC", &utc_zone, NULL), 0);
    ck_assert(!jm_zone_cache_refresh(own, tell, &t));

    replace_by("America/New_York");
    ck_assert_int_eq(jm_zone_find(zone, july).offset_s, 7200);
    ck_assert(jm_zone_cache_refresh(own, tell, &t));
    ck_assert_int_eq(jm_zone_find(zone, july).offset_s, -14400); /* the zone that was borrowed */
    ck_assert_str_eq(t.name, "X");
    ck_assert(!jm_zone_cache_refresh(own, tell, &t));
    ck_assert_int_eq(t.changed, 1);
    ck_assert_uint_eq(jm_zone_hash(zone), jm_zone_hash(get("America/New_York")));

    replace_by("US/Eastern"); /* another file that says the same */
    ck_assert(!jm_zone_cache_refresh(own, tell, &t));
    ck_assert_int_eq(t.changed, 1);

    ck_assert_int_eq(unlink(path), 0);
    ck_assert(!jm_zone_cache_refresh(own, tell, &t));
    ck_assert_int_eq(t.failed, 1);
    ck_assert(!jm_zone_cache_refresh(own, tell, &t));
    ck_assert_int_eq(t.failed, 1); /* said once */
    write_zone("TZif", 4);
    ck_assert(!jm_zone_cache_refresh(own, tell, &t));
    ck_assert_int_eq(t.failed, 2);
    ck_assert_int_eq(jm_zone_find(zone, july).offset_s, -14400);

    replace_by("Asia/Kathmandu");
    ck_assert(jm_zone_cache_refresh(own, NULL, NULL));
    ck_assert_int_eq(jm_zone_find(zone, july).offset_s, 20700);
    ck_assert_int_eq(t.changed, 1);
    jm_zone_cache_free(own);
}
END_TEST

START_TEST(hash)
{
    ck_assert_uint_eq(jm_zone_hash(get("UTC")), jm_zone_hash(get("Etc/UTC")));
    ck_assert_uint_eq(jm_zone_hash(get("America/New_York")), jm_zone_hash(get("US/Eastern")));
    ck_assert_uint_ne(jm_zone_hash(get("America/New_York")), jm_zone_hash(get("America/Detroit")));
    ck_assert_uint_ne(jm_zone_hash(get("Etc/GMT+1")), jm_zone_hash(get("Etc/GMT-1")));
}
END_TEST

/* Rules that differ in one point only. */
START_TEST(hash_of_footer)
{
    static const char *const texts[] = {"EST5EDT,M3.2.0,M11.1.0", "EST5EDT,M3.2.0,M11.1.0/1",
                                        "EST5EDT,M3.2.0,M11.2.0", "EST5EDT4:30,M3.2.0,M11.1.0",
                                        "EST5"};
    uint64_t hashes[5];
    for (int i = 0; i < 5; i++) {
        const jm_zone *zone;
        jm_zone_cache *own = jm_zone_cache_new(dir);
        write_footer(texts[i]);
        ck_assert_int_eq(jm_zone_cache_get(own, "X", &zone, NULL), 0);
        hashes[i] = jm_zone_hash(zone);
        jm_zone_cache_free(own);
        for (int j = 0; j < i; j++)
            ck_assert_uint_ne(hashes[i], hashes[j]);
    }
}
END_TEST

static const struct {
    const char *line, *version;
} versions[] = {
    {"# version 2024b\n# more\n", "2024b"},
    {"# version 2025b", "2025b"},
    {"# version 2025b-dirty  \n", "2025b-dirty"},
    {"", ""},
    {"\n", ""},
    {"# version \n", ""},
    {"R A 1916\n", ""},
    {"# version 01234567890123456789012345678901234567890123456789\n",
     "0123456789012345678901234567890"},
};

START_TEST(version)
{
    char text[JM_ZONE_VERSION_TEXT] = "x";
    jm_zone_cache *own = jm_zone_cache_new(dir);
    jm_zone_cache_version(own, text);
    ck_assert_str_eq(text, ""); /* no file */
    write_file("tzdata.zi", versions[_i].line, strlen(versions[_i].line));
    jm_zone_cache_version(own, text);
    ck_assert_str_eq(text, versions[_i].version);
    jm_zone_cache_free(own);
}
END_TEST

static const struct {
    const char *zone, *at, *text;
} formats[] = {
    {"UTC", "2026-11-22T14:30:00Z", "2026-11-22T14:30:00+00:00"},
    {"America/New_York", "2026-11-22T03:30:00.5Z", "2026-11-21T22:30:00.500000-05:00"},
    {"Asia/Kathmandu", "2026-11-22T00:00:00Z", "2026-11-22T05:45:00+05:45"},
    {"Europe/Paris", "1900-01-01T00:00:00Z", "1900-01-01T00:09:21+00:09:21"},
    {"America/St_Johns", "2026-11-22T00:00:00Z", "2026-11-21T20:30:00-03:30"},
    {"Asia/Tokyo", "9999-12-31T14:59:59.999999Z", "9999-12-31T23:59:59.999999+09:00"},
    {"Asia/Tokyo", "9999-12-31T15:00:00Z", "9999-12-31T15:00:00+00:00"},
    {"Etc/GMT+5", "0001-01-01T04:59:59Z", "0001-01-01T04:59:59+00:00"},
    {"Etc/GMT+5", "0001-01-01T05:00:00Z", "0001-01-01T00:00:00-05:00"},
};

START_TEST(format)
{
    char text[JM_ZONE_LOCAL_TEXT];
    int64_t us;
    ck_assert_int_eq(jm_rfc3339_parse(formats[_i].at, strlen(formats[_i].at), &us, NULL), 0);
    jm_zone_format(get(formats[_i].zone), us, text);
    ck_assert_str_eq(text, formats[_i].text);
}
END_TEST

#define N(table) (int)(sizeof(table) / sizeof *(table))

int main(void)
{
    Suite *suite = suite_create("zone");
    TCase *tc = tcase_create("zone");
    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, offset, 0, N(offsets));
    tcase_add_test(tc, stretches);
    tcase_add_test(tc, cached);
    tcase_add_loop_test(tc, no_zone, 0, N(no_zones));
    tcase_add_test(tc, no_tzdata);
    tcase_add_test(tc, broken_files);
    tcase_add_loop_test(tc, footer, 0, N(footers));
    tcase_add_test(tc, refresh);
    tcase_add_test(tc, hash);
    tcase_add_test(tc, hash_of_footer);
    tcase_add_loop_test(tc, version, 0, N(versions));
    tcase_add_loop_test(tc, format, 0, N(formats));
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
