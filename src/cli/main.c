/* prony: finds the command that argv names, parses its options, runs it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/help.h"

/* A closed standard stream must not become the first file that is opened: it is replaced by one
 * on which reading or writing fails. */
static void hold_standard_streams(void)
{
    static const int modes[] = {O_WRONLY, O_RDONLY, O_RDWR};
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            (void)!open("/dev/null", modes[fd]);
}

/* Output that did not arrive is a failure, a command that succeeded included. A reader that went
 * away (head) needs no message. */
static int close_output(int status)
{
    int earlier = ferror(stdout);
    errno = 0;
    if (fflush(stdout) == 0 && !earlier)
        return status;
    if (errno && errno != EPIPE)
        fprintf(stderr, "Error: cannot write to standard output: %s\n", strerror(errno));
    return status ? status : EXIT_ERROR;
}

/* --help may stand anywhere before "--": no option can have it as its value. */
static bool asks_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static int fail(const struct error *err)
{
    error_print(err, stderr);
    return EXIT_ERROR;
}

static int run_command(const struct command *command, int argc, char **argv)
{
    struct error err;
    struct option_list args;
    void *options = calloc(1, command->options_bytes + 1);
    if (!options) {
        error_no_memory(&err, command->options_bytes);
        return fail(&err);
    }
    if (command->defaults)
        memcpy(options, command->defaults, command->options_bytes);
    int status = options_parse(command, argc, argv, options, &args, &err)
                     ? fail(&err)
                     : command->run(options, &args);
    options_free(command, options, &args);
    free(options);
    return status;
}

/* No command: the conversation with a model. */
static int no_command(int argc, char **argv)
{
    if (argc > 0 && strcmp(argv[0], "--version") == 0) {
        puts("prony " PRONY_VERSION);
        return EXIT_PASS;
    }
    if (asks_help(argc, argv)) {
        help_commands(stdout, help_width(stdout), NULL);
        return EXIT_PASS;
    }
    return run_command(&command_talk, argc, argv);
}

static int show_help(int argc, char **argv)
{
    struct error err;
    int words;
    const struct command *command = command_find(argc, argv, &words, &err);
    bool group = command_is_group(argv[0]) && (argc == 1 || argv[1][0] == '-');
    if (!command && !group)
        return fail(&err);
    int width = help_width(stdout);
    if (command)
        help_command(stdout, width, command);
    else
        help_commands(stdout, width, argv[0]);
    return EXIT_PASS;
}

static int dispatch(int argc, char **argv)
{
    bool help = argc > 0 && strcmp(argv[0], "help") == 0;
    if (help && argc == 1) {
        help_commands(stdout, help_width(stdout), NULL);
        return EXIT_PASS;
    }
    argc -= help;
    argv += help;
    if (argc == 0 || argv[0][0] == '-')
        return no_command(argc, argv);
    if (help || asks_help(argc, argv))
        return show_help(argc, argv);
    struct error err;
    int words;
    const struct command *command = command_find(argc, argv, &words, &err);
    return command ? run_command(command, argc - words, argv + words) : fail(&err);
}

int main(int argc, char **argv)
{
    hold_standard_streams();
    /* cuda:N is card N of nvidia-smi, for us and for every engine. */
    setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID", 0);
    signal(SIGPIPE, SIG_IGN); /* a worker or a reader that is gone is an error, not a death */
    return close_output(dispatch(argc - 1, argv + 1));
}
