/* Prints the configuration: effective values, and help, sample and reference from the table. */
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/config.h"
#include "common/config_priv.h"
#include "common/config_table.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/scdoc.h"

bool jm_config_is_secret(const char *property)
{
    size_t n = strlen(property);
    return strstr(property, "password") || strstr(property, "secret") ||
           (n > 4 && !strcmp(property + n - 4, ".pem")) ||
           !strcmp(property, "sasl.oauthbearer.config");
}

/* ---- effective values ---- */

static void print_value(FILE *to, const char *name, const char *value, bool secret,
                        const char *source)
{
    if (!value) {
        fprintf(to, "; %s is unset\n", name);
        return;
    }
    char *masked = jm_strdup(secret ? "***" : value);
    jm_mask_secrets(masked);
    int n = fprintf(to, "%s = %s", name, masked);
    fprintf(to, "%*s ; %s\n", n < 48 ? 48 - n : 0, "", source);
    free(masked);
}

void jm_config_print(const jm_config *config, FILE *to)
{
    for (size_t s = 0; s < jm_config_n_sections; s++) {
        const char *section = jm_config_sections[s].name;
        fprintf(to, "%s[%s]\n", s ? "\n" : "", section);
        for (size_t i = 0; i < jm_config_n_keys; i++)
            if (!strcmp(jm_config_keys[i].section, section))
                print_value(to, jm_config_keys[i].name, config->values[i].text, false,
                            config->values[i].source);
        for (size_t i = 0; i < config->n_props && !strcmp(section, "kafka"); i++)
            print_value(to, config->props[i].name, config->props[i].value,
                        jm_config_is_secret(config->props[i].name), config->props[i].source);
    }
}

/* ---- texts from the table ---- */

/* Wraps text to lines of at most 90 columns, each behind indent. */
static void print_wrapped(FILE *to, const char *indent, const char *text)
{
    size_t width = 90 - strlen(indent);
    while (*text) {
        size_t n = strlen(text);
        if (n > width)
            for (n = width; n && text[n] != ' ';)
                n--;
        if (!n)
            n = strcspn(text, " ");
        fprintf(to, "%s%.*s\n", indent, (int)n, text);
        text += n;
        text += strspn(text, " ");
    }
}

static void add_range(jm_buf *out, const jm_config_key *key)
{
    switch (key->type) {
    case JM_CONFIG_INT:
        jm_buf_addf(out, "%lld to %lld", (long long)key->min, (long long)key->max);
        break;
    case JM_CONFIG_BOOL:
        jm_buf_adds(out, "true or false");
        break;
    case JM_CONFIG_CHOICE:
        for (const char *const *w = key->choices; *w; w++)
            jm_buf_addf(out, "%s%s", w == key->choices ? "" : (w[1] ? ", " : " or "), *w);
        break;
    case JM_CONFIG_STR:
        jm_buf_adds(out, key->needs ? key->needs : "text");
        break;
    }
}

/* Help with what else is to be said about the key, as one paragraph. */
static char *paragraph(const jm_config_key *key)
{
    jm_buf text = {0};
    jm_buf_adds(&text, key->help);
    if (key->flags & JM_CONFIG_UNUSED)
        jm_buf_adds(&text, " Not used by this version.");
    if (key->flags & JM_CONFIG_RELOADABLE)
        jm_buf_adds(&text, " SIGHUP changes it in a running program.");
    return jm_buf_take(&text);
}

void jm_config_print_help(FILE *to)
{
    fputs("Configuration (also in the file, and in the environment as JOBMILL_<SECTION>_<KEY>):\n",
          to);
    for (size_t i = 0; i < jm_config_n_keys; i++) {
        const jm_config_key *key = &jm_config_keys[i];
        jm_buf text = {0};
        char *para = paragraph(key);
        jm_buf_adds(&text, para);
        jm_buf_addf(&text, " (%s", key->def ? "default " : "unset by default");
        jm_buf_addf(&text, "%s; ", key->def ? key->def : "");
        add_range(&text, key);
        jm_buf_addc(&text, ')');
        fprintf(to, "  --%s.%s=VALUE\n", key->section, key->name);
        print_wrapped(to, "        ", jm_buf_str(&text));
        free(para);
        jm_buf_fini(&text);
    }
    fputs("  --kafka.PROPERTY=VALUE\n        Any other property of librdkafka.\n", to);
}

void jm_config_print_sample(FILE *to)
{
    fputs("; Configuration of jobmill, for every program of it. Each key stands here with its "
          "default,\n"
          "; as a comment: remove the semicolon to change it. A comment begins with ; at the start "
          "of\n"
          "; a line or after a space. The environment (JOBMILL_<SECTION>_<KEY>) and the command "
          "line\n"
          "; (--section.key=value) override what stands here.\n"
          "; Generated from common/config_table.c: jobmill --print-config-sample.\n",
          to);
    for (size_t s = 0; s < jm_config_n_sections; s++) {
        fputc('\n', to);
        print_wrapped(to, "; ", jm_config_sections[s].help);
        fprintf(to, "[%s]\n", jm_config_sections[s].name);
        for (size_t i = 0; i < jm_config_n_keys; i++) {
            const jm_config_key *key = &jm_config_keys[i];
            if (strcmp(key->section, jm_config_sections[s].name) != 0)
                continue;
            char *para = paragraph(key);
            fputc('\n', to);
            print_wrapped(to, "; ", para);
            fprintf(to, ";%s =%s%s\n", key->name, key->def ? " " : "", key->def ? key->def : "");
            free(para);
        }
        if (!strcmp(jm_config_sections[s].name, "kafka"))
            fputs(
                "\n; For example:\n;security.protocol = sasl_ssl\n;sasl.mechanism = SCRAM-SHA-512\n"
                ";sasl.username = jobmill\n;sasl.password =\n",
                to);
    }
}

/* As Markdown takes it inside a table. */
static void print_escaped(FILE *to, const char *text)
{
    for (; *text; text++) {
        if (*text == '<')
            fputs("&lt;", to);
        else if (*text == '|')
            fputs("\\|", to);
        else
            fputc(*text, to);
    }
}

static void print_row(FILE *to, const jm_config_key *key)
{
    jm_buf range = {0};
    add_range(&range, key);
    char *para = paragraph(key);
    fprintf(to, "| `%s` | %s%s%s | ", key->name, key->def ? "`" : "", key->def ? key->def : "unset",
            key->def ? "`" : "");
    print_escaped(to, jm_buf_str(&range));
    fputs(" | ", to);
    print_escaped(to, para);
    fputs(" |\n", to);
    free(para);
    jm_buf_fini(&range);
}

void jm_config_print_markdown(FILE *to)
{
    fputs("<!-- Generated from common/config_table.c: jobmill --print-config-markdown. -->\n"
          "# Configuration\n\n"
          "Every program reads one INI file, the environment and its command line; the later in "
          "that\n"
          "order wins.\n\n"
          "- **File**: `--config FILE`, else `$JOBMILL_CONFIG`, else `/etc/jobmill/jobmill.conf` "
          "if it is\n"
          "  there. `key = value` under a `[section]`; a comment begins with `;` at the start of a "
          "line or\n"
          "  after a space. [compose/jobmill.conf.sample](../compose/jobmill.conf.sample) has "
          "every key.\n"
          "- **Environment**: `JOBMILL_<SECTION>_<KEY>` in capitals, `.` and `-` as `_`:\n"
          "  `JOBMILL_DATABASE_URL`, `JOBMILL_KAFKA_BOOTSTRAP_SERVERS`. An empty variable counts "
          "as none.\n"
          "- **Command line**: `--section.key=value`, anywhere.\n\n"
          "An unknown key, or a value out of range, is an error that names the place and the "
          "nearest known\n"
          "key. `--print-config` shows the effective values and where each came from, with secrets "
          "masked.\n"
          "On SIGHUP the daemons read the same sources again; keys marked so change at once, for "
          "others a\n"
          "line in the log says that they take effect at the next start.\n",
          to);
    for (size_t s = 0; s < jm_config_n_sections; s++) {
        fprintf(to, "\n## [%s]\n\n%s.\n\n", jm_config_sections[s].name, jm_config_sections[s].help);
        fputs("| key | default | values | what it is |\n|---|---|---|---|\n", to);
        for (size_t i = 0; i < jm_config_n_keys; i++)
            if (!strcmp(jm_config_keys[i].section, jm_config_sections[s].name))
                print_row(to, &jm_config_keys[i]);
        if (!strcmp(jm_config_sections[s].name, "kafka"))
            fputs("| any other | | | A property of librdkafka, for example `security.protocol` or "
                  "`sasl.password`. |\n",
                  to);
    }
}

static void print_scdoc_key(FILE *to, const jm_config_key *key)
{
    jm_buf range = {0};
    add_range(&range, key);
    char *para = paragraph(key);
    fputs("\n*", to);
    jm_scdoc_text(to, "", key->name);
    fputs("*\n\t", to);
    jm_scdoc_text(to, "\t", para);
    fputs(key->def ? " Default: " : " Unset by default", to);
    jm_scdoc_text(to, "\t", key->def ? key->def : "");
    fputs("; ", to);
    jm_scdoc_text(to, "\t", jm_buf_str(&range));
    fputs(".\n", to);
    free(para);
    jm_buf_fini(&range);
}

void jm_config_print_scdoc(FILE *to)
{
    fputs(
        "jobmill.conf(5)\n\n# NAME\n\njobmill.conf - configuration of every program of jobmill\n\n"
        "# DESCRIPTION\n\nEvery program reads one INI file, the environment and its command line; "
        "the later in that order wins.\n\n"
        "The file is what *--config* names, else *JOBMILL\\_CONFIG*, else "
        "_/etc/jobmill/jobmill.conf_ if it is there: lines *key = value* under a *\\[section\\]*. "
        "A "
        "comment begins with a semicolon at the start of a line or after a space.\n\n"
        "In the environment a key is *JOBMILL\\_SECTION\\_KEY* in capitals, dots and dashes as "
        "underscores; on the command line it is *--section.key=value*, anywhere.\n\n"
        "*--print-config* shows the effective values and where each came from, with secrets "
        "masked. On SIGHUP the daemons read the same sources again.\n",
        to);
    for (size_t s = 0; s < jm_config_n_sections; s++) {
        fprintf(to, "\n# [%s]\n\n", jm_config_sections[s].name);
        jm_scdoc_text(to, "", jm_config_sections[s].help);
        fputs(".\n", to);
        for (size_t i = 0; i < jm_config_n_keys; i++)
            if (!strcmp(jm_config_keys[i].section, jm_config_sections[s].name))
                print_scdoc_key(to, &jm_config_keys[i]);
    }
    fputs("\n# SEE ALSO\n\n*jobmill*(1), *jobmill-producer*(8), *jobmill-worker*(8)\n", to);
}
