/* Changes of many schedules, and how they are shown. */
#include "producer/service/schedule_changes.h"

#include <stdlib.h>
#include <string.h>

#include "common/json_exact.h"
#include "common/mem.h"
#include "producer/service/schedule_diff.h"
#include "producer/service/schedules.h"

jm_schedule_changes *jm_schedule_changes_new(const jm_schedule_document *document)
{
    jm_schedule_changes *changes = jm_calloc(1, sizeof *changes);
    changes->calendars = jm_calloc(document->n_calendars + 1, sizeof *changes->calendars);
    changes->arena = jm_arena_new(0);
    return changes;
}

void jm_schedule_changes_free(jm_schedule_changes *changes)
{
    if (!changes)
        return;
    for (size_t i = 0; i < changes->n; i++) {
        json_decref(changes->items[i].before);
        json_decref(changes->items[i].after);
        json_decref(changes->items[i].preview);
    }
    free(changes->items);
    free(changes->calendars);
    jm_arena_free(changes->arena);
    free(changes);
}

jm_schedule_change *jm_schedule_changes_add(jm_schedule_changes *changes, int kind)
{
    size_t *const counts[] = {[JM_SCHEDULE_ADD] = &changes->added,
                              [JM_SCHEDULE_EDIT] = &changes->changed,
                              [JM_SCHEDULE_DELETE] = &changes->deleted};
    if (changes->n == changes->cap) {
        changes->cap = changes->cap ? 2 * changes->cap : 64;
        changes->items = jm_realloc(changes->items, changes->cap * sizeof *changes->items);
    }
    ++*counts[kind];
    jm_schedule_change *change = &changes->items[changes->n++];
    *change = (jm_schedule_change){.kind = kind};
    return change;
}

bool jm_schedule_changes_is_none(const jm_schedule_changes *changes)
{
    return !changes->n && !changes->n_calendars;
}

/* ---- for people ---- */

static void add_name(jm_buf *out, const char *sign, const char *what, const char *project,
                     const char *name)
{
    bool usual = !strcmp(project, "default");
    jm_buf_addf(out, "%s %s%s%s%s", sign, what, usual ? "" : project, usual ? "" : "/", name);
}

static void print_preview(const jm_schedule_change *change, jm_buf *out)
{
    size_t i;
    json_t *item;
    if (!json_is_false(json_object_get(change->after, "enabled")) &&
        !json_is_true(json_object_get(change->after, "paused")) &&
        !json_array_size(change->preview))
        jm_buf_adds(out, "      it does not run any more\n");
    json_array_foreach(change->preview, i, item)
    {
        const char *note = json_string_value(json_object_get(item, "note"));
        jm_buf_addf(out, "      runs %s%s%s%s\n", json_string_value(json_object_get(item, "local")),
                    *note ? "  (" : "", note, *note ? ")" : "");
    }
}

static void print_change(const jm_schedule_change *change, jm_buf *out)
{
    static const char *const signs[] = {"+", "~", "-"};
    add_name(out, signs[change->kind], "", change->project, change->name);
    if (change->kind == JM_SCHEDULE_ADD) {
        jm_buf_addf(out, "  %s ", json_string_value(json_object_get(change->after, "type")));
        (void)jm_schedule_sentence(change->after, out);
    } else if (change->kind == JM_SCHEDULE_EDIT) {
        jm_buf_adds(out, "  ");
        jm_schedule_diff(change->before, change->after, out);
    }
    jm_buf_adds(out, "\n");
    if (change->preview)
        print_preview(change, out);
}

/* As it was written, without the spaces of the database. */
static json_t *definition_of(const char *text)
{
    json_t *value = NULL;
    (void)jm_json_exact_load(text, strlen(text), &value, NULL);
    return value;
}

static void add_compact(jm_buf *out, const char *definition)
{
    json_t *value = definition_of(definition);
    char *text = value ? jm_json_exact_dump(value, JSON_COMPACT) : NULL;
    jm_buf_adds(out, text ? text : definition);
    free(text);
    json_decref(value);
}

static void add_text(jm_buf *out, const char *text)
{
    if (text)
        jm_buf_add_json(out, text, strlen(text));
    else
        jm_buf_addc(out, '-');
}

static bool is_other_definition(const jm_calendar_change *c)
{
    json_t *was = definition_of(c->definition), *is = definition_of(c->given->definition);
    bool other = !was || !is || !json_equal(was, is);
    json_decref(was);
    json_decref(is);
    return other;
}

static void print_calendar(const jm_calendar_change *c, jm_buf *out)
{
    const jm_document_calendar *given = c->given;
    add_name(out, c->added ? "+" : "~", "calendar ", given->project, given->name);
    if (!c->added) {
        bool definition = is_other_definition(c);
        if (definition) {
            jm_buf_adds(out, "  definition ");
            add_compact(out, c->definition);
            jm_buf_adds(out, " -> ");
            add_compact(out, given->definition);
        }
        if (given->description &&
            strcmp(c->description ? c->description : "", given->description) != 0) {
            jm_buf_adds(out, definition ? ", description " : "  description ");
            add_text(out, c->description);
            jm_buf_adds(out, " -> ");
            add_text(out, given->description);
        }
        jm_buf_addf(out, " (%lld schedule%s it)", (long long)c->schedules,
                    c->schedules == 1 ? " uses" : "s use");
    }
    jm_buf_adds(out, "\n");
}

void jm_schedule_changes_print(const jm_schedule_changes *changes, jm_buf *out)
{
    for (size_t i = 0; i < changes->n_calendars; i++)
        print_calendar(&changes->calendars[i], out);
    for (size_t i = 0; i < changes->n; i++)
        print_change(&changes->items[i], out);
    if (jm_schedule_changes_is_none(changes))
        jm_buf_addf(out, "nothing changes: %zu schedules are like that\n", changes->unchanged);
    else
        jm_buf_addf(out, "%zu added, %zu changed, %zu deleted, %zu unchanged\n", changes->added,
                    changes->changed, changes->deleted, changes->unchanged);
}

/* ---- for programs ---- */

json_t *jm_schedule_changes_json(const jm_schedule_changes *changes)
{
    static const char *const lists[] = {"added", "changed", "deleted"};
    json_t *calendars = json_pack("{s:[], s:[]}", "added", "changed");
    json_t *out = json_pack("{s:[], s:[], s:[], s:I, s:O}", "added", "changed", "deleted",
                            "unchanged", (json_int_t)changes->unchanged, "calendars", calendars);
    for (size_t i = 0; i < changes->n; i++) {
        const jm_schedule_change *c = &changes->items[i];
        json_t *item = json_pack("{s:s, s:s}", "project", c->project, "name", c->name);
        if (c->before)
            json_object_set(item, "before", c->before);
        if (c->after)
            json_object_set(item, "after", c->after);
        json_array_append_new(json_object_get(out, lists[c->kind]), item);
    }
    for (size_t i = 0; i < changes->n_calendars; i++) {
        const jm_calendar_change *c = &changes->calendars[i];
        json_array_append_new(
            json_object_get(calendars, c->added ? "added" : "changed"),
            json_pack("{s:s, s:s}", "project", c->given->project, "name", c->given->name));
    }
    json_decref(calendars);
    return out;
}
