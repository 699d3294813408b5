/* --metadata of lists. */
#include "producer/cli/metadata.h"

#include <stdlib.h>
#include <string.h>

#include "common/json_exact.h"
#include "common/mem.h"

/* An object as texts by name, as the database compares them. */
static json_t *texts_of(const json_t *given)
{
    const char *name;
    json_t *value, *texts = json_object();
    json_object_foreach((json_t *)(uintptr_t)given, name, value)
    {
        const char *is =
            jm_json_exact_number(value) ? jm_json_exact_number(value) : json_string_value(value);
        char *other = is ? NULL : jm_json_exact_dump(value, JSON_COMPACT | JSON_ENCODE_ANY);
        json_object_set_new(texts, name, json_string(is ? is : other));
        free(other);
    }
    return texts;
}

static int read_object(jm_cli *cli, const char *text, json_t **out)
{
    json_t *given = NULL;
    jm_err err;
    if (jm_json_exact_load(text, strlen(text), &given, &err))
        return jm_cli_usage(cli, "--metadata is not JSON: %s", err.msg);
    *out = texts_of(given);
    json_decref(given);
    return JM_EXIT_OK;
}

int jm_cli_option_metadata(jm_cli *cli, json_t **out)
{
    const char *text = jm_cli_option_text(cli, "metadata");
    const char *equals = text ? strchr(text, '=') : NULL;
    *out = NULL;
    if (!text)
        return JM_EXIT_OK;
    if (*text == '{')
        return read_object(cli, text, out);
    if (!equals || equals == text)
        return jm_cli_usage(
            cli, "--metadata is \"%s\", needs KEY=VALUE, or an object such as {\"team\": \"a\"}",
            text);
    char *key = jm_strndup(text, (size_t)(equals - text));
    *out = json_pack("{s:s}", key, equals + 1);
    free(key);
    return JM_EXIT_OK;
}
