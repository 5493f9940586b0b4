/* Host side of one worker process: start it, ask it, end it. docs/protocol.md has the messages.
 *
 * Every call has a time limit. A worker that dies, hangs or breaks the protocol is killed with all
 * its children; the error says why, with the end of its log, and further calls fail with the same
 * error. An error that the worker itself reports (unsupported, no_memory, ...) leaves it alive.
 * While generate runs, the host sleeps in poll() and moves no byte. */
#ifndef PRONY_ENGINE_WORKER_H
#define PRONY_ENGINE_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "engine/manifest.h"

enum { WORKER_MAX_PHASES = 16, WORKER_MAX_OPERATIONS = 64, WORKER_TEXT = 256 };

struct worker; /* process, pipes, log, request counter */
struct link;

struct worker_options {
    const char *log_path; /* gets the worker's stdout and stderr; NULL: a temporary file */
    int cancel_fd;        /* readable (a signalfd, an eventfd) → STATUS_INTERRUPTED; -1: none */
    /* Takes what made cancel_fd readable. With it, a second cancellation of a stream that does not
     * heed the first kills the worker; NULL: cancel_fd stays readable, and counts once. */
    void (*on_cancel)(void *context);
    void *on_cancel_context;
    /* Called ten times a second during load, with the process that loads; NULL: nobody is. */
    void (*on_loading)(void *context, pid_t worker);
    void *on_loading_context;
    int64_t hello_ms, load_ms, request_ms; /* time limits; 0: the defaults */
};

struct worker_hello {
    int64_t spawned_ns; /* just before the process was started */
    int64_t ready_ns;   /* hello's reply was there: start and imports are over */
    char engine[64], version[64], stands_on[WORKER_TEXT];
    char devices[WORKER_TEXT]; /* "cpu cuda:0" */
};

/* The variant's own options go along. NULL strings: the variant's own precision, no quantising,
 * device "cpu". */
struct worker_load {
    const char *model, *variant, *device, *precision, *quantize;
    const char *keep_at;              /* as fit/quantised.h has it; NULL is "" */
    uint32_t shard, threads, context; /* shard 0 is 1; threads 0: the engine's own choice */
};

struct worker_loaded {
    int64_t asked_ns, ready_ns;
    struct {
        char name[32];
        int64_t start_ns, end_ns;
    } phase[WORKER_MAX_PHASES];
    size_t phases;
    uint64_t weight_bytes, kv_token_bytes;
    int64_t embedding_bytes; /* see store/record.h; -1: it does not tell */
    uint32_t vocabulary, threads;
    char precision[64], detail[WORKER_TEXT];
};

struct worker_generated {
    int64_t prompt_ns;  /* the prompt's hand-over, stamped by the worker */
    int32_t *ids;       /* [count]; room for the asked number is the caller's */
    int64_t *stamps_ns; /* [count] */
    size_t count;
    /* Between the first id and the last, with the other processes that hold the model: bytes of the
     * values alone, and the time that it took. Both 0: nothing was exchanged. */
    int64_t exchanged_bytes, exchanged_ns;
};

struct worker_memory {
    int64_t host_bytes, host_peak_bytes, device_bytes, device_peak_bytes; /* -1: not known */
    char method[WORKER_TEXT];
};

/* What a trace that has ended came to; operations 0: the engine does not tell. */
struct worker_traced {
    int64_t prompts, tokens;     /* a prompt's time goes up to its first token, */
    int64_t prompt_ns, token_ns; /* that of tokens is what lies between them */
    struct {
        char name[32];
        int64_t prompt_ns, token_ns;
    } operation[WORKER_MAX_OPERATIONS];
    size_t operations;
    int64_t dropped; /* events that the trace had no room for */
};

/* Spawns the engine's command and says hello. The engine must outlive the worker. */
enum status worker_start(struct worker **started, const struct engine *engine,
                         const struct worker_options *options, struct worker_hello *hello,
                         struct error *err);
enum status worker_load(struct worker *worker, const struct worker_load *request,
                        struct worker_loaded *loaded, struct error *err);
/* Greedy and timed. Checks the reply: as many ids as asked, ids inside the vocabulary, stamps in
 * order and inside the request. */
enum status worker_generate(struct worker *worker, const int32_t *prompt, size_t prompt_count,
                            size_t tokens, struct worker_generated *generated, struct error *err);

/* Sampled and streamed, for talking to a model. */
struct worker_sampling {
    double temperature, top_p, min_p;
    uint32_t top_k;
    uint64_t seed;
    const int32_t *stop;
    size_t stop_count;
};
/* on_token returns false to cancel; count then tells how far it got. A readable cancel_fd cancels
 * too: STATUS_INTERRUPTED, generated is filled and the worker lives. */
enum status worker_stream(struct worker *worker, const int32_t *prompt, size_t prompt_count,
                          size_t tokens, const struct worker_sampling *sampling,
                          bool (*on_token)(void *context, int32_t id), void *context,
                          struct worker_generated *generated, struct error *err);

/* Asks for the logits of ids, which the worker writes to a file that is there: [count, vocabulary]
 * float32. *partial: they are log-probabilities of some ids, NaN for the others; NULL where only
 * logits will do. */
enum status worker_logits_write(struct worker *worker, const int32_t *ids, size_t count,
                                const char *path, bool *partial, struct error *err);
/* The same in memory; *logits is malloc'd [count, vocabulary], the caller frees. */
enum status worker_logits(struct worker *worker, const int32_t *ids, size_t count, float **logits,
                          bool *partial, struct error *err);
enum status worker_memory(struct worker *worker, struct worker_memory *memory, struct error *err);
/* Traces to path from now on; "" ends that. ended, unless NULL, is what ends with it. */
enum status worker_trace(struct worker *worker, const char *path, struct worker_traced *ended,
                         struct error *err);
enum status worker_unload(struct worker *worker, struct error *err);

pid_t worker_pid(const struct worker *worker);
/* False after a failure. */
bool worker_alive(const struct worker *worker);
/* Path of the log, for messages. */
const char *worker_log(const struct worker *worker);
/* The last lines of a log, as one clean line; "" when there is nothing. */
void worker_log_tail(const char *log_path, char *text, size_t size);
/* The conversation below, for requests that have no function here (engine/conformance.c). */
struct link *worker_link(struct worker *worker);
/* Says bye, waits a little, kills what is left of the process group, frees. NULL is fine. */
void worker_stop(struct worker *worker);

#endif
