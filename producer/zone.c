/* Time zones: TZif files (RFC 8536) with their POSIX footer, and a cache of them by name. */
#include "producer/zone.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uthash.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/mem.h"

#define ZONEINFO       "/usr/share/zoneinfo"
#define FILE_MAX_BYTES (1 << 20)
#define CYCLE_YEARS    400
#define CYCLE_S        (146097LL * 86400) /* the calendar, weekdays included, repeats */
/* What files may say: no clock is a day off, and the oldest change is 2^59 seconds before 1970. */
#define OFFSET_MAX_S (26 * 3600)
#define TIME_MIN_S   (-(1LL << 59))
#define TIME_MAX_S   (1LL << 40)
/* Hashes end with 2299: every list that a footer fills goes further. */
#define HASH_END_S 10413792000LL

/* offset_s holds from at_s on. */
typedef struct change {
    int64_t at_s;
    int32_t offset_s;
} change;

/* By what a file is known to be another one. */
typedef struct file_mark {
    dev_t dev;
    ino_t ino;
    off_t bytes;
    struct timespec mtime, ctime;
} file_mark;

/* Invariants: changes are sorted by time and each differs in offset from what was before. When the
 * footer has daylight time, the list is filled for one cycle beyond cycle_s, and what comes after
 * cycle_s + CYCLE_S is as one cycle before. */
struct jm_zone {
    UT_hash_handle hh;
    char *name;
    file_mark mark; /* of the file it was read from, or that could not be read since */
    change *changes;
    size_t n, cap;
    int32_t first_offset_s; /* before the first change */
    bool cyclic;
    int64_t cycle_s;
};

struct jm_zone_cache {
    char *dir;
    jm_zone *zones;
};

static void zone_free(jm_zone *zone)
{
    free(zone->name);
    free(zone->changes);
    free(zone);
}

static int32_t last_offset(const jm_zone *zone)
{
    return zone->n ? zone->changes[zone->n - 1].offset_s : zone->first_offset_s;
}

/* Appends; a change at or before the last one replaces it. */
static void add_change(jm_zone *zone, int64_t at_s, int32_t offset_s)
{
    while (zone->n && zone->changes[zone->n - 1].at_s >= at_s)
        zone->n--;
    if (last_offset(zone) == offset_s)
        return;
    if (zone->n == zone->cap) {
        zone->cap = zone->cap ? zone->cap * 2 : 64;
        zone->changes = jm_realloc(zone->changes, zone->cap * sizeof *zone->changes);
    }
    zone->changes[zone->n++] = (change){at_s, offset_s};
}

/* ---- the footer: a POSIX TZ string ---- */

/* When daylight time begins or ends in a year. */
typedef struct rule {
    enum { JULIAN, DAY_OF_YEAR, WEEKDAY_OF_MONTH } kind;
    int month, week, day;
    int32_t time_s;
} rule;

typedef struct footer {
    int32_t std_s, dst_s;
    bool has_dst;
    rule start, end;
} footer;

static bool read_int(const char **p, int max, int *out)
{
    int v = 0;
    const char *start = *p;
    while (isdigit((unsigned char)**p) && v <= max)
        v = v * 10 + (*(*p)++ - '0');
    *out = v;
    return *p > start && v <= max;
}

/* [+-]hh[:mm[:ss]] */
static bool read_time(const char **p, int32_t *out)
{
    int h, m = 0, s = 0, sign = 1;
    if (**p == '+' || **p == '-')
        sign = *(*p)++ == '-' ? -1 : 1;
    if (!read_int(p, 167, &h))
        return false;
    if (**p == ':' && ((*p)++, !read_int(p, 59, &m)))
        return false;
    if (**p == ':' && ((*p)++, !read_int(p, 59, &s)))
        return false;
    *out = sign * (h * 3600 + m * 60 + s);
    return true;
}

static bool skip_name(const char **p)
{
    const char *start = *p;
    if (**p == '<') {
        *p += strcspn(*p, ">");
        return *(*p) && *(*p)++ == '>';
    }
    while (isalpha((unsigned char)**p))
        (*p)++;
    return *p - start >= 3;
}

static bool read_rule(const char **p, rule *out)
{
    if (*(*p)++ != ',')
        return false;
    *out = (rule){.kind = DAY_OF_YEAR, .time_s = 7200};
    if (**p == 'M') {
        (*p)++;
        out->kind = WEEKDAY_OF_MONTH;
        if (!read_int(p, 12, &out->month) || *(*p)++ != '.' || !read_int(p, 5, &out->week) ||
            *(*p)++ != '.' || !read_int(p, 6, &out->day) || !out->month || !out->week)
            return false;
    } else {
        if (**p == 'J') {
            (*p)++;
            out->kind = JULIAN;
        }
        if (!read_int(p, 365, &out->day) || (out->kind == JULIAN && !out->day))
            return false;
    }
    if (**p != '/')
        return true;
    (*p)++;
    return read_time(p, &out->time_s);
}

static bool read_footer(const char *p, footer *out)
{
    *out = (footer){0};
    if (!skip_name(&p) || !read_time(&p, &out->std_s) || abs(out->std_s) > OFFSET_MAX_S)
        return false;
    out->std_s = -out->std_s; /* POSIX counts west of Greenwich */
    if (!*p)
        return true;
    out->has_dst = true;
    out->dst_s = out->std_s + 3600;
    if (!skip_name(&p))
        return false;
    if (*p != ',') {
        if (!read_time(&p, &out->dst_s) || abs(out->dst_s) > OFFSET_MAX_S)
            return false;
        out->dst_s = -out->dst_s;
    }
    return read_rule(&p, &out->start) && read_rule(&p, &out->end) && !*p;
}

/* Local seconds since 1970 of a rule in that year. */
static int64_t rule_at(const rule *r, int64_t year)
{
    int64_t day = jm_days_from_civil(year, 1, 1);
    bool leap = jm_days_from_civil(year + 1, 1, 1) - day == 366;
    switch (r->kind) {
    case JULIAN: /* 29 February is never counted */
        day += r->day - 1 + (leap && r->day >= 60);
        break;
    case DAY_OF_YEAR:
        day += r->day;
        break;
    case WEEKDAY_OF_MONTH: {
        int64_t next = r->month == 12 ? jm_days_from_civil(year + 1, 1, 1)
                                      : jm_days_from_civil(year, r->month + 1, 1);
        day = jm_days_from_civil(year, r->month, 1);
        int weekday = (int)(((day + 4) % 7 + 7) % 7);
        day += (r->day - weekday + 7) % 7 + 7 * (r->week - 1);
        while (day >= next)
            day -= 7;
        break;
    }
    }
    return day * 86400 + r->time_s;
}

/* Fills the list with what the footer says for a cycle after the last change of the file. */
static void apply_footer(jm_zone *zone, const footer *f, bool has_last, int64_t last_s)
{
    if (!f->has_dst) {
        if (has_last)
            add_change(zone, last_s, f->std_s); /* nothing, unless the file contradicts itself */
        else
            zone->first_offset_s = f->std_s;
        return;
    }
    int64_t from = has_last ? last_s : -2208988800; /* 1900 */
    int64_t year, last_year;
    int month, day;
    jm_civil_from_days(from / 86400, &year, &month, &day);
    zone->cyclic = true;
    zone->cycle_s = from + 2LL * 366 * 86400;
    last_year = year + CYCLE_YEARS + 5;
    for (year--; year <= last_year; year++) {
        change c[2] = {{rule_at(&f->start, year) - f->std_s, f->dst_s},
                       {rule_at(&f->end, year) - f->dst_s, f->std_s}};
        int first = c[1].at_s < c[0].at_s;
        for (int i = 0; i < 2; i++) {
            const change *next = &c[i ^ first];
            if (!has_last || next->at_s > last_s)
                add_change(zone, next->at_s, next->offset_s);
        }
    }
}

/* ---- the file ---- */

typedef struct header {
    char version;
    size_t isut, isstd, leap, time, type, chars;
} header;

static int64_t be(const uint8_t *p, int bytes)
{
    uint64_t v = p[0] & 0x80 ? UINT64_MAX : 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return (int64_t)v;
}

static bool read_header(const uint8_t *p, size_t len, header *h)
{
    if (len < 44 || memcmp(p, "TZif", 4) != 0)
        return false;
    size_t *counts[] = {&h->isut, &h->isstd, &h->leap, &h->time, &h->type, &h->chars};
    h->version = (char)p[4];
    for (int i = 0; i < 6; i++) {
        int64_t v = be(p + 20 + (ptrdiff_t)4 * i, 4);
        if (v < 0 || v > FILE_MAX_BYTES)
            return false;
        *counts[i] = (size_t)v;
    }
    return h->type > 0;
}

static size_t body_bytes(const header *h, size_t time_bytes)
{
    return h->time * (time_bytes + 1) + h->type * 6 + h->chars + h->leap * (time_bytes + 4) +
           h->isstd + h->isut;
}

static int32_t type_offset(const uint8_t *types, size_t i)
{
    return (int32_t)be(types + 6 * i, 4);
}

/* Reads the 64-bit block and the footer. Returns NULL or what is wrong. */
static const char *read_file(jm_zone *zone, const uint8_t *p, size_t len)
{
    header h;
    if (!read_header(p, len, &h))
        return "it is no time zone file";
    if (h.version < '2')
        return "its file has the old 32-bit format";
    size_t skip = 44 + body_bytes(&h, 4);
    if (skip > len || !read_header(p + skip, len - skip, &h))
        return "its file is cut short";
    p += skip + 44;
    len -= skip + 44;
    size_t body = body_bytes(&h, 8);
    if (body + 2 > len || p[body] != '\n' || p[len - 1] != '\n')
        return "its file is cut short";
    if (h.leap)
        return "it counts leap seconds";
    const uint8_t *index = p + 8 * h.time, *types = index + h.time;
    for (size_t i = 0; i < h.type; i++) {
        if (abs(type_offset(types, i)) > OFFSET_MAX_S)
            return "its file is damaged";
    }
    zone->first_offset_s = type_offset(types, 0);
    for (size_t i = 0; i < h.time; i++) {
        int64_t at = be(p + 8 * i, 8);
        if (index[i] >= h.type || (i && at <= be(p + 8 * (i - 1), 8)) || at < TIME_MIN_S ||
            at > TIME_MAX_S)
            return "its file is damaged";
        add_change(zone, at, type_offset(types, index[i]));
    }
    if (body + 2 == len)
        return NULL; /* no footer: the last offset holds for ever */
    char *text = jm_strndup((const char *)p + body + 1, len - body - 2);
    footer f;
    bool ok = read_footer(text, &f);
    free(text);
    if (!ok)
        return "the rule at the end of its file cannot be read";
    apply_footer(zone, &f, h.time > 0, h.time ? be(p + 8 * (h.time - 1), 8) : 0);
    return NULL;
}

static file_mark mark_of(const struct stat *st)
{
    return (file_mark){st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim};
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_same_file(const file_mark *a, const file_mark *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->bytes == b->bytes &&
           is_same_time(a->mtime, b->mtime) && is_same_time(a->ctime, b->ctime);
}

static int load_bytes(const char *path, jm_buf *out, file_mark *mark)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return errno;
    int code = fstat(fd, &st) ? errno : !S_ISREG(st.st_mode) ? EISDIR : 0;
    if (!code)
        *mark = mark_of(&st);
    while (!code && out->len <= FILE_MAX_BYTES) {
        ssize_t n = read(fd, jm_buf_reserve(out, 4096), 4096);
        if (n < 0 && errno != EINTR)
            code = errno;
        if (n == 0)
            break;
        if (n > 0)
            out->len += (size_t)n;
    }
    close(fd);
    return code;
}

/* Letters, digits, + - _ in parts between single slashes: nothing that leaves the folder. */
static bool is_name(const char *name)
{
    size_t len = strlen(name);
    if (!len || len > JM_ZONE_NAME_MAX || !isalpha((unsigned char)name[0]))
        return false;
    for (const char *p = name; *p; p++) {
        if (!isalnum((unsigned char)*p) && !strchr("+-_/", *p))
            return false;
        if (*p == '/' && (p[1] == '/' || !p[1]))
            return false;
    }
    return true;
}

static int load(const jm_zone_cache *cache, jm_zone *zone, jm_err *err)
{
    jm_buf path = {0}, bytes = {0};
    jm_buf_addf(&path, "%s/%s", cache->dir, zone->name);
    int code = 0, failed = load_bytes(jm_buf_str(&path), &bytes, &zone->mark);
    const char *wrong = NULL;
    if (failed == ENOENT || failed == ENOTDIR || failed == EISDIR) {
        if (access(cache->dir, R_OK))
            code = jm_err_errno(err, JM_ERR_IO, "time zones (package tzdata) at %s", cache->dir);
        else
            wrong = "the system has no such time zone";
    } else if (failed) {
        errno = failed;
        code = jm_err_errno(err, JM_ERR_IO, "time zone file %s", jm_buf_str(&path));
    } else {
        wrong = bytes.len > FILE_MAX_BYTES
                    ? "it is no time zone file"
                    : read_file(zone, (const uint8_t *)bytes.data, bytes.len);
    }
    if (wrong)
        code = jm_err_field(err, "timezone", "\"%s\": %s", zone->name, wrong);
    jm_buf_fini(&path);
    jm_buf_fini(&bytes);
    return code;
}

/* ---- the cache ---- */

/* As libc chooses it. */
static const char *usual_dir(void)
{
    const char *named = secure_getenv("TZDIR");
    return named && *named ? named : ZONEINFO;
}

jm_zone_cache *jm_zone_cache_new(const char *dir)
{
    jm_zone_cache *cache = jm_calloc(1, sizeof *cache);
    cache->dir = jm_strdup(dir ? dir : usual_dir());
    return cache;
}

void jm_zone_cache_free(jm_zone_cache *cache)
{
    if (!cache)
        return;
    jm_zone *zone, *next;
    HASH_ITER(hh, cache->zones, zone, next)
    {
        HASH_DEL(cache->zones, zone);
        zone_free(zone);
    }
    free(cache->dir);
    free(cache);
}

int jm_zone_cache_get(jm_zone_cache *cache, const char *name, const jm_zone **out, jm_err *err)
{
    jm_zone *zone;
    HASH_FIND_STR(cache->zones, name, zone);
    if (!zone) {
        if (!is_name(name))
            return jm_err_field(err, "timezone", "\"%.40s\" is no name of a time zone", name);
        zone = jm_calloc(1, sizeof *zone);
        zone->name = jm_strdup(name);
        int code = strcmp(name, "UTC") != 0 ? load(cache, zone, err) : 0;
        if (code) {
            zone_free(zone);
            return code;
        }
        HASH_ADD_KEYPTR(hh, cache->zones, zone->name, strlen(zone->name), zone);
    }
    *out = zone;
    return 0;
}

/* ---- files that change ---- */

static file_mark look_at(const jm_zone_cache *cache, const jm_zone *zone)
{
    jm_buf path = {0};
    struct stat st;
    file_mark mark = {0};
    jm_buf_addf(&path, "%s/%s", cache->dir, zone->name);
    if (!stat(jm_buf_str(&path), &st))
        mark = mark_of(&st);
    jm_buf_fini(&path);
    return mark;
}

/* Gives the zone the rules of the other one, which gets the old ones. */
static void swap_rules(jm_zone *zone, jm_zone *other)
{
    jm_zone old = *zone;
    zone->changes = other->changes;
    zone->n = other->n;
    zone->cap = other->cap;
    zone->first_offset_s = other->first_offset_s;
    zone->cyclic = other->cyclic;
    zone->cycle_s = other->cycle_s;
    other->changes = old.changes;
}

static bool refresh(const jm_zone_cache *cache, jm_zone *zone, jm_zone_refreshed *tell, void *arg)
{
    file_mark mark = look_at(cache, zone);
    jm_err err;
    if (is_same_file(&mark, &zone->mark))
        return false;
    jm_zone *fresh = jm_calloc(1, sizeof *fresh);
    fresh->name = jm_strdup(zone->name);
    int code = load(cache, fresh, &err);
    bool changed = !code && jm_zone_hash(fresh) != jm_zone_hash(zone);
    zone->mark = code ? mark : fresh->mark;
    if (!code)
        swap_rules(zone, fresh);
    zone_free(fresh);
    if (tell && (code || changed))
        tell(arg, zone->name, code ? &err : NULL);
    return changed;
}

bool jm_zone_cache_refresh(jm_zone_cache *cache, jm_zone_refreshed *tell, void *arg)
{
    bool changed = false;
    for (jm_zone *zone = cache->zones; zone; zone = zone->hh.next) {
        if (strcmp(zone->name, "UTC") != 0)
            changed |= refresh(cache, zone, tell, arg);
    }
    return changed;
}

void jm_zone_cache_version(const jm_zone_cache *cache, char version[JM_ZONE_VERSION_TEXT])
{
    static const char before[] = "# version ";
    char line[sizeof before + JM_ZONE_VERSION_TEXT] = "";
    jm_buf path = {0};
    version[0] = 0;
    jm_buf_addf(&path, "%s/tzdata.zi", cache->dir);
    FILE *file = fopen(jm_buf_str(&path), "re");
    if (file && fgets(line, sizeof line, file) && !strncmp(line, before, sizeof before - 1)) {
        const char *text = line + sizeof before - 1;
        snprintf(version, JM_ZONE_VERSION_TEXT, "%.*s", (int)strcspn(text, " \t\r\n"), text);
    }
    if (file)
        fclose(file);
    jm_buf_fini(&path);
}

/* FNV-1a of the eight bytes, the low ones first. */
static uint64_t add_to_hash(uint64_t hash, int64_t v)
{
    for (int shift = 0; shift < 64; shift += 8)
        hash = (hash ^ ((uint64_t)v >> shift & 0xff)) * 0x100000001b3;
    return hash;
}

uint64_t jm_zone_hash(const jm_zone *zone)
{
    uint64_t hash = add_to_hash(0xcbf29ce484222325, zone->first_offset_s);
    for (size_t i = 0; i < zone->n && zone->changes[i].at_s < HASH_END_S; i++) {
        hash = add_to_hash(hash, zone->changes[i].at_s);
        hash = add_to_hash(hash, zone->changes[i].offset_s);
    }
    return hash;
}

/* ---- look-up ---- */

jm_zone_span jm_zone_find(const jm_zone *zone, int64_t t_s)
{
    int64_t shift = 0;
    if (t_s > 1LL << 60)
        t_s = 1LL << 60; /* the sums below must not overflow */
    if (zone->cyclic && t_s >= zone->cycle_s + CYCLE_S)
        shift = (t_s - zone->cycle_s) / CYCLE_S * CYCLE_S;
    int64_t t = t_s - shift;
    size_t lo = 0, hi = zone->n; /* how many changes are at or before t */
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (zone->changes[mid].at_s <= t)
            lo = mid + 1;
        else
            hi = mid;
    }
    jm_zone_span span = {INT64_MIN, INT64_MAX, zone->first_offset_s};
    if (lo) {
        span.start_s = zone->changes[lo - 1].at_s + shift;
        span.offset_s = zone->changes[lo - 1].offset_s;
    }
    if (lo < zone->n)
        span.end_s = zone->changes[lo].at_s + shift;
    return span;
}

void jm_zone_format(const jm_zone *zone, int64_t us, char text[JM_ZONE_LOCAL_TEXT])
{
    int64_t t_s = us >= 0 ? us / 1000000 : -((999999 - us) / 1000000);
    int32_t offset = jm_zone_find(zone, t_s).offset_s;
    char stamp[JM_RFC3339_TEXT];
    int64_t local_us = us + (int64_t)offset * 1000000;
    if (local_us < JM_RFC3339_MIN_US || local_us > JM_RFC3339_MAX_US)
        offset = 0; /* the year would be 10000, or 0: no text has that, so it is said in UTC */
    jm_rfc3339_format(us + (int64_t)offset * 1000000, stamp);
    stamp[strlen(stamp) - 1] = 0; /* the Z */
    int abs_s = offset < 0 ? -offset : offset;
    int n = snprintf(text, JM_ZONE_LOCAL_TEXT, "%s%c%02d:%02d", stamp, offset < 0 ? '-' : '+',
                     abs_s / 3600, abs_s / 60 % 60);
    if (abs_s % 60) /* before standard time; RFC 3339 has no room for it, ISO 8601 does */
        snprintf(text + n, JM_ZONE_LOCAL_TEXT - (size_t)n, ":%02d", abs_s % 60);
}
