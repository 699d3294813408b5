/* Runs stored inputs through a fuzz target: arguments are files, directories of files, and .jsonl
 * files, of which each line is an input and so is what its members value (text) and base64 hold. */
#include <dirent.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/buf.h"
#include "tests/fuzz/fuzz.h"

static size_t n_inputs;

static void run(const void *data, size_t size)
{
    LLVMFuzzerTestOneInput(data, size);
    n_inputs++;
}

static void run_line(const char *line, size_t len)
{
    json_t *object = json_loadb(line, len, 0, NULL);
    const json_t *value = json_object_get(object, "value");
    const json_t *base64 = json_object_get(object, "base64");
    run(line, len);
    if (json_is_string(value))
        run(json_string_value(value), json_string_length(value));
    if (json_is_string(base64)) {
        jm_buf buf = {0};
        size_t n = json_string_length(base64);
        int got = EVP_DecodeBlock((unsigned char *)jm_buf_reserve(&buf, n),
                                  (const unsigned char *)json_string_value(base64), (int)n);
        for (size_t i = n; i > 0 && json_string_value(base64)[i - 1] == '='; i--)
            got--;
        if (got > 0)
            run(buf.data, (size_t)got);
        jm_buf_fini(&buf);
    }
    json_decref(object);
}

static bool run_file(const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file) {
        perror(path);
        return false;
    }
    size_t n = strlen(path);
    if (n > 6 && !strcmp(path + n - 6, ".jsonl")) {
        char *line = NULL;
        size_t cap = 0;
        ssize_t len;
        while ((len = getline(&line, &cap, file)) > 0)
            run_line(line, (size_t)len);
        free(line);
    } else {
        jm_buf buf = {0};
        size_t got;
        while ((got = fread(jm_buf_reserve(&buf, 65536), 1, 65536, file)) > 0)
            buf.len += got;
        run(buf.len ? buf.data : "", buf.len);
        jm_buf_fini(&buf);
    }
    fclose(file);
    return true;
}

static bool run_path(const char *path)
{
    struct stat st;
    struct dirent **names;
    bool ok = true;
    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
        return run_file(path);
    int n = scandir(path, &names, NULL, alphasort);
    if (n < 0) {
        perror(path);
        return false;
    }
    for (int i = 0; i < n; i++) {
        jm_buf inner = {0};
        jm_buf_addf(&inner, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.')
            ok = run_file(inner.data) && ok;
        jm_buf_fini(&inner);
        free(names[i]);
    }
    free(names);
    return ok;
}

int main(int argc, char **argv)
{
    bool ok = argc > 1;
    for (int i = 1; i < argc; i++)
        ok = run_path(argv[i]) && ok;
    printf("%zu inputs\n", n_inputs);
    return ok && n_inputs ? EXIT_SUCCESS : EXIT_FAILURE;
}
