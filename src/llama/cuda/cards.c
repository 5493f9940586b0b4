#include "llama/cuda/cards.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "llama/cuda/watch.h"
#include "llama/ranks.h"
#include "llama/threads.h"

enum { MOST_CARDS = 64 };

/* What one card has. */
struct member {
    struct ranks rank; /* which part */
    struct exchange exchange;
    struct cuda_llama *llama;
    struct nccl_comm *comm;
    atomic_bool waits; /* its thread has given it all there is to do */
    int64_t token_ns;  /* that a token's exchanges take; 0: not yet known */
};

/* What all are to do. */
struct order {
    const int32_t *ids;
    uint32_t count, position;
    float *logits;
    int all_logits;
    struct draw draw;
    uint32_t tokens;
    llama_on_token *on_token;
    void *context;
    uint32_t *made;
    bool time_exchanges; /* when the ids are made */
};

struct cards {
    struct member member[MOST_CARDS];
    uint32_t count;
    struct nccl nccl;
    struct pool *pool; /* NULL: there is one card, and the caller's thread has it */
    struct watch watch;
    bool watched;
    atomic_flag given_up;
    struct order order;
    enum status (*work)(struct cards *cards, uint32_t i, struct error *err);
    uint64_t exchanged; /* bytes, for the ids that are there, */
    int64_t exchanged_ns;
    atomic_uint asked; /* steps that every card is to have begun */
    atomic_bool ended; /* there will be no more */
};

/* -- errors that nobody can go on with -- */

/* The first one that cannot names itself. */
static _Noreturn void give_up(struct cards *cards, uint32_t i, const struct error *err)
{
    while (atomic_flag_test_and_set(&cards->given_up))
        pause();
    fprintf(stderr, "Error: card %u of %u: %s%s%s%s. %s\n", i, cards->count, err->what,
            *err->where ? " (" : "", err->where, *err->where ? ")" : "", err->remedy);
    fflush(stderr);
    _exit(1);
}

/* NCCL may know of a card that is lost. */
static void lost_name(struct cards *cards, uint32_t i)
{
    nccl_result result = NCCL_SUCCESS;
    struct error err;
    struct nccl_comm *comm = cards->member[i].comm;
    if (!comm || cards->nccl.CommGetAsyncError(comm, &result) || result == NCCL_IN_PROGRESS ||
        nccl_check(&cards->nccl, result, &err, "exchange") == STATUS_OK)
        return;
    give_up(cards, i, &err);
}

/* Of a hang this much is known: whose calls to the driver or NCCL have not returned. */
static void expired(void *context, int64_t seconds)
{
    struct cards *cards = context;
    char names[256] = "";
    size_t length = 0, named = 0;
    for (uint32_t i = 0; i < cards->count; i++)
        lost_name(cards, i);
    for (uint32_t i = 0; i < cards->count; i++) {
        if (atomic_load(&cards->member[i].waits))
            continue;
        length +=
            (size_t)snprintf(names + length, sizeof names - length, "%s%u", named++ ? ", " : "", i);
    }
    fprintf(stderr,
            "Error: the %u cards have waited for each other for %lld s in an exchange%s%s%s. See "
            "what nvidia-smi and the kernel's log (Xid) say of them; NCCL_DEBUG=INFO in the "
            "environment shows what they exchange by.\n",
            cards->count, (long long)seconds,
            named ? ", and calls to the driver have not returned for card " : "", names,
            named ? "" : ", and all calls to the driver have returned");
    fflush(stderr);
    _exit(1);
}

/* -- loading -- */

static enum status cards_check(const struct llama_options *options, struct error *err)
{
    struct cuda cuda;
    int count = 0;
    uint32_t most = MOST_CARDS;
    if (cuda_open(&cuda, err) != STATUS_OK)
        return err->status;
    enum status status = cuda_check(&cuda, cuda.DeviceGetCount(&count), err, "count the GPUs");
    cuda_close(&cuda);
    most = (uint32_t)count < most ? (uint32_t)count : most;
    if (status != STATUS_OK || options->cards <= most)
        return status;
    error_set(err, STATUS_USAGE, "a model cannot be split over %u GPUs: there %s %d",
              options->cards, count == 1 ? "is" : "are", count);
    return error_remedy(err, "Use a smaller --shard; CUDA_VISIBLE_DEVICES hides cards.");
}

/* Each card takes its part in turn, by all threads. */
static enum status parts_load(struct cards *cards, const struct model *model,
                              const struct llama_options *options, struct error *err)
{
    for (uint32_t i = 0; i < cards->count; i++) {
        struct member *member = &cards->member[i];
        struct llama_options own = *options;
        struct error reason;
        char device[16];
        snprintf(device, sizeof device, "cuda:%u", i);
        member->rank = (struct ranks){.rank = i, .count = cards->count};
        member->exchange =
            (struct exchange){.nccl = &cards->nccl, .rank = i, .count = cards->count};
        own.device = device;
        own.ranks = &member->rank;
        if (cuda_llama_load(&member->llama, model, &own, &member->exchange, &reason)) {
            error_set(err, reason.status, "card %u of %u: %.400s", i, cards->count, reason.what);
            error_where(err, "%s", reason.where);
            return error_remedy(err, "%s", reason.remedy);
        }
    }
    return STATUS_OK;
}

static enum status connect(struct cards *cards, struct error *err)
{
    struct nccl_comm *comms[MOST_CARDS] = {NULL};
    int devices[MOST_CARDS];
    for (uint32_t i = 0; i < cards->count; i++)
        devices[i] = (int)i;
    watch_alive(&cards->watch);
    enum status status =
        nccl_check(&cards->nccl, cards->nccl.CommInitAll(comms, (int)cards->count, devices), err,
                   "connect %u cards", cards->count);
    watch_rest(&cards->watch);
    for (uint32_t i = 0; i < cards->count && status == STATUS_OK; i++)
        cards->member[i].comm = cards->member[i].exchange.comm = comms[i];
    return status;
}

static enum status several_load(struct cards *cards, const struct model *model,
                                const struct llama_options *options, struct error *err)
{
    enum status status = cards_check(options, err);
    if (status == STATUS_OK)
        status = nccl_open(&cards->nccl, err);
    if (status == STATUS_OK)
        status = watch_open(&cards->watch, expired, cards, err);
    cards->watched = status == STATUS_OK;
    if (status == STATUS_OK)
        status = parts_load(cards, model, options, err);
    if (status == STATUS_OK)
        status = connect(cards, err);
    return status == STATUS_OK ? pool_open(&cards->pool, cards->count, err) : status;
}

enum status cards_load(struct cards **out, const struct model *model,
                       const struct llama_options *options, struct error *err)
{
    *out = NULL;
    struct cards *cards = calloc(1, sizeof *cards);
    if (!cards)
        return error_no_memory(err, sizeof *cards);
    cards->count = options->cards > 1 ? options->cards : 1;
    enum status status = cards->count > 1
                             ? several_load(cards, model, options, err)
                             : cuda_llama_load(&cards->member[0].llama, model, options, NULL, err);
    if (status != STATUS_OK) {
        cards_free(cards);
        return status;
    }
    *out = cards;
    return STATUS_OK;
}

void cards_free(struct cards *cards)
{
    if (!cards)
        return;
    pool_close(cards->pool);
    for (uint32_t i = 0; i < cards->count && i < MOST_CARDS; i++)
        cuda_llama_free(cards->member[i].llama); /* what is recorded goes before the connections */
    for (uint32_t i = 0; i < cards->count && i < MOST_CARDS; i++)
        if (cards->member[i].comm)
            cards->nccl.CommDestroy(cards->member[i].comm);
    if (cards->watched)
        watch_close(&cards->watch);
    nccl_close(&cards->nccl);
    free(cards);
}

struct cuda_llama_facts cards_facts(const struct cards *cards)
{
    struct cuda_llama_facts facts = cuda_llama_facts(cards->member[0].llama);
    for (uint32_t i = 1; i < cards->count; i++) {
        struct cuda_llama_facts other = cuda_llama_facts(cards->member[i].llama);
        facts.weight_bytes += other.weight_bytes;
        facts.token_bytes += other.token_bytes;
        facts.position_bytes += other.position_bytes;
        facts.embedding_bytes += other.embedding_bytes;
    }
    return facts;
}

void cards_exchanged(const struct cards *cards, uint64_t *bytes, int64_t *ns)
{
    *bytes = cards->exchanged;
    *ns = cards->exchanged_ns;
}

enum status cards_used(struct cards *cards, uint64_t *bytes, struct error *err)
{
    enum status status = STATUS_OK;
    *bytes = 0;
    for (uint32_t i = 0; i < cards->count && status == STATUS_OK; i++) {
        struct cuda_llama *llama = cards->member[i].llama;
        uint64_t used = 0;
        status = cuda_llama_enter(llama, err);
        if (status != STATUS_OK)
            return status;
        status = cuda_llama_used(llama, &used, err);
        cuda_llama_leave(llama);
        *bytes += used;
    }
    return status;
}

/* -- computing -- */

/* A card's thread does its share of an order. */
static void share(void *context, uint32_t i)
{
    struct cards *cards = context;
    struct member *member = &cards->member[i];
    struct error err;
    enum status status = cuda_llama_enter(member->llama, &err);
    if (status == STATUS_OK)
        status = cards->work(cards, i, &err);
    if (status != STATUS_OK)
        give_up(cards, i, &err);
    cuda_llama_leave(member->llama);
}

static void all_do(struct cards *cards,
                   enum status (*work)(struct cards *cards, uint32_t i, struct error *err),
                   const struct order *order)
{
    cards->work = work;
    cards->order = *order;
    atomic_store(&cards->asked, 0);
    atomic_store(&cards->ended, false);
    for (uint32_t i = 0; i < cards->count; i++)
        atomic_store(&cards->member[i].waits, false);
    watch_alive(&cards->watch);
    pool_run(cards->pool, share, cards);
    watch_rest(&cards->watch);
}

static enum status forward(struct cards *cards, uint32_t i, struct error *err)
{
    const struct order *o = &cards->order;
    enum status status = cuda_llama_forward(cards->member[i].llama, o->ids, o->count, o->position,
                                            o->logits, o->all_logits, err);
    atomic_store(&cards->member[i].waits, true);
    return status;
}

enum status cards_forward(struct cards *cards, const int32_t *ids, uint32_t count,
                          uint32_t position, float *logits, int all_logits, struct error *err)
{
    if (cards->count == 1)
        return cuda_llama_forward(cards->member[0].llama, ids, count, position, logits, all_logits,
                                  err);
    all_do(cards, forward,
           &(struct order){.ids = ids,
                           .count = count,
                           .position = position,
                           .logits = logits,
                           .all_logits = all_logits});
    cards->exchanged = cards->member[0].exchange.bytes;
    return STATUS_OK;
}

/* The first card's thread takes the ids, each of which is on its way to the host while the step
 * after it begins, and says how many steps there are. */
static enum status lead(struct cards *cards, struct error *err)
{
    const struct order *o = &cards->order;
    struct cuda_llama *llama = cards->member[0].llama;
    bool steps = !cuda_llama_loops(llama), stopped = false;
    enum status status = STATUS_OK;
    int32_t id;
    for (uint32_t i = 0; i < o->tokens && status == STATUS_OK && !stopped; i++) {
        uint64_t exchanged = cards->member[0].exchange.bytes;
        if (steps && i + 1 < o->tokens) {
            atomic_store(&cards->asked, i + 1);
            status = cuda_llama_step(llama, o->position + o->count + i, err);
        }
        atomic_store(&cards->member[0].waits, true);
        if (status == STATUS_OK)
            status = cuda_llama_take(llama, i, &id, err);
        if (status != STATUS_OK)
            break;
        ++*o->made;
        cards->exchanged = exchanged;
        cards->exchanged_ns += i > 0 ? cards->member[0].token_ns : 0;
        watch_rest(&cards->watch); /* a host may take its time with an id */
        stopped = o->on_token(o->context, id);
        watch_alive(&cards->watch);
        atomic_store(&cards->member[0].waits, false);
    }
    atomic_store(&cards->ended, true);
    return status;
}

/* Another one's begins as many. */
static enum status follow(struct cards *cards, uint32_t i, struct error *err)
{
    const struct order *o = &cards->order;
    enum status status = STATUS_OK;
    for (uint32_t done = 0; status == STATUS_OK;) {
        bool ended = atomic_load(&cards->ended); /* before the number, which is the last then */
        uint32_t asked = atomic_load(&cards->asked);
        atomic_store(&cards->member[i].waits, done == asked);
        if (done < asked)
            status = cuda_llama_step(cards->member[i].llama, o->position + o->count + done++, err);
        else if (ended)
            break;
        else
            sched_yield();
    }
    return status;
}

static enum status generate(struct cards *cards, uint32_t i, struct error *err)
{
    const struct order *o = &cards->order;
    struct cuda_llama *llama = cards->member[i].llama;
    enum status status =
        cuda_llama_begin(llama, o->draw, o->ids, o->count, o->position, o->tokens, err);
    if (status == STATUS_OK)
        status = i == 0 ? lead(cards, err) : follow(cards, i, err);
    atomic_store(&cards->member[i].waits, true);
    if (status == STATUS_OK)
        status = cuda_llama_end(llama, err);
    if (status != STATUS_OK || !o->time_exchanges)
        return status;
    atomic_store(&cards->member[i].waits, false);
    status = cuda_llama_exchange_time(llama, &cards->member[i].token_ns, err);
    atomic_store(&cards->member[i].waits, true);
    return status;
}

enum status cards_generate(struct cards *cards, struct draw draw, const int32_t *ids,
                           uint32_t count, uint32_t position, uint32_t tokens,
                           llama_on_token *on_token, void *context, uint32_t *made,
                           struct error *err)
{
    const struct order order = {.draw = draw,
                                .ids = ids,
                                .count = count,
                                .position = position,
                                .tokens = tokens,
                                .on_token = on_token,
                                .context = context,
                                .made = made,
                                .time_exchanges =
                                    cards->count > 1 && tokens > 1 && !cards->member[0].token_ns};
    *made = 0;
    if (cards->count > 1) {
        all_do(cards, generate, &order);
        return STATUS_OK;
    }
    cards->order = order;
    return generate(cards, 0, err);
}
