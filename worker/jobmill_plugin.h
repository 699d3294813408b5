/* What a jobmill plugin is built on: the only header it needs (docs/plugins.md).
 *
 * A plugin is a shared object that exports a jobmill_plugin:
 *
 *     #include <jobmill_plugin.h>
 *
 *     static int run(jobmill_job *job)
 *     {
 *         const char *name = job->get(job, "/job/params/name");
 *         if (!name)
 *             return job->fail(job, JOBMILL_PERMANENT, "params.name is missing");
 *         job->log(job, JOBMILL_INFO, name, NULL);
 *         return JOBMILL_SUCCESS;
 *     }
 *
 *     JOBMILL_PLUGIN(hello, run);
 *
 * gcc -shared -fPIC -o hello.so hello.c, and a step {"plugin": {"path": "/…/hello.so", "symbol":
 * "hello"}}. It links against nothing of jobmill: all calls go through the job.
 *
 * Contract. run is called on many threads at once, for different jobs: it must be thread-safe. It
 * may block. It must return soon after is_cancelled says so: a thread cannot be killed. It must
 * not exit, fork without exec, change signal handlers, the working directory or the environment; a
 * crash takes the worker with it (its jobs are started again elsewhere). The job and all that comes
 * from it is gone when run returns; threads that it starts must not use it longer. */
#ifndef JOBMILL_PLUGIN_H
#define JOBMILL_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Rises when plugins have to be built again; members are only ever added at the end of the structs,
 * without a change of it. A worker refuses a plugin with another number when it loads the type. */
#define JOBMILL_PLUGIN_ABI 1

/* What run returns: the exit statuses of a handler. Any other value is a failure that is retried by
 * policy. */
enum {
    JOBMILL_SUCCESS = 0,
    JOBMILL_PERMANENT = 65, /* trying again is pointless: the job fails */
    JOBMILL_RETRY = 75      /* failed, to be tried again */
};

typedef enum jobmill_level {
    JOBMILL_DEBUG,
    JOBMILL_INFO,
    JOBMILL_WARNING,
    JOBMILL_ERROR
} jobmill_level;

/* One try of a step. Texts are UTF-8 and end with NUL; JSON texts hold one value. The calls that
 * return int return 0, or -1 when an argument is NULL, no sound JSON or too long; nothing of it is
 * taken then, and why is a WARNING among the job's logs. They may be called from any thread. */
typedef struct jobmill_job jobmill_job;
struct jobmill_job {
    uint32_t size; /* of this struct, as the worker knows it */

    /* {"job":{"id","type","attempt","project","params","metadata","schedule_id","due_at",
     * "lock_token"},"step":{"name","attempt"},"steps":{…},"documents":{…}}: one line of JSON. */
    const char *input;
    size_t input_len;
    const char *config; /* "config" of the step's definition, as JSON; "{}" without one */

    /* The value in input under a JSON pointer ("/job/params/url"): a string as its text, anything
     * else as JSON. NULL when there is none or it is null. Lives as long as the job. */
    const char *(*get)(jobmill_job *job, const char *pointer);

    /* A row of the job's logs. details: JSON or NULL. */
    int (*log)(jobmill_job *job, jobmill_level level, const char *message, const char *details);
    /* How far it is; -1 leaves a number as it was. */
    int (*progress)(jobmill_job *job, int64_t total, int64_t ok, int64_t failed);
    /* Sets a key of the job's metadata. value: a JSON scalar. */
    int (*set)(jobmill_job *job, const char *key, const char *value);
    /* A step found on the way: status "success", "failed", "running", "pending", "skipped" or
     * "cancelled"; data (JSON) and error may be NULL. */
    int (*step)(jobmill_job *job, const char *name, const char *status, const char *data,
                const char *error);
    /* The data of this step, any JSON; the last call counts. */
    int (*result)(jobmill_job *job, const char *json);
    /* Keeps why the job failed and returns status, so that `return job->fail(…)` reads well. */
    int (*fail)(jobmill_job *job, int status, const char *why);

    /* Whether the job is to end: cancelled, timed out, or the worker stops. */
    int (*is_cancelled)(jobmill_job *job);
    /* A descriptor that is readable once is_cancelled; for poll. Not to be read or closed. -1 when
     * the process has no descriptor left. */
    int (*cancel_fd)(jobmill_job *job);

    /* Locks of the job's project: those of `jobmill lock`, which exclusive jobs take as well. These
     * calls block on the database; one that cannot be made is -1, and why is a WARNING among the
     * job's logs. They are here since jobmill 0.1.0; job->size tells whether a worker has them.
     *
     * Takes the lock for ttl_s seconds, waiting up to wait_s for it (0: not at all), and no longer
     * than until is_cancelled. Its token, larger than every one before it; 0: somebody else has it.
     * Give the token to what is written under the lock: who comes late has a smaller one. The end
     * of the job does not release it; it expires. */
    int64_t (*lock)(jobmill_job *job, const char *name, double ttl_s, double wait_s);
    /* Keeps it for ttl_s from now. -1 also when the token does not hold it any more. */
    int (*lock_extend)(jobmill_job *job, const char *name, int64_t token, double ttl_s);
    /* Lets it go; jobs that wait for it may start. -1 as lock_extend. */
    int (*lock_release)(jobmill_job *job, const char *name, int64_t token);
};

typedef struct jobmill_plugin {
    uint32_t abi;  /* JOBMILL_PLUGIN_ABI */
    uint32_t size; /* sizeof(jobmill_plugin) */
    int (*run)(jobmill_job *job);
} jobmill_plugin;

#if defined(__GNUC__)
#define JOBMILL_EXPORT __attribute__((visibility("default")))
#else
#define JOBMILL_EXPORT
#endif

/* Exports function as the plugin of that name. */
#ifdef __cplusplus
#define JOBMILL_PLUGIN(name, function)                                                             \
    extern "C" JOBMILL_EXPORT const jobmill_plugin name;                                           \
    const jobmill_plugin name = {JOBMILL_PLUGIN_ABI, sizeof(jobmill_plugin), function}
#else
#define JOBMILL_PLUGIN(name, function)                                                             \
    JOBMILL_EXPORT const jobmill_plugin name = {JOBMILL_PLUGIN_ABI, sizeof(jobmill_plugin),        \
                                                function}
#endif

#ifdef __cplusplus
}
#endif

#endif
