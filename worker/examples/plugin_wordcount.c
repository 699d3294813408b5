/* An example of a plugin: counts the words of params.text, or of the file params.path.
 *
 *     gcc -shared -fPIC -o plugin_wordcount.so plugin_wordcount.c
 *
 * {"type": "wordcount", "steps": [{"name": "count", "plugin": {"path": "/…/plugin_wordcount.so",
 * "symbol": "wordcount", "config": {}}, "set": {"words": "/words"}}]}
 */
#include <ctype.h>
#include <errno.h>
#include <jobmill_plugin.h>
#include <stdio.h>
#include <string.h>

typedef struct counts {
    long long words, lines, bytes;
    int in_word;
} counts;

static void count(counts *found, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        int is_space = isspace((unsigned char)text[i]);
        found->words += !is_space && !found->in_word;
        found->in_word = !is_space;
        found->lines += text[i] == '\n';
    }
    found->bytes += (long long)len;
}

/* A cancelled job has no use for the rest of a large file. */
static int count_file(jobmill_job *job, const char *path, counts *found)
{
    char text[65536];
    size_t len;
    FILE *file = fopen(path, "r");
    if (!file)
        return job->fail(job, errno == ENOENT ? JOBMILL_PERMANENT : JOBMILL_RETRY, strerror(errno));
    while ((len = fread(text, 1, sizeof text, file)) && !job->is_cancelled(job)) {
        count(found, text, len);
        job->progress(job, -1, found->bytes, -1);
    }
    fclose(file);
    return job->is_cancelled(job) ? job->fail(job, JOBMILL_RETRY, "cancelled") : JOBMILL_SUCCESS;
}

static int run(jobmill_job *job)
{
    counts found = {0, 0, 0, 0};
    char result[160];
    const char *text = job->get(job, "/job/params/text");
    const char *path = job->get(job, "/job/params/path");
    int status = JOBMILL_SUCCESS;
    if (text)
        count(&found, text, strlen(text));
    else if (path)
        status = count_file(job, path, &found);
    else
        status = job->fail(job, JOBMILL_PERMANENT, "params need text or path");
    if (status != JOBMILL_SUCCESS)
        return status;
    snprintf(result, sizeof result, "{\"words\":%lld,\"lines\":%lld,\"bytes\":%lld}", found.words,
             found.lines, found.bytes);
    job->log(job, JOBMILL_INFO, "counted", result);
    job->result(job, result);
    return JOBMILL_SUCCESS;
}

JOBMILL_PLUGIN(wordcount, run);
