/* The checks that need no model, and what they share with the others. */
#include <poll.h>
#include <sys/wait.h>

#include "engine/conformance_checks.h"

enum { SILENCE_MS = 100 };

enum status conformance_start(struct conformance *test, struct error *err)
{
    struct worker_hello hello;
    int64_t limit_ms = test->options->limit_ms;
    return worker_start(
        &test->worker, test->engine,
        &(struct worker_options){
            .cancel_fd = -1, .hello_ms = limit_ms, .load_ms = limit_ms, .request_ms = limit_ms},
        &hello, err);
}

enum status conformance_load(struct conformance *test, struct error *err)
{
    struct worker_load request = {.model = test->model,
                                  .variant = test->variant->name,
                                  .device = test->options->device,
                                  .quantize = test->form.quantize,
                                  .keep_at =
                                      form_is_kept(&test->form) ? test->options->keep_at : NULL,
                                  .shard = test->form.shard,
                                  .threads = test->threads,
                                  .context = CONFORMANCE_CONTEXT};
    enum status status = worker_load(test->worker, &request, &test->loaded, err);
    if (status)
        return status;
    uint32_t vocabulary = test->vocabulary = test->loaded.vocabulary;
    for (uint32_t i = 0; i < CONFORMANCE_CONTEXT; i++)
        test->prompt[i] =
            test->variant->text ? test->options->text[i] : (int32_t)((i * 7919 + 13) % vocabulary);
    for (uint32_t i = 0; i < CONFORMANCE_PROMPT; i++)
        test->other[i] = test->prompt[i ? 20 + i : 0];
    return STATUS_OK;
}

enum status conformance_ask(struct conformance *test, const char *doing, json_t *request,
                            json_t **reply, struct error *err)
{
    struct link_call call = {.doing = doing, .limit_ms = test->options->limit_ms};
    return link_ask(worker_link(test->worker), &call, request, reply, err);
}

enum status conformance_refuses(struct conformance *test, const char *what, json_t *request,
                                struct error *err)
{
    json_t *reply;
    if (conformance_ask(test, "refuse a request", request, &reply, err) == STATUS_OK) {
        json_decref(reply);
        return error_set(err, STATUS_PROTOCOL, "%s: it took %s, where an error is due",
                         test->engine->name, what);
    }
    return worker_alive(test->worker) ? STATUS_OK : err->status;
}

enum status conformance_ends(struct conformance *test, bool by_bye, struct error *err)
{
    struct link *link = worker_link(test->worker);
    const char *name = test->engine->name;
    int64_t limit_ms = test->options->limit_ms;
    char how[80];
    if (by_bye) {
        json_t *reply;
        enum status status =
            conformance_ask(test, "say bye", json_pack("{s:s}", "op", "bye"), &reply, err);
        if (status)
            return status;
        json_decref(reply);
    }
    bool ended = by_bye ? child_wait(&link->child, limit_ms) : link_hang_up(link, limit_ms);
    struct child child = link->child;
    child_status_text(&child, how, sizeof how);
    worker_stop(test->worker);
    test->worker = NULL;
    test->vocabulary = 0;
    if (!ended)
        return error_set(err, STATUS_TIMEOUT, "%s: the worker still runs %g s later", name,
                         (double)limit_ms / 1000);
    if (child.wait_status != 0)
        return error_set(err, STATUS_PROTOCOL, "%s: the worker %s, where status 0 is due", name,
                         how);
    if (child.survivors > 0)
        return error_set(err, STATUS_PROTOCOL, "%s: it left %u process%s behind", name,
                         child.survivors, child.survivors == 1 ? "" : "es");
    return STATUS_OK;
}

static enum status says_hello(struct conformance *test, struct error *err)
{
    (void)test, (void)err; /* the process was started for this check: it has said hello */
    return STATUS_OK;
}

static enum status keeps_silent(struct conformance *test, struct error *err)
{
    struct link *link = worker_link(test->worker);
    struct pollfd fd = {.fd = link->child.from_fd, .events = POLLIN};
    bool heard = protocol_lines_left(&link->lines) > 0;
    if (heard || (poll(&fd, 1, SILENCE_MS) > 0 && !(fd.revents & POLLHUP)))
        return error_set(err, STATUS_PROTOCOL, "%s: it sent something that nobody asked for",
                         test->engine->name);
    return STATUS_OK;
}

static enum status refuses_unknown(struct conformance *test, struct error *err)
{
    return conformance_refuses(test, "the request \"no-such-op\"",
                               json_pack("{s:s}", "op", "no-such-op"), err);
}

static enum status refuses_early_generate(struct conformance *test, struct error *err)
{
    return conformance_refuses(
        test, "generate without a model",
        json_pack("{s:s, s:[i], s:i}", "op", "generate", "prompt", 1, "tokens", 1), err);
}

static enum status refuses_missing_model(struct conformance *test, struct error *err)
{
    struct worker_loaded loaded;
    struct worker_load request = {.model = "/no/such/folder/model.gguf",
                                  .variant = test->engine->variants[0].name,
                                  .device = test->options->device,
                                  .context = CONFORMANCE_CONTEXT};
    if (worker_load(test->worker, &request, &loaded, err) == STATUS_OK)
        return error_set(err, STATUS_PROTOCOL, "%s: it loaded a model that is not there",
                         test->engine->name);
    return worker_alive(test->worker) ? STATUS_OK : err->status;
}

static enum status ends_by_bye(struct conformance *test, struct error *err)
{
    return conformance_ends(test, true, err);
}

static enum status ends_by_hang_up(struct conformance *test, struct error *err)
{
    return conformance_ends(test, false, err);
}

const struct conformance_check conformance_engine_checks[] = {
    {"starts and says hello", says_hello},
    {"says nothing unasked", keeps_silent},
    {"answers an unknown request with an error", refuses_unknown},
    {"answers generate without a model with an error", refuses_early_generate},
    {"answers a missing model with an error", refuses_missing_model},
    {"ends by bye, status 0, nothing left", ends_by_bye},
    {"ends when the host hangs up", ends_by_hang_up},
    {0},
};
