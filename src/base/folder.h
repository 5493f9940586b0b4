/* Whole folders: how much is in them, and taking them away. */
#ifndef PRONY_BASE_FOLDER_H
#define PRONY_BASE_FOLDER_H

#include <stdint.h>

#include "base/error.h"

/* Bytes of disk that everything below path takes; 0 when there is nothing. Links are not followed.
 */
uint64_t folder_bytes(const char *path);

/* Removes path and everything below it. One that is not there is fine. */
enum status folder_remove(const char *path, struct error *err);

#endif
