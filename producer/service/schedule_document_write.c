/* Writes documents of schedules: one file, or a directory of many. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/json_exact.h"
#include "producer/service/file_write.h"
#include "producer/service/schedule_document.h"

enum { NAME_BYTES_MAX = 200 /* of a file, whose system allows 255 */ };

static int write_value(const json_t *value, const char *path, jm_err *err)
{
    char *text = jm_json_exact_dump(value, JSON_INDENT(2));
    int rc = jm_file_write(path, text, err);
    free(text);
    return rc;
}

/* The name in %XX where it must; one that gets too long is cut and told by its hash. */
static void add_escaped(jm_buf *out, const char *name)
{
    size_t from = out->len;
    for (const char *p = name; *p; p++) {
        bool word = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                    (*p >= '0' && *p <= '9') || *p == '_' || *p == '-' || (*p == '.' && p > name);
        jm_buf_addf(out, word ? "%c" : "%%%02X", (unsigned char)*p);
    }
    if (out->len - from <= NAME_BYTES_MAX)
        return;
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_Digest(name, strlen(name), digest, &len, EVP_sha256(), NULL);
    out->len = from + NAME_BYTES_MAX - 20;
    jm_buf_adds(out, "~");
    for (unsigned i = 0; i < 8; i++)
        jm_buf_addf(out, "%02x", digest[i]);
}

static int make_dir(const char *path, jm_err *err)
{
    return mkdir(path, 0777) && errno != EEXIST ? jm_err_errno(err, JM_ERR_IO, "%.300s", path)
                                                : JM_OK;
}

static const char *text_of(const json_t *value, const char *member)
{
    const char *text = json_string_value(json_object_get(value, member));
    return text ? text : "default"; /* the project */
}

/* dir/<project>/<below><name>.json */
static int write_entry(const json_t *value, const char *dir, const char *below, jm_err *err)
{
    jm_buf path = {0};
    jm_buf_addf(&path, "%s/%s", dir, text_of(value, "project"));
    int rc = make_dir(jm_buf_str(&path), err);
    if (!rc && *below) {
        jm_buf_addf(&path, "/%s", below);
        rc = make_dir(jm_buf_str(&path), err);
    }
    jm_buf_adds(&path, "/");
    add_escaped(&path, text_of(value, "name"));
    jm_buf_adds(&path, ".json");
    if (!rc)
        rc = write_value(value, jm_buf_str(&path), err);
    jm_buf_fini(&path);
    return rc;
}

static int write_entries(const json_t *list, const char *dir, const char *below, jm_err *err)
{
    size_t i;
    json_t *value;
    int rc = JM_OK;
    json_array_foreach((json_t *)list, i, value)
    {
        if (!rc)
            rc = write_entry(value, dir, below, err);
    }
    return rc;
}

int jm_schedule_document_write(const json_t *document, const char *path, jm_err *err)
{
    struct stat st;
    size_t len = strlen(path);
    bool is_dir = (len && path[len - 1] == '/') || (!stat(path, &st) && S_ISDIR(st.st_mode));
    if (!is_dir)
        return write_value(document, path, err);
    char *dir = jm_strndup(path, len > 1 && path[len - 1] == '/' ? len - 1 : len);
    int rc = make_dir(dir, err);
    if (!rc)
        rc = write_entries(json_object_get(document, "calendars"), dir, "calendars", err);
    if (!rc)
        rc = write_entries(json_object_get(document, "schedules"), dir, "", err);
    free(dir);
    return rc;
}
