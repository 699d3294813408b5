/* Cron expressions in English. A sentence is made from the sets, not from the text: two spellings
 * of one set read alike, and what no phrase fits is listed. */
#include "producer/cron_text.h"

#include <assert.h>

/* Lists of times longer than this are said by minutes and hours. */
#define TIMES_MAX 12

static const char *const month_names[] = {"",        "January",  "February", "March",  "April",
                                          "May",     "June",     "July",     "August", "September",
                                          "October", "November", "December"};
/* The week begins on Monday here, so that a weekend is in one piece. */
static const char *const weekday_names[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                            "Friday", "Saturday", "Sunday"};

/* ---- sets and lists ---- */

static int size_of(uint64_t set)
{
    return __builtin_popcountll(set);
}

static int first_of(uint64_t set)
{
    return __builtin_ctzll(set);
}

static int last_of(uint64_t set)
{
    return 63 - __builtin_clzll(set);
}

static bool is_run(uint64_t set)
{
    set >>= first_of(set);
    return !(set & (set + 1));
}

/* k for 0, k, 2k and so on, evenly round the n values of a field, 1 for all of them; else 0. */
static int even_step(uint64_t set, int n)
{
    int size = size_of(set);
    if (size < 2 || n % size)
        return 0;
    for (int v = 0; v < n; v += n / size)
        if (!(set >> v & 1))
            return 0;
    return n / size;
}

/* Takes the lowest value out of a set, or a run of three or more. Returns false when it is empty.
 */
static bool take_run(uint64_t *set, int *from, int *to)
{
    if (!*set)
        return false;
    *from = *to = first_of(*set);
    while (*to < 63 && *set >> (*to + 1) & 1)
        (*to)++;
    if (*to - *from < 2)
        *to = *from;
    for (int v = *from; v <= *to; v++)
        *set &= ~((uint64_t)1 << v);
    return true;
}

static int count_runs(uint64_t set)
{
    int n = 0, from, to;
    while (take_run(&set, &from, &to))
        n++;
    return n;
}

/* Puts ", " and " and " between n items. */
typedef struct list {
    jm_buf *out;
    const char *word; /* "and" or "or" */
    int n, i;
} list;

static jm_buf *next_item(list *l)
{
    if (l->i)
        jm_buf_adds(l->out, l->i == l->n - 1 ? " " : ", ");
    if (l->i && l->i == l->n - 1)
        jm_buf_addf(l->out, "%s ", l->word);
    l->i++;
    return l->out;
}

static void add_numbers(jm_buf *out, uint64_t set)
{
    list l = {out, "and", count_runs(set), 0};
    int from, to;
    while (take_run(&set, &from, &to)) {
        jm_buf_addf(next_item(&l), "%d", from);
        if (to > from)
            jm_buf_addf(out, " to %d", to);
    }
}

static void add_ordinal(jm_buf *out, int n)
{
    static const char *const endings[] = {"th", "st", "nd", "rd"};
    bool teen = n / 10 == 1;
    jm_buf_addf(out, "%d%s", n, endings[n % 10 < 4 && !teen ? n % 10 : 0]);
}

/* ---- times ---- */

static void add_clock(jm_buf *out, int hour, int minute, int second)
{
    jm_buf_addf(out, "%02d:%02d", hour, minute);
    if (second)
        jm_buf_addf(out, ":%02d", second);
}

static void add_times(const jm_cron *cron, jm_buf *out)
{
    list l = {out, "and", size_of(cron->hours) * size_of(cron->minutes), 0};
    jm_buf_adds(out, "at ");
    for (uint64_t hours = cron->hours; hours; hours &= hours - 1)
        for (uint64_t minutes = cron->minutes; minutes; minutes &= minutes - 1)
            add_clock(next_item(&l), first_of(hours), first_of(minutes), first_of(cron->seconds));
}

/* " from 09:00 to 17:59"; nothing for all hours. */
static void add_hours(const jm_cron *cron, jm_buf *out)
{
    bool seconds = size_of(cron->seconds) > 1;
    uint64_t hours = cron->hours;
    if (even_step(hours, 24) == 1)
        return;
    uint64_t begins = hours & ~(hours << 1);
    list l = {out, "and", size_of(begins), 0};
    jm_buf_adds(out, " ");
    for (; begins; begins &= begins - 1) {
        int from = first_of(begins), to = from;
        while (hours >> (to + 1) & 1)
            to++;
        jm_buf_addf(next_item(&l), "from %02d:00%s to %02d:59%s", from, seconds ? ":00" : "", to,
                    seconds ? ":59" : "");
    }
}

static void add_every(jm_buf *out, int step, const char *unit)
{
    if (step == 1)
        jm_buf_addf(out, "every %s", unit);
    else
        jm_buf_addf(out, "every %d %ss", step, unit);
}

static void add_of_set(jm_buf *out, const char *before, const char *unit, uint64_t set)
{
    jm_buf_addf(out, "%s%s%s ", before, unit, size_of(set) > 1 ? "s" : "");
    add_numbers(out, set);
}

/* One minute of many hours: every hour, every 3 hours. Returns false where that does not fit. */
static bool add_hourly(const jm_cron *cron, jm_buf *out)
{
    int step = even_step(cron->hours, 24), minute = first_of(cron->minutes);
    int second = first_of(cron->seconds);
    if (size_of(cron->hours) < 3 || (!step && !is_run(cron->hours)))
        return false;
    add_every(out, step ? step : 1, "hour");
    if (step != 1) {
        jm_buf_adds(out, " from ");
        add_clock(out, first_of(cron->hours), minute, second);
        jm_buf_adds(out, " to ");
        add_clock(out, last_of(cron->hours), minute, second);
    } else if (minute || second) {
        jm_buf_addf(out, " at minute %d", minute);
        if (second)
            jm_buf_addf(out, " and second %d", second);
    }
    return true;
}

/* One second of the minute. Returns whether it lists times. */
static bool add_minutes(const jm_cron *cron, jm_buf *out)
{
    int n_minutes = size_of(cron->minutes), n_hours = size_of(cron->hours);
    int step = even_step(cron->minutes, 60);
    if (n_minutes == 1 && add_hourly(cron, out))
        return false;
    if (step && (n_minutes > 2 || n_hours > 2)) {
        add_every(out, step, "minute");
    } else if (n_minutes == 1 || n_minutes * n_hours <= TIMES_MAX) {
        add_times(cron, out);
        return true;
    } else {
        add_of_set(out, "at ", "minute", cron->minutes);
        jm_buf_adds(out, " of every hour");
    }
    if (first_of(cron->seconds))
        jm_buf_addf(out, " at second %d", first_of(cron->seconds));
    add_hours(cron, out);
    return false;
}

static void add_seconds(const jm_cron *cron, jm_buf *out)
{
    int step = even_step(cron->seconds, 60);
    bool every_minute = even_step(cron->minutes, 60) == 1;
    if (step)
        add_every(out, step, "second");
    else
        add_of_set(out, "at ", "second", cron->seconds);
    if (!every_minute) {
        add_of_set(out, " of ", "minute", cron->minutes);
        jm_buf_adds(out, " of every hour");
    } else if (!step) {
        jm_buf_adds(out, " of every minute");
    }
    add_hours(cron, out);
}

/* ---- days ---- */

static void add_months(const jm_cron *cron, const char *before, jm_buf *out)
{
    uint64_t months = cron->months;
    list l = {out, "and", count_runs(months), 0};
    int from, to;
    jm_buf_adds(out, before);
    while (take_run(&months, &from, &to)) {
        assert(from >= 1 && to <= 12);
        jm_buf_adds(next_item(&l), month_names[from]);
        if (to > from)
            jm_buf_addf(out, " to %s", month_names[to]);
    }
}

static bool is_every_month(const jm_cron *cron)
{
    return size_of(cron->months) == 12;
}

/* "the 1st, the 15th and the last day" */
static void add_days_of_month(const jm_cron *cron, jm_buf *out)
{
    uint64_t days = cron->days;
    list l = {out, "and",
              count_runs(days) + size_of(cron->nearest_days) + size_of(cron->days_to_last) +
                  cron->last_workday,
              0};
    int from, to;
    while (take_run(&days, &from, &to)) {
        jm_buf_adds(next_item(&l), "the ");
        add_ordinal(out, from);
        if (to > from) {
            jm_buf_adds(out, " to ");
            add_ordinal(out, to);
        }
    }
    for (uint64_t nearest = cron->nearest_days; nearest; nearest &= nearest - 1) {
        jm_buf_adds(next_item(&l), "the weekday nearest to the ");
        add_ordinal(out, first_of(nearest));
    }
    for (uint64_t back = cron->days_to_last & ~1U; back; back &= back - 1) {
        jm_buf_adds(next_item(&l), "the ");
        add_ordinal(out, first_of(back));
        jm_buf_adds(out, " day before the last day");
    }
    if (cron->days_to_last & 1)
        jm_buf_adds(next_item(&l), "the last day");
    if (cron->last_workday)
        jm_buf_adds(next_item(&l), "the last weekday");
}

/* Bit 0 is Monday. */
static uint64_t monday_first(uint64_t weekdays)
{
    return (weekdays >> 1 | weekdays << 6) & 0x7f;
}

/* "Mondays and Fridays" */
static void add_weekdays(uint64_t weekdays, jm_buf *out)
{
    uint64_t week = monday_first(weekdays);
    list l = {out, "and", count_runs(week), 0};
    int from, to;
    if (week == 0x1f) {
        jm_buf_adds(out, "weekdays");
        return;
    }
    while (take_run(&week, &from, &to)) {
        jm_buf_addf(next_item(&l), "%ss", weekday_names[from]);
        if (to > from)
            jm_buf_addf(out, " to %ss", weekday_names[to]);
    }
}

/* "the 2nd Friday", "the last Monday", each an item of the list. */
static void add_nth_weekdays(uint64_t nth, list *l)
{
    for (int k = 1; k <= 6; k++) {
        uint64_t week = monday_first(nth >> 7 * (k - 1) & 0x7f);
        for (; week; week &= week - 1) {
            jm_buf_adds(next_item(l), "the ");
            if (k == 6)
                jm_buf_adds(l->out, "last");
            else
                add_ordinal(l->out, k);
            jm_buf_addf(l->out, " %s", weekday_names[first_of(week)]);
        }
    }
}

/* " on Mondays and on the 2nd Friday of the month" */
static void add_on_weekdays(const jm_cron *cron, jm_buf *out)
{
    list l = {out, "and", size_of(cron->nth_weekdays), 0};
    if (cron->weekdays) {
        jm_buf_adds(out, " on ");
        add_weekdays(cron->weekdays, out);
        if (l.n)
            jm_buf_adds(out, " and");
    }
    if (l.n) {
        jm_buf_adds(out, " on ");
        add_nth_weekdays(cron->nth_weekdays, &l);
    }
}

/* " when that is a Monday or the 2nd Friday of the month" */
static void add_when_weekday(const jm_cron *cron, jm_buf *out)
{
    uint64_t week = monday_first(cron->weekdays);
    bool workdays = week == 0x1f;
    list l = {out, "or", (workdays ? 1 : size_of(week)) + size_of(cron->nth_weekdays), 0};
    jm_buf_adds(out, " of the month when that is ");
    if (workdays)
        jm_buf_adds(next_item(&l), "a weekday");
    for (; !workdays && week; week &= week - 1)
        jm_buf_addf(next_item(&l), "a %s", weekday_names[first_of(week)]);
    add_nth_weekdays(cron->nth_weekdays, &l);
}

/* Behind a phrase that names days of the month. */
static void add_of_months(const jm_cron *cron, jm_buf *out)
{
    if (is_every_month(cron))
        jm_buf_adds(out, " of the month");
    else
        add_months(cron, " of ", out);
}

static void add_days(const jm_cron *cron, bool at_times, jm_buf *out)
{
    bool any_day = size_of(cron->days) == 31, any_weekday = cron->weekdays == 0x7f;
    const char *in = ", in ";
    if (cron->either_day ? any_day || any_weekday : any_day && any_weekday) {
        jm_buf_adds(out, at_times ? " every day" : "");
        in = " in ";
    } else if (!cron->either_day && any_weekday) {
        jm_buf_adds(out, " on ");
        add_days_of_month(cron, out);
        add_of_months(cron, out);
        return;
    } else if (!cron->either_day && any_day) {
        add_on_weekdays(cron, out);
        if (cron->nth_weekdays && !cron->weekdays) {
            add_of_months(cron, out);
            return;
        }
        jm_buf_adds(out, cron->nth_weekdays ? " of the month" : "");
        in = cron->nth_weekdays ? ", in " : " in ";
    } else {
        jm_buf_adds(out, " on ");
        add_days_of_month(cron, out);
        if (cron->either_day) {
            jm_buf_adds(out, " of the month and");
            add_on_weekdays(cron, out);
        } else {
            add_when_weekday(cron, out);
        }
        jm_buf_adds(out, cron->nth_weekdays ? " of the month" : "");
    }
    if (!is_every_month(cron))
        add_months(cron, in, out);
}

bool jm_cron_describe(const jm_cron *cron, jm_buf *out)
{
    bool at_times = false;
    if (size_of(cron->seconds) == 1)
        at_times = add_minutes(cron, out);
    else
        add_seconds(cron, out);
    add_days(cron, at_times, out);
    return at_times;
}
