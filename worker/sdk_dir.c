/* Finds the modules for authors of handlers, where installation and build put them. */
#include "sdk_dir.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/mem.h"

char *jm_sdk_dir_find(void)
{
    char program[PATH_MAX], real[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n <= 0)
        return NULL;
    program[n] = 0;
    char *slash = strrchr(program, '/');
    jm_buf path = {0};
    jm_buf_add(&path, program, slash ? (size_t)(slash - program) : 0);
    jm_buf_adds(&path, "/../share/jobmill/sdk");
    const char *found = realpath(path.data, real);
    jm_buf_fini(&path);
    return found && !access(real, R_OK | X_OK) ? jm_strdup(real) : NULL;
}
