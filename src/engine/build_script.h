/* The script in an engine's folder that builds what the engine stands on.
 *
 *     SCRIPT find     prints "own: PATH" when the user has a build that can be taken; ends with 0
 *     SCRIPT build    fetches, compiles, and leaves in $PRONY_BUILD_TO what is to stay
 *
 * It is started in an empty folder that is removed afterwards, with
 *
 *     PRONY_BUILD_VERSION    which version; "user" or a word of the user's for an own build
 *     PRONY_BUILD_OWN        what of the user's to build on, as find printed it or the user gave
 * it; empty: nothing, build all of it PRONY_BUILD_TO         an empty folder. It is moved when it
 * is whole: what is in it finds its parts by where itself is ($ORIGIN) PRONY_BUILD_DOWNLOADS  a
 * folder that is kept until a build succeeds: a fetched file that is whole and has the right hash
 * need not be fetched again PRONY_BUILD_OLD        what an earlier build of this version left, to
 * take parts of that are still right; empty: there is none PRONY_BUILD_THREADS    compilers at a
 * time PRONY_BUILD_GPU        1 when the machine has a GPU, else empty PRONY_BUILD_SDK folder of
 * the SDK, with include/prony/worker.h
 *
 * What it prints goes to the log. A line "==> TEXT" tells the user what goes on, and "[ 42%]" at
 * the begin of a line how far that is, which is what make prints under CMake. When it ends with
 * another status than 0, the first line with "error: " says why. */
#ifndef PRONY_ENGINE_BUILD_SCRIPT_H
#define PRONY_ENGINE_BUILD_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "engine/manifest.h"

struct build_script {
    const struct engine *engine;
    const char *version, *own; /* own: "" for none */
    const char *scratch, *to, *downloads, *old, *log_path;
    unsigned threads, minutes; /* minutes that it may take; 0: not known */
    bool gpu;
    int cancel_fd;
    void (*progress)(void *context, const char *doing, int percent, const char *how_far);
    void *context;
};

/* The path of the user's own build goes to own, "" when there is none. */
enum status build_script_find(const struct build_script *script, char *own, size_t size,
                              struct error *err);
enum status build_script_run(const struct build_script *script, struct error *err);

#endif
