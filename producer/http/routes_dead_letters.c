/* Dead letters. They are of no project, since nobody could tell: keys that are bound to one do not
 * see them. */
#include <stdlib.h>
#include <string.h>

#include "common/json_exact.h"
#include "common/clock.h"
#include "common/mem.h"
#include "producer/http/api.h"
#include "producer/http/routes.h"
#include "producer/service/redrive.h"

enum { IDS_MAX = 1000 };

static bool may_see(jm_req *req)
{
    if (!jm_req_project(req))
        return true;
    jm_req_problem(req, 403, "forbidden", NULL,
                   "this needs a key for all projects; this one is bound to %s",
                   jm_req_project(req));
    return false;
}

/* ---- looking ---- */

static bool read_state(jm_req *req, jm_dead_state *state)
{
    bool redriven;
    *state = JM_DEAD_ANY;
    if (!jm_req_query(req, "redriven"))
        return true;
    if (!jm_req_query_bool(req, "redriven", false, &redriven))
        return false;
    *state = redriven ? JM_DEAD_REDRIVEN : JM_DEAD_OPEN;
    return true;
}

static void list(jm_req *req)
{
    jm_page page;
    jm_dead_state state;
    json_t *items;
    char *next;
    jm_err err;
    jm_dead_filter filter = {.reason = jm_req_query(req, "reason"),
                             .topic = jm_req_query(req, "topic"),
                             .field = jm_req_query(req, "field")};
    if (!may_see(req) || !jm_req_get_page(req, &page) ||
        !jm_req_query_time(req, "from", &filter.from_us) ||
        !jm_req_query_time(req, "to", &filter.to_us) || !read_state(req, &state))
        return;
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    if (jm_dead_letters_list(pg, &filter, state, &page, &items, &next, &err))
        jm_req_fail(req, &err);
    else
        jm_req_list(req, items, next);
    free(next);
}

static void show(jm_req *req)
{
    const char *id = jm_req_path(req, "id");
    jm_uuid uuid;
    json_t *letter;
    jm_err err;
    struct jm_pg *pg = may_see(req) ? jm_req_pg(req) : NULL;
    if (!pg)
        return;
    if (!jm_uuid_parse(id, strlen(id), &uuid))
        jm_req_problem(req, 404, "not_found", NULL, "there is no dead letter %.80s", id);
    else if (jm_dead_letters_show(pg, id, &letter, &err))
        jm_req_fail(req, &err);
    else
        jm_req_ok(req, letter);
}

/* ---- sending them again ---- */

/* What a body asks for; ids are in the array, which is the caller's. */
typedef struct asked {
    jm_redrive how;
    jm_uuid *ids;
    bool all;
} asked;

static bool wrong(jm_req *req, const char *member, const char *needs)
{
    char pointer[40];
    snprintf(pointer, sizeof pointer, "/%s", member);
    jm_req_problem(req, 400, "invalid", pointer, "%s must be %s", member, needs);
    return false;
}

static bool get_text(jm_req *req, const json_t *body, const char *member, const char **out)
{
    const json_t *value = json_object_get(body, member);
    *out = jm_json_exact_text(value);
    if (value && (!*out || strlen(*out) != json_string_length(value)))
        return wrong(req, member, "text");
    return true;
}

static bool get_flag(jm_req *req, const json_t *body, const char *member, bool *out)
{
    const json_t *value = json_object_get(body, member);
    *out = json_is_true(value);
    return !value || json_is_boolean(value) || wrong(req, member, "true or false");
}

static bool get_time(jm_req *req, const json_t *body, const char *member, int64_t *us)
{
    const char *text;
    jm_err err;
    if (!get_text(req, body, member, &text))
        return false;
    if (!text || !jm_rfc3339_parse(text, strlen(text), us, &err))
        return true;
    return wrong(req, member, "a time such as 2026-11-29T15:00:00Z");
}

static bool get_ids(jm_req *req, const json_t *body, asked *a)
{
    size_t i;
    json_t *value;
    const json_t *ids = json_object_get(body, "ids");
    if (ids && (!json_array_size(ids) || json_array_size(ids) > IDS_MAX))
        return wrong(req, "ids", "a list of 1 to 1000 ids");
    if (!ids)
        return true;
    a->ids = jm_calloc(json_array_size(ids), sizeof *a->ids);
    json_array_foreach(ids, i, value)
    {
        const char *text = jm_json_exact_text(value);
        if (!text || !jm_uuid_parse(text, strlen(text), &a->ids[i]))
            return wrong(req, "ids", "a list of ids of dead letters");
    }
    a->how.ids = a->ids;
    a->how.n_ids = i;
    return true;
}

static bool get_limit(jm_req *req, const json_t *body, int64_t *limit)
{
    const json_t *value = json_object_get(body, "limit");
    *limit = value ? json_integer_value(value) : IDS_MAX;
    return (!value || json_is_integer(value)) && *limit >= 1 && *limit <= IDS_MAX
               ? true
               : wrong(req, "limit", "a whole number from 1 to 1000");
}

static bool read_asked(jm_req *req, const json_t *body, asked *a)
{
    static const char *const members[] = {"ids", "reason", "topic", "field", "from", "to",
                                          "all", "again",  "limit", "value", NULL};
    jm_dead_filter *f = &a->how.filter;
    if (!jm_req_body_members(req, body, members) || !get_ids(req, body, a) ||
        !get_text(req, body, "reason", &f->reason) || !get_text(req, body, "topic", &f->topic) ||
        !get_text(req, body, "field", &f->field) || !get_time(req, body, "from", &f->from_us) ||
        !get_time(req, body, "to", &f->to_us) || !get_flag(req, body, "all", &a->all) ||
        !get_flag(req, body, "again", &a->how.again) || !get_limit(req, body, &a->how.limit) ||
        !get_text(req, body, "value", &a->how.value))
        return false;
    if (a->how.value && a->how.n_ids != 1)
        return wrong(req, "value", "with one id: it takes the place of that one's value");
    if (a->all || a->ids || f->reason || f->topic || f->field || f->from_us || f->to_us)
        return true;
    jm_req_problem(req, 400, "invalid", NULL,
                   "say which: ids, reason, topic, field, from or to; or \"all\": true");
    return false;
}

static void run(jm_req *req, const jm_redrive *how)
{
    jm_change change;
    json_t *result;
    jm_err err;
    struct jm_pg *pg = jm_req_pg(req);
    if (!pg)
        return;
    jm_req_change(req, &change);
    if (!jm_redrive_run(jm_api_config(jm_req_api(req)), pg, how, &change, &result, &err)) {
        jm_req_ok(req, result);
        return;
    }
    json_decref(result); /* the message says how many went */
    jm_req_fail(req, &err);
}

static void redrive(jm_req *req)
{
    asked a = {.how = {.shown = IDS_MAX}};
    const json_t *body = may_see(req) ? jm_req_body(req, JSON_OBJECT) : NULL;
    if (body && read_asked(req, body, &a))
        run(req, &a.how);
    free(a.ids);
}

const jm_api_route jm_routes_dead_letters[] = {
    {"GET", "/dead-letters", JM_SCOPE_READ, list,
     "reason topic field from to redriven limit offset cursor total"},
    {"GET", "/dead-letters/{id}", JM_SCOPE_READ, show, NULL},
    {"POST", "/dead-letters/redrive", JM_SCOPE_ADMIN, redrive, "dry_run"},
    {NULL, NULL, JM_SCOPE_NONE, NULL, NULL}};
