#include "engine/protocol_requests.h"

static const char *text_or(const char *text, const char *otherwise)
{
    return text ? text : otherwise;
}

json_t *protocol_load_request(const struct worker_load *load, const char *path,
                              const struct engine_variant *variant)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:o}", "op", "load",
                     "model", path, "variant", variant ? variant->own_name : load->variant,
                     "device", text_or(load->device, "cpu"), "precision",
                     text_or(load->precision, ""), "quantize", text_or(load->quantize, ""),
                     "keep_at", text_or(load->keep_at, ""), "shard",
                     (json_int_t)(load->shard ? load->shard : 1), "threads",
                     (json_int_t)load->threads, "context", (json_int_t)load->context, "options",
                     json_loads(variant ? variant->options : "{}", 0, NULL));
}

json_t *protocol_ids_request(const char *op, const char *key, const int32_t *ids, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(array, json_integer(ids[i]))) {
            json_decref(array);
            return NULL;
        }
    return json_pack("{s:s, s:o}", "op", op, key, array);
}

json_t *protocol_stream_request(const int32_t *prompt, size_t prompt_count, size_t tokens,
                                const struct worker_sampling *sampling)
{
    json_t *request = protocol_ids_request("generate", "prompt", prompt, prompt_count);
    json_t *stop = json_array();
    for (size_t i = 0; i < sampling->stop_count; i++)
        json_array_append_new(stop, json_integer(sampling->stop[i]));
    json_t *more =
        json_pack("{s:I, s:b, s:f, s:f, s:f, s:I, s:I, s:o}", "tokens", (json_int_t)tokens,
                  "stream", 1, "temperature", sampling->temperature, "top_p", sampling->top_p,
                  "min_p", sampling->min_p, "top_k", (json_int_t)sampling->top_k, "seed",
                  (json_int_t)(sampling->seed & INT64_MAX), "stop", stop);
    if (!request || !more || json_object_update(request, more)) {
        json_decref(request);
        request = NULL;
    }
    json_decref(more);
    return request;
}
