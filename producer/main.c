/* jobmill-producer: starts scheduler, relay and janitor once the database can be used, and ends
 * them. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"
#include "common/daemon.h"
#include "common/log.h"
#include "common/mem.h"
#include "common/metrics.h"
#include "common/migrate.h"
#include "common/wakeup.h"
#include "producer/http/routes.h"
#include "producer/janitor.h"
#include "producer/page.h"
#include "producer/relay.h"
#include "producer/schedule_sync.h"
#include "producer/scheduler.h"
#include "producer/standalone.h"

enum {
    STATUS_MS = 10000,      /* between two status lines, and only when something has changed */
    RELAY_GRACE_MS = 10000, /* for records in flight when the program ends */
    EVENTS_GRACE_MS = 2000, /* for events, which are best effort */
    STUCK_MS = 60000,       /* a thread that has not turned for so long is stuck */
    REFUSALS = 5            /* of the first statements, before the program gives up */
};

static const char usage[] =
    "usage: jobmill-producer [--no-scheduler] [--no-http] [--print-routes] [--config FILE] "
    "[--section.key=value]...\n"
    "\n"
    "Fires schedules, publishes waiting jobs to Kafka, rescues the jobs of lost workers and keeps "
    "the\n"
    "database in order. Any number of producers may run at once.\n"
    "\n"
    "  --no-scheduler    fire no schedules; publish and keep order all the same\n"
    "  --no-http         serve neither the API nor health nor metrics\n"
    "  --print-routes    print the routes of the API";

typedef struct jm_producer {
    jm_config *config;
    char *conninfo;
    const char *schema;
    bool with_scheduler, with_http;
    jm_metrics *metrics;
    jm_counts counts;
    jm_watchdog *watchdog;
    struct {
        jm_pulse *main, *scheduler, *relay, *janitor, *events;
    } pulses;
    jm_page *page; /* NULL: none */
    jm_page_parts parts;
    jm_db_clock clock;
    jm_pg *pg; /* of this thread: the check of the schema, and what the ready line says */
    jm_relay *relay;
    jm_wakeup *wakeup;
    _Atomic(jm_scheduler *) scheduler;
    jm_janitor *janitor;
    jm_schedule_sync *sync; /* NULL: there is none */
    jm_events *events;
    jm_api *api;
    char status[400]; /* as last printed */
} jm_producer;

/* Takes a flag of ours out of the arguments. */
static bool take_flag(int *argc, char **argv, const char *flag)
{
    bool found = false;
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], flag) != 0)
            argv[kept++] = argv[i];
        else
            found = true;
    }
    argv[kept] = NULL;
    *argc = kept;
    return found;
}

/* Runs on the wakeup's thread. */
static void on_notify(void *ctx, const char *payload)
{
    jm_producer *producer = ctx;
    jm_scheduler *scheduler = atomic_load(&producer->scheduler);
    bool any = !*payload;
    if (any || !strcmp(payload, "pending"))
        jm_relay_wake(producer->relay);
    if (scheduler && (any || !strcmp(payload, "schedules")))
        jm_scheduler_wake(scheduler);
}

/* Runs on the janitor's thread. */
static void on_look(void *ctx, const jm_look *look)
{
    jm_producer *producer = ctx;
    jm_scheduler *scheduler = atomic_load(&producer->scheduler);
    jm_relay_tell(producer->relay, look->unpublished);
    if (scheduler)
        jm_scheduler_tell(scheduler, look->next_us);
}

static int start_threads(jm_producer *producer, jm_err *err)
{
    jm_relay_options relay = {.config = producer->config,
                              .conninfo = producer->conninfo,
                              .schema = producer->schema,
                              .clock = &producer->clock,
                              .pulse = producer->pulses.relay,
                              .delay = producer->counts.delay};
    int rc = jm_relay_new(&relay, &producer->relay, err);
    if (rc)
        return rc;
    producer->events = jm_events_new(&(jm_events_options){.config = producer->config,
                                                          .metrics = producer->metrics,
                                                          .pulse = producer->pulses.events});
    if ((rc = jm_events_start(producer->events, err))) {
        jm_events_free(producer->events);
        jm_relay_free(producer->relay, 0); /* its thread uses what the caller frees */
        return rc;
    }
    producer->wakeup = jm_wakeup_new(producer->conninfo, producer->schema, on_notify, producer);
    jm_scheduler_options scheduler = {.conninfo = producer->conninfo,
                                      .schema = producer->schema,
                                      .clock = &producer->clock,
                                      .relay = producer->relay,
                                      .wakeup = producer->wakeup,
                                      .pulse = producer->pulses.scheduler,
                                      .submitted = producer->counts.submitted};
    if (producer->with_scheduler)
        atomic_store(&producer->scheduler, jm_scheduler_new(&scheduler));
    jm_janitor_options janitor = {.config = producer->config,
                                  .conninfo = producer->conninfo,
                                  .schema = producer->schema,
                                  .clock = &producer->clock,
                                  .wakeup = producer->wakeup,
                                  .events = producer->events,
                                  .on_look = on_look,
                                  .ctx = producer,
                                  .pulse = producer->pulses.janitor};
    producer->janitor = jm_janitor_new(&janitor);
    producer->parts = (jm_page_parts){.relay = producer->relay,
                                      .scheduler = atomic_load(&producer->scheduler),
                                      .janitor = producer->janitor};
    jm_page_attach(producer->page, &producer->parts);
    producer->sync = jm_schedule_sync_new(&(jm_schedule_sync_options){
        .config = producer->config, .conninfo = producer->conninfo, .schema = producer->schema});
    return JM_OK;
}

/* Whoever hands over ends before whoever takes. */
static void stop_threads(jm_producer *producer)
{
    jm_page_free(producer->page);
    producer->page = NULL;
    jm_schedule_sync_free(producer->sync);
    /* The wakeup's and the janitor's threads may be about to use the scheduler: they end first. The
     * wakeup's other users only queue hints, which nobody will miss, so they end before it is
     * freed. */
    jm_wakeup_stop(producer->wakeup);
    jm_janitor_free(producer->janitor);
    jm_scheduler_free(atomic_exchange(&producer->scheduler, NULL));
    jm_events_stop(producer->events, EVENTS_GRACE_MS);
    jm_events_free(producer->events);
    jm_relay_free(producer->relay, RELAY_GRACE_MS);
    jm_wakeup_free(producer->wakeup);
}

/* All pulses are there before the page can show them. */
static void make_watchdog(jm_producer *producer)
{
    jm_watchdog *watchdog = producer->watchdog = jm_watchdog_new();
    producer->pulses.main = jm_watchdog_add(watchdog, "main", STUCK_MS);
    producer->pulses.relay = jm_watchdog_add(watchdog, "relay", STUCK_MS);
    producer->pulses.janitor = jm_watchdog_add(watchdog, "janitor", STUCK_MS);
    producer->pulses.events = jm_watchdog_add(watchdog, "events", STUCK_MS);
    if (producer->with_scheduler)
        producer->pulses.scheduler = jm_watchdog_add(watchdog, "scheduler", STUCK_MS);
}

/* Without its page the producer goes on. */
static void make_page(jm_producer *producer)
{
    jm_err err = {0};
    jm_page_options options = {.listen = jm_config_str(producer->config, "http.listen"),
                               .metrics = producer->metrics,
                               .counts = &producer->counts,
                               .conninfo = producer->conninfo,
                               .schema = producer->schema,
                               .watchdog = producer->watchdog};
    jm_api_options api = {.config = producer->config,
                          .conninfo = producer->conninfo,
                          .schema = producer->schema,
                          .metrics = producer->metrics,
                          .clock = &producer->clock,
                          .submitted = producer->counts.submitted};
    if (!producer->with_http)
        return;
    if (jm_api_new(&api, &producer->api, &err))
        jm_log_kv(JM_ERROR, "producer", "no API", "why", err.msg, NULL);
    options.api = producer->api;
    if (jm_page_new(&options, &producer->page, &err))
        jm_log_kv(JM_WARNING, "producer", "no health page and no metrics", "why", err.msg, NULL);
    else
        jm_logf(JM_INFO, "producer", "listening on %s", jm_page_address(producer->page));
}

/* systemd's watchdog is told that this program works only while all of its threads turn. */
static void turn(jm_producer *producer)
{
    jm_pulse_beat(producer->pulses.main);
    if (!jm_watchdog_check(producer->watchdog))
        jm_daemon_notify_watchdog();
}

static void say_ready(jm_producer *producer)
{
    char text[512];
    jm_err err;
    jm_pg_call call = {.sql = &jm_sql_scheduler_active, .binary = true};
    long long n = 0;
    if (!jm_pg_run(producer->pg, &call, 1, &err))
        n = jm_pg_get_i64(call.res, 0, 0);
    jm_pg_calls_clear(&call, 1);
    const PGconn *conn = jm_pg_conn(producer->pg);
    snprintf(text, sizeof text,
             "ready: listening on %s; database %s:%s/%s, kafka %s, %lld active schedules",
             producer->page ? jm_page_address(producer->page) : "nothing",
             conn ? PQhost(conn) : "?", conn ? PQport(conn) : "?", conn ? PQdb(conn) : "?",
             jm_config_str(producer->config, "kafka.bootstrap.servers"), n);
    jm_logf(JM_INFO, "producer", "%s", text);
    jm_daemon_notify_ready(text);
}

static void say_status(jm_producer *producer, bool always)
{
    jm_firing_stats fired = {0};
    jm_relay_stats relay;
    jm_janitor_stats janitor;
    char text[sizeof producer->status], off[40] = "";
    jm_scheduler *scheduler = atomic_load(&producer->scheduler);
    if (scheduler)
        jm_scheduler_get_stats(scheduler, &fired);
    jm_relay_get_stats(producer->relay, &relay);
    jm_janitor_get_stats(producer->janitor, &janitor);
    if (janitor.clock_off)
        snprintf(off, sizeof off, ", clock off by %+.0f s", (double)janitor.clock_us / 1e6);
    snprintf(
        text, sizeof text,
        "fired %llu, skipped %llu, missed %llu, coalesced %llu; published %llu, in flight %zu%s; "
        "lost workers %llu, rescued %llu, expired %llu, swept %llu%s",
        (unsigned long long)fired.fired, (unsigned long long)fired.skipped,
        (unsigned long long)fired.missed, (unsigned long long)fired.coalesced,
        (unsigned long long)relay.published, relay.in_flight,
        relay.kafka_away ? ", Kafka away" : "", (unsigned long long)janitor.lost_workers,
        (unsigned long long)janitor.rescued, (unsigned long long)janitor.expired,
        (unsigned long long)janitor.swept, off);
    if (!always && !strcmp(text, producer->status))
        return;
    memcpy(producer->status, text, sizeof text);
    jm_logf(JM_INFO, "producer", "%s", text);
    jm_daemon_notify_status(text);
}

static int check_schema(jm_producer *producer, jm_err *err)
{
    int rc = jm_pg_ensure(producer->pg, err);
    return rc ? rc
              : jm_migrate_check(producer->pg, producer->schema,
                                 jm_config_bool(producer->config, "database.auto_migrate"),
                                 jm_config_bool(producer->config, "database.allow_unsafe"), err);
}

static void reload(jm_producer *producer)
{
    jm_err err;
    if (jm_config_reload(producer->config, &err))
        jm_logf(JM_ERROR, "producer", "configuration not reloaded: %s: %s", err.field, err.msg);
    else
        jm_logf(JM_INFO, "producer", "configuration reloaded");
    if (producer->janitor)
        jm_janitor_reload(producer->janitor);
    jm_scheduler *scheduler = atomic_load(&producer->scheduler);
    if (scheduler)
        jm_scheduler_look_at_zones(scheduler);
}

/* Waits until the database is there and its schema can be used. Returns 0 to go on, 1 to give up
 * with a failure, -1 when the program is to end. */
static int wait_for_database(jm_producer *producer)
{
    int refusals = 0;
    bool told = false;
    jm_err err = {0};
    for (;;) {
        int rc = check_schema(producer, &err);
        if (!rc)
            return 0;
        if (rc != JM_ERR_DB_DOWN && (rc != JM_ERR_DB || ++refusals >= REFUSALS)) {
            jm_logf(JM_ERROR, "producer", "%s", err.msg);
            return 1;
        }
        if (!told) {
            jm_logf(JM_WARNING, "producer", "waiting for the database: %s", err.msg);
            jm_daemon_notify_ready("waiting for the database");
        }
        told = true;
        int wait_ms = jm_pg_retry_in_ms(producer->pg);
        jm_daemon_event event = jm_daemon_wait(wait_ms > 100 ? wait_ms : 100);
        if (event == JM_DAEMON_STOP)
            return -1;
        if (event == JM_DAEMON_RELOAD)
            reload(producer);
        turn(producer);
    }
}

static void serve(jm_producer *producer)
{
    int64_t status_at_ms = jm_mono_ms() + STATUS_MS;
    for (;;) {
        jm_daemon_event event = jm_daemon_wait(1000);
        turn(producer);
        if (event == JM_DAEMON_STOP)
            break;
        if (event == JM_DAEMON_RELOAD)
            reload(producer);
        bool due = jm_mono_ms() >= status_at_ms;
        if (event == JM_DAEMON_STATUS || due)
            say_status(producer, event == JM_DAEMON_STATUS);
        if (due)
            status_at_ms = jm_mono_ms() + STATUS_MS;
    }
}

static int run(jm_producer *producer)
{
    jm_err err = {0};
    make_page(producer);
    int rc = wait_for_database(producer);
    if (rc)
        return rc > 0;
    if (start_threads(producer, &err)) {
        jm_logf(JM_ERROR, "producer", "%s: %s", err.field, err.msg);
        return 1;
    }
    say_ready(producer);
    jm_pg_disconnect(producer->pg); /* the threads have connections of their own */
    serve(producer);
    jm_daemon_notify_stopping();
    jm_logf(JM_INFO, "producer", "stopping");
    say_status(producer, true);
    stop_threads(producer);
    jm_logf(JM_INFO, "producer", "stopped");
    return 0;
}

int main(int argc, char **argv)
{
    jm_producer producer = {0};
    jm_err err = {0};
    int status;
    producer.with_scheduler = !take_flag(&argc, argv, "--no-scheduler");
    producer.with_http = !take_flag(&argc, argv, "--no-http");
    if (take_flag(&argc, argv, "--print-routes")) {
        jm_routes_print();
        return 0;
    }
    if (!jm_daemon_start(&producer.config, argc, argv, "jobmill-producer", usage, &status))
        return status;
    jm_daemon_init();
    if (!jm_config_bool(producer.config, "database.enabled")) {
        status = jm_standalone_run(producer.config, producer.with_http);
    } else if (jm_config_conninfo(producer.config, &producer.conninfo, &err)) {
        jm_logf(JM_ERROR, "producer", "%s: %s", err.field, err.msg);
        status = 2;
    } else {
        producer.schema = jm_config_str(producer.config, "database.schema");
        producer.metrics = jm_metrics_new();
        jm_counts_init(&producer.counts, producer.metrics);
        make_watchdog(&producer);
        jm_pg_options options = {.conninfo = producer.conninfo,
                                 .schema = producer.schema,
                                 .name = "jobmill-producer",
                                 .pulse = producer.pulses.main,
                                 .clock = &producer.clock};
        producer.pg = jm_pg_new(&options);
        status = run(&producer);
    }
    jm_page_free(producer.page);
    jm_api_free(producer.api);
    jm_pg_free(producer.pg);
    jm_watchdog_free(producer.watchdog);
    jm_metrics_free(producer.metrics);
    free(producer.conninfo);
    jm_config_free(producer.config);
    return status;
}
