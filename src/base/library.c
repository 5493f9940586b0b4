#include "base/library.h"

#include <dlfcn.h>
#include <string.h>

const char *library_functions(void *library, const struct library_function *table, size_t count,
                              void *functions)
{
    for (size_t i = 0; i < count; i++) {
        void *address = dlsym(library, table[i].symbol);
        if (!address)
            return table[i].symbol;
        memcpy((char *)functions + table[i].offset, &address, sizeof address);
    }
    return NULL;
}
