/* A libnccl.so.2 without GPUs, whose exchanges change nothing, with errors on request.
 *
 * FAKE_NCCL holds words: "version=21300"; "ncclCommInitAll=2" makes that function fail with that
 * code; "ncclAllReduce=1 rank=1" that of one card alone, from the call "after=N" on; "hang=1" has
 * it never return there instead; "async=6" is what is told of the card when it is asked for.
 * Compiled with OLD, it lacks a function. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SETTINGS "FAKE_NCCL"
#include "setting.h"

struct comm {
    long rank, calls;
};

EXPORT int ncclGetVersion(int *version);
int ncclGetVersion(int *version)
{
    *version = (int)setting("version", 22907);
    return RESULT;
}

EXPORT const char *ncclGetErrorString(int result);
const char *ncclGetErrorString(int result)
{
    return result == 1   ? "unhandled cuda error"
           : result == 6 ? "remote process exited or there was a network error"
                         : "made up";
}

EXPORT const char *ncclGetLastError(struct comm *comm);
const char *ncclGetLastError(struct comm *comm)
{
    (void)comm;
    return "Cuda failure 719";
}

EXPORT int ncclCommInitAll(struct comm **comms, int count, const int *devices);
int ncclCommInitAll(struct comm **comms, int count, const int *devices)
{
    int result = RESULT;
    for (int i = 0; i < count && !result; i++) {
        comms[i] = calloc(1, sizeof **comms);
        if (!comms[i] || devices[i] != i)
            abort();
        comms[i]->rank = i;
    }
    return result;
}

EXPORT int ncclCommDestroy(struct comm *comm);
int ncclCommDestroy(struct comm *comm)
{
    free(comm);
    return RESULT;
}

#ifndef OLD
static int is_wanted(const struct comm *comm)
{
    return comm->rank == setting("rank", 1) && comm->calls >= setting("after", 0);
}

EXPORT int ncclCommGetAsyncError(struct comm *comm, int *result);
int ncclCommGetAsyncError(struct comm *comm, int *result)
{
    *result = is_wanted(comm) ? (int)setting("async", 0) : 0;
    return RESULT;
}

EXPORT int ncclAllReduce(const void *from, void *to, size_t count, int type, int operation,
                         struct comm *comm, void *stream);
int ncclAllReduce(const void *from, void *to, size_t count, int type, int operation,
                  struct comm *comm, void *stream)
{
    (void)count, (void)stream;
    if (from != to ||
        !((type == 7 && operation == 0) || (type == 5 && operation == 2 && count == 1)))
        return 4;
    comm->calls++;
    while (is_wanted(comm) && setting("hang", 0))
        sleep(1);
    return is_wanted(comm) ? RESULT : 0;
}
#endif
