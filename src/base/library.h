/* Functions of a library that is opened at run time. */
#ifndef PRONY_BASE_LIBRARY_H
#define PRONY_BASE_LIBRARY_H

#include <stddef.h>

struct library_function {
    const char *symbol;
    size_t offset; /* of the pointer to it */
};

/* Sets the pointers in functions, by dlsym. The first symbol that the library lacks, or NULL. */
const char *library_functions(void *library, const struct library_function *table, size_t count,
                              void *functions);

#endif
