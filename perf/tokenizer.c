/* perf/tokenizer MODEL TEXT: how long a vocabulary takes to open, and how fast one thread encodes
 * and decodes the file TEXT. The best of several rounds, since others may use the machine. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/file.h"
#include "model/tokenizer/tokenizer.h"

enum { ROUNDS = 7, TEXT_LIMIT_BYTES = 1 << 30 };

struct timing {
    int64_t open_ns, encode_ns, decode_ns;
    size_t ids;
};

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
    struct timing timing = {0};
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
    return 0;
}
