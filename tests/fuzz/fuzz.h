/* What every fuzz target offers: tests/fuzz/fuzz_X.c is one target. libFuzzer drives it in ./dev
 * fuzz, replay.c runs the stored inputs through it with the other tests. */
#ifndef JM_FUZZ_H
#define JM_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Returns 0, or does not return. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
