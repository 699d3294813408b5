/* Tables of JSON objects by libsmartcols. */
#include "producer/cli/table.h"

#include <libsmartcols/libsmartcols.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/mem.h"
#include "common/json_exact.h"

/* Control characters, C1 too, would move a terminal's cursor or do worse: blanks instead. */
static void blank_controls(char *text)
{
    for (unsigned char *p = (unsigned char *)text; *p; p++) {
        if (*p < 0x20 || *p == 0x7f)
            *p = ' ';
        else if (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0)
            p[0] = p[1] = ' ';
    }
}

/* "2026-11-22T14:30:00.123456+00:00" without its fraction, "Z" for UTC. */
static char *short_time(const char *text)
{
    size_t n = strlen(text);
    if (n < 20 || (strcmp(text + n - 6, "+00:00") != 0 && text[n - 1] != 'Z'))
        return jm_strdup(text);
    char *out = jm_strndup(text, 20);
    out[19] = 'Z';
    return out;
}

static char *duration(json_int_t ms)
{
    jm_buf out = {0};
    if (ms < 1000)
        jm_buf_addf(&out, "%lld ms", (long long)ms);
    else if (ms < 60000)
        jm_buf_addf(&out, "%lld.%lld s", (long long)(ms / 1000), (long long)(ms % 1000 / 100));
    else if (ms < 3600000)
        jm_buf_addf(&out, "%lldm %02llds", (long long)(ms / 60000), (long long)(ms / 1000 % 60));
    else
        jm_buf_addf(&out, "%lldh %02lldm", (long long)(ms / 3600000), (long long)(ms / 60000 % 60));
    return jm_buf_take(&out);
}

/* ["a","b"] as "a, b", when all are strings. */
static char *words(const json_t *list)
{
    jm_buf out = {0};
    size_t i;
    const json_t *item;
    json_array_foreach(list, i, item)
    {
        if (!json_is_string(item) || jm_json_exact_number(item)) {
            jm_buf_fini(&out);
            return jm_json_exact_dump(list, JSON_COMPACT);
        }
        jm_buf_addf(&out, "%s%s", i ? ", " : "", json_string_value(item));
    }
    if (!out.len)
        jm_buf_addc(&out, '-');
    return jm_buf_take(&out);
}

char *jm_cli_table_cell(const json_t *value, jm_cli_format format)
{
    char *cell;
    if (!value || json_is_null(value))
        return jm_strdup("-");
    if (json_is_boolean(value))
        return jm_strdup(json_is_true(value) ? "yes" : "no");
    if (json_is_string(value) && jm_json_exact_number(value))
        cell = jm_strdup(jm_json_exact_number(value));
    else if (json_is_string(value))
        cell = format == JM_CLI_TIME
                   ? short_time(json_string_value(value))
                   : jm_strdup(*json_string_value(value) ? json_string_value(value) : "-");
    else if (json_is_integer(value) && format == JM_CLI_MS)
        cell = duration(json_integer_value(value));
    else if (json_is_array(value))
        cell = words(value);
    else
        cell = jm_json_exact_dump(value, JSON_COMPACT);
    blank_controls(cell);
    return cell;
}

const char *jm_cli_table_color(const char *status)
{
    static const struct {
        const char *color, *words[12];
    } colors[] = {
        {"\033[32m", {"completed", "success", "fired", "active", "alive", "ok", "current"}},
        {"\033[31m", {"failed", "lost", "error", "ERROR", "lost_worker", "revoked"}},
        {"\033[36m", {"running", "held"}},
        {"\033[33m",
         {"pending", "cancelled", "expired", "skipped", "missed", "paused", "WARNING", "warning",
          "behind", "superseded", "timeout"}},
        {"\033[2m", {"disabled", "ended", "stopped", "coalesced", "DEBUG"}}};
    for (size_t c = 0; c < sizeof colors / sizeof *colors; c++)
        for (const char *const *word = colors[c].words; *word; word++)
            if (!strcmp(*word, status))
                return colors[c].color;
    return "";
}

static int flags_of(jm_cli_format format)
{
    if (format == JM_CLI_RIGHT || format == JM_CLI_MS)
        return SCOLS_FL_RIGHT;
    return format == JM_CLI_WIDE ? SCOLS_FL_TRUNC : 0;
}

/* One row; where color is set, statuses have theirs. */
static void add_row(struct libscols_table *table, const json_t *item, const jm_cli_column *columns,
                    bool color)
{
    struct libscols_line *line = scols_table_new_line(table, NULL);
    for (size_t n = 0; line && columns[n].title; n++) {
        char *text = jm_cli_table_cell(json_object_get(item, columns[n].member), columns[n].format);
        const char *escape =
            color && columns[n].format == JM_CLI_STATE ? jm_cli_table_color(text) : "";
        if (*escape)
            scols_cell_set_color(scols_line_get_cell(line, n), escape);
        scols_line_refer_data(line, n, text);
    }
}

void jm_cli_table_print(FILE *to, const json_t *items, const jm_cli_column *columns, bool color)
{
    struct libscols_table *table = scols_new_table();
    if (!table)
        return;
    scols_table_set_stream(table, to);
    if (!isatty(fileno(to))) {
        scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
        scols_table_enable_nowrap(table, 1);
    }
    scols_table_enable_colors(table, color);
    scols_table_set_column_separator(table, "  ");
    for (const jm_cli_column *c = columns; c->title; c++)
        scols_table_new_column(table, c->title, c->format == JM_CLI_WIDE ? 0.3 : 1,
                               flags_of(c->format));
    size_t i;
    const json_t *item;
    json_array_foreach(items, i, item)
    {
        add_row(table, item, columns, color);
    }
    scols_print_table(table);
    scols_unref_table(table);
}

void jm_cli_table_print_object(FILE *to, const json_t *value, const jm_cli_column *columns,
                               bool color)
{
    size_t width = 0;
    for (const jm_cli_column *c = columns; c->title; c++)
        width = strlen(c->title) > width ? strlen(c->title) : width;
    for (const jm_cli_column *c = columns; c->title; c++) {
        const json_t *member = json_object_get(value, c->member);
        if (!member || json_is_null(member))
            continue;
        char *cell = jm_cli_table_cell(member, c->format);
        const char *escape = color && c->format == JM_CLI_STATE ? jm_cli_table_color(cell) : "";
        fprintf(to, "%s:%*s%s%s%s\n", c->title, (int)(width - strlen(c->title)) + 2, "", escape,
                cell, *escape ? "\033[m" : "");
        free(cell);
    }
}
