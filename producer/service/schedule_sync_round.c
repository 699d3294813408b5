/* One round of the sync: lock, fetch, compare, apply, note. */
#include "producer/service/schedule_sync_round.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/log.h"
#include "common/pg.h"
#include "producer/fetch.h"
#include "producer/service/document_files.h"
#include "producer/service/schedule_import.h"

enum { FEW_DELETES = 5 /* never refused */, PREVIEW_ROWS = 3, ERROR_BYTES_MAX = 4000 };

typedef struct sync_round {
    jm_pg *pg;
    const jm_sync_options *options;
    jm_sync_result *result;
    char source[1000];         /* without passwords: what is kept and shown */
    char *hash, *etag, *error; /* of the rounds before */
    int64_t age_ms;            /* -1: there has been none */
    char *new_etag;
    jm_schedule_document *document;
} sync_round;

void jm_sync_options_init(jm_sync_options *options, const jm_config *config)
{
    *options = (jm_sync_options){
        .source = jm_config_str(config, "schedule_sync.source"),
        .headers_file = jm_config_str(config, "schedule_sync.headers_file"),
        .project = jm_config_str(config, "schedule_sync.project"),
        .interval_s = (int)jm_config_int(config, "schedule_sync.interval_s"),
        .max_deletes_percent = (int)jm_config_int(config, "schedule_sync.max_deletes_percent")};
}

void jm_sync_result_fini(jm_sync_result *result)
{
    jm_buf_fini(&result->message);
}

static bool is_url(const char *source)
{
    return !strncasecmp(source, "http://", 7) || !strncasecmp(source, "https://", 8);
}

/* ---- what is kept ---- */

static char *copy_value(const PGresult *res, int col)
{
    return PQgetisnull(res, 0, col) ? NULL : jm_strdup(PQgetvalue(res, 0, col));
}

static int read_state(sync_round *r, jm_err *err)
{
    jm_pg_args args;
    PGresult *res = NULL;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, r->source);
    int rc = jm_pg_query(r->pg, &jm_sql_sync_state, &args, &res, err);
    r->age_ms = -1;
    if (!rc && PQntuples(res)) {
        r->hash = copy_value(res, 0);
        r->etag = copy_value(res, 1);
        r->error = copy_value(res, 2);
        r->age_ms = strtoll(PQgetvalue(res, 0, 3), NULL, 10);
    }
    PQclear(res);
    return rc;
}

static int save_state(const sync_round *r, jm_err *err)
{
    static const char *const outcomes[] = {[JM_SYNC_CHANGED] = "changed",
                                           [JM_SYNC_UNCHANGED] = "unchanged",
                                           [JM_SYNC_REFUSED] = "refused",
                                           [JM_SYNC_FAILED] = "failed"};
    const jm_sync_result *result = r->result;
    bool good = result->outcome == JM_SYNC_CHANGED || result->outcome == JM_SYNC_UNCHANGED;
    jm_pg_args args;
    if (r->options->dry_run)
        return JM_OK;
    jm_pg_args_init(&args);
    jm_pg_arg_text(&args, r->source);
    jm_pg_arg_text(&args, good && r->document ? r->document->hash : NULL);
    jm_pg_arg_text(&args, r->new_etag);
    jm_pg_arg_text(&args, outcomes[result->outcome]);
    jm_pg_arg_text(&args, good ? NULL : jm_buf_str(&result->message));
    jm_pg_arg_i32(&args, (int32_t)result->added);
    jm_pg_arg_i32(&args, (int32_t)result->changed);
    jm_pg_arg_i32(&args, (int32_t)result->deleted);
    return jm_pg_query(r->pg, &jm_sql_sync_save, &args, NULL, err);
}

/* ---- outcomes ---- */

static void fail(sync_round *r, const char *what)
{
    r->result->outcome = JM_SYNC_FAILED;
    if (what)
        jm_buf_adds(&r->result->message, what);
}

/* Messages may quote the document, but stay short, and of what the database can keep. */
static void trim_message(sync_round *r)
{
    jm_buf *message = &r->result->message;
    while (message->len && message->data[message->len - 1] == '\n')
        message->data[--message->len] = '\0';
    if (message->len > ERROR_BYTES_MAX) {
        message->len = ERROR_BYTES_MAX;
        while (message->len && ((unsigned char)message->data[message->len] & 0xc0) == 0x80)
            message->len--;
        message->data[message->len] = '\0';
    }
    r->result->told = message->len && r->error && !strcmp(r->error, jm_buf_str(message));
}

/* ---- fetching ---- */

/* What is wrong with a document, as the message. */
static void take_findings(sync_round *r, jm_findings *findings)
{
    jm_findings_print(findings, JM_FINDINGS_LOGGED, &r->result->message);
    jm_findings_fini(findings);
    jm_schedule_document_free(r->document);
    r->document = NULL;
    fail(r, NULL);
}

static void parse(sync_round *r, const jm_buf *text)
{
    jm_findings findings = {0};
    if (jm_schedule_document_parse(r->source, jm_buf_str(text), text->len, &r->document, &findings))
        take_findings(r, &findings);
}

static void load_url(sync_round *r)
{
    const jm_fetch_options fetch = {.url = r->options->source,
                                    .headers_file = r->options->headers_file,
                                    .etag = r->options->always_compare ? NULL : r->etag,
                                    .bytes_max = JM_DOCUMENT_BYTES_MAX,
                                    .stop = r->options->stop};
    jm_fetched fetched;
    jm_err err;
    if (jm_fetch(&fetch, &fetched, &err)) {
        jm_buf_addf(&r->result->message, "%s: ", r->source);
        fail(r, err.msg);
        return;
    }
    r->new_etag = fetched.etag;
    fetched.etag = NULL;
    if (fetched.unchanged)
        r->result->outcome = JM_SYNC_UNCHANGED;
    else
        parse(r, &fetched.body);
    jm_fetched_fini(&fetched);
}

/* The document; or an outcome already. */
static void load(sync_round *r)
{
    jm_findings findings = {0};
    if (is_url(r->options->source))
        load_url(r);
    else if (jm_schedule_document_load(r->options->source, &r->document, &findings))
        take_findings(r, &findings);
    if (r->document && !r->options->always_compare && r->hash &&
        !strcmp(r->hash, r->document->hash))
        r->result->outcome = JM_SYNC_UNCHANGED;
}

/* ---- applying ---- */

static bool is_too_much(const sync_round *r, const jm_schedule_changes *changes)
{
    return !r->options->allow_deletes && changes->deleted > FEW_DELETES &&
           changes->deleted * 100 > changes->owned * (size_t)r->options->max_deletes_percent;
}

static void refuse(sync_round *r, const jm_schedule_changes *changes)
{
    r->result->outcome = JM_SYNC_REFUSED;
    jm_buf_addf(&r->result->message,
                "it would delete %zu of %zu schedules, more than %d %%: nothing is changed; if "
                "that is meant: jobmill schedule sync --once --allow-deletes",
                changes->deleted, changes->owned, r->options->max_deletes_percent);
}

static int apply(sync_round *r, const jm_schedule_import *import,
                 const jm_schedule_changes *changes, jm_err *err)
{
    char actor[sizeof r->source + 8];
    snprintf(actor, sizeof actor, "sync:%s", r->source);
    const jm_change change = {.actor = actor, .source = "sync", .dry_run = r->options->dry_run};
    int rc = jm_schedule_import_apply(r->pg, import, changes, &change, err);
    if (rc == JM_ERR_CONFLICT || rc == JM_ERR_INVALID) {
        fail(r, err->msg);
        return JM_OK;
    }
    if (rc)
        return rc;
    r->result->outcome = jm_schedule_changes_is_none(changes) ? JM_SYNC_UNCHANGED : JM_SYNC_CHANGED;
    r->result->added = changes->added;
    r->result->changed = changes->changed;
    r->result->deleted = changes->deleted;
    return JM_OK;
}

/* Makes the schedules what the document says. */
static int compare(sync_round *r, jm_err *err)
{
    const jm_schedule_import import = {.document = r->document,
                                       .sync = true,
                                       .prune = true,
                                       .project = r->options->project,
                                       .preview = r->options->show ? PREVIEW_ROWS : 0};
    jm_schedule_changes *changes;
    jm_findings findings = {0};
    int rc = jm_schedule_import_find(r->pg, &import, &changes, &findings, err);
    if (rc == JM_ERR_INVALID) {
        take_findings(r, &findings);
        return JM_OK;
    }
    jm_findings_fini(&findings);
    if (rc)
        return rc;
    if (r->options->show)
        r->options->show(r->options->ctx, changes);
    if (is_too_much(r, changes))
        refuse(r, changes);
    else
        rc = apply(r, &import, changes, err);
    jm_schedule_changes_free(changes);
    return rc;
}

/* ---- the round ---- */

static int act(sync_round *r, jm_err *err)
{
    int rc = read_state(r, err);
    int64_t interval_ms = (int64_t)r->options->interval_s * 1000;
    if (rc)
        return rc;
    if (r->age_ms >= 0 && r->age_ms < interval_ms) {
        r->result->outcome = JM_SYNC_NOT_DUE;
        r->result->wait_ms = interval_ms - r->age_ms;
        return JM_OK;
    }
    r->result->outcome = JM_SYNC_CHANGED; /* unless it turns out otherwise */
    load(r);
    if (r->result->outcome == JM_SYNC_CHANGED)
        rc = compare(r, err);
    trim_message(r);
    return rc ? rc : save_state(r, err);
}

static int lock(sync_round *r, bool *locked, jm_err *err)
{
    PGresult *res = NULL;
    int rc = jm_pg_query(r->pg, &jm_sql_sync_lock, NULL, &res, err);
    *locked = !rc && PQgetvalue(res, 0, 0)[0] == 't';
    PQclear(res);
    return rc;
}

int jm_schedule_sync_round(jm_pg *pg, const jm_sync_options *options, jm_sync_result *result,
                           jm_err *err)
{
    sync_round r = {.pg = pg, .options = options, .result = result};
    bool locked;
    jm_err ignored;
    *result = (jm_sync_result){.outcome = JM_SYNC_BUSY};
    snprintf(r.source, sizeof r.source, "%s", options->source);
    jm_mask_secrets(r.source);
    int rc = lock(&r, &locked, err);
    if (rc || !locked)
        return rc;
    rc = act(&r, err);
    if (jm_pg_is_up(pg)) /* otherwise the lock went with the session */
        (void)jm_pg_query(pg, &jm_sql_sync_unlock, NULL, NULL, &ignored);
    jm_schedule_document_free(r.document);
    free(r.hash);
    free(r.etag);
    free(r.error);
    free(r.new_etag);
    return rc;
}
