/* Memory that is freed all at once: everything that lives as long as one model, plan or run. */
#ifndef PRONY_BASE_ARENA_H
#define PRONY_BASE_ARENA_H

#include <stdarg.h>
#include <stddef.h>

struct arena_chunk;

/* Zero-initialise: struct arena a = {0}. */
struct arena {
    struct arena_chunk *chunks;
};

/* Zeroed memory, aligned for any type; NULL when there is none. */
void *arena_alloc(struct arena *arena, size_t bytes);
/* count * size zeroed bytes; NULL when the product overflows or there is none. */
void *arena_array(struct arena *arena, size_t count, size_t size);
/* A NUL-terminated copy of the first length bytes of text. */
char *arena_strndup(struct arena *arena, const char *text, size_t length);
char *arena_strdup(struct arena *arena, const char *text);
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *arena, const char *format, va_list args)
    __attribute__((format(printf, 2, 0)));
void arena_free(struct arena *arena);

#endif
