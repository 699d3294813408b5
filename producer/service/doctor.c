/* Looks for what is wrong, and says how to mend it: a table of checks. */
#include "producer/service/doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/migrate.h"
#include "common/pg.h"
#include "common/rows.h"
#include "producer/service/session.h"
#include "producer/service/topics.h"

#define SNAPSHOT_MAX_S    300
#define UNPUBLISHED_MAX_S 60
#define LATE_MAX_S        60
#define CLOCK_MAX_MS      1000
#define KAFKA_TIMEOUT_MS  5000

/* What the checks know so far: a check whose ground is missing is left out. */
typedef struct doctor {
    const jm_config *config;
    json_t *findings;
    const char *check;        /* name of the one that runs */
    jm_pg *pg;                /* NULL: not reachable */
    json_t *server;           /* row of doctor_server, or NULL */
    int64_t asked_us, got_us; /* around it, UTC */
    bool schema_ok;
    json_t *work;   /* row of doctor_work, or NULL */
    json_t *topics; /* NULL: Kafka is not reachable */
    bool wrong;
} doctor;

static void find_va(doctor *d, const char *state, const char *mend, const char *fmt, va_list ap)
{
    char text[900];
    vsnprintf(text, sizeof text, fmt, ap);
    jm_mask_secrets(text);
    json_array_append_new(d->findings, json_pack("{s:s, s:s, s:s, s:s?}", "check", d->check,
                                                 "state", state, "message", text, "mend", mend));
}

static void ok(doctor *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void warn(doctor *d, const char *mend, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static void wrong(doctor *d, const char *mend, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void ok(doctor *d, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    find_va(d, "ok", NULL, fmt, ap);
    va_end(ap);
}

static void warn(doctor *d, const char *mend, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    find_va(d, "warning", mend, fmt, ap);
    va_end(ap);
}

static void wrong(doctor *d, const char *mend, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    find_va(d, "wrong", mend, fmt, ap);
    va_end(ap);
    d->wrong = true;
}

static const char *text_of(const json_t *row, const char *member)
{
    const char *text = json_string_value(json_object_get(row, member));
    return text ? text : "";
}

static int64_t int_of(const json_t *row, const char *member)
{
    return json_integer_value(json_object_get(row, member));
}

/* ---- database ---- */

static void check_database(doctor *d)
{
    jm_err err;
    if (!jm_config_bool(d->config, "database.enabled")) {
        ok(d, "left out: [database] enabled is false");
        return;
    }
    if (jm_session_open(d->config, &d->pg, &err)) {
        wrong(d, "Is the server running, and are [database] url and password right?", "%s",
              err.msg);
        return;
    }
    d->asked_us = jm_utc_us();
    int rc = jm_rows_one(d->pg, &jm_sql_doctor_server, NULL, &d->server, &err);
    d->got_us = jm_utc_us();
    if (rc) {
        wrong(d, "Is the role allowed to connect and to read?", "%s", err.msg);
        return;
    }
    if (int_of(d->server, "version_num") < 150000)
        wrong(d, "Upgrade PostgreSQL to 15 or later.", "PostgreSQL %s is too old",
              text_of(d->server, "version"));
    else if (json_is_true(json_object_get(d->server, "in_recovery")))
        wrong(d, "Let [database] url name the primary (target_session_attrs=read-write).",
              "database %s is a standby", text_of(d->server, "database"));
    else
        ok(d, "PostgreSQL %s, database %s as %s", text_of(d->server, "version"),
           text_of(d->server, "database"), text_of(d->server, "user"));
}

static void check_durability(doctor *d)
{
    static const char *const names[] = {"fsync", "synchronous_commit", "full_page_writes"};
    bool good = true;
    for (size_t i = 0; d->server && i < sizeof names / sizeof *names; i++) {
        if (strcmp(text_of(d->server, names[i]), "off") != 0)
            continue;
        char mend[200];
        snprintf(mend, sizeof mend,
                 "ALTER SYSTEM SET %s = on; SELECT pg_reload_conf(); look also at ALTER DATABASE "
                 "and ALTER ROLE settings.",
                 names[i]);
        wrong(d, mend, "%s is off: a crash of the server may lose jobs that were accepted",
              names[i]);
        good = false;
    }
    if (d->server && good)
        ok(d, "fsync and full_page_writes on, synchronous_commit %s",
           text_of(d->server, "synchronous_commit"));
}

/* Whether two sessions of ours are served by one process: then it changes hands between
 * transactions. */
static bool shares_sessions(doctor *d)
{
    jm_pg *other = NULL;
    json_t *server = NULL;
    jm_err err;
    bool shared = false;
    if (jm_session_open(d->config, &other, &err))
        return false;
    if (jm_rows_one(other, &jm_sql_doctor_server, NULL, &server, &err))
        shared = !strcmp(err.sqlstate, "42P05"); /* it has the first one's prepared statement */
    else
        shared = int_of(server, "backend_pid") == int_of(d->server, "backend_pid");
    json_decref(server);
    jm_session_close(other);
    return shared;
}

static void check_pooler(doctor *d)
{
    if (!d->server)
        return;
    if (int_of(d->server, "backend_pid") == PQbackendPID(jm_pg_conn(d->pg)))
        ok(d, "none in between");
    else if (shares_sessions(d))
        wrong(
            d,
            "Connect to PostgreSQL itself, or set pool_mode = session: prepared statements, LISTEN "
            "and advisory locks need a session of their own.",
            "a connection pooler stands between jobmill and PostgreSQL, and shares sessions");
    else
        warn(d, "Make sure that its pool_mode is session, or connect to PostgreSQL itself.",
             "a connection pooler stands between jobmill and PostgreSQL");
}

static void check_schema(doctor *d)
{
    jm_schema_status status;
    jm_err err;
    const char *schema = jm_config_str(d->config, "database.schema");
    if (!d->pg)
        return;
    if (jm_migrate_status(d->pg, schema, &status, &err)) {
        wrong(d, "May the role read the schema? schema/roles.sql grants what the programs need.",
              "%s", err.msg);
        return;
    }
    if (jm_session_check(d->pg, d->config, &err)) {
        wrong(d,
              status.state == JM_SCHEMA_TOO_NEW ? "Upgrade jobmill on this machine."
              : status.state == JM_SCHEMA_EMPTY ? "Run: jobmill schema init"
                                                : "Run: jobmill schema migrate",
              "%s", err.msg);
        return;
    }
    d->schema_ok = true;
    ok(d, "%s at version %d", schema, status.applied);
    d->check = "work";
    if (jm_rows_one(d->pg, &jm_sql_doctor_work, NULL, &d->work, &err))
        wrong(d, "May the role read the tables?", "%s", err.msg);
}

static void check_partitions(doctor *d)
{
    if (!d->work)
        return;
    if (json_is_true(json_object_get(d->work, "partition_ahead")))
        ok(d, "next week's are there");
    else
        warn(d, "Start jobmill-producer: its janitor makes partitions two weeks ahead.",
             "next week's partition is missing; whoever needs it first has to make it");
}

static void check_snapshots(doctor *d)
{
    json_t *rows;
    jm_err err;
    jm_pg_args args;
    jm_pg_args_init(&args);
    jm_pg_arg_i64(&args, SNAPSHOT_MAX_S);
    if (!d->pg)
        return;
    if (jm_rows_list(d->pg, &jm_sql_doctor_snapshots, &args, &rows, &err)) {
        warn(d, "Grant pg_read_all_stats to the role to see sessions.", "%s", err.msg);
        return;
    }
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row)
    {
        warn(d,
             "End it: SELECT pg_terminate_backend(pid), or let idle_in_transaction_session_timeout "
             "do so.",
             "%s: open for %lld s; dead rows of the queue tables pile up meanwhile",
             text_of(row, "what"), (long long)int_of(row, "seconds"));
    }
    if (!json_array_size(rows))
        ok(d, "no transaction older than %d s", SNAPSHOT_MAX_S);
    json_decref(rows);
}

static void check_clocks(doctor *d)
{
    if (!d->server)
        return;
    int64_t here_us = d->asked_us + (d->got_us - d->asked_us) / 2;
    int64_t off_ms = (int_of(d->server, "clock_us") - here_us) / 1000;
    if (off_ms < -CLOCK_MAX_MS || off_ms > CLOCK_MAX_MS)
        wrong(d, "Keep both clocks with NTP (timedatectl set-ntp true).",
              "the database's clock is %lld ms %s this machine's", (long long)llabs(off_ms),
              off_ms > 0 ? "ahead of" : "behind");
    else
        ok(d, "database and this machine differ by %lld ms", (long long)llabs(off_ms));
}

/* ---- work ---- */

static void check_workers(doctor *d)
{
    if (!d->work)
        return;
    const json_t *lapsed = json_object_get(d->work, "lapsed");
    size_t i;
    json_t *name;
    json_array_foreach(lapsed, i, name)
    {
        wrong(d, "Start jobmill-producer (its janitor rescues their jobs), then the worker again.",
              "%s has stopped to renew its lease and was not rescued", json_string_value(name));
    }
    if (int_of(d->work, "lost"))
        warn(d, "Their jobs were rescued; the workers' logs say why they died.",
             "%lld lost within the last hour", (long long)int_of(d->work, "lost"));
    if (!int_of(d->work, "workers"))
        warn(d, "Start jobmill-worker.", "no worker is alive: jobs wait");
    if (!int_of(d->work, "producers"))
        warn(d, "Start jobmill-producer.",
             "no producer is alive: schedules do not fire, and nothing that "
             "fails is rescued");
    if (!json_array_size(lapsed) && int_of(d->work, "workers"))
        ok(d, "%lld workers and %lld producers alive", (long long)int_of(d->work, "workers"),
           (long long)int_of(d->work, "producers"));
}

static void check_relay(doctor *d)
{
    if (!d->work)
        return;
    int64_t age_s = int_of(d->work, "unpublished_s");
    if (age_s > UNPUBLISHED_MAX_S)
        wrong(d, "Is jobmill-producer running, and does it reach Kafka? Its log says.",
              "a job has waited to be published for %lld s", (long long)age_s);
    else
        ok(d, "no job waits to be published");
}

static void check_schedules(doctor *d)
{
    if (!d->work)
        return;
    int64_t late_s = int_of(d->work, "schedules_late_s");
    if (late_s > LATE_MAX_S)
        wrong(d, "Is jobmill-producer running without --no-scheduler? Its log says.",
              "a schedule is %lld s late", (long long)late_s);
    else
        ok(d, "%lld active, none late", (long long)int_of(d->work, "schedules"));
}

static void check_types(doctor *d)
{
    json_t *rows = NULL, *row;
    jm_err err;
    size_t i;
    if (!d->schema_ok)
        return;
    if (jm_rows_list(d->pg, &jm_sql_doctor_types, NULL, &rows, &err)) {
        warn(d, "May the role read the tables?", "%s", err.msg);
        return;
    }
    json_array_foreach(rows, i, row)
    {
        warn(
            d,
            json_is_true(json_object_get(row, "queue_served"))
                ? "Put its definition into a worker's jobs_dir and send that worker SIGHUP."
                : "Start a worker that has this queue in [worker] queues.",
            "%lld jobs of type %s wait in queue %s, and no worker that is alive can run them there",
            (long long)int_of(row, "jobs"), text_of(row, "type"), text_of(row, "queue"));
    }
    if (!json_array_size(rows))
        ok(d, "every queue and type with waiting jobs has a worker");
    json_decref(rows);
}

static void check_dead_letters(doctor *d)
{
    if (!d->work)
        return;
    int64_t n = int_of(d->work, "dead_letters");
    if (n)
        warn(d, "jobmill dead list shows them with their reasons.", "%lld within the last day",
             (long long)n);
    else
        ok(d, "none within the last day");
}

/* ---- broker ---- */

static void check_kafka(doctor *d)
{
    jm_err err;
    if (jm_topics_list(d->config, KAFKA_TIMEOUT_MS, &d->topics, &err)) {
        wrong(d, "Is the broker running, and is [kafka] bootstrap.servers right?", "%s", err.msg);
        return;
    }
    ok(d, "answers at %s", jm_config_str(d->config, "kafka.bootstrap.servers"));
}

static bool has_queue(const json_t *topics, const char *queue, size_t len)
{
    size_t i;
    json_t *topic;
    json_array_foreach(topics, i, topic)
    {
        const char *name = json_string_value(json_object_get(topic, "queue"));
        if (name && strlen(name) == len && !strncmp(name, queue, len))
            return true;
    }
    return false;
}

/* Counts the topic of a queue as there or says that it is not. */
static int check_queue(doctor *d, const char *queue, size_t len)
{
    if (has_queue(d->topics, queue, len))
        return 1;
    char mend[160];
    snprintf(mend, sizeof mend, "Run: jobmill topics create %.*s", (int)len, queue);
    wrong(d, mend, "queue %.*s has no topic %s.jobs.%.*s", (int)len, queue,
          jm_config_str(d->config, "topics.prefix"), (int)len, queue);
    return 0;
}

static void check_topics(doctor *d)
{
    if (!d->topics)
        return;
    int there = 0;
    const json_t *queues = json_object_get(d->work, "queues"), *queue;
    size_t i;
    json_array_foreach(queues, i, queue)
    {
        there += check_queue(d, json_string_value(queue), json_string_length(queue));
    }
    /* without a worker that is alive, those that one here would consume */
    const char *text = jm_config_str(d->config, "worker.queues");
    while (!json_array_size(queues) && *text) {
        text += strspn(text, " ,");
        size_t len = strcspn(text, ":, ");
        if (len)
            there += check_queue(d, text, len);
        text += strcspn(text, ",");
    }
    if (there)
        ok(d, there == 1 ? "that of %d queue is there" : "those of %d queues are there", there);
}

/* ---- this machine ---- */

static void check_directory(doctor *d, const char *what, const char *path)
{
    struct statvfs fs;
    if (statvfs(path, &fs) || access(path, W_OK)) {
        char mend[300];
        snprintf(mend, sizeof mend, "Make it, writable for the worker: mkdir -p %.200s", path);
        wrong(d, mend, "%s %s: %s", what, path, strerror(errno));
        return;
    }
    unsigned long long free_mb = (unsigned long long)fs.f_bavail * fs.f_frsize >> 20;
    unsigned long long percent = fs.f_blocks ? 100ULL * fs.f_bavail / fs.f_blocks : 100;
    if (free_mb < 200 || (percent < 3 && free_mb < 5000))
        wrong(d, "Make room, or move it by the key named here.", "%s %s: %llu MiB free (%llu %%)",
              what, path, free_mb, percent);
    else
        ok(d, "%s %s: %llu MiB free (%llu %%)", what, path, free_mb, percent);
}

static void check_disk(doctor *d)
{
    const char *work = jm_config_str(d->config, "worker.work_dir"), *tmp = getenv("TMPDIR");
    const char *spool = jm_config_str(d->config, "worker.spool_dir");
    check_directory(d, "[worker] work_dir", work ? work : tmp && *tmp ? tmp : "/tmp");
    if (spool)
        check_directory(d, "[worker] spool_dir", spool);
}

static const struct {
    const char *name;
    void (*run)(doctor *d);
} checks[] = {
    {"database", check_database},   {"durability", check_durability},
    {"pooler", check_pooler},       {"clocks", check_clocks},
    {"schema", check_schema},       {"partitions", check_partitions},
    {"snapshots", check_snapshots}, {"kafka", check_kafka},
    {"topics", check_topics},       {"workers", check_workers},
    {"relay", check_relay},         {"schedules", check_schedules},
    {"types", check_types},         {"dead letters", check_dead_letters},
    {"disk", check_disk},
};

json_t *jm_doctor_look(const jm_config *config, bool *is_wrong)
{
    doctor d = {.config = config, .findings = json_array()};
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        d.check = checks[i].name;
        checks[i].run(&d);
    }
    if (d.pg)
        jm_session_close(d.pg);
    json_decref(d.server);
    json_decref(d.work);
    json_decref(d.topics);
    *is_wrong = d.wrong;
    return d.findings;
}
