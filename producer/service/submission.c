/* Submitting jobs for many callers at once. */
#include "producer/service/submission.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/job_message.h"
#include "common/kafka.h"
#include "common/log.h"
#include "producer/service/submission_priv.h"
#include "producer/tx.h"

enum {
    GROUP_JOBS = 2000,   /* of one transaction, about */
    MAX_WAITING = 20000, /* requests */
    REPEATS = 5,         /* of a transaction that others were in the way of */
    NOTIFY_MS = 50       /* between two calls to those who wait for jobs */
};

struct jm_submission {
    jm_submission_options options;
    jm_queue *queue;
    pthread_t thread;
    bool started;
    jm_pg *pg; /* NULL: there is no database */
    jm_submit_rules *rules;
    jm_submit_writer *writer;
    jm_submit_sender *sender;
    int64_t told_ms;
    bool to_tell;
};

/* ---- requests ---- */

jm_submit_request *jm_submit_request_new(size_t n, const char *actor, const char *request_id)
{
    jm_arena *arena = jm_arena_new(n > 4 ? 0 : 4096);
    jm_submit_request *request = jm_arena_calloc(arena, sizeof *request);
    request->arena = arena;
    request->jobs = jm_arena_calloc(arena, n * sizeof *request->jobs);
    request->existed = jm_arena_calloc(arena, n * sizeof *request->existed);
    request->actor = jm_arena_strdup(arena, actor);
    request->request_id = jm_arena_strdup(arena, request_id);
    return request;
}

void jm_submit_request_free(jm_submit_request *request)
{
    if (request)
        jm_arena_free(request->arena);
}

void jm_submit_request_key(jm_submit_request *request, const char *key, const char *body,
                           size_t len)
{
    request->idempotency_key = jm_arena_strdup(request->arena, key);
    if (EVP_Digest(body, len, request->fingerprint, NULL, EVP_sha256(), NULL) != 1)
        abort(); /* out of memory */
}

int jm_submit_request_add(jm_submit_request *request, const char *text, size_t len,
                          const char *queue, jm_err *err)
{
    jm_record record = {.topic = "api", .value = text, .value_len = len};
    jm_message_limits limits = {.now_ms = jm_utc_ms()};
    jm_job *job = &request->jobs[request->n];
    const char *reason = NULL;
    record.timestamp_ms = limits.now_ms;
    if (queue && !jm_kafka_queue_is_valid(queue))
        return jm_err_field(err, "queue", "queue \"%.80s\" needs 1 to 63 of a-z 0-9 -", queue);
    int rc = jm_job_message_parse(&record, &limits, request->arena, job, &reason, err);
    if (rc)
        return rc;
    if (!strncmp(job->type, "jobmill.", 8))
        return jm_err_field(err, "type",
                            "types that begin with \"jobmill.\" are jobmill's own: give the type "
                            "another name");
    if (!job->project)
        job->project = "default";
    job->queue = jm_arena_strdup(request->arena, queue ? queue : "default");
    job->submitted_by = request->actor;
    job->request_id = request->request_id;
    if (!job->has_id)
        job->id = jm_uuid7_new();
    request->n++;
    return JM_OK;
}

void jm_submit_fail(jm_submit_request *request, size_t job, const jm_err *err)
{
    request->rc = err->code;
    request->err = *err;
    if (request->list && *err->field)
        snprintf(request->err.field, sizeof request->err.field, "%zu.%.55s", job, err->field);
    else if (request->list && err->code == JM_ERR_INVALID)
        snprintf(request->err.field, sizeof request->err.field, "%zu", job);
}

/* ---- checks ---- */

static int check_job(jm_submission *s, const jm_job *job, bool up, jm_err *err)
{
    if (up && !jm_submit_rules_has_project(s->rules, job->project)) {
        /* It may have been made a moment ago. */
        int rc = jm_submit_rules_read(s->rules, s->pg, true, err);
        if (rc)
            return rc;
        if (!jm_submit_rules_has_project(s->rules, job->project)) {
            rc = jm_err_field(err, "project", "there is no project \"%s\"", job->project);
            return err->code = rc == JM_ERR_INVALID ? JM_ERR_NOT_FOUND : rc;
        }
    }
    return jm_submit_rules_check(s->rules, job, err);
}

static bool passes(jm_submission *s, jm_submit_request *request, bool up)
{
    jm_err err = {0};
    for (size_t j = 0; j < request->n; j++) {
        if (!check_job(s, &request->jobs[j], up, &err))
            continue;
        if (err.code == JM_ERR_DB_DOWN || err.code == JM_ERR_DB)
            return true; /* what comes next will find the same */
        jm_submit_fail(request, j, &err);
        return false;
    }
    return true;
}

/* Whether its key has been used: then it is answered as the first time. */
static bool is_new(jm_submission *s, jm_submit_request *request)
{
    jm_err err = {0};
    bool found = false;
    if (!request->idempotency_key || !jm_submit_recall(s->pg, request, &found, &err)) {
        request->replayed = found;
        return !found;
    }
    jm_submit_fail(request, 0, &err);
    request->err.field[0] = 0;
    if (err.code == JM_ERR_CONFLICT) /* else it could not be looked up */
        request->code = "idempotency_conflict";
    return false;
}

/* ---- rows ---- */

static void refuse(jm_submit_request *request, const jm_err *err)
{
    request->rc = err->code;
    request->err = *err;
    const char *text = strstr(err->msg, ": ");
    if (err->code != JM_ERR_DB ||
        (strncmp(err->sqlstate, "22", 2) && strncmp(err->sqlstate, "23", 2)))
        return;
    if (text) /* without the name of the statement */
        memmove(request->err.msg, text + 2, strlen(text + 2) + 1);
    bool conflict = strstr(err->msg, "id_conflict") != NULL;
    request->rc = request->err.code = conflict ? JM_ERR_CONFLICT : JM_ERR_INVALID;
    request->code = conflict ? "id_conflict" : NULL;
}

static int write_all(jm_submission *s, jm_submit_request **list, int n);

/* Something in it is refused, and nothing says what: each for itself. */
static int write_each(jm_submission *s, jm_submit_request **list, int n)
{
    int rc = JM_OK;
    for (int i = 0; i < n && rc != JM_ERR_DB_DOWN; i++)
        rc = is_new(s, list[i]) ? write_all(s, &list[i], 1) : JM_OK;
    return rc == JM_ERR_DB_DOWN ? rc : JM_OK;
}

/* JM_ERR_DB_DOWN: whether they are there is unknown. All else is in the requests. */
static int write_all(jm_submission *s, jm_submit_request **list, int n)
{
    jm_err err = {0};
    bool careful = false;
    for (int repeats = 0; n > 0;) {
        int at, rc = jm_submit_write(s->writer, s->pg, list, n, careful, &at, &err);
        if (rc == JM_OK || rc == JM_ERR_DB_DOWN)
            return rc;
        if (err.no_partition && !careful) {
            careful = true;
        } else if (err.retriable && repeats++ < REPEATS) {
            continue;
        } else if (at >= 0) {
            refuse(list[at], &err);
            memmove(&list[at], &list[at + 1], (size_t)(--n - at) * sizeof *list);
        } else if (n > 1) {
            return write_each(s, list, n);
        } else {
            if (strcmp(err.sqlstate, "JMI01") != 0 || is_new(s, list[0]))
                refuse(list[0], &err);
            return JM_OK;
        }
    }
    return JM_OK;
}

/* A connection that breaks meanwhile may have committed: by their ids the same jobs are found. */
static int write_rows(jm_submission *s, jm_submit_request **list, int n)
{
    jm_err err;
    int rc = write_all(s, list, n);
    if (rc == JM_ERR_DB_DOWN && !jm_pg_connect(s->pg, &err))
        rc = write_each(s, list, n);
    s->to_tell |= !rc;
    return rc;
}

/* ---- records ---- */

static void send_records(jm_submission *s, jm_submit_request **list, int n)
{
    int kept = 0;
    for (int i = 0; i < n; i++) {
        if (list[i]->rc || list[i]->replayed)
            continue;
        if (!list[i]->idempotency_key || !s->pg) {
            list[kept++] = list[i];
            continue;
        }
        jm_err_set(&list[i]->err, JM_ERR_DB_DOWN,
                   "the database is away, and with it what an Idempotency-Key is looked up in: try "
                   "again, or submit without one under an id of your own");
        list[i]->rc = JM_ERR_DB_DOWN;
    }
    for (int i = 0; i < kept; i++)
        for (size_t j = 0; j < list[i]->n; j++)
            list[i]->jobs[j].has_id |= !list[i]->jobs[j].external_id;
    if (kept)
        jm_submit_send(s->sender, list, kept);
}

/* ---- dry runs ---- */

/* Written as any other, each job for itself, and taken back. */
static void write_and_take_back(jm_submission *s, jm_submit_request *request)
{
    jm_err err = {0};
    int at, rc = jm_pg_exec(s->pg, "BEGIN", NULL, &err);
    if (!rc)
        rc = jm_submit_write(s->writer, s->pg, &request, 1, true, &at, &err);
    if (rc)
        refuse(request, &err);
    jm_tx_rollback(s->pg);
}

static void try_out(jm_submission *s, jm_submit_request *request, bool up)
{
    request->sent = !s->pg; /* as far as it goes: what a worker will make of it only it knows */
    if (s->pg && !up)
        request->rc = jm_err_set(&request->err, JM_ERR_DB_DOWN,
                                 "the database is away, and with it what a dry run is judged by");
    else if (passes(s, request, up) && up)
        write_and_take_back(s, request);
}

/* ---- the thread ---- */

static void count(const jm_submission *s, const jm_submit_request *request)
{
    if (!s->options.submitted || request->rc || request->dry_run)
        return;
    for (size_t j = 0; j < request->n; j++)
        if (!request->existed[j] && !request->replayed)
            jm_series_add(
                jm_metric_get(s->options.submitted, (const char *[]){request->jobs[j].queue,
                                                                     request->jobs[j].type, "api"}),
                1);
}

static bool database_is_up(jm_submission *s)
{
    jm_err err;
    return s->pg && !jm_pg_ensure(s->pg, &err) &&
           !jm_submit_rules_read(s->rules, s->pg, false, &err);
}

static void work_on(jm_submission *s, jm_submit_request **all, int n)
{
    bool up = database_is_up(s);
    jm_submit_request **list = jm_calloc((size_t)n, sizeof(jm_submit_request *));
    int kept = 0;
    for (int i = 0; i < n; i++) {
        if (all[i]->dry_run)
            try_out(s, all[i], up);
        else if ((!up || is_new(s, all[i])) && passes(s, all[i], up))
            list[kept++] = all[i];
    }
    jm_submit_request **rest = jm_calloc((size_t)n, sizeof(jm_submit_request *));
    memcpy(rest, list, (size_t)kept * sizeof *list);
    if (kept && (!up || write_rows(s, list, kept) == JM_ERR_DB_DOWN))
        send_records(s, rest, kept);
    for (int i = 0; i < n; i++) {
        count(s, all[i]);
        all[i]->done(all[i], all[i]->ctx);
    }
    free(rest);
    free(list);
}

/* Who is not told looks by itself within a second. */
static void tell(jm_submission *s)
{
    jm_err ignored;
    if (!s->to_tell || jm_mono_ms() - s->told_ms < NOTIFY_MS)
        return;
    (void)jm_pg_query(s->pg, &jm_sql_job_notify, NULL, NULL, &ignored);
    s->told_ms = jm_mono_ms();
    s->to_tell = false;
}

static void work(jm_submission *s, jm_chain *chain)
{
    jm_submit_request **list = jm_calloc(chain->n, sizeof(jm_submit_request *));
    while (chain->n) {
        int n = 0;
        for (size_t jobs = 0; chain->n && jobs < GROUP_JOBS; jobs += list[n - 1]->n)
            list[n++] = (jm_submit_request *)jm_chain_take(chain);
        work_on(s, list, n);
        tell(s);
    }
    free(list);
}

static void *run(void *arg)
{
    jm_submission *s = arg;
    jm_chain chain = {0};
    pthread_setname_np(pthread_self(), "jm-submit");
    while (jm_queue_pop_all(s->queue, &chain, s->to_tell ? NOTIFY_MS : 1000) != JM_ERR_CLOSED) {
        if (chain.n)
            work(s, &chain);
        tell(s);
    }
    return NULL;
}

/* ---- the whole ---- */

int jm_submission_push(jm_submission *submission, jm_submit_request *request, jm_err *err)
{
    jm_chain chain = {0};
    if (jm_queue_is_full(submission->queue))
        return jm_err_set(err, JM_ERR_TIMEOUT, "too many submissions are waiting");
    jm_chain_add(&chain, &request->node);
    int rc = jm_queue_push(submission->queue, &chain);
    return rc ? jm_err_set(err, rc, "this program is stopping") : JM_OK;
}

int jm_submission_new(const jm_submission_options *options, jm_submission **out, jm_err *err)
{
    jm_submission *s = jm_calloc(1, sizeof *s);
    s->options = *options;
    s->queue = jm_queue_new(MAX_WAITING);
    if (options->conninfo)
        s->pg = jm_pg_new(&(jm_pg_options){.conninfo = options->conninfo,
                                           .schema = options->schema,
                                           .name = "jobmill-producer submit",
                                           .batch = true,
                                           .backoff_max_ms = 1000,
                                           .clock = options->clock});
    s->rules = jm_submit_rules_new();
    s->writer = jm_submit_writer_new(options->clock);
    s->sender = jm_submit_sender_new(options->config);
    *out = s;
    if (pthread_create(&s->thread, NULL, run, s)) {
        jm_submission_free(s);
        return jm_err_set(err, JM_ERR_IO, "no thread for submissions");
    }
    s->started = true;
    return JM_OK;
}

void jm_submission_stop(jm_submission *submission)
{
    jm_queue_close(submission->queue);
    if (submission->started)
        pthread_join(submission->thread, NULL);
    submission->started = false;
}

void jm_submission_free(jm_submission *submission)
{
    if (!submission)
        return;
    jm_submission_stop(submission);
    jm_submit_sender_free(submission->sender);
    jm_submit_writer_free(submission->writer);
    jm_submit_rules_free(submission->rules);
    jm_pg_free(submission->pg);
    jm_queue_free(submission->queue);
    free(submission);
}
