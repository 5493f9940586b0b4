/* --no-memory-check, of every command that loads models. What the system calls free is not always
 * all that there is: ZFS's cache and what a hypervisor can give back are not in it. */
#ifndef PRONY_CLI_MEMORY_OPTION_H
#define PRONY_CLI_MEMORY_OPTION_H

#define OPTION_MEMORY_CHECK(field)                                                                 \
    {                                                                                              \
        .name = "memory-check", .kind = OPTION_FLAG, .negatable = true,                            \
        .help = "Refuse, before anything is loaded, what does not fit into the memory that is "    \
                "free (on).",                                                                      \
        .offset = (field)                                                                          \
    }

#endif
