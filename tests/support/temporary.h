/* A folder of a test's own, and files in it. */
#ifndef PRONY_TESTS_TEMPORARY_H
#define PRONY_TESTS_TEMPORARY_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"

static char temporary_folder[] = "/tmp/prony-test-XXXXXX";

/* Fixtures of a cmocka group: cmocka_run_group_tests(tests, temporary_make, temporary_remove). */
static inline int temporary_make(void **state)
{
    (void)state;
    return mkdtemp(temporary_folder) ? 0 : -1;
}

static inline int temporary_remove(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", temporary_folder);
    return system(command);
}

/* The path of a name in the folder, until the next call. */
static inline char *temporary_path(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", temporary_folder, name);
    return path;
}

/* Writes a file, and makes the folders above it. Who reads it meanwhile finds the old or the new.
 */
static inline void temporary_put(const char *name, const char *text)
{
    char path[256], parent[256], fresh[264];
    struct error err;
    snprintf(path, sizeof path, "%s", temporary_path(name));
    snprintf(parent, sizeof parent, "%.*s", (int)(strrchr(path, '/') - path), path);
    snprintf(fresh, sizeof fresh, "%s.new", path);
    assert_int_equal(folder_make(parent, &err), STATUS_OK);
    FILE *stream = fopen(fresh, "w");
    assert_non_null(stream);
    fputs(text, stream);
    assert_int_equal(fclose(stream), 0);
    assert_int_equal(rename(fresh, path), 0);
}

#endif
