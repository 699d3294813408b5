/* Documents for jobs that have been started: what their types name, of their projects, read for all
 * of them in one query. */
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "worker/store_priv.h"

enum { AGAIN_MS = 50, REFUSED_MS = 1000 };

/* One of the documents that were found. */
struct document {
    const char *project, *name, *body; /* borrowed from the result */
    size_t len;
};

static int by_key(const void *a, const void *b)
{
    const struct document *x = a, *y = b;
    int c = strcmp(x->project, y->project);
    return c ? c : strcmp(x->name, y->name);
}

/* Jobs that are to get the same are neighbours. */
static int by_need(const void *a, const void *b)
{
    const jm_job *x = *(jm_job *const *)a, *y = *(jm_job *const *)b;
    int c = strcmp(x->project, y->project);
    uintptr_t p = (uintptr_t)x->job_type, q = (uintptr_t)y->job_type;
    return c ? c : (p > q) - (p < q);
}

static bool same_need(const jm_job *a, const jm_job *b)
{
    return a->job_type == b->job_type && !strcmp(a->project, b->project);
}

/* Those whose types name documents, sorted by need. */
static jm_job **who_need(const jm_chain *jobs, int *n)
{
    jm_job **needy = NULL;
    *n = 0;
    for (jm_node *node = jobs->head; node; node = node->next) {
        jm_job *job = (jm_job *)node;
        if (!job->job_type->documents[0])
            continue;
        if (!needy)
            needy = jm_calloc((size_t)jobs->n, sizeof *needy);
        needy[(*n)++] = job;
    }
    if (needy)
        qsort(needy, (size_t)*n, sizeof *needy, by_need);
    return needy;
}

static int query(jm_store *store, jm_job *const *needy, int n, PGresult **res, jm_err *err)
{
    jm_col projects, names;
    jm_pg_args args;
    jm_col_init(&projects, JM_COL_TEXT);
    jm_col_init(&names, JM_COL_TEXT);
    for (int i = 0; i < n; i++) {
        if (i && same_need(needy[i - 1], needy[i]))
            continue;
        jm_col_add_str(&projects, needy[i]->project);
        for (char **name = needy[i]->job_type->documents; *name; name++)
            jm_col_add_str(&names, *name);
    }
    jm_pg_args_init(&args);
    jm_pg_arg_col(&args, &projects);
    jm_pg_arg_col(&args, &names);
    jm_pg_call call = {.sql = &jm_sql_start_documents, .args = &args, .binary = true};
    int rc = jm_pg_run(store->pg, &call, 1, err);
    *res = call.res;
    jm_col_fini(&projects);
    jm_col_fini(&names);
    return rc;
}

static struct document *sorted(const PGresult *res, size_t *n)
{
    *n = (size_t)PQntuples(res);
    struct document *found = jm_calloc(*n + 1, sizeof *found);
    for (size_t i = 0; i < *n; i++) {
        found[i].project = jm_pg_get_text(res, (int)i, 0, NULL);
        found[i].name = jm_pg_get_text(res, (int)i, 1, NULL);
        found[i].body = jm_pg_get_text(res, (int)i, 2, &found[i].len);
    }
    qsort(found, *n, sizeof *found, by_key);
    return found;
}

/* The object for one job, and for those with the same need; or which document there is not. */
static void give(jm_job *job, const struct document *found, size_t n, jm_arena *arena)
{
    jm_buf text = {0};
    for (char **name = job->job_type->documents; *name && !job->no_document; name++) {
        struct document key = {.project = job->project, .name = *name};
        const struct document *d = bsearch(&key, found, n, sizeof *found, by_key);
        if (!d) {
            job->no_document = jm_arena_strdup(arena, *name);
            break;
        }
        jm_buf_adds(&text, text.len ? ",\"" : "{\""); /* a name has nothing to escape */
        jm_buf_adds(&text, *name);
        jm_buf_adds(&text, "\":");
        jm_buf_add(&text, d->body, d->len);
    }
    jm_buf_addc(&text, '}');
    if (!job->no_document)
        job->documents = jm_arena_strndup(arena, text.data, text.len);
    jm_buf_fini(&text);
}

static int give_all(jm_store *store, jm_job *const *needy, int n, jm_arena *arena, jm_err *err)
{
    PGresult *res = NULL;
    size_t n_found;
    int rc = query(store, needy, n, &res, err);
    if (rc)
        return rc;
    struct document *found = sorted(res, &n_found);
    for (int i = 0; i < n; i++) {
        if (i && same_need(needy[i - 1], needy[i])) {
            needy[i]->documents = needy[i - 1]->documents;
            needy[i]->no_document = needy[i - 1]->no_document;
        } else {
            give(needy[i], found, n_found, arena);
        }
    }
    free(found);
    PQclear(res);
    return JM_OK;
}

void jm_store_give_documents(jm_store *store, const jm_chain *jobs, jm_arena *arena)
{
    int n;
    jm_job **needy = who_need(jobs, &n);
    for (jm_err err = {0}; needy && give_all(store, needy, n, arena, &err);) {
        bool refused = err.code != JM_ERR_DB_DOWN && !err.retriable;
        if (refused) /* it concerns no single job: rights that are missing, say */
            jm_log_kv(JM_ERROR, "store", "cannot read documents of jobs; trying again", "why",
                      err.msg, NULL);
        if (!jm_store_wait_db(store) || !jm_store_wait_ms(store, refused ? REFUSED_MS : AGAIN_MS))
            break; /* stopping: the jobs are handed back */
    }
    free(needy);
}
