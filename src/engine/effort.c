#include "engine/effort.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/descendants.h"

enum { BUSY_SHARE = 4 }; /* of the busiest thread's time */

static bool thread_read(pid_t pid, const char *id, struct effort_thread *thread)
{
    char path[96];
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", (int)pid, id);
    FILE *stream = fopen(path, "re");
    thread->id = strtoll(id, NULL, 10);
    bool read =
        stream && fscanf(stream, "%" SCNd64 " %" SCNd64, &thread->ran_ns, &thread->waited_ns) == 2;
    if (stream)
        fclose(stream);
    return read;
}

static enum status thread_add(struct effort *effort, const struct effort_thread *thread,
                              struct error *err)
{
    if (effort->count == effort->room) {
        size_t room = effort->room ? 2 * effort->room : 64;
        struct effort_thread *grown = realloc(effort->threads, room * sizeof *grown);
        if (!grown)
            return error_no_memory(err, room * sizeof *grown);
        effort->threads = grown;
        effort->room = room;
    }
    effort->threads[effort->count++] = *thread;
    return STATUS_OK;
}

static enum status process_read(struct effort *effort, pid_t pid, struct error *err)
{
    char path[64];
    struct effort_thread thread;
    enum status status = STATUS_OK;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && !status && (entry = readdir(folder));)
        if (entry->d_name[0] != '.' && thread_read(pid, entry->d_name, &thread))
            status = thread_add(effort, &thread, err);
    if (folder)
        closedir(folder);
    return status;
}

enum status effort_check(struct error *err)
{
    char own[24];
    struct effort_thread thread;
    snprintf(own, sizeof own, "%d", (int)getpid());
    if (thread_read(getpid(), own, &thread) && thread.ran_ns > 0)
        return STATUS_OK;
    error_set(err, STATUS_UNSUPPORTED, "the kernel does not count what single threads do");
    return error_remedy(err, "One with CONFIG_SCHEDSTATS has it in /proc/PID/schedstat.");
}

static void effort_free(struct effort *effort)
{
    free(effort->threads);
    effort->threads = NULL;
}

enum status effort_begin(struct effort *effort, pid_t pid, struct error *err)
{
    pid_t list[DESCENDANTS_MAX];
    size_t count = descendants_list(pid, list, DESCENDANTS_MAX);
    enum status status = STATUS_OK;
    *effort = (struct effort){.pid = pid, .start_ns = clock_now_ns()};
    for (size_t i = 0; i < count && !status; i++)
        status = process_read(effort, list[i], err);
    if (status)
        effort_free(effort);
    return status;
}

/* What a thread did since the beginning, of which it may not have been there. */
static struct effort_thread since(const struct effort *begin, struct effort_thread thread)
{
    for (size_t i = 0; i < begin->count; i++)
        if (begin->threads[i].id == thread.id) {
            thread.ran_ns -= begin->threads[i].ran_ns;
            thread.waited_ns -= begin->threads[i].waited_ns;
        }
    return thread;
}

static void report_fill(struct effort_report *report, const struct effort *begin,
                        const struct effort *end)
{
    int64_t ready_ns = 0;
    *report = (struct effort_report){0};
    for (size_t i = 0; i < end->count; i++) {
        int64_t ran_ns = since(begin, end->threads[i]).ran_ns;
        report->busiest_ns = ran_ns > report->busiest_ns ? ran_ns : report->busiest_ns;
    }
    for (size_t i = 0; i < end->count; i++) {
        struct effort_thread thread = since(begin, end->threads[i]);
        if (thread.ran_ns == 0 || thread.ran_ns < report->busiest_ns / BUSY_SHARE)
            continue;
        report->threads++;
        ready_ns += thread.ran_ns + thread.waited_ns;
    }
    report->at_once = (double)ready_ns / (double)(end->start_ns - begin->start_ns);
}

enum status effort_end(struct effort *effort, struct effort_report *report, struct error *err)
{
    struct effort end;
    enum status status = effort_begin(&end, effort->pid, err);
    if (!status)
        report_fill(report, effort, &end);
    if (!status)
        effort_free(&end);
    effort_free(effort);
    return status;
}
