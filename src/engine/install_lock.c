#include "engine/install_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "engine/installation.h"

enum { SLICE_MS = 100 };

static enum status wait_for(int fd, int cancel_fd, void (*waiting)(void *context), void *context,
                            struct error *err)
{
    for (bool told = false; flock(fd, LOCK_EX | LOCK_NB) != 0; told = true) {
        struct pollfd cancel = {.fd = cancel_fd, .events = POLLIN};
        if (errno != EWOULDBLOCK && errno != EINTR)
            return error_errno(err, "lock an engine's folder");
        if (!told)
            waiting(context);
        if (poll(&cancel, 1, SLICE_MS) > 0)
            return error_set(err, STATUS_INTERRUPTED, "interrupted");
    }
    return STATUS_OK;
}

enum status install_lock(const char *name, int cancel_fd, void (*waiting)(void *context),
                         void *context, int *fd, struct error *err)
{
    char folder[PATH_MAX], path[PATH_MAX + 16];
    *fd = -1;
    enum status status = installation_folder(name, NULL, folder, sizeof folder, err);
    if (!status)
        status = folder_make(folder, err);
    if (status)
        return status;
    snprintf(path, sizeof path, "%s/.lock", folder);
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (*fd < 0)
        return error_errno(err, "create the lock %.300s", path);
    status = wait_for(*fd, cancel_fd, waiting, context, err);
    if (status) {
        close(*fd);
        *fd = -1;
    }
    return status;
}
