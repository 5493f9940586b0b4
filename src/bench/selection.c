#include "bench/selection.h"

#include <stdbool.h>

/* Of one block. */
struct attempts {
    uint32_t last;         /* attempt */
    size_t count, earlier; /* processes of the last, and of the one before it */
    uint32_t before;       /* the one before it */
};

static void attempts_count(struct attempts *attempts, uint32_t attempt)
{
    if (attempts->count && attempt == attempts->last) {
        attempts->count++;
    } else if (!attempts->count || attempt > attempts->last) {
        *attempts = (struct attempts){attempt, 1, attempts->count, attempts->last};
    }
}

/* A block beyond the number of processes cannot be: who reads the selection says so. */
static bool has_block(const struct record_run *run, const struct record_process *process)
{
    return process->block < run->process_count;
}

enum status selection_make(struct selection *selection, const struct record_run *run,
                           uint32_t point, struct arena *arena, struct error *err)
{
    struct attempts *blocks = arena_array(arena, run->process_count + 1, sizeof *blocks);
    struct record_process *processes =
        arena_array(arena, run->process_count + 1, sizeof *processes);
    if (!blocks || !processes)
        return error_no_memory(err, run->process_count * sizeof *processes);
    *selection = (struct selection){.run = *run};
    for (size_t i = 0; i < run->process_count; i++)
        if (has_block(run, &run->processes[i]))
            attempts_count(&blocks[run->processes[i].block], run->processes[i].attempt);
    selection->run.processes = processes;
    selection->run.process_count = 0;
    for (size_t i = 0; i < run->process_count; i++) {
        const struct record_process *process = &run->processes[i];
        if (has_block(run, process)) {
            const struct attempts *attempts = &blocks[process->block];
            bool broken_off = attempts->count < attempts->earlier;
            if (process->attempt != (broken_off ? attempts->before : attempts->last))
                continue;
        }
        if (process->point == point)
            processes[selection->run.process_count++] = *process;
    }
    for (size_t i = 0; i < run->process_count; i++)
        selection->redone += blocks[i].last;
    return STATUS_OK;
}
