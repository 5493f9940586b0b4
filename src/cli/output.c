/* What a command says when it could not do what it was asked. */
#include <poll.h>
#include <unistd.h>

#include "cli/command.h"

/* `prony report | head`: whoever read has had enough, and needs no message. */
static bool reader_left(void)
{
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return ferror(stdout) && poll(&output, 1, 0) == 1 && (output.revents & POLLERR);
}

int command_fail(const struct error *err)
{
    if (!reader_left())
        error_print(err, stderr);
    return EXIT_ERROR;
}
