/* Schedules without a database: a thread that fires them from a file. */
#include "producer/file_scheduler.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/kafka.h"
#include "common/log.h"
#include "common/mem.h"
#include "producer/file_plan.h"
#include "producer/tick_policy.h"

enum {
    TURN_MS = 100,    /* longest wait: a stop is noticed by then */
    LOOK_MS = 10000,  /* between two looks at the file */
    ROOM = 100000,    /* jobs that Kafka has not acknowledged; more are given up */
    SILENT_MS = 3000, /* without an acknowledgement for so long Kafka is away */
    ASK_MS = 5000,    /* between two questions whether it is there, while nothing is under way */
    ANSWER_MS = 200,  /* to answer that */
    AGAIN_MS = 1000,  /* a job that failed is sent again after */
    MAX_TICKS = 64
};

/* A job on its way, until it is acknowledged. */
typedef struct jm_shot {
    struct jm_shot *next; /* in the list of those to be sent again */
    char *topic;
    char key[JM_UUID_TEXT];
    int64_t due_us;
    jm_buf message;
} jm_shot;

struct jm_file_scheduler {
    const jm_config *config;
    const char *path;
    jm_pulse *pulse;
    pthread_t thread;
    _Atomic bool stop, reload, away;
    _Atomic uint64_t counts[JM_TICK_COALESCED + 1], published, refused;
    _Atomic size_t schedules, in_flight;
    /* the thread's own */
    jm_kafka_producer *kafka;
    jm_zone_cache *zones;
    jm_file_plan plan;
    jm_shot *again;
    int64_t since_ms; /* since when Kafka has acknowledged nothing, while there is something to */
    int64_t ask_at_ms;
    jm_series *delay; /* from the instant to the acknowledgement; may be NULL */
    int64_t look_at_ms, again_at_ms, told_full_ms;
    char wrong[64]; /* hash of the broken document that has been told about */
};

/* ---- Kafka ---- */

static void shot_free(jm_shot *shot)
{
    jm_buf_fini(&shot->message);
    free(shot->topic);
    free(shot);
}

static void keep(jm_file_scheduler *s, jm_shot *shot)
{
    shot->next = s->again;
    s->again = shot;
}

static void set_away(jm_file_scheduler *s, bool away)
{
    if (atomic_exchange(&s->away, away) == away)
        return;
    if (away)
        jm_logf(JM_WARNING, "scheduler", "Kafka does not answer at %s; jobs wait in memory",
                jm_config_str(s->config, "kafka.bootstrap.servers"));
    else
        jm_logf(JM_INFO, "scheduler", "Kafka answers again");
}

static void look_at_kafka(jm_file_scheduler *s)
{
    int64_t now_ms = jm_mono_ms();
    if (atomic_load(&s->in_flight)) {
        if (now_ms - s->since_ms > SILENT_MS)
            set_away(s, true);
    } else if (now_ms >= s->ask_at_ms) {
        set_away(s, !jm_kafka_producer_answers(s->kafka, ANSWER_MS));
        s->ask_at_ms = jm_mono_ms() + ASK_MS;
    }
}

static void acknowledged(jm_file_scheduler *s, const jm_shot *shot)
{
    int64_t late_us = jm_utc_us() - shot->due_us;
    s->since_ms = jm_mono_ms();
    set_away(s, false);
    atomic_fetch_add(&s->published, 1);
    if (s->delay)
        jm_series_observe(s->delay, late_us > 0 ? late_us : 0);
}

static void delivered(void *ctx, void *opaque, int rc, const jm_err *err)
{
    jm_file_scheduler *s = ctx;
    jm_shot *shot = opaque;
    if (rc && err->retriable) {
        keep(s, shot);
        return;
    }
    atomic_fetch_sub(&s->in_flight, 1);
    if (rc) {
        atomic_fetch_add(&s->refused, 1);
        jm_logf(JM_ERROR, "scheduler", "Kafka refuses job %s: %s", shot->key, err->msg);
    } else {
        acknowledged(s, shot);
    }
    shot_free(shot);
}

static void publish(jm_file_scheduler *s, jm_shot *shot)
{
    jm_err err;
    if (jm_kafka_producer_send(s->kafka, shot->topic, shot->key, strlen(shot->key),
                               jm_buf_str(&shot->message), shot->message.len, NULL, 0, shot, &err))
        keep(s, shot);
}

static void send_again(jm_file_scheduler *s)
{
    jm_shot *list = s->again;
    if (!list || jm_mono_ms() < s->again_at_ms)
        return;
    s->again_at_ms = jm_mono_ms() + AGAIN_MS;
    s->again = NULL;
    for (jm_shot *next; list; list = next) {
        next = list->next;
        publish(s, list);
    }
}

/* ---- firing ---- */

/* The same for a schedule and an instant: a job that is published twice has one id. */
static jm_uuid id_of(const jm_schedule *s, int64_t due_us)
{
    jm_buf seed = {0};
    unsigned char hash[EVP_MAX_MD_SIZE];
    jm_buf_addf(&seed, "%s/%s/%lld", s->project, s->name, (long long)due_us);
    EVP_Digest(seed.data, seed.len, hash, NULL, EVP_sha256(), NULL);
    jm_buf_fini(&seed);
    return jm_uuid7_derive(due_us / 1000, hash);
}

static void write_message(const jm_schedule *s, const jm_uuid *id, jm_buf *out)
{
    jm_job job = {.id = *id,
                  .has_id = true,
                  .type = s->type,
                  .project = s->project,
                  .profile = s->profile,
                  .params = s->params,
                  .params_len = strlen(s->params),
                  .metadata = s->metadata,
                  .metadata_len = s->metadata ? strlen(s->metadata) : 0,
                  .callback_url = s->callback_url,
                  .priority = s->priority};
    jm_job_message_write(&job, out);
}

/* Whether there is room for another job; told at most once in 10 s when not. */
static bool has_room(jm_file_scheduler *s)
{
    if (atomic_load(&s->in_flight) < ROOM)
        return true;
    atomic_fetch_add(&s->refused, 1);
    if (jm_mono_ms() - s->told_full_ms > LOOK_MS) {
        s->told_full_ms = jm_mono_ms();
        jm_logf(JM_ERROR, "scheduler", "%d jobs wait for Kafka: what is due meanwhile is lost",
                ROOM);
    }
    return false;
}

static void fire_one(jm_file_scheduler *s, const jm_schedule *schedule, int64_t due_us)
{
    if (!has_room(s))
        return;
    jm_shot *shot = jm_calloc(1, sizeof *shot);
    jm_uuid id = id_of(schedule, due_us);
    jm_uuid_format(&id, shot->key);
    shot->topic = jm_kafka_queue_topic(s->config, schedule->queue);
    write_message(schedule, &id, &shot->message);
    shot->due_us = due_us;
    if (!atomic_fetch_add(&s->in_flight, 1))
        s->since_ms = jm_mono_ms();
    publish(s, shot);
}

/* The first instant of a schedule that is not decided, with its jitter; INT64_MAX: none. */
static int64_t due_at(const jm_schedule *s)
{
    int64_t us = s->next_run_us;
    if (s->next_skip_us && (!us || s->next_skip_us < us))
        us = s->next_skip_us;
    return us ? us + jm_schedule_jitter_us(s, us) : INT64_MAX;
}

static void fire(jm_file_scheduler *s, jm_schedule *schedule, int64_t now_us)
{
    jm_tick ticks[MAX_TICKS];
    size_t n;
    int64_t run_us, skip_us;
    jm_tick_policy_decide(schedule, now_us, 0, ticks, MAX_TICKS, &n, &run_us, &skip_us);
    for (size_t i = 0; i < n; i++) {
        atomic_fetch_add(&s->counts[ticks[i].outcome], (uint64_t)ticks[i].count);
        if (ticks[i].outcome == JM_TICK_FIRED)
            fire_one(s, schedule, ticks[i].due_us);
    }
    schedule->next_run_us = run_us;
    schedule->next_skip_us = skip_us;
}

/* Fires what is due; returns when the next is. */
static int64_t fire_due(jm_file_scheduler *s)
{
    int64_t next_us = INT64_MAX, now_us = jm_utc_us();
    for (size_t i = 0; i < s->plan.n; i++) {
        jm_schedule *schedule = &s->plan.entries[i].schedule;
        if (due_at(schedule) <= now_us)
            fire(s, schedule, now_us);
        int64_t at_us = due_at(schedule);
        next_us = at_us < next_us ? at_us : next_us;
    }
    return next_us;
}

/* ---- the file ---- */

static void log_lines(const jm_buf *lines)
{
    for (const char *p = jm_buf_str(lines); *p;) {
        size_t len = strcspn(p, "\n");
        jm_logf(JM_ERROR, "scheduler", "%.*s", (int)len, p);
        p += len + (p[len] == '\n');
    }
}

/* What the same broken file says is told once. */
static void tell_broken(jm_file_scheduler *s, const jm_buf *lines)
{
    size_t len = lines->len < sizeof s->wrong - 1 ? lines->len : sizeof s->wrong - 1;
    if (!strncmp(s->wrong, jm_buf_str(lines), len) && s->wrong[len] == 0 && len)
        return;
    memcpy(s->wrong, jm_buf_str(lines), len);
    s->wrong[len] = 0;
    log_lines(lines);
}

static int take(jm_file_scheduler *s, jm_schedule_document *document, jm_buf *errors, jm_err *err)
{
    jm_file_plan plan;
    int rc = jm_file_plan_make(document, &s->plan, s->zones, jm_utc_us(), &plan, err);
    if (rc) {
        jm_buf_addf(errors, "%s: %s: %s\n", s->path, err->field, err->msg);
        return rc;
    }
    bool first = !s->plan.document;
    jm_file_plan_fini(&s->plan);
    s->plan = plan;
    s->wrong[0] = 0;
    atomic_store(&s->schedules, plan.n);
    jm_logf(JM_INFO, "scheduler", "%s%zu schedules in %s",
            first ? "without a database nothing is caught up and overlap is not looked at: " : "",
            plan.n, s->path);
    return JM_OK;
}

static int load(jm_file_scheduler *s, jm_err *err)
{
    jm_schedule_document *document = NULL;
    jm_buf errors = {0};
    jm_findings findings = {0};
    if (!*s->path)
        return JM_OK; /* there are none */
    (void)jm_zone_cache_refresh(s->zones, NULL, NULL);
    int rc = jm_schedule_document_load(s->path, &document, &findings);
    jm_findings_print(&findings, JM_FINDINGS_LOGGED, &errors);
    jm_findings_fini(&findings);
    if (rc) {
        jm_err_set(err, rc, "%s is broken", s->path);
        jm_schedule_document_free(document);
    } else if (s->plan.document && !strcmp(s->plan.document->hash, document->hash))
        jm_schedule_document_free(document);
    else
        rc = take(s, document, &errors, err);
    if (rc)
        tell_broken(s, &errors);
    jm_buf_fini(&errors);
    return rc;
}

/* ---- the thread ---- */

static void turn(jm_file_scheduler *s)
{
    jm_err ignored; /* it has been logged, and the schedules are as they were */
    jm_pulse_beat(s->pulse);
    if (atomic_exchange(&s->reload, false) || jm_mono_ms() >= s->look_at_ms) {
        s->look_at_ms = jm_mono_ms() + LOOK_MS;
        (void)load(s, &ignored);
    }
    look_at_kafka(s);
    int64_t left_ms = (fire_due(s) - jm_utc_us()) / 1000;
    send_again(s);
    jm_kafka_producer_poll(s->kafka, left_ms < 0 ? 0 : left_ms < TURN_MS ? (int)left_ms : TURN_MS);
}

static void *run(void *arg)
{
    jm_file_scheduler *s = arg;
    pthread_setname_np(pthread_self(), "jm-scheduler");
    s->look_at_ms = jm_mono_ms() + LOOK_MS;
    while (!atomic_load(&s->stop))
        turn(s);
    return NULL;
}

int jm_file_scheduler_new(const jm_config *config, jm_pulse *pulse, jm_series *delay,
                          jm_file_scheduler **out, jm_err *err)
{
    jm_file_scheduler *s = jm_calloc(1, sizeof *s);
    s->config = config;
    s->path = jm_config_str(config, "scheduler.file");
    s->pulse = pulse;
    s->delay = delay;
    s->zones = jm_zone_cache_new(NULL);
    int rc = jm_kafka_producer_new(config, "producer", delivered, s, &s->kafka, err);
    if (!rc)
        rc = load(s, err);
    if (!rc && pthread_create(&s->thread, NULL, run, s))
        abort(); /* out of threads before the program has begun to work */
    if (rc) {
        if (s->kafka)
            jm_kafka_producer_free(s->kafka, 0);
        jm_zone_cache_free(s->zones);
        free(s);
        return rc;
    }
    *out = s;
    return JM_OK;
}

size_t jm_file_scheduler_free(jm_file_scheduler *s, int timeout_ms)
{
    size_t lost = 0;
    if (!s)
        return 0;
    atomic_store(&s->stop, true);
    pthread_join(s->thread, NULL);
    jm_kafka_producer_free(s->kafka, timeout_ms);
    for (jm_shot *next; s->again; s->again = next) {
        next = s->again->next;
        shot_free(s->again);
        lost++;
    }
    jm_file_plan_fini(&s->plan);
    jm_zone_cache_free(s->zones);
    free(s);
    return lost;
}

void jm_file_scheduler_reload(jm_file_scheduler *s)
{
    atomic_store(&s->reload, true);
}

void jm_file_scheduler_get_stats(const jm_file_scheduler *s, jm_file_scheduler_stats *out)
{
    *out = (jm_file_scheduler_stats){.fired = atomic_load(&s->counts[JM_TICK_FIRED]),
                                     .skipped = atomic_load(&s->counts[JM_TICK_SKIPPED]),
                                     .missed = atomic_load(&s->counts[JM_TICK_MISSED]),
                                     .coalesced = atomic_load(&s->counts[JM_TICK_COALESCED]),
                                     .published = atomic_load(&s->published),
                                     .refused = atomic_load(&s->refused),
                                     .schedules = atomic_load(&s->schedules),
                                     .in_flight = atomic_load(&s->in_flight),
                                     .kafka_away = atomic_load(&s->away)};
}
