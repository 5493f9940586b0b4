/* What `prony model inspect` says of a model, as text and as JSON. */
#ifndef PRONY_CLI_MODEL_FACTS_H
#define PRONY_CLI_MODEL_FACTS_H

#include <jansson.h>

#include "base/error.h"
#include "model/model.h"
#include "model/tokenizer/token_list.h"

struct model_facts {
    const struct model *model;
    /* Of the tensors of each type: how many, with how many elements and bytes. */
    struct type_count {
        uint64_t tensors, elements, bytes;
    } types[TENSOR_TYPES];
    uint64_t kv_bytes_per_token; /* of a KV cache in 16 bits */
    struct model_config config;  /* rope scaling found out from GGUF's factors */
    bool rope_unknown;           /* there are factors, which are not Llama 3's */
    struct token_list tokens;
    struct error tokens_error; /* why there are none; STATUS_OK otherwise */
    char sha256[65];           /* empty when not asked for */
    struct arena arena;
};

/* The caller frees, also after a failure. */
enum status model_facts_read(struct model_facts *facts, const struct model *model, bool hash,
                             struct error *err);
void model_facts_free(struct model_facts *facts);

void model_facts_print(const struct model_facts *facts);
/* New reference. */
json_t *model_facts_json(const struct model_facts *facts);

#endif
