/* Statements that change schedules, sent as pipelines. */
#include "producer/service/schedule_writes.h"

#include <stdlib.h>
#include <string.h>

#include "common/json_exact.h"
#include "common/mem.h"
#include "producer/ledger.h"
#include "producer/schedule_columns.h"
#include "producer/schedule_json.h"
#include "producer/service/change_audit.h"

enum { FULL = 250, MAX_WRITES = FULL + 10 /* those of the change that fills it */ };

struct jm_schedule_writes {
    jm_pg *pg;
    const jm_change *change;
    jm_arena *arena; /* since the last flush: parameters, and texts that are made here */
    jm_pg_call calls[MAX_WRITES];
    int n, named;
    const char *project, *name; /* of the last row */
};

jm_schedule_writes *jm_schedule_writes_new(jm_pg *pg, const jm_change *change)
{
    jm_schedule_writes *writes = jm_calloc(1, sizeof *writes);
    writes->pg = pg;
    writes->change = change;
    writes->arena = jm_arena_new(0);
    return writes;
}

void jm_schedule_writes_free(jm_schedule_writes *writes)
{
    if (!writes)
        return;
    jm_arena_free(writes->arena);
    free(writes);
}

/* The parameters of one more statement; they stay where they are, since they point into
 * themselves. */
static jm_pg_args *add_call(jm_schedule_writes *writes, const jm_sql *sql)
{
    jm_pg_args *args = jm_arena_alloc(writes->arena, sizeof *args);
    jm_pg_args_init(args);
    writes->calls[writes->n++] = (jm_pg_call){.sql = sql, .args = args};
    return args;
}

static void add_column(jm_pg_args *args, const jm_schedule_column *c, const void *field)
{
    int choice;
    switch (c->type) {
    case JM_COLUMN_INT:
        jm_pg_arg_i32(args, *(const int *)field);
        break;
    case JM_COLUMN_LONG:
        if (*(const int64_t *)field)
            jm_pg_arg_i64(args, *(const int64_t *)field);
        else
            jm_pg_arg_text(args, NULL);
        break;
    case JM_COLUMN_BOOL:
        jm_pg_arg_bool(args, *(const bool *)field);
        break;
    case JM_COLUMN_TIME:
        jm_pg_arg_ts(args, *(const int64_t *)field);
        break;
    case JM_COLUMN_CHOICE:
        memcpy(&choice, field, sizeof choice);
        jm_pg_arg_text(args, *c->choices[choice] ? c->choices[choice] : NULL);
        break;
    case JM_COLUMN_ID:
    case JM_COLUMN_TEXT:
    case JM_COLUMN_JSON:
        jm_pg_arg_text(args, *(const char *const *)field);
        break;
    }
}

static void fill_row(jm_pg_args *args, const jm_schedule *schedule)
{
    jm_pg_arg_uuid(args, &schedule->id);
    for (const jm_schedule_column *c = jm_schedule_column_table; c->name; c++)
        if (c->defined)
            add_column(args, c, (const char *)schedule + c->offset);
    jm_pg_arg_text(args, schedule->source ? schedule->source : "user");
    jm_pg_arg_ts(args, schedule->next_run_us);
    jm_pg_arg_ts(args, schedule->next_skip_us);
}

/* Which name is at fault if it is taken. */
static void note_name(jm_schedule_writes *writes, const jm_schedule *schedule)
{
    writes->project = schedule->project;
    writes->name = schedule->name;
    writes->named++;
}

void jm_schedule_writes_insert(jm_schedule_writes *writes, const jm_schedule *schedule)
{
    fill_row(add_call(writes, &jm_sql_schedule_insert), schedule);
    note_name(writes, schedule);
}

void jm_schedule_writes_update(jm_schedule_writes *writes, const jm_schedule *schedule)
{
    fill_row(add_call(writes, &jm_sql_schedule_update), schedule);
    note_name(writes, schedule);
}

void jm_schedule_writes_delete(jm_schedule_writes *writes, const jm_uuid *id)
{
    jm_pg_arg_uuid(add_call(writes, &jm_sql_schedule_delete), id);
}

void jm_schedule_writes_capacity(jm_schedule_writes *writes, const jm_schedule *schedule,
                                 int capacity)
{
    jm_pg_args *args = add_call(writes, &jm_sql_lock_set);
    char name[JM_SCHEDULE_LOCK_TEXT];
    jm_schedule_lock_name(&schedule->id, name);
    jm_pg_arg_text(args, schedule->project);
    jm_pg_arg_text(args, jm_arena_strdup(writes->arena, name));
    jm_pg_arg_i32(args, capacity);
}

static const char *text_of(jm_schedule_writes *writes, const jm_schedule *schedule)
{
    json_t *json = schedule ? jm_schedule_to_json(schedule) : NULL;
    char *text = json ? jm_json_exact_dump(json, JSON_COMPACT) : NULL;
    const char *kept = jm_arena_strdup(writes->arena, text);
    json_decref(json);
    free(text);
    return kept;
}

void jm_schedule_writes_audit(jm_schedule_writes *writes, const char *action,
                              const jm_schedule *before, const jm_schedule *after, int version,
                              int64_t at_us)
{
    jm_pg_args *args = add_call(writes, &jm_sql_audit_insert);
    char id[JM_UUID_TEXT];
    jm_uuid_format(after ? &after->id : &before->id, id);
    jm_pg_arg_text(args, "schedule");
    jm_pg_arg_text(args, jm_arena_strdup(writes->arena, id));
    jm_pg_arg_i32(args, version);
    jm_pg_arg_text(args, action);
    jm_pg_arg_text(args, text_of(writes, before));
    jm_pg_arg_text(args, text_of(writes, after));
    jm_pg_arg_text(args, writes->change->actor);
    jm_pg_arg_text(args, writes->change->source);
    jm_pg_arg_text(args, writes->change->reason);
    jm_pg_arg_ts(args, at_us);
    jm_change_audit_origin(args, writes->change, NULL);
}

void jm_schedule_writes_zone(jm_schedule_writes *writes, const jm_schedule *schedule,
                             const jm_zone_cache *zones)
{
    char version[JM_ZONE_VERSION_TEXT];
    if (!strcmp(schedule->when.timezone, "UTC"))
        return;
    jm_pg_args *args = add_call(writes, &jm_sql_timezone_use);
    jm_zone_cache_version(zones, version);
    jm_pg_arg_text(args, schedule->when.timezone);
    jm_pg_arg_text(args, jm_arena_strdup(writes->arena, version));
    jm_pg_arg_i64(args, (int64_t)jm_zone_hash(schedule->recurrence.zone));
}

bool jm_schedule_writes_is_empty(const jm_schedule_writes *writes)
{
    return !writes->n;
}

bool jm_schedule_writes_is_full(const jm_schedule_writes *writes)
{
    return writes->n >= FULL;
}

static int is_there(const jm_schedule_writes *writes, jm_err *err)
{
    if (writes->named == 1)
        return jm_err_set(err, JM_ERR_CONFLICT, "project %s has a schedule \"%.255s\" already",
                          writes->project, writes->name);
    return jm_err_set(err, JM_ERR_CONFLICT,
                      "somebody else has added one of these schedules, or given another its name");
}

int jm_schedule_writes_flush(jm_schedule_writes *writes, jm_err *err)
{
    if (!writes->n)
        return JM_OK;
    int code = jm_pg_run(writes->pg, writes->calls, writes->n, err);
    jm_pg_calls_clear(writes->calls, writes->n);
    if (code == JM_ERR_DB && writes->named && !strcmp(err->sqlstate, "23505"))
        code = is_there(writes, err);
    writes->n = writes->named = 0;
    jm_arena_free(writes->arena);
    writes->arena = jm_arena_new(0);
    return code;
}
