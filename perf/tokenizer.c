/* perf/tokenizer MODEL TEXT: how long a vocabulary takes to open, and how fast one thread encodes
 * and decodes the file TEXT. The best of several rounds, since others may use the machine. With
 * Llama 3's tokenizer.model as MODEL, tiktoken does the same right after it (tests/oracle/run has
 * it, and fetches it the first time). */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "model/tokenizer/tokenizer.h"

enum { ROUNDS = 7, TEXT_LIMIT_BYTES = 1 << 30 };

struct timing {
    int64_t open_ns, encode_ns, decode_ns;
    size_t ids;
};

/* tiktoken's figures; false when it is not to be had. */
static bool peer_run(const char *model, const char *text, struct timing *peer)
{
    char path[2][PATH_MAX], command[3 * PATH_MAX];
    if (!realpath(model, path[0]) || !realpath(text, path[1]) || strchr(path[0], '\'') ||
        strchr(path[1], '\''))
        return false;
    snprintf(command, sizeof command,
             SOURCE_FOLDER "/tests/oracle/run " SOURCE_FOLDER "/perf/tokenizer_peer.py '%s' '%s'",
             path[0], path[1]);
    FILE *stream = popen(command, "r"); /* NOLINT(cert-env33-c): a measurement, run by hand */
    if (!stream)
        return false;
    int got =
        fscanf(stream, "%" SCNd64 " %" SCNd64 " %zu", &peer->open_ns, &peer->encode_ns, &peer->ids);
    return pclose(stream) == 0 && got == 3;
}

static int64_t shorter(int64_t best_ns, int64_t started_ns)
{
    int64_t took_ns = clock_now_ns() - started_ns;
    return best_ns == 0 || took_ns < best_ns ? took_ns : best_ns;
}

static enum status round_run(const char *model, const char *text, size_t bytes,
                             struct timing *timing, struct error *err)
{
    struct tokenizer *tokenizer;
    int32_t *ids = NULL;
    char *decoded = NULL;
    size_t decoded_bytes;
    int64_t started_ns = clock_now_ns();
    enum status status = tokenizer_open(&tokenizer, model, err);
    timing->open_ns = shorter(timing->open_ns, started_ns);
    if (status != STATUS_OK)
        return status;
    started_ns = clock_now_ns();
    status = tokenizer_encode(tokenizer, text, bytes, 0, &ids, &timing->ids, err);
    timing->encode_ns = shorter(timing->encode_ns, started_ns);
    if (status == STATUS_OK) {
        started_ns = clock_now_ns();
        status = tokenizer_decode(tokenizer, ids, timing->ids, &decoded, &decoded_bytes, err);
        timing->decode_ns = shorter(timing->decode_ns, started_ns);
    }
    free(decoded);
    free(ids);
    tokenizer_close(tokenizer);
    return status;
}

int main(int argc, char **argv)
{
    struct timing timing = {0}, peer = {0};
    struct error err;
    char *text = NULL;
    size_t bytes;
    if (argc != 3) {
        fprintf(stderr, "usage: tokenizer MODEL TEXT\n");
        return 1;
    }
    enum status status = file_read(argv[2], TEXT_LIMIT_BYTES, &text, &bytes, &err);
    for (int round = 0; status == STATUS_OK && round < ROUNDS; round++)
        status = round_run(argv[1], text, bytes, &timing, &err);
    free(text);
    if (status != STATUS_OK) {
        error_print(&err, stderr);
        return 1;
    }
    printf("open    %8.2f ms\n", (double)timing.open_ns / 1e6);
    printf("encode  %8.2f MB/s  %zu bytes, %zu ids\n",
           1e3 * (double)bytes / (double)timing.encode_ns, bytes, timing.ids);
    printf("decode  %8.2f MB/s\n", 1e3 * (double)bytes / (double)timing.decode_ns);
    if (strcmp(path_base(argv[1]), "tokenizer.model") != 0)
        return 0;
    if (!peer_run(argv[1], argv[2], &peer)) {
        printf("tiktoken: not available (the message above says why)\n");
        return 0;
    }
    printf("tiktoken\nopen    %8.2f ms     %.1f times ours\n", (double)peer.open_ns / 1e6,
           (double)peer.open_ns / (double)timing.open_ns);
    printf("encode  %8.2f MB/s  %zu ids; ours is %.2f times as fast\n",
           1e3 * (double)bytes / (double)peer.encode_ns, peer.ids,
           (double)peer.encode_ns / (double)timing.encode_ns);
    return peer.ids == timing.ids ? 0 : 1;
}
