/* One rule of a calendar, from its text: which days it names. No I/O; any thread. */
#ifndef JM_CALENDAR_RULE_H
#define JM_CALENDAR_RULE_H

#include <stdint.h>

#include "common/err.h"

typedef enum jm_calendar_rule_kind {
    JM_CALENDAR_DATES,       /* "2026-12-25", "2026-12-24..2027-01-02" */
    JM_CALENDAR_YEARLY,      /* "12-25", "12-24..01-02" */
    JM_CALENDAR_WEEKDAYS,    /* "sat", "mon-fri", "fri-mon" */
    JM_CALENDAR_NTH_WEEKDAY, /* "fri#2", "fri#-1": of the month */
    JM_CALENDAR_BUSINESS_DAY /* "business-day 1", "business-day -1": of the month */
} jm_calendar_rule_kind;

enum {
    JM_CALENDAR_NTH_MAX = 5,      /* a month has at most so many of a weekday */
    JM_CALENDAR_BUSINESS_MAX = 23 /* and of Mondays to Fridays */
};

typedef struct jm_calendar_rule {
    jm_calendar_rule_kind kind;
    int64_t first, last;         /* dates: days since 1970-01-01, both included */
    int first_month, first_mday; /* yearly: both included; the last may lie before the first */
    int last_month, last_mday;
    unsigned weekdays; /* weekdays, nth weekday: bit 0 is Sunday */
    int n;             /* nth weekday, business day: 1 is the first, -1 the last */
} jm_calendar_rule;

/* The first and the last day that a rule can name: the years 1 to 9999. */
#define JM_CALENDAR_DAY_MIN (-719162)
#define JM_CALENDAR_DAY_MAX 2932896

/* Case does not matter. Errors: JM_ERR_INVALID with what was expected. */
int jm_calendar_rule_parse(jm_calendar_rule *out, const char *text, jm_err *err);

/* Days of a month; year 0 takes February for one of a leap year. month 1..12. */
int jm_calendar_month_days(int64_t year, int month);

#endif
