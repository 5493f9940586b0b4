#include "mpi.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/library.h"

enum {
    TAG = 1,
    SPINS = 2000,       /* before others may have the processor */
    IDLE_NS = 20000000, /* of waiting for an order, before it is done asleep */
    NAP_NS = 200000     /* what an order may come late by then */
};

/* Open MPI's binary interface: handles are pointers to objects that it exports, and a status may
 * be NULL. */
typedef void *handle;

struct functions {
    int (*init)(int *argc, char ***argv);
    int (*finalize)(void);
    int (*comm_rank)(handle comm, int *rank);
    int (*comm_size)(handle comm, int *size);
    int (*isend)(const void *data, int count, handle type, int to, int tag, handle comm,
                 handle *request);
    int (*irecv)(void *data, int count, handle type, int from, int tag, handle comm,
                 handle *request);
    int (*test)(handle *request, int *done, void *status);
};

struct mpi {
    struct ranks ranks; /* first: the functions get a pointer to it */
    struct functions call;
    handle world, byte;
    bool endless;
    int64_t limit_ns;
    float *incoming; /* [count - 1, room] */
    size_t room;
};

static const struct library_function symbols[] = {
    {"MPI_Init", offsetof(struct functions, init)},
    {"MPI_Finalize", offsetof(struct functions, finalize)},
    {"MPI_Comm_rank", offsetof(struct functions, comm_rank)},
    {"MPI_Comm_size", offsetof(struct functions, comm_size)},
    {"MPI_Isend", offsetof(struct functions, isend)},
    {"MPI_Irecv", offsetof(struct functions, irecv)},
    {"MPI_Test", offsetof(struct functions, test)},
};

/* Its plug-ins look for its symbols in the whole program: hence RTLD_GLOBAL. It is never closed. */
static enum status library_open(struct mpi *mpi, struct error *err)
{
    void *library = dlopen("libmpi.so.40", RTLD_NOW | RTLD_GLOBAL);
    if (!library) {
        error_set(err, STATUS_NOT_FOUND, "a split model needs Open MPI 4, which is not there");
        error_where(err, "%s", dlerror());
        error_remedy(err, "On Debian: apt-get install openmpi-bin");
        return STATUS_NOT_FOUND;
    }
    const char *missing =
        library_functions(library, symbols, sizeof symbols / sizeof symbols[0], &mpi->call);
    if (missing)
        return error_set(err, STATUS_UNSUPPORTED, "libmpi.so.40 has no %s", missing);
    mpi->world = dlsym(library, "ompi_mpi_comm_world");
    mpi->byte = dlsym(library, "ompi_mpi_byte");
    if (mpi->world && mpi->byte && mpi->call.init)
        return STATUS_OK;
    error_set(err, STATUS_UNSUPPORTED, "libmpi.so.40 is not Open MPI's");
    return STATUS_UNSUPPORTED;
}

/* Ends this process, and with it the run: mpirun ends the others. */
static _Noreturn void give_up(const struct mpi *mpi, uint32_t missing)
{
    fprintf(stderr,
            "Error: rank %u of %u did not come to an exchange for %lld s: it hangs, or its machine "
            "cannot be reached.\n",
            missing, mpi->ranks.count, (long long)(mpi->limit_ns / 1000000000));
    fflush(stderr);
    _exit(1);
}

/* Others may have the processor while nothing has come: another rank on the same one, above all. */
static void give_way(bool idle)
{
    if (idle)
        nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    else
        sched_yield();
}

/* Waits for one message with a rank. endless: it comes when it comes. */
static void await(struct mpi *mpi, handle *request, uint32_t other, bool endless)
{
    int64_t start_ns = 0;
    for (uint64_t turn = 0;; turn++) {
        int done = 0;
        mpi->call.test(request, &done, NULL);
        if (done)
            return;
        if (turn < SPINS)
            continue;
        int64_t now_ns = clock_now_ns();
        start_ns = start_ns ? start_ns : now_ns;
        if (!endless && now_ns - start_ns > mpi->limit_ns)
            give_up(mpi, other);
        give_way(endless && now_ns - start_ns > IDLE_NS);
    }
}

static handle send_begin(struct mpi *mpi, uint32_t to, const void *data, size_t bytes)
{
    handle request;
    mpi->call.isend(data, (int)bytes, mpi->byte, (int)to, TAG, mpi->world, &request);
    return request;
}

static handle receive_begin(struct mpi *mpi, uint32_t from, void *data, size_t bytes)
{
    handle request;
    mpi->call.irecv(data, (int)bytes, mpi->byte, (int)from, TAG, mpi->world, &request);
    return request;
}

static void mpi_send(struct ranks *ranks, uint32_t to, const void *data, size_t bytes)
{
    struct mpi *mpi = (struct mpi *)ranks;
    handle request = send_begin(mpi, to, data, bytes);
    await(mpi, &request, to, mpi->endless);
}

static void mpi_receive(struct ranks *ranks, uint32_t from, void *data, size_t bytes)
{
    struct mpi *mpi = (struct mpi *)ranks;
    handle request = receive_begin(mpi, from, data, bytes);
    await(mpi, &request, from, mpi->endless || from == 0);
}

static void room_make(struct mpi *mpi, size_t count)
{
    if (count <= mpi->room)
        return;
    free(mpi->incoming);
    mpi->incoming = calloc((size_t)(mpi->ranks.count - 1) * count, sizeof *mpi->incoming);
    mpi->room = count;
    if (mpi->incoming)
        return;
    fprintf(stderr, "Error: rank %u of %u: no memory for what the others send\n", mpi->ranks.rank,
            mpi->ranks.count);
    _exit(1);
}

/* Adds in the order of ranks, so that all have the same bits. */
static void parts_add(const struct mpi *mpi, float *data, size_t count)
{
    uint32_t mine = mpi->ranks.rank;
    for (size_t i = 0; i < count; i++) {
        float sum = 0;
        for (uint32_t rank = 0; rank < mpi->ranks.count; rank++)
            sum += rank == mine ? data[i] : mpi->incoming[(rank - (rank > mine)) * mpi->room + i];
        data[i] = sum;
    }
}

/* Everybody sends to everybody: one step, which for the few kilobytes of a token is what counts. */
static void mpi_sum(struct ranks *ranks, float *data, size_t count)
{
    enum { MOST = 64 };
    struct mpi *mpi = (struct mpi *)ranks;
    handle in[MOST], out[MOST];
    room_make(mpi, count);
    for (uint32_t i = 0; i + 1 < ranks->count; i++) {
        uint32_t other = i + (i >= ranks->rank);
        in[i] = receive_begin(mpi, other, mpi->incoming + i * mpi->room, count * sizeof *data);
    }
    for (uint32_t i = 0; i + 1 < ranks->count; i++)
        out[i] = send_begin(mpi, i + (i >= ranks->rank), data, count * sizeof *data);
    for (uint32_t i = 0; i + 1 < ranks->count; i++) {
        uint32_t other = i + (i >= ranks->rank);
        await(mpi, &in[i], other, mpi->endless);
        await(mpi, &out[i], other, mpi->endless);
    }
    parts_add(mpi, data, count);
}

enum status mpi_open(struct mpi **out, struct error *err)
{
    int rank, count;
    struct mpi *mpi = calloc(1, sizeof *mpi);
    if (!mpi)
        return error_no_memory(err, sizeof *mpi);
    enum status status = library_open(mpi, err);
    if (status) {
        free(mpi);
        return status;
    }
    mpi->call.init(NULL, NULL); /* which ends the process itself where it fails */
    mpi->call.comm_rank(mpi->world, &rank);
    mpi->call.comm_size(mpi->world, &count);
    mpi->ranks = (struct ranks){.rank = (uint32_t)rank,
                                .count = (uint32_t)count,
                                .sum = mpi_sum,
                                .send = mpi_send,
                                .receive = mpi_receive};
    mpi->limit_ns = ranks_limit_ns();
    mpi->endless = true;
    *out = mpi;
    return STATUS_OK;
}

void mpi_close(struct mpi *mpi)
{
    mpi->call.finalize();
    free(mpi->incoming);
    free(mpi);
}

struct ranks *mpi_ranks(struct mpi *mpi)
{
    return &mpi->ranks;
}

void mpi_patience(struct mpi *mpi, bool endless)
{
    mpi->endless = endless;
}
