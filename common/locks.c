/* Locks: the same that jobs take, for people and scripts. */
#include "common/locks.h"

#include <poll.h>
#include <string.h>

#include "common/clock.h"
#include "common/job.h"
#include "common/job_fields.h"
#include "common/pg.h"
#include "common/rows.h"

enum {
    LOOK_MS = 100,      /* between two looks at a lock that is taken */
    HOLDERS_MAX = 10000 /* shown of one lock */
};

static int check_name(const char *name, bool any, jm_err *err)
{
    size_t chars = 0;
    for (const char *p = name; *p; p++)
        chars += ((unsigned char)*p & 0xc0) != 0x80;
    size_t max = (size_t)jm_job_fields[JM_JOB_FIELD_EXCLUSIVE].max;
    if (!chars || (!any && chars > max))
        return jm_err_field(err, "name", "the name of a lock must have 1 to %zu characters", max);
    if (!any && !strncmp(name, JM_ORDER_LOCK, strlen(JM_ORDER_LOCK)))
        return jm_err_field(err, "name",
                            "names that begin with \"" JM_ORDER_LOCK
                            "\" stand for ordering keys: only jobs take them");
    return JM_OK;
}

static int check_project(jm_pg *pg, const char *project, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, project);
    int rc = jm_pg_query(pg, &jm_sql_schedule_project, &args, &res, err);
    if (!rc && !PQntuples(res))
        rc = jm_err_set(err, JM_ERR_NOT_FOUND, "there is no project \"%.100s\"", project);
    PQclear(res);
    return rc;
}

static void start_args(jm_pg_args *args, const char *project, const char *name)
{
    jm_pg_args_init(args);
    jm_pg_arg_text(args, project);
    jm_pg_arg_text(args, name);
}

/* It is committed, and every worker looks once a second: this is only quicker. */
static void tell(jm_pg *pg, const char *queue)
{
    jm_err ignored;
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, queue);
    (void)jm_pg_query(pg, &jm_sql_lock_notify, &args, NULL, &ignored);
}

/* What a refusal says becomes the error; queues in which jobs may start are told. Takes answer. */
static int judge(jm_pg *pg, json_t *answer, jm_err *err)
{
    int rc = JM_OK;
    size_t i;
    json_t *queue;
    const char *refusal = json_string_value(json_object_get(answer, "refusal"));
    if (refusal)
        rc = jm_err_set(err, JM_ERR_CONFLICT, "%s", refusal);
    json_array_foreach(json_object_get(answer, "queues"), i, queue)
    {
        tell(pg, json_string_value(queue));
    }
    json_decref(answer);
    return rc;
}

/* Where a page of locks begins: behind this one. What has no slot comes last. */
typedef struct place {
    char project[101];
    const char *name; /* NULL: from the first on */
    int64_t slot;
    jm_uuid blocked_by;
} place;

/* "slot/job/project/name"; a name may have slashes. */
static int read_cursor(const char *cursor, place *at, jm_err *err)
{
    const char *part[3] = {cursor, NULL, NULL}, *slash = NULL;
    char *end = NULL;
    *at = (place){0};
    if (!cursor)
        return JM_OK;
    for (int i = 1; i < 3 && part[i - 1]; i++)
        part[i] = (slash = strchr(part[i - 1], '/')) ? slash + 1 : NULL;
    slash = part[2] ? strchr(part[2], '/') : NULL;
    if (slash) {
        at->slot = strtoll(cursor, &end, 10);
        at->name = slash + 1;
        snprintf(at->project, sizeof at->project, "%.*s", (int)(slash - part[2]), part[2]);
    }
    if (slash && end == part[1] - 1 && at->slot >= 0 && at->slot <= INT32_MAX &&
        slash - part[2] <= 100 &&
        jm_uuid_parse(part[1], (size_t)(part[2] - 1 - part[1]), &at->blocked_by))
        return JM_OK;
    return jm_err_field(err, "cursor", "\"%.60s\" is no cursor that a page before has given",
                        cursor);
}

static char *cursor_of(const json_t *last)
{
    const json_t *slot = json_object_get(last, "slot");
    const char *job = json_string_value(json_object_get(last, "blocked_by"));
    jm_buf cursor = {0};
    if (!last)
        return NULL;
    jm_buf_addf(&cursor, "%lld/%s/%s/%s",
                json_is_integer(slot) ? (long long)json_integer_value(slot) : (long long)INT32_MAX,
                job ? job : "00000000-0000-0000-0000-000000000000",
                json_string_value(json_object_get(last, "project")),
                json_string_value(json_object_get(last, "name")));
    return jm_buf_take(&cursor);
}

int jm_locks_list(jm_pg *pg, const char *project, const char *name, const jm_page *page,
                  json_t **items, char **next, jm_err *err)
{
    static const jm_rows_place where = {.limit = 3, .offset = 4, .cursor = {5, 6, 7, 8}};
    jm_pg_args args;
    place at;
    *items = NULL;
    if (next)
        *next = NULL;
    int rc = read_cursor(page->cursor, &at, err);
    if (rc)
        return rc;
    start_args(&args, project, name);
    jm_pg_arg_i64(&args, page->limit + 1);
    jm_pg_arg_i64(&args, page->offset);
    jm_pg_arg_text(&args, at.name ? at.project : NULL);
    jm_pg_arg_text(&args, at.name);
    jm_pg_arg_i64(&args, at.slot);
    jm_pg_arg_uuid(&args, &at.blocked_by);
    rc = jm_rows_page(pg, &jm_sql_lock_list, &args, &where, page->total, items, err);
    const json_t *last = rc ? NULL : jm_rows_cut(*items, page->limit);
    if (next)
        *next = cursor_of(last);
    return rc;
}

int jm_locks_set(jm_pg *pg, const char *project, const char *name, int64_t capacity, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    int rc = check_name(name, false, err);
    rc = rc ? rc : check_project(pg, project, err);
    if (rc)
        return rc;
    start_args(&args, project, name);
    jm_pg_arg_i32(&args, (int)capacity);
    rc = jm_pg_query(pg, &jm_sql_lock_set, &args, &res, err);
    for (int row = 0; !rc && row < PQntuples(res); row++)
        tell(pg, PQgetvalue(res, row, 0));
    PQclear(res);
    return rc;
}

/* Somebody else has it: who, as far as that is known by now. */
static int taken(jm_pg *pg, const char *project, const char *name, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    start_args(&args, project, name);
    int rc = jm_pg_query(pg, &jm_sql_lock_holder, &args, &res, err);
    if (!rc && PQntuples(res) && !PQgetisnull(res, 0, 0))
        rc =
            jm_err_set(err, JM_ERR_CONFLICT, "lock %s is held by %s%s", name, PQgetvalue(res, 0, 0),
                       strcmp(PQgetvalue(res, 0, 1), "1") != 0 ? " and others" : "");
    else if (!rc)
        rc = jm_err_set(err, JM_ERR_CONFLICT, "lock %s is held", name);
    PQclear(res);
    return rc;
}

int jm_locks_acquire(jm_pg *pg, const char *project, const char *name, const char *owner,
                     double ttl_s, double wait_s, json_t **lock, jm_err *err)
{
    jm_pg_args args;
    int64_t until_ms = jm_mono_ms() + (int64_t)(wait_s * 1000);
    *lock = NULL;
    int rc = check_name(name, false, err);
    if (!rc && (!*owner || !strncmp(owner, "job ", 4)))
        rc = jm_err_field(err, "owner", "an owner must not be empty, nor begin with \"job \"");
    rc = rc ? rc : check_project(pg, project, err);
    if (rc)
        return rc;
    for (;;) {
        start_args(&args, project, name);
        jm_pg_arg_text(&args, owner);
        jm_pg_arg_i64(&args, (int64_t)(ttl_s * 1000));
        rc = jm_rows_one(pg, &jm_sql_lock_try, &args, lock, err);
        if (*lock)
            return JM_OK;
        bool again = !rc || rc == JM_ERR_DB_DOWN || err->retriable;
        if (!again || jm_mono_ms() + LOOK_MS > until_ms)
            return rc ? rc : taken(pg, project, name, err);
        poll(NULL, 0, LOOK_MS);
        if (!jm_pg_is_up(pg))
            (void)jm_pg_connect(pg, err);
    }
}

int jm_locks_extend(jm_pg *pg, const char *project, const char *name, int64_t token, double ttl_s,
                    json_t **lock, jm_err *err)
{
    jm_pg_args args;
    start_args(&args, project, name);
    jm_pg_arg_i64(&args, token);
    jm_pg_arg_i64(&args, (int64_t)(ttl_s * 1000));
    int rc = jm_rows_one(pg, &jm_sql_lock_extend, &args, lock, err);
    if (!rc && (rc = judge(pg, json_incref(*lock), err))) {
        json_decref(*lock);
        *lock = NULL;
    }
    if (!rc)
        json_object_del(*lock, "refusal");
    return rc;
}

int jm_locks_release(jm_pg *pg, const char *project, const char *name, int64_t token, jm_err *err)
{
    jm_pg_args args;
    json_t *answer = NULL;
    start_args(&args, project, name);
    jm_pg_arg_i64(&args, token);
    int rc = jm_rows_one(pg, &jm_sql_lock_release, &args, &answer, err);
    return rc ? rc : judge(pg, answer, err);
}

int jm_locks_force(jm_pg *pg, const char *project, const char *name, jm_err *err)
{
    jm_pg_args args;
    json_t *answer = NULL;
    start_args(&args, project, name);
    int rc = jm_rows_one(pg, &jm_sql_lock_force, &args, &answer, err);
    return rc ? rc : judge(pg, answer, err);
}

/* Who holds it, of rows of the list. */
static json_t *holders_of(const json_t *rows)
{
    static const char *const members[] = {"slot", "owner", "token", "expires_at"};
    json_t *holders = json_array(), *row;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        if (!json_is_string(json_object_get(row, "owner")))
            continue;
        json_t *holder = json_object();
        for (size_t m = 0; m < sizeof members / sizeof *members; m++)
            json_object_set(holder, members[m], json_object_get(row, members[m]));
        json_array_append_new(holders, holder);
    }
    return holders;
}

static json_t *lock_of(const char *project, const char *name, const json_t *rows)
{
    json_t *lock =
        json_pack("{s:s, s:s, s:i, s:i, s:n, s:o}", "project", project, "name", name, "capacity", 1,
                  "waiting", 0, "blocked_by", "holders", holders_of(rows));
    json_t *row;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)rows, i, row)
    {
        json_object_set(lock, "capacity", json_object_get(row, "capacity"));
        json_object_set(lock, "waiting", json_object_get(row, "waiting"));
        if (json_is_string(json_object_get(row, "blocked_by")))
            json_object_set(lock, "blocked_by", json_object_get(row, "blocked_by"));
    }
    return lock;
}

int jm_locks_show(jm_pg *pg, const char *project, const char *name, json_t **lock, jm_err *err)
{
    json_t *rows = NULL;
    *lock = NULL;
    int rc = check_project(pg, project, err);
    if (!rc)
        rc = jm_locks_list(pg, project, name, &(jm_page){.limit = HOLDERS_MAX}, &rows, NULL, err);
    if (!rc)
        *lock = lock_of(project, name, rows);
    json_decref(rows);
    return rc;
}
