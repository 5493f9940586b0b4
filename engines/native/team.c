#include "team.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cores.h"
#include "model/quantisable.h"

/* What a rank found when it opened the model. */
struct verdict {
    struct error error; /* status STATUS_OK: none */
    char host[64], version[32], hash[65];
};

static uint32_t number_from(const char *variable, uint32_t otherwise)
{
    const char *text = getenv(variable);
    return text ? (uint32_t)strtoul(text, NULL, 10) : otherwise;
}

enum status team_open(struct team *team, struct error *err)
{
    if (mpi_open(&team->mpi, err))
        return err->status;
    team->ranks = mpi_ranks(team->mpi);
    team->local = number_from("OMPI_COMM_WORLD_LOCAL_RANK", team->ranks->rank);
    team->here = number_from("OMPI_COMM_WORLD_LOCAL_SIZE", team->ranks->count);
    return STATUS_OK;
}

static void send_all(struct team *team, const void *data, size_t bytes)
{
    for (uint32_t rank = 1; rank < team->ranks->count; rank++)
        ranks_send(team->ranks, rank, data, bytes);
}

void team_close(struct team *team)
{
    if (team->ranks->rank == 0)
        send_all(team, &(struct team_task){.load = false}, sizeof(struct team_task));
    mpi_close(team->mpi);
}

void team_begin(struct team *team, const struct prony_load *request)
{
    struct team_task task = {
        .load = true, .context = request->context, .threads = request->threads};
    snprintf(task.model, sizeof task.model, "%s", request->model);
    snprintf(task.variant, sizeof task.variant, "%s", request->variant);
    snprintf(task.precision, sizeof task.precision, "%s", request->precision);
    snprintf(task.quantize, sizeof task.quantize, "%s", request->quantize);
    mpi_patience(team->mpi, true);
    send_all(team, &task, sizeof task);
}

void team_wait(struct team *team, struct team_task *task)
{
    mpi_patience(team->mpi, true);
    ranks_receive(team->ranks, 0, task, sizeof *task);
}

static void verdict_find(struct verdict *verdict, const struct team *team, enum status status,
                         const struct model *model, const struct prony_load *request,
                         const struct error *err)
{
    struct cores cores;
    *verdict = (struct verdict){.version = PRONY_VERSION};
    gethostname(verdict->host, sizeof verdict->host - 1);
    cores_read(&cores);
    uint32_t devices = request->threads           ? request->threads
                       : cores.count < team->here ? cores.count
                                                  : team->ranks->count;
    if (status)
        verdict->error = *err;
    else if (!model_check_form(model, request->quantize, team->ranks->count, devices,
                               &verdict->error) &&
             !model_hash(model, verdict->hash, &verdict->error))
        verdict->error.status = STATUS_OK;
}

/* Holds a rank's verdict against rank 0's own. */
static enum status judge(const struct verdict *own, const struct verdict *other, uint32_t rank,
                         uint32_t count, struct error *err)
{
    if (other->error.status) {
        *err = other->error;
        if (rank > 0)
            error_set(err, other->error.status, "rank %u of %u: %.400s", rank, count,
                      other->error.what);
        snprintf(err->where, sizeof err->where, "%s", other->error.where);
        return error_remedy(err, "%s", other->error.remedy);
    }
    if (strcmp(own->version, other->version) != 0) {
        error_set(err, STATUS_UNSUPPORTED, "rank %u of %u is of Prony %s, and rank 0 of %s", rank,
                  count, other->version, own->version);
        return error_where(err, "%s", other->host);
    }
    if (strcmp(own->hash, other->hash) != 0) {
        error_set(err, STATUS_FORMAT,
                  "rank %u of %u has another model: the SHA-256 of its weights is %.12s…, and rank "
                  "0's is %.12s…",
                  rank, count, other->hash, own->hash);
        error_where(err, "%s", other->host);
        return error_remedy(err, "Copy the model to all machines, at the same path.");
    }
    return STATUS_OK;
}

enum status team_agree(struct team *team, enum status status, const struct model *model,
                       const struct prony_load *request, struct error *err)
{
    struct verdict own, other;
    struct error decision = {0};
    uint32_t count = team->ranks->count;
    verdict_find(&own, team, status, model, request, err);
    if (team->ranks->rank > 0) {
        ranks_send(team->ranks, 0, &own, sizeof own);
        ranks_receive(team->ranks, 0, &decision, sizeof decision);
    } else {
        judge(&own, &own, 0, count, &decision);
        for (uint32_t rank = 1; rank < count; rank++) {
            ranks_receive(team->ranks, rank, &other, sizeof other);
            if (!decision.status)
                judge(&own, &other, rank, count, &decision);
        }
        send_all(team, &decision, sizeof decision);
    }
    *err = decision;
    return decision.status;
}

uint32_t team_threads(const struct team *team, uint32_t threads)
{
    struct cores cores;
    cpu_set_t set;
    cores_read(&cores);
    /* Those of all ranks, or of the ranks on this machine where the choice is the engine's. */
    uint32_t all = threads ? threads : cores.count,
             among = threads ? team->ranks->count : team->here;
    uint32_t begin = all * team->local / among, end = all * (team->local + 1) / among;
    CPU_ZERO(&set);
    for (uint32_t i = begin; i < end; i++)
        CPU_SET(cores.cpu[i % cores.cpu_count], &set);
    sched_setaffinity(0, sizeof set, &set);
    return end - begin;
}

void team_ready(struct team *team, struct team_held *held)
{
    if (team->ranks->rank > 0)
        ranks_send(team->ranks, 0, held, sizeof *held);
    for (uint32_t rank = 1; team->ranks->rank == 0 && rank < team->ranks->count; rank++) {
        struct team_held other;
        ranks_receive(team->ranks, rank, &other, sizeof other);
        held->weight_bytes += other.weight_bytes;
        held->embedding_bytes += other.embedding_bytes;
        held->cache_bytes += other.cache_bytes;
        held->threads += other.threads;
    }
    mpi_patience(team->mpi, false);
}

_Noreturn void team_fail(const struct team *team, const struct error *err)
{
    fprintf(stderr, "Error: rank %u of %u: %s (%s). %s\n", team->ranks->rank, team->ranks->count,
            err->what, err->where, err->remedy);
    fflush(stderr);
    _exit(1);
}
