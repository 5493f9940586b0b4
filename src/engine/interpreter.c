#include "engine/interpreter.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { MAX_ANSWER = 1 << 16 };

/* What one candidate is. */
struct candidate {
    char path[512];
    unsigned minor; /* of 3.minor; 0: it does not run */
    bool makes_environments;
};

static void candidate_ask(struct candidate *candidate, const char *name, const struct tool *tool)
{
    static const char question[] = "import sys\n"
                                   "print(sys.version_info[1], end=' ')\n"
                                   "try:\n"
                                   "    import ensurepip, venv\n"
                                   "    print('yes', end=' ')\n"
                                   "except ImportError:\n"
                                   "    print('no', end=' ')\n"
                                   "print(sys.executable)\n";
    const char *const argv[] = {name, "-I", "-c", question, NULL};
    char *answer, able[8];
    size_t bytes;
    struct error ignored;
    *candidate = (struct candidate){0};
    if (tool_run(tool, argv, NULL, &ignored) ||
        file_read(tool->log_path, MAX_ANSWER, &answer, &bytes, &ignored))
        return;
    if (sscanf(answer, "%3u %7s %511[^\n]", &candidate->minor, able, candidate->path) != 3)
        candidate->minor = 0;
    else
        candidate->makes_environments = strcmp(able, "yes") == 0;
    free(answer);
}

static unsigned minor_of(const char *version)
{
    return (unsigned)strtoul(version + strlen("3."), NULL, 10);
}

static enum status none_fits(const struct engine_install *install, const char *seen,
                             const char *unable, struct error *err)
{
    if (*unable) {
        error_set(err, STATUS_NOT_FOUND, "%s cannot make environments: its ensurepip is missing",
                  unable);
        return error_remedy(err, "Run: apt-get install python3-venv");
    }
    error_set(err, STATUS_NOT_FOUND, "there is no Python from %s to %s here%s%s",
              install->python[0], install->python[1], *seen ? "; seen:" : "", seen);
    return error_remedy(err, "Run: apt-get install python3 python3-venv");
}

enum status interpreter_find(const struct engine_install *install, const struct tool *tool,
                             char *path, size_t size, struct error *err)
{
    unsigned oldest = minor_of(install->python[0]), newest = minor_of(install->python[1]);
    char seen[256] = "", unable[512] = "", name[32];
    for (unsigned i = 0; i < newest - oldest + 3; i++) {
        struct candidate candidate;
        snprintf(name, sizeof name, "python3.%u", newest + 2 - i);
        candidate_ask(&candidate, i == 0 ? "/usr/bin/python3" : i == 1 ? "python3" : name, tool);
        if (!candidate.minor)
            continue;
        if (candidate.minor < oldest || candidate.minor > newest) {
            size_t used = strlen(seen);
            snprintf(seen + used, sizeof seen - used, " %.60s 3.%u", candidate.path,
                     candidate.minor);
        } else if (candidate.makes_environments) {
            snprintf(path, size, "%s", candidate.path);
            return STATUS_OK;
        } else if (!*unable) {
            memcpy(unable, candidate.path, sizeof unable);
        }
    }
    return none_fits(install, seen, unable, err);
}
