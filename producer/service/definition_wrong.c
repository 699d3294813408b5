/* Finding all that is wrong with a definition. */
#include "producer/service/definition_wrong.h"

#include <string.h>

enum { MEMBERS_MAX = 100 /* a definition has fewer; the rest of nonsense is not worth more */ };

/* What is right wherever the member is needed; every other one may be absent. */
static json_t *stand_in(const char *member)
{
    static const struct {
        const char *member, *text;
    } texts[] = {{"name", "x"},
                 {"type", "x"},
                 {"cron_expression", "* * * * *"},
                 {"run_at", "9999-01-01T00:00:00Z"}};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (!strcmp(texts[i].member, member))
            return json_string(texts[i].text);
    if (!strcmp(member, "interval_seconds"))
        return json_integer(31536000);
    return strcmp(member, "definition") != 0 ? NULL : json_object();
}

/* Puts something right in the place of a member, or takes it out; again says that this did not
 * help. */
static void mend(json_t *definition, const char *member, bool again)
{
    json_t *right = again ? NULL : stand_in(member);
    if (right)
        json_object_set_new(definition, member, right);
    else
        json_object_del(definition, member);
}

/* The member at fault. None is where nothing says when it runs. */
static const char *member_of(const jm_err *err, char member[sizeof err->field])
{
    memcpy(member, err->field, sizeof err->field);
    member[strcspn(member, ".[")] = '\0';
    return *member ? member : "cron_expression";
}

int jm_definition_find_wrong(const json_t *definition, const jm_place *place,
                             jm_definition_judge *judge, void *ctx, jm_findings *findings)
{
    jm_err err;
    char name[sizeof err.field];
    int first = judge(ctx, definition, &err), code = first;
    json_t *rest = json_copy((json_t *)(uintptr_t)definition), *mended = json_object();
    for (int i = 0; code && i < MEMBERS_MAX; i++) {
        const char *member = member_of(&err, name);
        json_int_t times = json_integer_value(json_object_get(mended, member));
        if (!times)
            jm_findings_add(findings, place, &err);
        if (times == 2 || !json_is_object(rest))
            break;
        mend(rest, member, times > 0);
        json_object_set_new(mended, member, json_integer(times + 1));
        code = judge(ctx, rest, &err);
    }
    json_decref(mended);
    json_decref(rest);
    return first;
}
