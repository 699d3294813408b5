/* Importing: finding what differs, and changing that in one transaction. */
#include "producer/service/schedule_import.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/json_exact.h"
#include "common/pg.h"
#include "producer/schedule_json.h"
#include "producer/service/calendars.h"
#include "producer/service/definition_wrong.h"
#include "producer/service/schedule_session.h"
#include "producer/service/schedules.h"

#define SOURCE_SYNC   "sync"
#define SOURCE_IMPORT "import"

enum { TRIES = 5, PAUSE_US = 100000 };

/* What finding works with. */
typedef struct search {
    jm_pg *pg;
    const jm_schedule_import *how;
    jm_schedule_session *session;
    jm_schedule_changes *changes;
    jm_findings *findings;
    jm_arena *rows; /* what they point at */
    jm_schedule *row;
    size_t n_rows;
} search;

static void tell(const jm_schedule_import *how, const char *stage, size_t done, size_t of)
{
    if (how->progress)
        how->progress(how->ctx, stage, done, of);
}

/* ---- reading the database ---- */

/* The projects that the document names, as an array. */
static void add_projects(const jm_schedule_import *how, jm_col *col)
{
    const jm_schedule_document *d = how->document;
    const char *last = "";
    jm_col_init(col, JM_COL_TEXT);
    if (how->project)
        jm_col_add_str(col, how->project);
    for (size_t i = 0; i < d->n_schedules; i++) {
        const char *project = d->schedules[i].schedule.project;
        if (strcmp(project, last) != 0)
            jm_col_add_str(col, project);
        last = project;
    }
    for (size_t i = 0; i < d->n_calendars; i++)
        if (!i || strcmp(d->calendars[i].project, d->calendars[i - 1].project) != 0)
            jm_col_add_str(col, d->calendars[i].project);
}

static void not_understood(search *s, const jm_schedule *row, jm_err *err)
{
    jm_err_prefix(err, "schedule \"%.100s\" of project %.100s in the database", row->name,
                  row->project);
    jm_findings_add(s->findings, NULL, err);
}

static void keep_rows(search *s, const PGresult *res)
{
    jm_schedule_columns columns;
    jm_err err;
    int n = PQntuples(res);
    s->row = jm_calloc((size_t)n + 1, sizeof *s->row);
    jm_schedule_columns_init(&columns, res);
    for (int i = 0; i < n; i++) {
        jm_schedule *row = &s->row[s->n_rows++];
        if (jm_schedule_from_row(&columns, res, i, s->rows, row, &err))
            not_understood(s, row, &err);
    }
}

static int read_rows(search *s, jm_err *err)
{
    jm_col projects, owners;
    jm_pg_args args;
    add_projects(s->how, &projects);
    jm_col_init(&owners, JM_COL_TEXT);
    if (s->how->sync)
        jm_col_add_str(&owners, SOURCE_SYNC);
    jm_pg_args_init(&args);
    jm_pg_arg_col(&args, &projects);
    jm_pg_arg_col(&args, &owners);
    jm_pg_call call = {.sql = &jm_sql_schedule_rows, .args = &args, .binary = true};
    int rc = jm_pg_run(s->pg, &call, 1, err);
    if (!rc)
        keep_rows(s, call.res);
    jm_pg_calls_clear(&call, 1);
    jm_col_fini(&projects);
    jm_col_fini(&owners);
    return rc;
}

/* ---- calendars ---- */

static bool same_json(const char *a, const char *b)
{
    json_t *x = NULL, *y = NULL;
    bool same = !jm_json_exact_load(a, strlen(a), &x, NULL) &&
                !jm_json_exact_load(b, strlen(b), &y, NULL) && json_equal(x, y);
    json_decref(x);
    json_decref(y);
    return same;
}

static jm_calendars_entry entry_of(const jm_document_calendar *c)
{
    return (jm_calendars_entry){.project = c->project,
                                .name = c->name,
                                .definition = c->definition,
                                .description = c->description};
}

/* One that is to be added or changed. */
static int take_calendar(search *s, jm_calendar_change change, jm_err *err)
{
    const jm_document_calendar *c = change.given;
    const jm_calendars_entry entry = entry_of(c);
    int rc = jm_calendars_check(s->pg, &entry, err);
    if (rc == JM_ERR_INVALID || rc == JM_ERR_NOT_FOUND) {
        jm_findings_add(s->findings, &c->place, err);
        return JM_OK;
    }
    if (rc)
        return rc;
    s->changes->calendars[s->changes->n_calendars++] = change;
    jm_schedule_session_put_calendar(s->session, c->project, c->name, c->definition);
    return JM_OK;
}

static int compare_calendar(search *s, const PGresult *res, const jm_document_calendar *c,
                            jm_err *err)
{
    int row = 0, n = PQntuples(res);
    while (row < n && jm_schedule_document_order(PQgetvalue(res, row, 0), PQgetvalue(res, row, 1),
                                                 c->project, c->name) != 0)
        row++;
    if (row < n && same_json(PQgetvalue(res, row, 2), c->definition) &&
        (!c->description || !strcmp(c->description, PQgetvalue(res, row, 3))))
        return JM_OK;
    jm_calendar_change change = {.added = row == n, .given = c};
    if (row < n) {
        change.definition = jm_arena_strdup(s->changes->arena, PQgetvalue(res, row, 2));
        if (!PQgetisnull(res, row, 3))
            change.description = jm_arena_strdup(s->changes->arena, PQgetvalue(res, row, 3));
        change.schedules = strtoll(PQgetvalue(res, row, 4), NULL, 10);
    }
    return take_calendar(s, change, err);
}

static int find_calendars(search *s, jm_err *err)
{
    const jm_schedule_document *d = s->how->document;
    jm_col projects;
    jm_pg_args args;
    PGresult *res = NULL;
    if (!d->n_calendars)
        return JM_OK;
    add_projects(s->how, &projects);
    jm_pg_args_init(&args);
    jm_pg_arg_col(&args, &projects);
    int rc = jm_pg_query(s->pg, &jm_sql_calendar_rows, &args, &res, err);
    for (size_t i = 0; !rc && i < d->n_calendars; i++)
        rc = compare_calendar(s, res, &d->calendars[i], err);
    PQclear(res);
    jm_col_fini(&projects);
    return rc;
}

/* ---- schedules ---- */

static bool is_ours(const search *s, const jm_schedule *row)
{
    return !strcmp(row->source, SOURCE_SYNC) == s->how->sync;
}

/* Whether the row may go because the document has it not. */
static bool may_go(const search *s, const jm_schedule *row)
{
    if (s->how->project && strcmp(row->project, s->how->project) != 0)
        return false;
    if (s->how->sync)
        return is_ours(s, row);
    return !strcmp(row->source, "user") || !strcmp(row->source, SOURCE_IMPORT);
}

static int conflict(const search *s, const jm_schedule *row, jm_err *err)
{
    if (s->how->sync)
        return jm_err_set(err, JM_ERR_CONFLICT,
                          "schedule \"%.100s\" of project %.100s is not the sync's (its source is "
                          "%.40s): delete it, or leave it out upstream",
                          row->name, row->project, row->source);
    return jm_err_set(err, JM_ERR_CONFLICT,
                      "schedule \"%.100s\" of project %.100s belongs to a sync: change it there",
                      row->name, row->project);
}

static const char *keep(search *s, const char *text)
{
    return jm_arena_strdup(s->changes->arena, text);
}

/* One more change, of what named names; row is what there is, or NULL. */
static jm_schedule_change *keep_change(search *s, int kind, const jm_schedule *named,
                                       const jm_schedule *row)
{
    jm_schedule_change *c = jm_schedule_changes_add(s->changes, kind);
    c->project = keep(s, named->project);
    c->name = keep(s, named->name);
    if (row) {
        c->id = row->id;
        c->version = row->version;
        c->before = jm_schedule_to_json(row);
    }
    return c;
}

/* It is to become what is says. */
static void keep_new(search *s, const jm_schedule *row, const jm_document_schedule *given,
                     const jm_schedule *is, int64_t clock_us)
{
    jm_schedule_change *c = keep_change(s, row ? JM_SCHEDULE_EDIT : JM_SCHEDULE_ADD, is, row);
    c->given = given;
    c->after = jm_schedule_to_json(is);
    if (s->how->preview)
        c->preview = is->enabled && !is->paused
                         ? jm_schedule_preview_of(is, clock_us, s->how->preview)
                         : json_array();
}

/* Whether the schedule is at fault, and not the database. */
static bool is_wrong(int rc)
{
    return rc == JM_ERR_INVALID || rc == JM_ERR_NOT_FOUND || rc == JM_ERR_CONFLICT ||
           rc == JM_ERR_UNSUPPORTED;
}

/* What is wrong with one schedule as a whole. */
static int judged(search *s, const jm_document_schedule *given, const jm_err *err)
{
    jm_findings_add(s->findings, &given->place, err);
    return JM_OK;
}

/* One schedule that is judged member by member. */
typedef struct judging {
    search *s;
    const jm_schedule *row;
    jm_edit edit;
    int failed; /* the database did */
    jm_err *err;
} judging;

static int judge_again(void *ctx, const json_t *definition, jm_err *err)
{
    judging *j = ctx;
    const jm_schedule *is;
    bool changed;
    int64_t clock_us;
    j->edit.definition = definition;
    int rc =
        jm_schedule_session_judge(j->s->session, j->row, &j->edit, &is, &changed, &clock_us, err);
    if (!rc || is_wrong(rc))
        return rc;
    *j->err = *err;
    j->failed = rc;
    return JM_OK;
}

/* All that is wrong with a schedule of which something is. */
static int find_wrong(search *s, const jm_schedule *row, const jm_document_schedule *given,
                      const jm_edit *edit, jm_err *err)
{
    judging j = {.s = s, .row = row, .edit = *edit, .err = err};
    (void)jm_definition_find_wrong(given->definition, &given->place, judge_again, &j, s->findings);
    return j.failed;
}

static int compare(search *s, const jm_schedule *row, const jm_document_schedule *given,
                   jm_err *err)
{
    const jm_edit edit = {.mode = JM_EDIT_REPLACE,
                          .definition = given->definition,
                          .owner = row            ? NULL
                                   : s->how->sync ? SOURCE_SYNC
                                                  : SOURCE_IMPORT};
    const jm_schedule *is;
    bool changed;
    int64_t clock_us;
    if (s->how->project && strcmp(given->schedule.project, s->how->project) != 0) {
        jm_err_field(err, "project", "only schedules of project %.100s expected", s->how->project);
        return judged(s, given, err);
    }
    if (row && s->how->sync && !is_ours(s, row)) {
        conflict(s, row, err);
        return judged(s, given, err);
    }
    if (given->schedule.calendar && s->how->document->lost_calendars)
        return JM_OK; /* it may be one that is wrong, as has been said */
    int rc = jm_schedule_session_judge(s->session, row, &edit, &is, &changed, &clock_us, err);
    if (rc)
        return is_wrong(rc) ? find_wrong(s, row, given, &edit, err) : rc;
    if (row && changed && !is_ours(s, row)) {
        conflict(s, row, err);
        return judged(s, given, err);
    }
    if (changed)
        keep_new(s, row, given, is, clock_us ? clock_us : jm_utc_us());
    else
        s->changes->unchanged++;
    return JM_OK;
}

/* A row that the document has not. */
static void pass_by(search *s, const jm_schedule *row)
{
    if (!may_go(s, row))
        return;
    s->changes->owned++;
    if (s->how->prune)
        keep_change(s, JM_SCHEDULE_DELETE, row, row);
}

/* Both are in the same order. */
static int find_schedules(search *s, jm_err *err)
{
    const jm_schedule_document *d = s->how->document;
    size_t r = 0;
    int rc = JM_OK;
    for (size_t i = 0; !rc && i < d->n_schedules; i++) {
        const jm_document_schedule *given = &d->schedules[i];
        int order = -1;
        while (r < s->n_rows && (order = jm_schedule_document_order(
                                     s->row[r].project, s->row[r].name, given->schedule.project,
                                     given->schedule.name)) < 0)
            pass_by(s, &s->row[r++]);
        bool found = r < s->n_rows && !order;
        const jm_schedule *row = found ? &s->row[r++] : NULL;
        s->changes->owned += row && may_go(s, row);
        rc = compare(s, row, given, err);
        tell(s->how, "compared", i + 1, d->n_schedules);
    }
    while (!rc && r < s->n_rows)
        pass_by(s, &s->row[r++]);
    return rc;
}

int jm_schedule_import_find(jm_pg *pg, const jm_schedule_import *import, jm_schedule_changes **out,
                            jm_findings *findings, jm_err *err)
{
    const jm_change change = {.ended_ok = true};
    search s = {.pg = pg, .how = import, .findings = findings};
    s.session = jm_schedule_session_new(pg, &change);
    s.changes = jm_schedule_changes_new(import->document);
    s.rows = jm_arena_new(0);
    int rc = read_rows(&s, err);
    if (!rc)
        rc = find_calendars(&s, err);
    if (!rc)
        rc = find_schedules(&s, err);
    if (!rc)
        rc = jm_findings_code(findings);
    jm_schedule_session_free(s.session);
    free(s.row);
    jm_arena_free(s.rows);
    *out = rc ? NULL : s.changes;
    if (rc)
        jm_schedule_changes_free(s.changes);
    return rc;
}

/* ---- applying ---- */

/* Rows are locked in the order of their ids; what is new comes last, in the document's order. */
static int order_of_locks(const void *a, const void *b)
{
    const jm_schedule_change *x = *(const jm_schedule_change *const *)a;
    const jm_schedule_change *y = *(const jm_schedule_change *const *)b;
    bool x_new = x->kind == JM_SCHEDULE_ADD, y_new = y->kind == JM_SCHEDULE_ADD;
    if (x_new != y_new)
        return x_new - y_new;
    return x_new ? (x > y) - (x < y) : jm_uuid_cmp(&x->id, &y->id);
}

static int apply_one(jm_schedule_session *session, const jm_schedule_import *import,
                     const jm_schedule_change *c, jm_err *err)
{
    jm_uuid id;
    jm_edited edited = {0};
    jm_edit edit = {.mode = JM_EDIT_REPLACE, .action = "update", .if_version = c->version};
    int rc = JM_OK;
    switch (c->kind) {
    case JM_SCHEDULE_ADD:
        rc = jm_schedule_session_add(session, c->given->definition,
                                     import->sync ? SOURCE_SYNC : SOURCE_IMPORT, &id, err);
        break;
    case JM_SCHEDULE_EDIT:
        edit.definition = c->given->definition;
        rc = jm_schedule_session_edit(session, &c->id, &edit, &edited, err);
        json_decref(edited.would); /* the diff has said it */
        break;
    case JM_SCHEDULE_DELETE:
        rc = jm_schedule_session_delete(session, &c->id, c->version, err);
        break;
    }
    if (rc && rc != JM_ERR_DB_DOWN)
        jm_err_prefix(err, "schedule \"%.100s\" of project %.100s", c->name, c->project);
    if (rc == JM_ERR_NOT_FOUND) /* it was there a moment ago */
        err->code = rc = JM_ERR_CONFLICT;
    return rc;
}

/* Whether a change says itself when the schedule runs: what comes of that was shown. */
static bool changes_when(const jm_schedule_change *c)
{
    static const char *const members[] = {
        "kind",    "cron_expression", "interval_seconds", "anchor_at", "run_at",   "timezone",
        "dst_gap", "dst_fold",        "starts_at",        "ends_at",   "calendar", "enabled",
        "paused"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const json_t *was = json_object_get(c->before, members[i]);
        const json_t *is = json_object_get(c->after, members[i]);
        if (was != is && !json_equal(was, is))
            return true;
    }
    return false;
}

static int put_calendars(jm_pg *pg, const jm_schedule_changes *changes, const jm_change *change,
                         jm_err *err)
{
    jm_col may_end;
    int rc = JM_OK;
    jm_col_init(&may_end, JM_COL_UUID);
    for (size_t i = 0; i < changes->n; i++)
        if (changes->items[i].kind != JM_SCHEDULE_ADD && changes_when(&changes->items[i]))
            jm_col_add_uuid(&may_end, &changes->items[i].id);
    for (size_t i = 0; !rc && i < changes->n_calendars; i++) {
        const jm_calendars_entry entry = entry_of(changes->calendars[i].given);
        rc = jm_calendars_put(pg, &entry, !changes->calendars[i].added, &may_end, change, err);
        if (rc == JM_ERR_INVALID)
            jm_err_prefix(err, "calendar \"%.100s\" of project %.100s", entry.name, entry.project);
    }
    jm_col_fini(&may_end);
    return rc;
}

static int apply_all(jm_pg *pg, const jm_schedule_import *import,
                     const jm_schedule_changes *changes, const jm_schedule_change *const *order,
                     const jm_change *change, jm_err *err)
{
    jm_schedule_session *session = jm_schedule_session_new(pg, change);
    int rc = JM_OK;
    if (import->joined)
        jm_schedule_session_join(session);
    else
        rc = jm_schedule_session_begin(session, err);
    if (!rc) {
        rc = put_calendars(pg, changes, change, err);
        for (size_t i = 0; !rc && i < changes->n; i++) {
            rc = apply_one(session, import, order[i], err);
            if (!rc)
                rc = jm_schedule_session_send(session, err);
            tell(import, "written", i + 1, changes->n);
        }
        rc = jm_schedule_session_end(session, rc, err);
    }
    jm_schedule_session_free(session);
    return rc;
}

int jm_schedule_import_apply(jm_pg *pg, const jm_schedule_import *import,
                             const jm_schedule_changes *changes, const jm_change *change,
                             jm_err *err)
{
    jm_change how = *change;
    how.ended_ok = true;
    if (jm_schedule_changes_is_none(changes))
        return JM_OK;
    const jm_schedule_change **order = jm_calloc(changes->n + 1, sizeof *order);
    for (size_t i = 0; i < changes->n; i++)
        order[i] = &changes->items[i];
    if (changes->n)
        qsort(order, changes->n, sizeof *order, order_of_locks);
    int rc = JM_OK;
    for (int i = 1; i <= TRIES; i++) {
        rc = apply_all(pg, import, changes, order, &how, err);
        if (rc != JM_ERR_DB || !err->retriable || import->joined)
            break;
        usleep((useconds_t)(PAUSE_US * i));
    }
    free(order);
    return rc;
}
