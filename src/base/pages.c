#include "base/pages.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

/* Linux 5.14; older C libraries' headers lack them. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

enum { HUGE_PAGE_BYTES = 2 << 20 };

enum status pages_map(struct pages *pages, size_t bytes, struct error *err)
{
    *pages = (struct pages){0};
    if (bytes > SIZE_MAX / 2)
        return error_no_memory(err, bytes);
    /* Linux aligns a mapping to the page only: map one huge page more and cut off both ends. */
    size_t rounded = (bytes + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
    size_t mapped = rounded + HUGE_PAGE_BYTES;
    unsigned char *start = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (start == MAP_FAILED)
        return error_no_memory(err, bytes);
    size_t head = -(uintptr_t)start % HUGE_PAGE_BYTES;
    size_t tail = mapped - head - rounded;
    if (head)
        munmap(start, head);
    if (tail)
        munmap(start + head + rounded, tail);
    pages->data = start + head;
    pages->bytes = rounded;
    madvise(pages->data, rounded, MADV_HUGEPAGE); /* a system without them still works */
    return STATUS_OK;
}

void pages_free(struct pages *pages)
{
    if (pages->data)
        munmap(pages->data, pages->bytes);
    *pages = (struct pages){0};
}

void pages_populate(const void *data, size_t bytes, int for_writing)
{
    if (bytes == 0)
        return;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = (uintptr_t)data / page * page;
    uintptr_t end = ((uintptr_t)data + bytes + page - 1) / page * page;
    int advice = for_writing ? MADV_POPULATE_WRITE : MADV_POPULATE_READ;
    if (madvise((void *)begin, end - begin, advice) == 0)
        return;
    /* An older kernel: touch the pages, inside the range only. */
    volatile unsigned char *bytes_of = (volatile unsigned char *)(uintptr_t)data;
    for (size_t i = 0; i < bytes; i += page) {
        unsigned char value = bytes_of[i];
        if (for_writing)
            bytes_of[i] = value;
    }
}

uint64_t memory_available_bytes(void)
{
    uint64_t kib = UINT64_MAX / 1024;
    char line[128];
    FILE *stream = fopen("/proc/meminfo", "re");
    if (!stream)
        return UINT64_MAX;
    while (fgets(line, sizeof line, stream)) {
        unsigned long long value;
        if (sscanf(line, "MemAvailable: %llu kB", &value) == 1)
            kib = value;
    }
    fclose(stream);
    return kib == UINT64_MAX / 1024 ? UINT64_MAX : kib * 1024;
}
