#include "talk/session.h"

#include <stdlib.h>
#include <string.h>

#include "engine/protocol.h"
#include "fit/copy.h"
#include "fit/quantised.h"
#include "model/chat/stream_text.h"
#include "talk/session_parts.h"
#include "talk/variant.h"

enum { DEFAULT_CONTEXT = 4096, LEAST_CONTEXT = 256 };

/* The array with another size, or as it was. */
static void *resized(void *array, size_t bytes, bool *good)
{
    void *other = realloc(array, bytes);
    if (other)
        return other;
    *good = false;
    return array;
}

/* Room for the ids and stamps of a context; what is there stays. */
static enum status context_room(struct session *session, uint32_t context, struct error *err)
{
    bool good = true;
    session->ids = resized(session->ids, context * sizeof *session->ids, &good);
    session->given = resized(session->given, context * sizeof *session->given, &good);
    session->stamps_ns = resized(session->stamps_ns, context * sizeof *session->stamps_ns, &good);
    return good ? STATUS_OK : error_no_memory(err, context * sizeof *session->stamps_ns);
}

static enum status context_check(const struct session *session, uint32_t asked, struct error *err)
{
    if (asked <= session->most_context)
        return STATUS_OK;
    error_set(err, STATUS_USAGE, "a context of %u is more than the %u that are possible", asked,
              session->most_context);
    error_where(err, "%s", session->request.model);
    return error_remedy(err, "Use %u or less.", session->most_context);
}

static enum status context_choose(struct session *session, struct error *err)
{
    uint32_t asked = session->request.context, trained = session->model.config.context;
    uint32_t most = trained && trained < PROTOCOL_MAX_TOKENS ? trained : PROTOCOL_MAX_TOKENS;
    session->most_context = most;
    if (context_check(session, asked, err))
        return err->status;
    session->context = asked ? asked : most < DEFAULT_CONTEXT ? most : DEFAULT_CONTEXT;
    return context_room(session, session->context, err);
}

static enum status template_find(struct session *session, struct error *err)
{
    const struct session_request *request = &session->request;
    enum status status =
        chat_template_open(&session->template, request->model, request->chat_template, err);
    if (!status)
        status = chat_template_stops(&session->template, session->tokenizer, session->stops,
                                     &session->request.sampling.stop_count, err);
    session->request.sampling.stop = session->stops;
    return status;
}

static enum status memory_check(struct session *session, struct error *err)
{
    const struct session_request *request = &session->request;
    session->fit = (struct fit_request){.engine = session->engine,
                                        .variant = session->variant,
                                        .model = &session->model,
                                        .form = form_of(session->variant, &request->form),
                                        .context = session->context,
                                        .least_context = LEAST_CONTEXT,
                                        .threads = request->threads,
                                        .device = request->device,
                                        .pci = request->pci};
    return request->no_memory_check ? STATUS_OK : fit_check(&session->fit, err);
}

static enum status model_read(struct session *session, struct error *err)
{
    const struct session_request *request = &session->request;
    enum status status = engine_catalogue_open(&session->catalogue, err);
    if (!status)
        status = variant_choose(&session->catalogue, request->framework, &session->engine,
                                &session->variant, err);
    if (!status)
        status = model_open(&session->model, request->model, err);
    struct variant_task task = {.model = &session->model,
                                .device = request->device,
                                .form = request->form,
                                .samples =
                                    request->conversation && request->sampling.temperature > 0,
                                .profiles = request->profile != NULL};
    if (!status)
        status = variant_fit(&session->catalogue, session->engine, &session->variant, &task, err);
    if (!status)
        status = tokenizer_open(&session->tokenizer, request->model, err);
    if (!status && request->conversation)
        status = template_find(session, err);
    if (!status)
        status = context_choose(session, err);
    return status ? status : memory_check(session, err);
}

static enum status worker_fill(struct session *session, uint32_t context, struct error *err)
{
    char kept[PATH_MAX];
    struct worker_load load = {.model = session->source,
                               .quantize = session->fit.form.quantize,
                               .keep_at = kept,
                               .shard = session->fit.form.shard,
                               .variant = session->variant->name,
                               .device = session->request.device,
                               .threads = session->request.threads,
                               .context = context};
    enum status status = quantised_path(kept, session->engine, session->variant, &session->fit.form,
                                        &session->model, err);
    if (status)
        return status;
    session->fit.context = context;
    loading_start(&session->loading, fit_expected_bytes(&session->fit));
    status = worker_load(session->worker, &load, &session->loaded, err);
    loading_end(&session->loading);
    if (!status && copy_need(session->variant, &session->model) == COPY_NEEDED)
        copy_detail(session->loaded.detail, sizeof session->loaded.detail);
    return status;
}

enum status session_profile_begin(struct session *session, struct error *err)
{
    return session->request.profile
               ? worker_trace(session->worker, session->request.profile, NULL, err)
               : STATUS_OK;
}

static enum status worker_ready(struct session *session, struct error *err)
{
    struct worker_options options = {.cancel_fd = session->request.cancel_fd,
                                     .on_cancel = session->request.on_cancel,
                                     .on_cancel_context = session->request.on_cancel_context,
                                     .on_loading = loading_report,
                                     .on_loading_context = &session->loading};
    enum status status =
        worker_start(&session->worker, session->engine, &options, &session->hello, err);
    if (!status)
        status = worker_fill(session, session->context, err);
    return !status && session->request.conversation ? session_profile_begin(session, err) : status;
}

enum status session_open(struct session **opened, const struct session_request *request,
                         struct error *err)
{
    *opened = NULL;
    struct session *session = calloc(1, sizeof *session);
    if (!session)
        return error_no_memory(err, sizeof *session);
    session->request = *request;
    enum status status = model_read(session, err);
    if (!status)
        status = copy_or_model(session->variant, &session->model, request->cancel_fd,
                               session->source, err);
    if (!status)
        status = worker_ready(session, err);
    if (status) {
        session_close(session);
        return status;
    }
    *opened = session;
    return STATUS_OK;
}

void session_close(struct session *session)
{
    if (!session)
        return;
    worker_stop(session->worker);
    tokenizer_close(session->tokenizer);
    model_close(&session->model);
    engine_catalogue_close(&session->catalogue);
    free(session->ids);
    free(session->given);
    free(session->stamps_ns);
    free(session);
}

/* An answer on its way to the caller. */
struct stream {
    const struct session *session;
    struct stream_text text;
    bool (*on_text)(void *context, const char *text, size_t bytes);
    void *context;
    bool failed; /* no memory for a token's text */
};

static bool is_stop(const struct session *session, int32_t id)
{
    for (size_t i = 0; i < session->request.sampling.stop_count; i++)
        if (session->stops[i] == id)
            return true;
    return false;
}

static bool stream_token(void *context, int32_t id)
{
    struct stream *stream = context;
    size_t bytes;
    if (is_stop(stream->session, id))
        return true;
    const char *token = tokenizer_token(stream->session->tokenizer, id, &bytes);
    if (!token) /* the model's output may have more rows than the tokeniser has tokens */
        return true;
    char *text = malloc(STREAM_TEXT_ROOM(bytes));
    if (!text) {
        stream->failed = true;
        return false;
    }
    size_t length = stream_text_push(&stream->text, token, bytes, text);
    bool go_on = length == 0 || stream->on_text(stream->context, text, length);
    free(text);
    return go_on;
}

/* Appends the ids of a turn to the conversation; the caller takes them back when it fails. */
static enum status turn_append(struct session *session, const char *text, struct error *err)
{
    int32_t *ids = NULL;
    size_t count = 0;
    enum status status =
        chat_template_turn(&session->template, session->tokenizer, session->turns == 0,
                           session->request.system, text, &ids, &count, err);
    if (!status && count >= session->context - session->count) {
        error_set(err, STATUS_UNSUPPORTED,
                  "the context is full: it holds %u tokens, %zu are in use and this needs %zu more",
                  session->context, session->count, count + 1);
        status = session->count ? error_remedy(err, "/reset begins a new conversation.")
                                : error_remedy(err, "Use --context %zu or more, or say less.",
                                               session->count + count + 1);
    }
    if (!status) {
        memcpy(session->ids + session->count, ids, count * sizeof *ids);
        session->count += count;
    }
    free(ids);
    return status;
}

void session_answer_fill(struct session *session, const struct worker_generated *generated,
                         struct session_answer *answer)
{
    size_t count = generated->count;
    const int64_t *stamps = generated->stamps_ns;
    answer->tokens = count;
    answer->ids = generated->ids;
    answer->stamps_ns = stamps;
    answer->finished = count > 0 && is_stop(session, generated->ids[count - 1]);
    if (count > 0)
        answer->first_ms = (double)(stamps[0] - generated->prompt_ns) / 1e6;
    if (count > 0) {
        session->profile.prompts++;
        session->profile.prompt_ns += stamps[0] - generated->prompt_ns;
        session->profile.tokens += count - 1;
        session->profile.token_ns += stamps[count - 1] - stamps[0];
    }
    if (count > 1 && stamps[count - 1] > stamps[0])
        answer->tokens_per_s = (double)(count - 1) * 1e9 / (double)(stamps[count - 1] - stamps[0]);
}

enum status session_ask(struct session *session, const char *text,
                        bool (*on_text)(void *context, const char *text, size_t bytes),
                        void *context, struct session_answer *answer, struct error *err)
{
    struct stream stream = {.session = session, .on_text = on_text, .context = context};
    struct worker_generated generated = {.ids = session->given, .stamps_ns = session->stamps_ns};
    struct worker_sampling sampling = session->request.sampling;
    size_t before = session->count;
    *answer = (struct session_answer){0};
    enum status status = turn_append(session, text, err);
    if (status)
        return status;
    size_t room = session->context - session->count;
    size_t most = session->request.max_tokens;
    answer->prompt_tokens = session->count;
    sampling.seed += session->turns; /* a question that is asked again may get another answer */
    status = worker_stream(session->worker, session->ids, session->count, most < room ? most : room,
                           &sampling, stream_token, &stream, &generated, err);
    if (status == STATUS_INTERRUPTED && worker_alive(session->worker)) {
        answer->interrupted = true;
        status = STATUS_OK;
    }
    if (!status && stream.failed)
        status = error_no_memory(err, 1);
    if (status) {
        session->count = before;
        return status;
    }
    char rest[STREAM_TEXT_ROOM(0)];
    size_t length = stream_text_end(&stream.text, rest);
    if (length > 0)
        on_text(context, rest, length);
    session_answer_fill(session, &generated, answer);
    size_t kept = generated.count - answer->finished;
    memcpy(session->ids + session->count, generated.ids, kept * sizeof *generated.ids);
    session->count += kept;
    session->turns++;
    return STATUS_OK;
}

void session_reset(struct session *session)
{
    session->count = 0;
    session->turns = 0;
}

struct session_stats session_stats(const struct session *session)
{
    return (struct session_stats){.variant = session->variant->name,
                                  .model = session->model.name,
                                  .chat_template = session->template.name,
                                  .log = worker_log(session->worker),
                                  .hello = &session->hello,
                                  .loaded = &session->loaded,
                                  .tokenizer = session->tokenizer,
                                  .ids = session->ids,
                                  .used = session->count,
                                  .turns = session->turns,
                                  .context = session->context,
                                  .most_context = session->most_context,
                                  .seed = session->request.sampling.seed};
}

double session_token_bytes(const struct session_stats *stats, size_t position)
{
    const struct worker_loaded *loaded = stats->loaded;
    return loaded->weight_bytes
               ? (double)loaded->weight_bytes + (double)position * (double)loaded->kv_token_bytes
               : 0;
}

enum status session_resize(struct session *session, uint32_t context, struct error *err)
{
    if (session->request.profile) {
        error_set(err, STATUS_USAGE, "a profile is of one load of the model");
        return error_remedy(err, "Start again with --context %u, or without --profile.", context);
    }
    if (context <= session->count) {
        error_set(err, STATUS_USAGE, "%zu tokens are in use", session->count);
        return error_remedy(err, "Ask for more than that, or /reset.");
    }
    uint32_t room = context > session->context ? context : session->context;
    if (context_check(session, context, err) || context_room(session, room, err))
        return err->status;
    if (worker_fill(session, context, err) == STATUS_OK) {
        session->context = context;
        return STATUS_OK;
    }
    struct error again;
    if (session_alive(session) && worker_fill(session, session->context, &again))
        *err = again;
    return err->status;
}

bool session_alive(const struct session *session)
{
    return worker_alive(session->worker);
}

enum status session_profile_end(struct session *session, struct session_profile *profile,
                                struct error *err)
{
    *profile = session->profile;
    return worker_trace(session->worker, "", &profile->traced, err);
}
