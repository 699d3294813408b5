/* Fuzz target of the configuration file: any text is refused with its place, or gives a
 * configuration that can be printed and whose connection string is made or refused with a reason.
 */
#undef NDEBUG /* the assertions are the test */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/config.h"
#include "tests/fuzz/fuzz.h"

static void use(const jm_config *config)
{
    char *text = NULL, *conninfo;
    size_t len = 0;
    jm_err err = {0};
    FILE *to = open_memstream(&text, &len);
    jm_config_print(config, to);
    fclose(to);
    assert(len > 0);
    free(text);
    if (jm_config_conninfo(config, &conninfo, &err) == JM_OK)
        free(conninfo);
    else
        assert(err.msg[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    jm_config *config;
    jm_err err = {0};
    int fd = memfd_create("config", MFD_CLOEXEC);
    assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, sizeof path, "--config=/proc/self/fd/%d", fd);
    char *argv[] = {(char *)"fuzz", path, NULL};
    int argc = 2;
    if (jm_config_load(&config, &argc, argv, &err) == JM_OK) {
        use(config);
        jm_config_free(config);
    } else {
        assert(!config && err.msg[0]);
    }
    close(fd);
    return 0;
}
