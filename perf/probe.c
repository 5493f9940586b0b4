/* The bandwidth probe, for each number of threads, against somebody else's: likwid-bench's load
 * kernels, where the program is in PATH (Debian: likwid).
 *
 * Both are run in turn, several times, and the best of each is taken: what the machine can do is
 * asked, not what others leave of it. likwid-bench tells a mean over its passes and the probe its
 * best one, so that passes are few. Prints the ratio, which should lie within 5 % of 1. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cores.h"
#include "machine/bandwidth.h"

enum { ROUNDS = 10, PROBE_MS = 300, PASSES = 2 };

/* Bytes per second of likwid-bench; 0 where it is not there. glibc gives it huge pages, as the
 * probe has: with pages of 4 KiB prefetchers stop at each of them. */
static double likwid(const char *kernel, uint32_t threads)
{
    char command[192], line[256];
    double found = 0, mega;
    snprintf(command, sizeof command,
             "GLIBC_TUNABLES=glibc.malloc.hugetlb=1 "
             "likwid-bench -t load_%s -w N:1GB:%u -i %d 2>/dev/null",
             kernel, threads, PASSES);
    FILE *stream = popen(command, "r"); // NOLINT(cert-env33-c): a fixed command, for a developer
    while (stream && fgets(line, sizeof line, stream))
        if (sscanf(line, "MByte/s: %lf", &mega) == 1)
            found = mega * 1e6;
    if (stream)
        pclose(stream);
    return found;
}

static int measure(uint32_t threads)
{
    double ours = 0, theirs = 0;
    const char *kernel = "";
    for (int round = 0; round < ROUNDS; round++) {
        struct bandwidth bandwidth;
        struct error err;
        if (bandwidth_probe(&bandwidth, threads, PROBE_MS, &err)) {
            error_print(&err, stderr);
            return 1;
        }
        kernel = bandwidth.kernel;
        ours = fmax(ours, bandwidth.bytes_per_second);
        theirs = fmax(theirs, likwid(strcmp(kernel, "avx2") == 0 ? "avx" : kernel, threads));
    }
    printf("%3u thread%s  %-7s %6.1f GB/s", threads, threads == 1 ? " " : "s", kernel, ours * 1e-9);
    if (theirs > 0)
        printf("   likwid-bench %6.1f GB/s   ratio %.3f\n", theirs * 1e-9, ours / theirs);
    else
        printf("   no likwid-bench with a load_%s kernel in PATH\n", kernel);
    return 0;
}

int main(void)
{
    static struct cores cores;
    cores_read(&cores);
    for (uint32_t threads = 1; threads < cores.count; threads *= 2)
        if (measure(threads))
            return 1;
    return measure(cores.count);
}
