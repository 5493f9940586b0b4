#include "model/weights_write.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "model/narrow.h"

enum { BLOCK_BYTES = 4 << 20, REPORT_NS = 100000000, MAX_THREADS = 256 };

/* What the threads share; all but the job under the mutex. */
struct filling {
    const struct weights_job *job;
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* a thread has ended */
    size_t next_weight;
    uint64_t next_row;
    uint64_t done_bytes;
    uint32_t running;
    bool stopped;
    struct error error; /* the first; status STATUS_OK when none */
};

/* A block of rows of one weight. */
struct block {
    const struct weight *weight;
    uint64_t row, rows;
};

static uint64_t block_rows(const struct weight *weight)
{
    bool small = weight->row_bytes > 0 && weight->row_bytes < BLOCK_BYTES;
    return small ? BLOCK_BYTES / weight->row_bytes : 1;
}

/* Takes the next block; false when none is left or the work has stopped. */
static bool block_claim(struct filling *filling, const struct block *finished, struct block *block)
{
    const struct weights_job *job = filling->job;
    pthread_mutex_lock(&filling->mutex);
    if (finished->weight)
        filling->done_bytes += finished->rows * finished->weight->row_bytes;
    bool found = !filling->stopped && filling->next_weight < job->count;
    if (found) {
        const struct weight *weight = &job->weights[filling->next_weight];
        uint64_t left = weight->rows - filling->next_row, rows = block_rows(weight);
        *block = (struct block){weight, filling->next_row, rows < left ? rows : left};
        filling->next_row += block->rows;
        if (filling->next_row == weight->rows) {
            filling->next_weight++;
            filling->next_row = 0;
        }
    }
    pthread_mutex_unlock(&filling->mutex);
    return found;
}

static enum status block_compute(const struct weights_job *job, const struct block *block,
                                 float *row, unsigned char *out, struct error *err)
{
    const struct weight *w = block->weight;
    bool reorder = job->interleave_head_size != 0 && (w->role == WEIGHT_Q || w->role == WEIGHT_K);
    for (uint64_t i = 0; i < block->rows; i++) {
        uint64_t from = block->row + i;
        if (reorder)
            from = layout_row_from_gguf(from, job->interleave_head_size);
        job->source.row(job->source.context, w, from, row);
        if (!narrow(row, w->columns, w->type, out + i * w->row_bytes)) {
            error_set(err, STATUS_UNSUPPORTED, "a value is too large for %s",
                      w->type == TENSOR_F16 ? "float16" : "bfloat16");
            error_where(err, "tensor %s, row %llu", w->name, (unsigned long long)from);
            return error_remedy(err, "Use --precision %s.",
                                w->type == TENSOR_F16 ? "bfloat16" : "float32");
        }
    }
    if (job->source.done)
        job->source.done(job->source.context, w, block->row, block->rows);
    return STATUS_OK;
}

static enum status block_write(const struct weights_job *job, const struct block *block,
                               const unsigned char *out, struct error *err)
{
    uint64_t offset = block->weight->offset + block->row * block->weight->row_bytes;
    uint64_t left = block->rows * block->weight->row_bytes;
    int file = fileno(job->files->file[block->weight->part].writer.stream);
    while (left > 0) {
        ssize_t written = pwrite(file, out, left, (off_t)offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return error_errno(err, "write tensor %s", block->weight->name);
        out += written;
        offset += (uint64_t)written;
        left -= (uint64_t)written;
    }
    return STATUS_OK;
}

/* What a thread needs room for: the columns of the widest row, the bytes of the largest block. */
static void largest_block(const struct weights_job *job, uint64_t *columns, uint64_t *bytes)
{
    *columns = *bytes = 1;
    for (size_t i = 0; i < job->count; i++) {
        const struct weight *w = &job->weights[i];
        uint64_t rows = block_rows(w) < w->rows ? block_rows(w) : w->rows;
        uint64_t block_bytes = rows * w->row_bytes;
        *columns = w->columns > *columns ? w->columns : *columns;
        *bytes = block_bytes > *bytes ? block_bytes : *bytes;
    }
}

static void *fill_thread(void *argument)
{
    struct filling *filling = argument;
    const struct weights_job *job = filling->job;
    struct error err = {.status = STATUS_OK};
    uint64_t columns, bytes;
    largest_block(job, &columns, &bytes);
    float *row = malloc(columns * sizeof *row);
    unsigned char *out = malloc(bytes);
    if (!row || !out)
        error_no_memory(&err, columns * sizeof *row + bytes);

    struct block block = {0};
    while (err.status == STATUS_OK && block_claim(filling, &block, &block))
        if (block_compute(job, &block, row, out, &err) == STATUS_OK)
            block_write(job, &block, out, &err);
    free(row);
    free(out);

    pthread_mutex_lock(&filling->mutex);
    if (err.status && !filling->error.status)
        filling->error = err;
    filling->stopped |= err.status != STATUS_OK;
    filling->running--;
    pthread_cond_signal(&filling->wake);
    pthread_mutex_unlock(&filling->mutex);
    return NULL;
}

static uint64_t files_bytes(const struct weights_files *files)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < files->count; i++)
        bytes += files->file[i].bytes;
    return bytes;
}

static enum status interrupted(struct error *err)
{
    return error_set(err, STATUS_INTERRUPTED, "interrupted: nothing was written");
}

/* Waits for all threads, reporting progress meanwhile. */
static void fill_watch(struct filling *filling)
{
    const struct weight_progress *progress = &filling->job->progress;
    uint64_t total = files_bytes(filling->job->files);
    bool stopped_by_user = false;
    pthread_mutex_lock(&filling->mutex);
    while (filling->running > 0) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += REPORT_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&filling->wake, &filling->mutex, &until);
        if (progress->report && !stopped_by_user) {
            uint64_t done = filling->done_bytes;
            pthread_mutex_unlock(&filling->mutex);
            stopped_by_user = !progress->report(progress->context, done, total);
            pthread_mutex_lock(&filling->mutex);
            filling->stopped |= stopped_by_user;
        }
    }
    pthread_mutex_unlock(&filling->mutex);
    if (stopped_by_user && !filling->error.status)
        interrupted(&filling->error);
}

static uint32_t cores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof set, &set) == 0 ? (uint32_t)CPU_COUNT(&set) : 1;
}

/* Takes the disk space now, where the file system can: better to fail before the work than in it.
 */
static enum status file_reserve(const struct weights_file *file, struct error *err)
{
    int descriptor = fileno(file->writer.stream);
    if (fallocate(descriptor, 0, 0, (off_t)file->bytes) == 0)
        return STATUS_OK;
    if (errno == ENOSPC || errno == EDQUOT || errno == EFBIG)
        return error_errno(err, "reserve %llu bytes", (unsigned long long)file->bytes);
    if (ftruncate(descriptor, (off_t)file->bytes) != 0)
        return error_errno(err, "set the size of the file");
    return STATUS_OK;
}

enum status weights_write(const struct weights_job *job, struct error *err)
{
    const struct weight_progress *progress = &job->progress;
    for (size_t i = 0; i < job->files->count; i++)
        if (file_reserve(&job->files->file[i], err))
            return err->status;
    if (progress->report && !progress->report(progress->context, 0, files_bytes(job->files)))
        return interrupted(err);
    uint32_t wanted = job->threads ? job->threads : cores();
    wanted = wanted > MAX_THREADS ? MAX_THREADS : wanted;
    struct filling filling = {.job = job, .mutex = PTHREAD_MUTEX_INITIALIZER};
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&filling.wake, &attributes);
    pthread_condattr_destroy(&attributes);

    pthread_t threads[MAX_THREADS];
    uint32_t started = 0;
    filling.running = wanted;
    while (started < wanted && pthread_create(&threads[started], NULL, fill_thread, &filling) == 0)
        started++;
    pthread_mutex_lock(&filling.mutex);
    filling.running -= wanted - started;
    pthread_mutex_unlock(&filling.mutex);
    if (started == 0)
        error_set(&filling.error, STATUS_NO_MEMORY, "cannot start a thread");
    fill_watch(&filling);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    pthread_cond_destroy(&filling.wake);
    if (filling.error.status)
        *err = filling.error;
    return filling.error.status;
}
