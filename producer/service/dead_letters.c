/* Dead letters: records that could not become jobs. */
#include "producer/service/dead_letters.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_scan.h"
#include "common/mem.h"
#include "common/pg.h"
#include "common/rows.h"

static int nibble(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* bytea as JSON shows it ("\x6a6f62") becomes text, or base64 where it is no UTF-8. */
static json_t *decode(const char *hex)
{
    if (hex[0] != '\\' || hex[1] != 'x')
        return json_string(hex);
    size_t len = strlen(hex + 2) / 2;
    unsigned char *bytes = jm_malloc(len + 1);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (unsigned char)(nibble(hex[2 + 2 * i]) << 4 | nibble(hex[3 + 2 * i]));
    json_t *value;
    if (jm_utf8_is_valid(bytes, len, NULL) && !memchr(bytes, 0, len)) {
        value = json_stringn((const char *)bytes, len);
    } else {
        unsigned char *text = jm_malloc(4 * ((len + 2) / 3) + 1);
        int n = EVP_EncodeBlock(text, bytes, (int)len);
        value = json_pack("{s:s#}", "base64", (const char *)text, n);
        free(text);
    }
    free(bytes);
    return value;
}

static void decode_member(json_t *letter, const char *name)
{
    const char *hex = json_string_value(json_object_get(letter, name));
    if (hex)
        json_object_set_new(letter, name, decode(hex));
}

int jm_dead_letters_list(jm_pg *pg, const jm_dead_filter *filter, jm_dead_state state,
                         const jm_page *page, json_t **items, char **next, jm_err *err)
{
    static const jm_rows_place place = {.limit = 8, .offset = 9, .cursor = {7}};
    const char *cursor = page->cursor;
    jm_uuid below;
    jm_pg_args args;
    *items = NULL;
    *next = NULL;
    if (cursor && !jm_uuid_parse(cursor, strlen(cursor), &below))
        return jm_err_field(err, "cursor", "\"%.60s\" is no cursor that a page before has given",
                            cursor);
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, filter->reason);
    jm_pg_arg_text(&args, filter->topic);
    jm_pg_arg_text(&args, filter->field);
    jm_pg_arg_ts(&args, filter->from_us);
    jm_pg_arg_ts(&args, filter->to_us);
    if (state == JM_DEAD_ANY)
        jm_pg_arg_text(&args, NULL);
    else
        jm_pg_arg_bool(&args, state == JM_DEAD_REDRIVEN);
    jm_pg_arg_uuid(&args, cursor ? &below : NULL);
    jm_pg_arg_i64(&args, page->limit + 1);
    jm_pg_arg_i64(&args, page->offset);
    int rc = jm_rows_page(pg, &jm_sql_dead_list, &args, &place, page->total, items, err);
    const json_t *last = rc ? NULL : jm_rows_cut(*items, page->limit);
    if (last)
        *next = jm_strdup(json_string_value(json_object_get(last, "id")));
    size_t i;
    json_t *letter;
    json_array_foreach(*items, i, letter)
    {
        decode_member(letter, "key");
    }
    return rc;
}

int jm_dead_letters_show(jm_pg *pg, const char *id, json_t **letter, jm_err *err)
{
    jm_uuid uuid;
    *letter = NULL;
    if (!jm_uuid_parse(id, strlen(id), &uuid))
        return jm_err_field(
            err, "id", "\"%.80s\" is no id of a dead letter; jobmill dead list shows them", id);
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_uuid(&args, &uuid);
    int rc = jm_rows_one(pg, &jm_sql_dead_show, &args, letter, err);
    if (rc == JM_ERR_NOT_FOUND)
        return jm_err_set(err, rc, "there is no dead letter %s", id);
    if (!rc) {
        decode_member(*letter, "key");
        decode_member(*letter, "value");
    }
    return rc;
}
