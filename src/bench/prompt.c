#include "bench/prompt.h"

#include <stdlib.h>
#include <string.h>

#include "model/tokenizer/tokenizer.h"

/* Repeated until it is long enough. It never changes: stored runs are compared with later ones. */
static const char text[] =
    "The brake is a simple machine. Two wooden jaws close around the shaft of an engine, and a "
    "lever holds them still against its turning. A weight on the end of the lever says how hard "
    "the engine pulls, and a counter beside the shaft says how fast it goes; the product of the "
    "two is its power. All of that power becomes heat in the jaws, so water is poured over them, "
    "and the steam shows that the work was real.\n\n"
    "Before the brake, engines were compared by opinion. One maker praised his boiler, another "
    "his valves, and a mill owner who had to choose between them could only visit other mills and "
    "listen. With the brake in the yard the question had an answer: put both engines on the same "
    "coal, load them until they slow, and read the lever. Some famous engines did badly. Some "
    "plain ones, built by people nobody had heard of, pulled twice what was promised.\n\n"
    "It was soon found that the reading depends on the day. A cold shaft drags, a hot jaw slips, "
    "and an engine that has run for an hour gives more than one that was started a minute ago. "
    "Careful people therefore let each engine run warm, measured it several times, and changed "
    "from one to the other and back, so that the weather and the coal would favour neither. They "
    "wrote down every reading, the bad ones too, and gave the difference together with how sure "
    "they were of it. Where they were not sure, they said so and measured again.\n\n";

static enum status from_text(const struct tokenizer *tokenizer, int32_t *ids, uint32_t count,
                             struct error *err)
{
    int32_t *encoded = NULL;
    size_t length = 0;
    uint32_t used = 0;
    enum status status =
        tokenizer_encode(tokenizer, text, sizeof text - 1, 0, &encoded, &length, err);
    if (!status && length == 0)
        status = error_set(err, STATUS_UNSUPPORTED, "the tokenizer makes no token of English text");
    if (!status && tokenizer_adds_bos(tokenizer) && tokenizer_bos(tokenizer) >= 0)
        ids[used++] = tokenizer_bos(tokenizer);
    for (size_t i = 0; !status && used < count; i = i + 1 < length ? i + 1 : 0)
        ids[used++] = encoded[i];
    free(encoded);
    return status;
}

/* Steps of an odd number through the vocabulary, which repeat late; low ids are control tokens in
 * many vocabularies and are left out where there is room. */
static void spread(uint32_t vocabulary, int32_t *ids, uint32_t count)
{
    uint32_t first = vocabulary > 512 ? 256 : 0, range = vocabulary - first;
    for (uint32_t i = 0; i < count; i++)
        ids[i] = (int32_t)(first + (uint64_t)i * 7919 % range);
}

enum status prompt_make(const char *model_path, uint32_t vocabulary, int32_t *ids, uint32_t count,
                        bool *synthetic, struct error *err)
{
    struct tokenizer *tokenizer;
    enum status status = tokenizer_open(&tokenizer, model_path, err);
    if (!status) {
        status = from_text(tokenizer, ids, count, err);
        tokenizer_close(tokenizer);
    }
    *synthetic = status == STATUS_NOT_FOUND || status == STATUS_UNSUPPORTED;
    if (!status)
        for (uint32_t i = 0; i < count; i++)
            *synthetic = *synthetic || ids[i] < 0 || (uint32_t)ids[i] >= vocabulary;
    if (*synthetic) {
        spread(vocabulary, ids, count);
        return STATUS_OK;
    }
    return status;
}
