/* Fuzz target of definitions of job types: any bytes give a type, or an error with its place. */
#undef NDEBUG /* the assertions are the test */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "worker/job_type.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    jm_job_type *type = NULL;
    jm_err err = {0};
    /* A copy of its exact size: a look behind the end shows. */
    char *copy = malloc(size ? size : 1);
    assert(copy);
    memcpy(copy, data, size);
    if (jm_job_type_parse("f", copy, size, &type, &err)) {
        assert(!type && !strncmp(err.msg, "f:", 2));
    } else {
        assert(type->n_steps > 0 && type->max_attempts > 0 && strlen(type->hash) == 64);
        for (int attempt = 1; attempt < 2000; attempt += 99)
            assert(jm_job_type_backoff_us(type, attempt) >= 0);
    }
    jm_job_type_unref(type);
    free(copy);
    return 0;
}
