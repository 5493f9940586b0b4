#include "base/cancel.h"

#include <signal.h>
#include <sys/signalfd.h>

enum status cancel_open(int *fd, struct error *err)
{
    sigset_t signals;
    *fd = -1;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) == 0)
        *fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return *fd < 0 ? error_errno(err, "wait for signals") : STATUS_OK;
}
