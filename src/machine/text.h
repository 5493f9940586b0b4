/* The kernel's small text files: one line, or one field of many. */
#ifndef PRONY_MACHINE_TEXT_H
#define PRONY_MACHINE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "/sys", or what PRONY_SYSFS names: a copy, for tests. */
const char *text_sysfs(void);
/* The first line, without its end; cut when too long. False (and "") when it cannot be read. */
bool text_line(const char *path, char *text, size_t size);
/* What follows "NAME:" or "NAME=" on the first line that starts so, without blanks and quotes
 * around it. */
bool text_field(const char *path, const char *name, char *text, size_t size);
/* A field such as "VmHWM:  123 kB", in bytes; -1 when it is not there. */
int64_t text_field_bytes(const char *path, const char *name);

#endif
