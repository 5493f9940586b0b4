#include "model/model_write.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "model/gguf/gguf_split.h"
#include "model/gguf/gguf_write.h"
#include "model/safetensors/config_write.h"
#include "model/safetensors/safetensors_write.h"

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

enum status model_output_format(const char *path, const char *name, enum model_format *format,
                                struct error *err)
{
    uint32_t number, parts;
    bool gguf_name = ends_with(path, ".gguf");
    *format = name        ? strcmp(name, "gguf") == 0 ? MODEL_GGUF : MODEL_SAFETENSORS
              : gguf_name ? MODEL_GGUF
                          : MODEL_SAFETENSORS;
    if (*format == MODEL_SAFETENSORS && (gguf_name || ends_with(path, ".safetensors"))) {
        error_set(err, STATUS_USAGE, "a safetensors model is written as a folder");
        error_where(err, "%s", path);
        return error_remedy(err, "Give the name of a folder, or one that ends in .gguf for GGUF.");
    }
    if (*format == MODEL_GGUF && path_is_folder(path)) {
        error_set(err, STATUS_USAGE, "a GGUF model is written as a file, and this is a folder");
        error_where(err, "%s", path);
        return error_remedy(err, "Give the name of a file in it.");
    }
    if (*format == MODEL_GGUF && gguf_part_name(path, &number, &parts) && parts > 1) {
        error_set(err, STATUS_USAGE,
                  "a GGUF model is written as one file, and this is a part's name");
        error_where(err, "%s", path);
        return error_remedy(err, "Give another name.");
    }
    return STATUS_OK;
}

enum status model_output_parts(struct model_output *output, double gb, struct error *err)
{
    output->part_bytes = (uint64_t)(gb * 1e9);
    if (!(gb > 0) || output->format == MODEL_SAFETENSORS)
        return STATUS_OK;
    error_set(err, STATUS_USAGE, "GGUF is written in one file, not in parts");
    error_where(err, "%s", output->path);
    return error_remedy(err, "Leave --part-gb out, or write safetensors.");
}

static enum status space_check(const char *path, const struct weight *weights, size_t count,
                               struct error *err)
{
    uint64_t needed = 0, available;
    for (size_t i = 0; i < count; i++)
        needed += weights[i].bytes;
    enum status status = disk_free_bytes(path, &available, err);
    if (status || needed <= available)
        return status;
    error_set(err, STATUS_IO, "not enough disk space: %.1f MB are needed and %.1f MB are free",
              (double)needed / 1e6, (double)available / 1e6);
    error_where(err, "%s", path);
    return error_remedy(err, "Free some, or write to another disk.");
}

/* general.file_type's number for what most tensors are. */
static uint32_t gguf_file_type(enum tensor_type precision)
{
    return precision == TENSOR_F32 ? 0 : precision == TENSOR_F16 ? 1 : 32;
}

static void gguf_write_config(struct gguf_head *head, const struct model_config *c)
{
    gguf_write_u32(head, "llama.vocab_size", c->vocabulary);
    gguf_write_u32(head, "llama.context_length", c->context);
    gguf_write_u32(head, "llama.embedding_length", c->hidden_size);
    gguf_write_u32(head, "llama.block_count", c->layers);
    gguf_write_u32(head, "llama.feed_forward_length", c->ffn_size);
    gguf_write_u32(head, "llama.rope.dimension_count", c->head_size);
    gguf_write_f32(head, "llama.rope.freq_base", c->rope_base);
    gguf_write_u32(head, "llama.attention.head_count", c->heads);
    gguf_write_u32(head, "llama.attention.head_count_kv", c->kv_heads);
    gguf_write_u32(head, "llama.attention.key_length", c->head_size);
    gguf_write_u32(head, "llama.attention.value_length", c->head_size);
    gguf_write_f32(head, "llama.attention.layer_norm_rms_epsilon", c->norm_eps);
    if (c->rope.kind == ROPE_SCALING_LINEAR) {
        gguf_write_string(head, "llama.rope.scaling.type", "linear");
        gguf_write_f32(head, "llama.rope.scaling.factor", c->rope.factor);
    }
}

/* Keys that describe the old file's tensors, not the model. */
static bool is_about_the_file(const char *key)
{
    static const char *const keys[] = {"general.file_type", "general.quantization_version",
                                       "general.alignment"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return strncmp(key, "split.", 6) == 0 || strncmp(key, "quantize.", 9) == 0;
}

static void gguf_write_metadata(struct gguf_head *head, const struct model_content *content,
                                enum tensor_type precision)
{
    if (content->gguf) {
        for (uint64_t i = 0; i < content->gguf->pair_count; i++) {
            const struct gguf_pair *pair = &content->gguf->pairs[i];
            if (!is_about_the_file(pair->key))
                gguf_write_value(head, pair->key, &pair->value);
        }
    } else {
        gguf_write_string(head, "general.architecture", "llama");
        gguf_write_string(head, "general.name", content->name);
        gguf_write_config(head, &content->config);
        if (content->tokens)
            token_list_to_gguf(content->tokens, head);
    }
    gguf_write_u32(head, "general.file_type", gguf_file_type(precision));
}

static enum status file_copy(const char *from_folder, const char *to_folder, const char *name,
                             struct error *err)
{
    char from[PATH_MAX], to[PATH_MAX], *text;
    size_t bytes;
    struct file_writer writer;
    snprintf(from, sizeof from, "%s/%s", from_folder, name);
    snprintf(to, sizeof to, "%s/%s", to_folder, name);
    if (!path_is_file(from))
        return STATUS_OK;
    enum status status = file_read(from, 256 << 20, &text, &bytes, err);
    if (status)
        return status;
    status = file_writer_open(&writer, to, err);
    if (!status) {
        fwrite(text, 1, bytes, writer.stream);
        status = file_writer_commit(&writer, err);
    }
    free(text);
    return status;
}

/* What stands beside model.safetensors. */
static enum status folder_write(const struct model_content *content,
                                const struct model_output *output, struct error *err)
{
    static const char *const carried[] = {"tokenizer.json",
                                          "tokenizer_config.json",
                                          "special_tokens_map.json",
                                          "tokenizer.model",
                                          "vocab.json",
                                          "merges.txt",
                                          "chat_template.jinja",
                                          "chat_template.json",
                                          "generation_config.json"};
    enum status status = STATUS_OK;
    if (content->folder) {
        for (size_t i = 0; i < sizeof carried / sizeof carried[0] && !status; i++)
            status = file_copy(content->folder, output->path, carried[i], err);
        return status ? status
                      : config_carry(content->folder, output->precision, output->path, err);
    }
    if (content->tokens)
        status = token_list_to_folder(content->tokens, output->path, content->config.context, err);
    return status ? status : config_write(&content->config, output->precision, output->path, err);
}

static enum status head_write(const struct model_content *content,
                              const struct model_output *output, struct weights_file *file,
                              struct error *err)
{
    struct gguf_head head;
    FILE *stream = file->writer.stream;
    if (output->format == MODEL_SAFETENSORS)
        return safetensors_write_head(stream, file->weights, file->count, &file->bytes, err);
    gguf_write_start(&head, stream);
    gguf_write_metadata(&head, content, output->precision);
    return gguf_write_table(&head, file->weights, file->count, &file->bytes, err);
}

/* Everything but the names of the files. */
static enum status files_fill(const struct model_content *content,
                              const struct model_output *output, struct weights_files *files,
                              const struct weight *weights, size_t count, struct error *err)
{
    struct weights_job job = {
        .files = files,
        .weights = weights,
        .count = count,
        .source = content->source,
        .interleave_head_size = output->format == MODEL_GGUF ? content->config.head_size : 0,
        .threads = output->threads,
        .progress = output->progress,
    };
    for (size_t i = 0; i < files->count; i++)
        if (head_write(content, output, &files->file[i], err))
            return err->status;
    enum status status = weights_write(&job, err);
    return status || output->format == MODEL_GGUF ? status : folder_write(content, output, err);
}

enum status model_write(const struct model_content *content, const struct model_output *output,
                        uint64_t *bytes, struct error *err)
{
    struct arena arena = {0};
    struct weights_files files = {0};
    struct weight *weights;
    size_t count;
    bool new_folder = output->format == MODEL_SAFETENSORS && !path_is_folder(output->path);
    enum status status = STATUS_OK;
    if (strlen(output->path) > PATH_MAX - 64)
        return error_set(err, STATUS_USAGE, "the path of the output is too long");
    if (!layout_weights(&arena, &content->config, output->format, output->precision,
                        content->rope_freqs, &weights, &count))
        status = error_no_memory(err, (size_t)content->config.layers * sizeof *weights);
    if (!status)
        status = space_check(output->path, weights, count, err);
    if (!status)
        status = weights_files_open(&files, output->path, output->format, output->part_bytes,
                                    weights, count, err);
    if (!status)
        status = files_fill(content, output, &files, weights, count, err);
    if (!status)
        status = weights_files_commit(&files, err);
    for (size_t i = 0; !status && bytes && i < files.count; i++)
        *bytes = (i ? *bytes : 0) + files.file[i].bytes;
    if (status && !err->where[0])
        error_where(err, "%s", output->path);
    weights_files_close(&files);
    if (status && new_folder)
        rmdir(output->path);
    arena_free(&arena);
    return status;
}
