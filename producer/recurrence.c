/* Recurrence: brings cron's local times, the zone's stretches and the DST rules together. */
#include "producer/recurrence.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#include "common/clock.h"
#include "producer/cron_text.h"

#define SECOND_US 1000000LL
/* Instants are looked for in the years 1 to 9999, which every text form can say. */
#define MIN_S (-62135596800LL)
#define MAX_S 253402300800LL
/* 100 years of 365.25 days */
#define INTERVAL_MAX_S 3155760000LL

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t max(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* ---- cron in a zone; seconds ---- */

/* A stretch with one offset, cut to the years that count. What happens at its two ends: overlap_s
 * is by how much local time goes back there (a fold), or minus by how much it jumps ahead (a gap).
 */
typedef struct stretch {
    int64_t start_s, end_s;
    int32_t offset_s;
    int32_t start_overlap_s, end_overlap_s;
} stretch;

static stretch stretch_at(const jm_zone *zone, int64_t t_s)
{
    jm_zone_span span = jm_zone_find(zone, t_s);
    stretch s = {MIN_S, MAX_S, span.offset_s, 0, 0};
    if (span.start_s > MIN_S) {
        s.start_s = span.start_s;
        s.start_overlap_s = jm_zone_find(zone, span.start_s - 1).offset_s - span.offset_s;
    }
    if (span.end_s < MAX_S) {
        s.end_s = span.end_s;
        s.end_overlap_s = span.offset_s - jm_zone_find(zone, span.end_s).offset_s;
    }
    return s;
}

/* The local times of a stretch that count: without those of a fold that the policy leaves out. They
 * are contiguous, which is what makes searching and counting simple. */
static void local_window(const jm_recurrence *r, const stretch *s, int64_t *from_s, int64_t *to_s)
{
    *from_s = s->start_s + s->offset_s;
    *to_s = s->end_s + s->offset_s;
    if (r->fold == JM_DST_FOLD_FIRST && s->start_overlap_s > 0)
        *from_s += s->start_overlap_s;
    if (r->fold == JM_DST_FOLD_SECOND && s->end_overlap_s > 0)
        *to_s -= s->end_overlap_s;
}

/* Whether the beginning of the stretch stands for local times in the gap before it. */
static bool stands_for_gap(const jm_recurrence *r, const stretch *s)
{
    int64_t end = s->start_s + s->offset_s, local;
    return r->gap == JM_DST_GAP_AFTER && s->start_overlap_s < 0 &&
           jm_cron_next(&r->cron, end + s->start_overlap_s, end, &local);
}

static bool is_in_fold(const stretch *s, int64_t t_s)
{
    return t_s < s->start_s + s->start_overlap_s || t_s >= s->end_s - max(s->end_overlap_s, 0);
}

static unsigned notes_of(const jm_recurrence *r, const stretch *s, int64_t t_s)
{
    if (t_s == s->start_s && stands_for_gap(r, s))
        return JM_RECURRENCE_GAP;
    return is_in_fold(s, t_s) ? JM_RECURRENCE_FOLD : 0;
}

static bool first_in(const jm_recurrence *r, const stretch *s, int64_t t_s, int64_t *out_s)
{
    int64_t from, to, local;
    *out_s = t_s;
    if (t_s == s->start_s && stands_for_gap(r, s))
        return true;
    local_window(r, s, &from, &to);
    if (!jm_cron_next(&r->cron, max(from, t_s + s->offset_s), to, &local))
        return false;
    *out_s = local - s->offset_s;
    return true;
}

/* The first instant in [t_s, to_s). */
static bool cron_next(const jm_recurrence *r, int64_t t_s, int64_t to_s, int64_t *out_s,
                      unsigned *notes)
{
    while (t_s < to_s) {
        stretch s = stretch_at(r->zone, t_s);
        if (first_in(r, &s, t_s, out_s)) {
            *notes = notes_of(r, &s, *out_s);
            return *out_s < to_s;
        }
        t_s = s.end_s;
    }
    return false;
}

static bool last_in(const jm_recurrence *r, const stretch *s, int64_t from_s, int64_t t_s,
                    int64_t *out_s)
{
    int64_t from, to, local;
    local_window(r, s, &from, &to);
    if (jm_cron_previous(&r->cron, max(from, from_s + s->offset_s), min(to, t_s + s->offset_s),
                         &local)) {
        *out_s = local - s->offset_s;
        return true;
    }
    *out_s = s->start_s;
    return s->start_s >= from_s && stands_for_gap(r, s);
}

/* The last instant in [from_s, t_s). */
static bool cron_previous(const jm_recurrence *r, int64_t from_s, int64_t t_s, int64_t *out_s,
                          unsigned *notes)
{
    while (t_s > from_s) {
        stretch s = stretch_at(r->zone, t_s - 1);
        if (last_in(r, &s, from_s, t_s, out_s)) {
            *notes = notes_of(r, &s, *out_s);
            return true;
        }
        t_s = s.start_s;
    }
    return false;
}

/* Instants in [from_s, to_s). */
static int64_t cron_count(const jm_recurrence *r, int64_t from_s, int64_t to_s)
{
    int64_t n = 0;
    while (from_s < to_s) {
        stretch s = stretch_at(r->zone, from_s);
        int64_t from, to, local;
        local_window(r, &s, &from, &to);
        if (from_s == s.start_s && stands_for_gap(r, &s)) {
            int64_t at = s.start_s + s.offset_s; /* it may match by itself as well */
            n += !jm_cron_next(&r->cron, at, at + 1, &local);
        }
        n += jm_cron_count(&r->cron, max(from, from_s + s.offset_s),
                           min(to, min(to_s, s.end_s) + s.offset_s));
        from_s = s.end_s;
    }
    return n;
}

/* ---- the three kinds; microseconds ---- */

/* Narrows (after, upto] to the bounds of the recurrence. */
static void clamp(const jm_recurrence *r, int64_t *after_us, int64_t *upto_us)
{
    *after_us = max(*after_us, r->first_us - 1);
    *upto_us = min(*upto_us, r->last_us);
}

/* The first second that is wholly behind us, which may be half a second away. */
static int64_t second_after(int64_t us)
{
    return floor_div(us, SECOND_US) + 1;
}

/* The first instant in (after_us, upto_us]. */
static bool find_next(const jm_recurrence *r, int64_t after_us, int64_t upto_us, int64_t *out_us,
                      unsigned *notes)
{
    int64_t s;
    switch (r->kind) {
    case JM_RECURRENCE_CRON:
        if (!cron_next(r, second_after(after_us), second_after(upto_us), &s, notes))
            return false;
        *out_us = s * SECOND_US;
        return true;
    case JM_RECURRENCE_INTERVAL:
        s = max(floor_div(after_us - r->anchor_us, r->interval_us) + 1, 1);
        *out_us = r->anchor_us + s * r->interval_us;
        return *out_us <= upto_us;
    case JM_RECURRENCE_ONCE:
        *out_us = r->at_us;
        return r->at_us > after_us && r->at_us <= upto_us;
    }
    return false;
}

/* The last instant in (after_us, upto_us]. */
static bool find_last(const jm_recurrence *r, int64_t after_us, int64_t upto_us, int64_t *out_us,
                      unsigned *notes)
{
    int64_t s;
    switch (r->kind) {
    case JM_RECURRENCE_CRON:
        if (!cron_previous(r, second_after(after_us), second_after(upto_us), &s, notes))
            return false;
        *out_us = s * SECOND_US;
        return true;
    case JM_RECURRENCE_INTERVAL:
        s = floor_div(upto_us - r->anchor_us, r->interval_us);
        *out_us = r->anchor_us + s * r->interval_us;
        return s >= 1 && *out_us > after_us;
    case JM_RECURRENCE_ONCE:
        *out_us = r->at_us;
        return r->at_us > after_us && r->at_us <= upto_us;
    }
    return false;
}

bool jm_recurrence_next(const jm_recurrence *recurrence, int64_t after_us, int64_t *out_us,
                        unsigned *notes)
{
    int64_t upto_us = INT64_MAX, at_us;
    unsigned found = 0;
    clamp(recurrence, &after_us, &upto_us);
    if (after_us >= upto_us || !find_next(recurrence, after_us, upto_us, &at_us, &found))
        return false;
    *out_us = at_us;
    if (notes)
        *notes = found;
    return true;
}

/* As jm_recurrence_last, with notes, which may be NULL. */
static bool last_within(const jm_recurrence *r, int64_t after_us, int64_t upto_us, int64_t *out_us,
                        unsigned *notes)
{
    int64_t at_us;
    unsigned found = 0;
    clamp(r, &after_us, &upto_us);
    if (after_us >= upto_us || !find_last(r, after_us, upto_us, &at_us, &found))
        return false;
    *out_us = at_us;
    if (notes)
        *notes = found;
    return true;
}

bool jm_recurrence_previous(const jm_recurrence *recurrence, int64_t before_us, int64_t *out_us,
                            unsigned *notes)
{
    return before_us > INT64_MIN &&
           last_within(recurrence, INT64_MIN, before_us - 1, out_us, notes);
}

bool jm_recurrence_last(const jm_recurrence *recurrence, int64_t after_us, int64_t upto_us,
                        int64_t *out_us)
{
    return last_within(recurrence, after_us, upto_us, out_us, NULL);
}

int64_t jm_recurrence_count(const jm_recurrence *recurrence, int64_t after_us, int64_t upto_us)
{
    const jm_recurrence *r = recurrence;
    clamp(r, &after_us, &upto_us);
    if (after_us >= upto_us)
        return 0;
    switch (r->kind) {
    case JM_RECURRENCE_CRON:
        return cron_count(r, second_after(after_us), second_after(upto_us));
    case JM_RECURRENCE_INTERVAL:
        return max(floor_div(upto_us - r->anchor_us, r->interval_us), 0) -
               max(floor_div(after_us - r->anchor_us, r->interval_us), 0);
    case JM_RECURRENCE_ONCE:
        return r->at_us > after_us && r->at_us <= upto_us;
    }
    return 0;
}

/* ---- setting up ---- */

/* The rules for clock changes, where the schedule names none: those of cron. */
static jm_dst_gap gap_of(const jm_recurrence_spec *spec, bool fixed)
{
    if (spec->dst_gap != JM_DST_GAP_CRON)
        return spec->dst_gap;
    return fixed ? JM_DST_GAP_AFTER : JM_DST_GAP_SKIP;
}

static jm_dst_fold fold_of(const jm_recurrence_spec *spec, bool fixed)
{
    if (spec->dst_fold != JM_DST_FOLD_CRON)
        return spec->dst_fold;
    return fixed ? JM_DST_FOLD_FIRST : JM_DST_FOLD_BOTH;
}

static int parse_cron(const jm_recurrence_spec *spec, jm_cron *cron, jm_err *err)
{
    if (!spec->cron_expression)
        return jm_err_field(err, "cron_expression", "a cron schedule needs an expression");
    return jm_cron_parse(cron, spec->cron_expression, err);
}

static int init_cron(jm_recurrence *r, const jm_recurrence_spec *spec, jm_err *err)
{
    int code = parse_cron(spec, &r->cron, err);
    r->gap = gap_of(spec, r->cron.fixed);
    r->fold = fold_of(spec, r->cron.fixed);
    return code;
}

static int check_instant(int64_t us, const char *field, jm_err *err)
{
    if (us < MIN_S * SECOND_US || us >= MAX_S * SECOND_US)
        return jm_err_field(err, field, "years 1 to 9999 expected");
    return 0;
}

static int check_interval(int64_t interval_s, jm_err *err)
{
    if (interval_s < 1 || interval_s > INTERVAL_MAX_S)
        return jm_err_field(err, "interval_seconds", "1 second to 100 years expected");
    return 0;
}

static int init_interval(jm_recurrence *r, const jm_recurrence_spec *spec, jm_err *err)
{
    if (check_interval(spec->interval_s, err))
        return JM_ERR_INVALID;
    r->interval_us = spec->interval_s * SECOND_US;
    r->anchor_us = spec->anchor_at_us;
    return check_instant(r->anchor_us, "anchor_at", err);
}

static int init_bounds(jm_recurrence *r, const jm_recurrence_spec *spec, jm_err *err)
{
    r->first_us = MIN_S * SECOND_US;
    r->last_us = MAX_S * SECOND_US - 1;
    if (spec->starts_at_us)
        r->first_us = max(r->first_us, spec->starts_at_us);
    if (spec->ends_at_us)
        r->last_us = min(r->last_us, spec->ends_at_us);
    if (r->last_us < r->first_us)
        return jm_err_field(err, "ends_at", "it is before starts_at");
    return 0;
}

int jm_recurrence_init(jm_recurrence *out, const jm_recurrence_spec *spec, jm_zone_cache *zones,
                       jm_err *err)
{
    *out = (jm_recurrence){.kind = spec->kind};
    int code = jm_zone_cache_get(zones, spec->timezone ? spec->timezone : "UTC", &out->zone, err);
    if (!code)
        code = init_bounds(out, spec, err);
    if (code)
        return code;
    switch (spec->kind) {
    case JM_RECURRENCE_CRON:
        return init_cron(out, spec, err);
    case JM_RECURRENCE_INTERVAL:
        return init_interval(out, spec, err);
    case JM_RECURRENCE_ONCE:
        out->at_us = spec->run_at_us;
        return check_instant(out->at_us, "run_at", err);
    }
    return jm_err_field(err, "kind", "cron, interval or once expected");
}

/* ---- in words ---- */

/* "1 h 30 min" */
static void add_duration(int64_t s, jm_buf *out)
{
    static const struct {
        int64_t s;
        const char *unit;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    const char *space = "";
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        int64_t n = s / units[i].s;
        s %= units[i].s;
        if (n)
            jm_buf_addf(out, "%s%lld %s", space, (long long)n, units[i].unit);
        space = n ? " " : space;
    }
}

static void add_instant(const char *before, int64_t us, jm_buf *out)
{
    char text[JM_RFC3339_TEXT];
    jm_rfc3339_format(us, text);
    jm_buf_addf(out, "%s%s", before, text);
}

/* Rules for clock changes that are other than the sentence suggests: what is "at" a time runs once,
 * what is "every" so often goes by the clocks. */
static void add_dst_rules(const jm_recurrence_spec *spec, bool fixed, bool reads_fixed, jm_buf *out)
{
    static const char *const gaps[] = {"", "after", "skip"};
    static const char *const folds[] = {"", "first", "second", "both"};
    static const jm_recurrence_spec none;
    jm_dst_gap gap = gap_of(spec, fixed);
    jm_dst_fold fold = fold_of(spec, fixed);
    const char *before = " (";
    if (gap != gap_of(&none, reads_fixed)) {
        jm_buf_addf(out, "%sdst gap: %s", before, gaps[gap]);
        before = ", ";
    }
    if (fold != fold_of(&none, reads_fixed)) {
        jm_buf_addf(out, "%sdst fold: %s", before, folds[fold]);
        before = ", ";
    }
    if (before[0] == ',')
        jm_buf_addc(out, ')');
}

static int describe_cron(const jm_recurrence_spec *spec, jm_buf *out, jm_err *err)
{
    const char *zone = spec->timezone ? spec->timezone : "UTC";
    jm_cron cron = {0};
    int code = parse_cron(spec, &cron, err);
    if (code)
        return code;
    bool reads_fixed = jm_cron_describe(&cron, out);
    jm_buf_addf(out, ", %s", zone);
    if (strcmp(zone, "UTC") != 0)
        add_dst_rules(spec, cron.fixed, reads_fixed, out);
    return 0;
}

int jm_recurrence_describe(const jm_recurrence_spec *spec, jm_buf *out, jm_err *err)
{
    switch (spec->kind) {
    case JM_RECURRENCE_CRON:
        return describe_cron(spec, out, err);
    case JM_RECURRENCE_INTERVAL:
        if (check_interval(spec->interval_s, err) ||
            check_instant(spec->anchor_at_us, "anchor_at", err))
            return JM_ERR_INVALID;
        jm_buf_adds(out, "every ");
        add_duration(spec->interval_s, out);
        if (spec->anchor_at_us)
            add_instant(" from ", spec->anchor_at_us, out);
        return 0;
    case JM_RECURRENCE_ONCE:
        if (check_instant(spec->run_at_us, "run_at", err))
            return JM_ERR_INVALID;
        add_instant("once at ", spec->run_at_us, out);
        return 0;
    }
    return jm_err_field(err, "kind", "cron, interval or once expected");
}

const char *jm_recurrence_notes_text(unsigned notes)
{
    static const char *const texts[] = {"", "dst gap", "dst fold", "dst gap, dst fold"};
    assert(notes < sizeof texts / sizeof *texts);
    return texts[notes];
}
