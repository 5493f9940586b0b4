/* The main() of a fuzz target in ordinary builds: every file of the folder (or every file) given
 * goes through the target once. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

enum { MAX_CASE_BYTES = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool replay(const char *path)
{
    char *bytes;
    size_t size;
    struct error err;
    if (file_read(path, MAX_CASE_BYTES, &bytes, &size, &err)) {
        error_print(&err, stderr);
        return false;
    }
    /* A buffer of exactly the size, so that a sanitizer sees the first byte beyond it. */
    uint8_t *exact = realloc(bytes, size ? size : 1);
    if (exact)
        LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    return exact != NULL;
}

/* The number of cases replayed; -1 when one cannot be read. */
static int replay_folder(const char *path)
{
    int count = 0;
    DIR *folder = opendir(path);
    if (!folder) {
        fprintf(stderr, "cannot open the folder %s\n", path);
        return -1;
    }
    for (struct dirent *entry; count >= 0 && (entry = readdir(folder));) {
        char name[4096];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        count = replay(name) ? count + 1 : -1;
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv)
{
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int count = path_is_file(argv[i]) ? (replay(argv[i]) ? 1 : -1) : replay_folder(argv[i]);
        if (count <= 0) {
            fprintf(stderr, "no cases in %s\n", argv[i]);
            return 1;
        }
        total += count;
    }
    printf("%d cases\n", total);
    return total == 0;
}
