/* The table of configuration keys. --help, the sample file and docs/configuration.md come from it.
 */
#include "common/config_table.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/buf.h"
#include "common/url.h"

const jm_config_section jm_config_sections[] = {
    {"database", "PostgreSQL: either a url, or its parts; what neither names is as libpq decides "
                 "(PGHOST, ~/.pgpass, ...)"},
    {"kafka", "Kafka: any property of librdkafka may stand here under its own name"},
    {"topics", "Kafka topics"},
    {"worker", "jobmill-worker"},
    {"scheduler", "The part of jobmill-producer that fires schedules"},
    {"relay", "The part of jobmill-producer that publishes waiting jobs"},
    {"schedule_sync", "Schedules that another system owns and jobmill-producer fetches "
                      "(docs/scheduling.md)"},
    {"retention", "How long what is kept"},
    {"http", "What jobmill-producer serves over HTTP"},
    {"events", "Events about jobs and schedules"},
    {"log", "Log lines, on standard error"},
};
const size_t jm_config_n_sections = sizeof jm_config_sections / sizeof *jm_config_sections;

/* Length of the prefix of s made of letters, digits and the characters of more. */
static size_t span(const char *s, bool upper, const char *more)
{
    size_t n = 0;
    for (; s[n]; n++) {
        unsigned char c = (unsigned char)s[n];
        if (!((c >= 'a' && c <= 'z') || (upper && c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              strchr(more, c)))
            break;
    }
    return n;
}

static bool is_schema(const char *s)
{
    size_t n = span(s, false, "_");
    return n && n <= 63 && !s[n] && !isdigit((unsigned char)s[0]) && strncmp(s, "pg_", 3) != 0;
}

static bool is_prefix(const char *s)
{
    size_t n = span(s, true, "._-");
    return n && n <= 100 && !s[n];
}

static bool is_project(const char *s)
{
    size_t n = span(s, false, "._-");
    return n && n <= 100 && !s[n] && !strchr("._-", s[0]);
}

/* name or name:weight, comma-separated */
/* Whether the list that ends where name begins has a queue of that name already. */
static bool is_named_before(const char *list, const char *name, size_t n)
{
    while (list < name) {
        list += strspn(list, " ,");
        size_t length = strcspn(list, ":, ");
        if (list < name && length == n && !strncmp(list, name, n))
            return true;
        list += strcspn(list, ",");
    }
    return false;
}

static bool is_queues(const char *list)
{
    const char *s = list;
    for (;;) {
        s += strspn(s, " ");
        size_t n = span(s, false, "-");
        if (!n || n > 63 || is_named_before(list, s, n))
            return false;
        s += n;
        if (*s == ':') {
            char *end;
            long weight = strtol(s + 1, &end, 10);
            if (!isdigit((unsigned char)s[1]) || weight < 1 || weight > 1000)
                return false;
            s = end;
        }
        s += strspn(s, " ");
        if (!*s)
            return true;
        if (*s++ != ',')
            return false;
    }
}

/* host:port, [v6]:port */
static bool is_listen(const char *s)
{
    const char *colon = strrchr(s, ':');
    if (!colon || colon == s || !isdigit((unsigned char)colon[1]))
        return false;
    char *end;
    long port = strtol(colon + 1, &end, 10);
    return !*end && port <= 65535 && (s[0] == '[' || memchr(s, ':', (size_t)(colon - s)) == NULL);
}

static bool is_set(const char *s)
{
    return *s != 0;
}

static const char *const auth_words[] = {"keys", "off", NULL};
static const char *const publish_words[] = {"none", "ended", "all", NULL};
static const char *const level_words[] = {"debug", "info", "warning", "error", NULL};
static const char *const format_words[] = {"text", "json", NULL};

#define RELOADABLE JM_CONFIG_RELOADABLE
#define UNUSED     JM_CONFIG_UNUSED
#define TEXT(section, name, def, flags, check, needs, help)                                        \
    {                                                                                              \
        section, name, JM_CONFIG_STR, def, 0, 0, NULL, flags, check, needs, help                   \
    }
#define INT(section, name, def, min, max, flags, help)                                             \
    {                                                                                              \
        section, name, JM_CONFIG_INT, def, min, max, NULL, flags, NULL, NULL, help                 \
    }
#define BOOL(section, name, def, flags, help)                                                      \
    {                                                                                              \
        section, name, JM_CONFIG_BOOL, def, 0, 1, NULL, flags, NULL, NULL, help                    \
    }
#define CHOICE(section, name, def, words, flags, help)                                             \
    {                                                                                              \
        section, name, JM_CONFIG_CHOICE, def, 0, 0, words, flags, NULL, NULL, help                 \
    }
#define QUEUES_NEEDS "queues as name or name:weight, comma-separated, each once, names of a-z 0-9 -"
#define LISTEN_NEEDS "host:port, where port 0 is any free one"

const jm_config_key jm_config_keys[] = {
    TEXT("database", "url", NULL, 0, is_set, "a connection URL",
         "Connection as postgresql://user:password@host:port/name, or as key=value words. When it "
         "is set, the keys host, port, name and user are not looked at."),
    TEXT("database", "host", NULL, 0, NULL, NULL, "Host, or directory of the Unix socket."),
    INT("database", "port", NULL, 1, 65535, 0, "Port."),
    TEXT("database", "name", NULL, 0, NULL, NULL, "Database."),
    TEXT("database", "user", NULL, 0, NULL, NULL, "Role."),
    TEXT("database", "password_file", NULL, 0, NULL, NULL,
         "File whose first line is the password; also goes with a url that has none."),
    TEXT("database", "schema", "jobmill", 0, is_schema,
         "a name of a-z 0-9 _ that begins with no digit and not with pg_",
         "PostgreSQL schema that holds the tables."),
    BOOL(
        "database", "enabled", "true", 0,
        "Whether there is a database. Without one (false) workers run jobs straight from Kafka, at "
        "least once, and publish what came of them to <prefix>.events; one producer fires the "
        "schedules of [scheduler] file."),
    BOOL("database", "auto_migrate", "true", 0,
         "Whether a daemon migrates a schema that is behind when it starts. An empty database is "
         "always migrated."),
    BOOL("database", "allow_unsafe", "false", 0,
         "Run on a database with fsync or synchronous_commit off. A crash may then lose jobs that "
         "were accepted."),
    TEXT("kafka", "bootstrap.servers", "127.0.0.1:9092", 0, is_set, "host:port, comma-separated",
         "Brokers to ask first, host:port, comma-separated."),
    TEXT("topics", "prefix", "jobmill", 0, is_prefix, "1 to 100 of A-Z a-z 0-9 . _ -",
         "What the names of topics and consumer groups begin with: <prefix>.jobs.<queue>, "
         "<prefix>.events, <prefix>.dead."),
    INT("topics", "partitions", "6", 1, 10000, 0, "Partitions of topics that jobmill creates."),
    INT("topics", "replication", "1", 1, 100, 0,
        "Replicas of topics that jobmill creates; 3 where losing a broker must not lose jobs."),
    TEXT("worker", "queues", "default", 0, is_queues, QUEUES_NEEDS,
         "Queues that a worker consumes, name or name:weight, comma-separated. A queue of weight 2 "
         "gets twice the turns of a queue of weight 1 when both have work."),
    INT("worker", "concurrency", "0", 0, 100000, 0,
        "Child processes that a worker runs at once; 0 is 5 for each core."),
    INT("worker", "concurrency_async", "1000", 1, 1000000, 0,
        "Jobs that a worker runs at once without a process of their own."),
    INT("worker", "sql_connections", "10", 1, 1000, 0,
        "Sql steps that a worker runs at once; each has a connection, others wait for one."),
    INT("worker", "plugin_threads", "64", 1, 1000, 0,
        "Plugin steps that a worker runs at once; each has a thread, others wait for one."),
    TEXT("worker", "jobs_dir", "/etc/jobmill/jobs.d", 0, is_set, "a directory",
         "Directory of job types, one JSON file each. A missing directory is an empty one."),
    TEXT("worker", "secrets_dir", NULL, 0, is_set, "a directory",
         "Directory of the files behind ${secret:NAME} in job types, one a file. Files that "
         "everybody may read or write are refused; a changed file is read again."),
    TEXT("worker", "callback_secret_file", NULL, 0, is_set, "a file",
         "File with the secret by which callbacks are signed. Unset: the file callback in "
         "secrets_dir; without that, callbacks are not signed."),
    BOOL("worker", "http_allow_private", "false", 0,
         "Whether http steps and callbacks may call loopback, link-local, private and other "
         "special addresses. A job that can name a URL can then reach what this host can reach."),
    TEXT("worker", "http_ca_file", NULL, 0, is_set, "a file",
         "PEM file of certificate authorities that http steps trust, instead of the system's."),
    TEXT("worker", "listen", "127.0.0.1:0", 0, is_listen, LISTEN_NEEDS,
         "Address of the worker's health page, metrics and list of jobs. Where it is taken, the "
         "worker says so and goes on without. The ready line names the port."),
    INT("worker", "watchdog_s", "60", 1, 3600, 0,
        "Seconds for which a thread may not turn before it counts as stuck: then /healthz answers "
        "503 and systemd's watchdog is not fed."),
    INT("worker", "lease_s", "30", 2, 3600, 0,
        "Seconds after its last heartbeat at which a worker counts as lost and its jobs are "
        "rescued."),
    INT("worker", "shutdown_grace_s", "30", 0, 86400, 0,
        "Seconds that running jobs may go on after SIGTERM before they are stopped and handed "
        "back."),
    TEXT("worker", "spool_dir", NULL, 0, NULL, NULL,
         "Directory for results that wait while the database is away; made if it is missing. "
         "Workers "
         "may share it: each has a file of its own there, and records what others that are gone "
         "have "
         "left. Without it results wait in memory alone, and are lost with the worker."),
    INT("worker", "spool_max_bytes", "268435456", 65536, 1099511627776, 0,
        "Most that a worker's spool file may hold. When it is full, log rows are dropped first; "
        "results then wait in memory."),
    INT("worker", "waiting_max_bytes", "67108864", 65536, 1099511627776, 0,
        "Memory for reports that wait to be recorded. What is more goes to the spool at once; "
        "where "
        "that is full or there is none, log rows are dropped."),
    INT("worker", "max_waiting", "10000", 1, 10000000, 0,
        "Jobs of a queue that may wait in the database for a free slot. Above it a worker pauses "
        "the queue, and Kafka is the backlog."),
    INT("worker", "batch_rows", "1000", 1, 10000, 0,
        "Records or results in one transaction at most."),
    TEXT("worker", "work_dir", NULL, 0, NULL, NULL,
         "Directory in which jobs get their output directories. Unset: $TMPDIR, or /tmp."),
    TEXT("scheduler", "file", "", 0, NULL, NULL,
         "Without a database: the document with the schedules that are fired, or a directory of "
         "such "
         "(docs/scheduling.md). Looked at every 10 s; a broken one changes nothing."),
    INT("relay", "sweep_after_s", "600", 1, 604800, RELOADABLE,
        "Seconds after which a job that was published and that no worker has claimed is started "
        "from the database instead."),
    INT("relay", "parent_wait_s", "3600", 1, 31536000, RELOADABLE,
        "Seconds that a job waits for one which its depends_on names and which nobody knows; then "
        "it is cancelled."),
    TEXT("schedule_sync", "source", NULL, 0, jm_url_is_source,
         "an http or https URL with a host, a directory or a file",
         "Where the document of schedules is: an http or https URL, a directory or a file. Unset: "
         "there is no sync."),
    INT("schedule_sync", "interval_s", "300", 5, 86400, 0,
        "Seconds between two rounds, among all producers."),
    TEXT("schedule_sync", "project", NULL, 0, is_project, "[a-z0-9][a-z0-9._-]{0,99}",
         "Project that all its schedules must be in. Unset: the document says which."),
    INT("schedule_sync", "max_deletes_percent", "20", 0, 100, 0,
        "Percent of its schedules that a round may delete. If it would be more, and more than 5, "
        "nothing is changed until somebody says so (jobmill schedule sync --allow-deletes)."),
    TEXT("schedule_sync", "headers_file", NULL, 0, is_set, "a file",
         "File of headers that go with a request, one a line, such as Authorization: Bearer ...; "
         "read each time, and refused if everybody may read or write it."),
    INT("retention", "history_days", "0", 0, 36500, RELOADABLE,
        "Days that ended jobs are kept, rounded up to whole weeks; 0 is for ever."),
    INT("retention", "ticks_days", "0", 0, 36500, RELOADABLE,
        "Days that the ledger of schedules keeps what became of an instant, longer while its job "
        "has "
        "not ended; 0 is for ever."),
    TEXT(
        "http", "listen", "127.0.0.1:8470", 0, is_listen, LISTEN_NEEDS,
        "Address of the API, the health page and the metrics. Where it is taken, the producer says "
        "so "
        "and goes on without. The ready line names the port."),
    CHOICE("http", "auth", "keys", auth_words, 0,
           "Whether requests need a key; off is allowed on loopback only."),
    BOOL("http", "behind_proxy", "false", 0,
         "Whether a proxy that has TLS stands in front: no warning about an address that others "
         "reach, and session cookies that travel by TLS only."),
    TEXT("http", "tls_cert_file", NULL, 0, NULL, NULL,
         "PEM file with the certificate and its chain: the API speaks TLS. Needs tls_key_file."),
    TEXT("http", "tls_key_file", NULL, 0, NULL, NULL, "PEM file with the certificate's key."),
    INT("http", "threads", "16", 1, 512, 0, "Requests that are worked on at once."),
    INT("http", "max_connections", "1200", 16, 65536, 0,
        "Connections at once; each listener to events is one."),
    INT("http", "max_connections_per_ip", "0", 0, 65536, 0,
        "Connections at once of one address; 0: as many as there may be."),
    INT("http", "max_body_bytes", "8388608", 1024, 1073741824, 0,
        "Bytes in the body of a request."),
    INT("http", "timeout_s", "10", 1, 3600, 0,
        "Seconds in which nothing comes and nothing goes before a connection is closed. A request "
        "line and headers have to be there within twice as many; after those a body has to come at "
        "1,000 bytes a second."),
    BOOL("http", "access_log", "true", 0, "Whether each request of the API is a line in the log."),
    INT("http", "pool_keep", "5", 0, 1000, 0, "Connections to PostgreSQL that the API keeps."),
    INT("http", "pool_most", "15", 1, 1000, 0,
        "Connections to PostgreSQL that the API has at most."),
    INT("http", "pool_wait_s", "30", 1, 600, 0,
        "Seconds that a request waits for a connection before it is answered 503."),
    INT("http", "pool_recycle_s", "3600", 0, 604800, 0,
        "Seconds after which a connection to PostgreSQL is made anew; 0: never."),
    TEXT("http", "keys_file", NULL, 0, NULL, NULL,
         "File of keys that hold beside those of the database, and where there is none; read at "
         "start. A line is the SHA-256 of a key in hexadecimal digits, its scope, its project or "
         "*, and its name: jobmill key create --keys-file writes it."),
    INT("http", "rate_per_s", "0", 0, 1000000, 0,
        "Requests a second that one key may make, with all of its sessions; what is more is "
        "answered 429. 0: no limit."),
    CHOICE("events", "publish", "ended", publish_words, 0,
           "Which changes are published to <prefix>.events: none; ended: jobs that reached a "
           "terminal state; all: also those that started, are to be retried, were handed back, or "
           "reported progress."),
    CHOICE("log", "level", "info", level_words, RELOADABLE, "Least level that is written."),
    CHOICE("log", "format", "text", format_words, RELOADABLE,
           "One line an event, as text or JSON."),
};
const size_t jm_config_n_keys = sizeof jm_config_keys / sizeof *jm_config_keys;

int jm_config_key_find(const char *section, const char *name)
{
    for (size_t i = 0; i < jm_config_n_keys; i++)
        if (!strcmp(jm_config_keys[i].section, section) && !strcmp(jm_config_keys[i].name, name))
            return (int)i;
    return -1;
}

int jm_config_section_find(const char *section)
{
    for (size_t i = 0; i < jm_config_n_sections; i++)
        if (!strcmp(jm_config_sections[i].name, section))
            return (int)i;
    return -1;
}

static int check_int(const jm_config_key *key, const char *text, int64_t *out, jm_err *err)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end || isspace((unsigned char)*text))
        return jm_err_set(err, JM_ERR_INVALID, "is \"%s\", needs a whole number", text);
    if (errno || v < key->min || v > key->max)
        return jm_err_set(err, JM_ERR_INVALID, "is %s, needs a number from %lld to %lld", text,
                          (long long)key->min, (long long)key->max);
    *out = v;
    return JM_OK;
}

static int check_bool(const char *text, int64_t *out, jm_err *err)
{
    static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!strcasecmp(text, words[i])) {
            *out = (int64_t)(i & 1);
            return JM_OK;
        }
    }
    return jm_err_set(err, JM_ERR_INVALID, "is \"%s\", needs true or false", text);
}

static int check_choice(const jm_config_key *key, const char *text, jm_err *err)
{
    jm_buf words = {0};
    for (const char *const *w = key->choices; *w; w++) {
        if (!strcmp(text, *w)) {
            jm_buf_fini(&words);
            return JM_OK;
        }
        jm_buf_addf(&words, "%s%s", words.len ? (w[1] ? ", " : " or ") : "", *w);
    }
    jm_err_set(err, JM_ERR_INVALID, "is \"%s\", needs %s", text, jm_buf_str(&words));
    jm_buf_fini(&words);
    return JM_ERR_INVALID;
}

int jm_config_key_check(const jm_config_key *key, const char *text, int64_t *out, jm_err *err)
{
    *out = 0;
    switch (key->type) {
    case JM_CONFIG_INT:
        return check_int(key, text, out, err);
    case JM_CONFIG_BOOL:
        return check_bool(text, out, err);
    case JM_CONFIG_CHOICE:
        return check_choice(key, text, err);
    case JM_CONFIG_STR:
        break;
    }
    if (key->check && !key->check(text))
        return jm_err_set(err, JM_ERR_INVALID, "is \"%s\", needs %s", text, key->needs);
    return JM_OK;
}
