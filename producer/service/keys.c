/* Keys of the API: making, listing, revoking them, and sessions of browsers. */
#include "producer/service/keys.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/mem.h"
#include "common/pg.h"
#include "common/rows.h"
#include "producer/service/change_audit.h"
#include "producer/tx.h"

enum { NAMED_MAX = 5 }; /* of keys to choose from */

static const char *text_of(const json_t *key, const char *member)
{
    return json_string_value(json_object_get(key, member));
}

static int note(jm_pg *pg, const char *object, const char *action, const json_t *before,
                const json_t *after, const jm_change *change, jm_err *err)
{
    jm_audit_entry entry = {
        .object = object, .object_id = text_of(after ? after : before, "id"), .action = action};
    return jm_change_audit_values(pg, change, &entry, before, after, err);
}

/* ---- making ---- */

int jm_keys_check(const jm_keys_entry *entry, jm_err *err)
{
    if (!entry->name || !jm_key_is_name(entry->name))
        return jm_err_field(err, "name", "[A-Za-z0-9][A-Za-z0-9._@-]{0,99} expected");
    if (!entry->scope || !jm_key_is_scope(entry->scope))
        return jm_err_field(err, "scope", "read, submit or admin expected");
    if (entry->expires_us && entry->expires_us <= jm_utc_us())
        return jm_err_field(err, "expires_at", "it has passed already");
    return JM_OK;
}

static int refuse_insert(const jm_keys_entry *entry, int rc, jm_err *err)
{
    if (rc == JM_ERR_DB && !strcmp(err->sqlstate, "23503"))
        return jm_err_set(err, JM_ERR_NOT_FOUND, "there is no project \"%.100s\"", entry->project);
    if (rc == JM_ERR_DB && !strcmp(err->sqlstate, "23505"))
        return jm_err_set(err, JM_ERR_CONFLICT,
                          "there is a key \"%.100s\" already: revoke it, or take another name",
                          entry->name);
    return rc;
}

static int insert(jm_pg *pg, const jm_keys_entry *entry, const jm_change *change, const jm_key *key,
                  json_t **made, jm_err *err)
{
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, entry->name);
    jm_pg_arg_text(&args, key->prefix);
    jm_pg_arg_text(&args, key->hex);
    jm_pg_arg_text(&args, entry->scope);
    jm_pg_arg_text(&args, entry->project);
    jm_pg_arg_ts(&args, entry->expires_us);
    jm_pg_arg_text(&args, change->actor);
    return refuse_insert(entry, jm_rows_one(pg, &jm_sql_key_insert, &args, made, err), err);
}

int jm_keys_create(jm_pg *pg, const jm_keys_entry *entry, const jm_change *change, jm_key *key,
                   json_t **made, jm_err *err)
{
    *made = NULL;
    int rc = jm_keys_check(entry, err);
    rc = rc ? rc : jm_key_make(key, err);
    if (rc || (rc = jm_pg_exec(pg, "BEGIN", NULL, err)))
        return rc;
    rc = insert(pg, entry, change, key, made, err);
    if (!rc)
        rc = note(pg, "key", "create", NULL, *made, change, err);
    rc = jm_tx_end(pg, rc, !change->dry_run, err);
    if (rc) {
        json_decref(*made);
        *made = NULL;
    }
    return rc;
}

/* ---- looking ---- */

static int read_cursor(const char *cursor, jm_uuid *id, jm_err *err)
{
    if (!cursor || jm_uuid_parse(cursor, strlen(cursor), id))
        return JM_OK;
    return jm_err_field(err, "cursor", "\"%.60s\" is no cursor that a page before has given",
                        cursor);
}

int jm_keys_list(jm_pg *pg, bool all, const char *project, const jm_page *page, json_t **items,
                 char **next, jm_err *err)
{
    static const jm_rows_place place = {.limit = 4, .offset = 5, .cursor = {3}};
    jm_uuid before;
    jm_pg_args args;
    *items = NULL;
    *next = NULL;
    int rc = read_cursor(page->cursor, &before, err);
    if (rc)
        return rc;
    jm_pg_args_init(&args);
    jm_pg_arg_bool(&args, all);
    jm_pg_arg_text(&args, project);
    jm_pg_arg_uuid(&args, page->cursor ? &before : NULL);
    jm_pg_arg_i64(&args, page->limit + 1);
    jm_pg_arg_i64(&args, page->offset);
    rc = jm_rows_page(pg, &jm_sql_key_list, &args, &place, page->total, items, err);
    const json_t *last = rc ? NULL : jm_rows_cut(*items, page->limit);
    if (last)
        *next = jm_strdup(text_of(last, "id"));
    return rc;
}

static int there_is_none(const char *which, jm_err *err)
{
    return jm_err_set(err, JM_ERR_NOT_FOUND, "there is no key %.100s", which);
}

static bool is_revoked(const json_t *key)
{
    return !strcmp(text_of(key, "state"), "revoked");
}

/* Which ones there are to choose from, with the projects by which they differ. */
static int ambiguous(const char *which, const json_t *found, jm_err *err)
{
    jm_buf ids = {0};
    const json_t *key;
    size_t i;
    json_array_foreach(found, i, key)
    {
        if (is_revoked(key) || i == NAMED_MAX)
            break;
        const char *project = text_of(key, "project");
        jm_buf_addf(&ids, "%s%s (%s%s)", i ? ", " : "", text_of(key, "id"),
                    project ? "project " : "all projects", project ? project : "");
    }
    jm_err_set(err, JM_ERR_CONFLICT, "several keys are meant by %.100s: give the id of one: %s",
               which, jm_buf_str(&ids));
    jm_buf_fini(&ids);
    return err->code;
}

/* Of those that were found the one that is meant: what was not revoked comes first. */
static int choose(const char *which, const json_t *found, json_t **key, jm_err *err)
{
    json_t *first = json_array_get(found, 0), *second = json_array_get(found, 1);
    if (!first)
        return there_is_none(which, err);
    if (second && !is_revoked(second))
        return ambiguous(which, found, err);
    *key = json_incref(first);
    return JM_OK;
}

int jm_keys_show(jm_pg *pg, const char *which, const char *project, json_t **key, jm_err *err)
{
    jm_uuid id;
    jm_pg_args args;
    json_t *found = NULL;
    bool by_id = jm_uuid_parse(which, strlen(which), &id);
    *key = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, by_id ? &id : NULL);
    jm_pg_arg_text(&args, !strncmp(which, "jm_", 3) ? which + 3 : which);
    jm_pg_arg_text(&args, which);
    jm_pg_arg_text(&args, project);
    int rc = jm_rows_list(pg, &jm_sql_key_show, &args, &found, err);
    rc = rc ? rc : choose(which, found, key, err);
    json_decref(found);
    return rc;
}

/* ---- ending ---- */

/* JM_ERR_CONFLICT: it held no longer. */
static int revoke(jm_pg *pg, const char *id, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, id);
    int rc = jm_pg_query(pg, &jm_sql_key_revoke, &args, &res, err);
    if (!rc && !PQntuples(res))
        rc = jm_err_set(err, JM_ERR_CONFLICT, "it was revoked before");
    PQclear(res);
    return rc;
}

int jm_keys_revoke(jm_pg *pg, const char *which, const char *project, const jm_change *change,
                   json_t **key, jm_err *err)
{
    int rc = jm_keys_show(pg, which, project, key, err);
    if (rc || (rc = jm_pg_exec(pg, "BEGIN", NULL, err)))
        goto out;
    rc = revoke(pg, text_of(*key, "id"), err);
    if (!rc)
        rc = note(pg, "key", "revoke", *key, NULL, change, err);
    rc = jm_tx_end(pg, rc, !change->dry_run, err);
out:
    if (rc) {
        json_decref(*key);
        *key = NULL;
    }
    return rc;
}

/* ---- sessions ---- */

int jm_keys_open_session(jm_pg *pg, const char *key_id, int seconds, const jm_change *change,
                         jm_key *session, jm_err *err)
{
    jm_pg_args args;
    json_t *made = NULL;
    int rc = jm_key_make(session, err);
    if (rc || (rc = jm_pg_exec(pg, "BEGIN", NULL, err)))
        return rc;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, key_id);
    jm_pg_arg_text(&args, session->prefix);
    jm_pg_arg_text(&args, session->hex);
    jm_pg_arg_i32(&args, seconds);
    jm_pg_arg_text(&args, change->actor);
    rc = jm_pg_query(pg, &jm_sql_key_forget, NULL, NULL, err);
    if (!rc)
        rc = jm_rows_one(pg, &jm_sql_key_session, &args, &made, err);
    if (rc == JM_ERR_NOT_FOUND)
        rc = jm_err_set(err, JM_ERR_CONFLICT, "sessions are given for keys, not for sessions");
    if (!rc)
        rc = note(pg, "session", "create", NULL, made, change, err);
    json_decref(made);
    return jm_tx_end(pg, rc, true, err);
}

int jm_keys_close_session(jm_pg *pg, const char *session_id, const jm_change *change, jm_err *err)
{
    json_t *was = json_pack("{s:s}", "id", session_id);
    int rc = jm_pg_exec(pg, "BEGIN", NULL, err);
    if (!rc) {
        rc = revoke(pg, session_id, err);
        if (!rc)
            rc = note(pg, "session", "revoke", was, NULL, change, err);
        rc = jm_tx_end(pg, rc, true, err);
    }
    json_decref(was);
    return rc;
}
