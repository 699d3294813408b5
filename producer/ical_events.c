/* The events of an iCalendar text as it is written. */
#include "producer/ical_events.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/json_scan.h"
#include "common/mem.h"

enum { DEPTH_MAX = 16, SHOWN_MAX = 40 };

/* A line with those that continue it. */
typedef struct content_line {
    const char *at;
    size_t len;      /* all of it, with the line breaks inside, but the last */
    size_t name_len; /* up to the first ':' or ';' */
    int number;
} content_line;

typedef struct line_reader {
    const char *p, *end;
    int number; /* of the line at p, from 1 */
} line_reader;

/* One line as it stands; false at the end. */
static bool next_physical(line_reader *r, const char **at, size_t *len)
{
    if (r->p >= r->end)
        return false;
    const char *stop = memchr(r->p, '\n', (size_t)(r->end - r->p));
    *at = r->p;
    r->p = stop ? stop + 1 : r->end;
    *len = (size_t)((stop ? stop : r->end) - *at);
    if (*len && (*at)[*len - 1] == '\r')
        --*len;
    r->number++;
    return true;
}

static bool is_name_char(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_';
}

/* Empty lines are passed over; a line that continues none is one by itself, without a name. */
static bool next_line(line_reader *r, content_line *out)
{
    const char *at;
    size_t len;
    do {
        out->number = r->number;
        if (!next_physical(r, &at, &len))
            return false;
    } while (!len);
    out->at = at;
    out->len = len;
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t') && next_physical(r, &at, &len))
        out->len = (size_t)(at + len - out->at);
    size_t n = 0;
    while (n < out->len && is_name_char(out->at[n]))
        n++;
    out->name_len = n < out->len && (out->at[n] == ':' || out->at[n] == ';') ? n : 0;
    return true;
}

static bool is_named(const content_line *line, const char *name)
{
    return line->name_len == strlen(name) && !strncasecmp(line->at, name, line->name_len);
}

/* ---- the whole text ---- */

typedef struct component {
    const char *name; /* of name_len bytes */
    size_t name_len;
    content_line begin;
} component;

typedef struct scanner {
    jm_ical_events *events;
    component open[DEPTH_MAX];
    int depth;
    bool any_calendar;
    jm_err *err;
} scanner;

static bool component_is(const component *c, const char *name)
{
    return c->name_len == strlen(name) && !strncasecmp(c->name, name, c->name_len);
}

static component component_of(const content_line *line)
{
    component c = {.begin = *line, .name = line->at + line->name_len + 1};
    c.name_len = line->len - line->name_len - 1;
    while (c.name_len && (c.name[c.name_len - 1] == ' ' || c.name[c.name_len - 1] == '\t'))
        c.name_len--;
    return c;
}

static int shown(size_t len)
{
    return len < SHOWN_MAX ? (int)len : SHOWN_MAX;
}

static int begin(scanner *s, const content_line *line)
{
    component c = component_of(line);
    if (!s->depth && !component_is(&c, "VCALENDAR"))
        return jm_err_set(s->err, JM_ERR_INVALID, "line %d: BEGIN:VCALENDAR expected",
                          line->number);
    if (s->depth == DEPTH_MAX)
        return jm_err_set(s->err, JM_ERR_INVALID, "line %d: more than %d components in each other",
                          line->number, DEPTH_MAX);
    s->any_calendar = true;
    s->open[s->depth++] = c;
    return JM_OK;
}

static void add_event(jm_ical_events *events, const component *c, const char *end)
{
    if (events->n == events->cap) {
        events->cap = events->cap ? events->cap * 2 : 64;
        events->items = jm_realloc(events->items, events->cap * sizeof *events->items);
    }
    events->items[events->n++] =
        (jm_ical_event){c->begin.at, (size_t)(end - c->begin.at), c->begin.number};
}

static int end(scanner *s, const content_line *line)
{
    component c = component_of(line);
    const component *top = s->depth ? &s->open[s->depth - 1] : NULL;
    if (!top || top->name_len != c.name_len || strncasecmp(top->name, c.name, c.name_len) != 0)
        return jm_err_set(s->err, JM_ERR_INVALID, "line %d: this END has no BEGIN before it",
                          line->number);
    if (s->depth == 2 && component_is(top, "VEVENT"))
        add_event(s->events, top, line->at + line->len);
    s->depth--;
    return JM_OK;
}

/* The value of a line, unfolded. */
static void add_zone(jm_ical_events *events, const content_line *line)
{
    const char *value = memchr(line->at, ':', line->len), *end = line->at + line->len;
    if (!value)
        return;
    char *tzid = jm_malloc((size_t)(end - value)), *to = tzid;
    for (const char *p = value + 1; p < end; p++) {
        if (*p == '\r' || *p == '\n')
            p += *p == '\r' ? 2 : 1; /* the space or tab behind goes too */
        else
            *to++ = *p;
    }
    *to = '\0';
    if (events->n_zones == events->cap_zones) {
        events->cap_zones = events->cap_zones ? events->cap_zones * 2 : 16;
        events->zones = jm_realloc(events->zones, events->cap_zones * sizeof *events->zones);
    }
    events->zones[events->n_zones++] = tzid;
}

static int look_at(scanner *s, const content_line *line)
{
    if (is_named(line, "BEGIN"))
        return begin(s, line);
    if (is_named(line, "END"))
        return end(s, line);
    if (!s->depth)
        return jm_err_set(s->err, JM_ERR_INVALID, "line %d: BEGIN:VCALENDAR expected",
                          line->number);
    if (!line->name_len)
        return jm_err_set(s->err, JM_ERR_INVALID, "line %d: a name and a colon expected",
                          line->number);
    if (s->depth == 2 && component_is(&s->open[1], "VTIMEZONE") && is_named(line, "TZID"))
        add_zone(s->events, line);
    return JM_OK;
}

/* Where it is none, in err. */
static int check_bytes(const char *text, size_t len, jm_err *err)
{
    line_reader r = {text, text + len, 1};
    const char *at;
    size_t n;
    if (jm_utf8_is_valid(text, len, NULL) && !memchr(text, 0, len))
        return JM_OK;
    while (next_physical(&r, &at, &n) && jm_utf8_is_valid(at, n, NULL) && !memchr(at, 0, n))
        continue;
    return jm_err_set(err, JM_ERR_INVALID, "line %d: it is not valid UTF-8", r.number - 1);
}

int jm_ical_events_scan(jm_ical_events *events, const char *text, size_t len, jm_err *err)
{
    static const char mark[] = "\xef\xbb\xbf"; /* of byte order, which some programs write */
    jm_err local = {0};
    scanner s = {.events = events, .err = err ? err : &local};
    content_line line;
    *events = (jm_ical_events){0};
    if (check_bytes(text, len, s.err))
        return JM_ERR_INVALID;
    size_t skip = len >= 3 && !memcmp(text, mark, 3) ? 3 : 0;
    line_reader r = {text + skip, text + len, 1};
    while (next_line(&r, &line))
        if (look_at(&s, &line))
            return JM_ERR_INVALID;
    if (!s.depth && s.any_calendar)
        return JM_OK;
    if (!s.depth)
        return jm_err_set(s.err, JM_ERR_INVALID, "it is empty: BEGIN:VCALENDAR expected");
    const component *top = &s.open[s.depth - 1];
    return jm_err_set(s.err, JM_ERR_INVALID, "line %d: BEGIN:%.*s has no END", top->begin.number,
                      shown(top->name_len), top->name);
}

void jm_ical_events_fini(jm_ical_events *events)
{
    for (size_t i = 0; i < events->n_zones; i++)
        free(events->zones[i]);
    free(events->zones);
    free(events->items);
    *events = (jm_ical_events){0};
}

bool jm_ical_events_has_zone(const jm_ical_events *events, const char *tzid)
{
    size_t i = 0;
    while (i < events->n_zones && strcmp(events->zones[i], tzid) != 0)
        i++;
    return i < events->n_zones;
}

/* ---- one event ---- */

static int values_of(const content_line *line)
{
    int n = 1;
    bool quoted = false, value = false;
    for (size_t i = line->name_len; i < line->len; i++) {
        char c = line->at[i];
        quoted ^= !value && c == '"';
        value |= c == ':' && !quoted;
        n += value && c == ',';
    }
    return n;
}

int jm_ical_event_count(const jm_ical_event *event, const char *name, int nth, int *at_line)
{
    line_reader r = {event->at, event->at + event->len, event->line};
    content_line line;
    int n = 0, depth = 0;
    bool is_list = !strcmp(name, "EXDATE") || !strcmp(name, "RDATE");
    while (next_line(&r, &line)) {
        depth += is_named(&line, "BEGIN");
        depth -= is_named(&line, "END");
        if (depth != 1 || !is_named(&line, name))
            continue;
        int values = is_list ? values_of(&line) : 1;
        if (at_line && nth >= n && nth < n + values)
            *at_line = line.number;
        n += values;
    }
    return n;
}
