/* Work that is not to be cut off in the middle: signals that would end the program wait. */
#include "producer/cli/held_signals.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

static void ending_signals(sigset_t *set)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action;
    sigemptyset(set);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (sigaction(numbers[i], NULL, &action) || action.sa_handler != SIG_IGN)
            sigaddset(set, numbers[i]);
}

void jm_cli_signals_hold(void)
{
    sigset_t set;
    ending_signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

bool jm_cli_signals_came(void *ctx)
{
    sigset_t set, pending;
    (void)ctx;
    ending_signals(&set);
    sigpending(&pending);
    return sigandset(&pending, &pending, &set) == 0 && !sigisemptyset(&pending);
}
