/* src/machine: the kernel's text files, the memory of a process with its descendants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/temporary.h"
#include "base/descendants.h"
#include "machine/cpu.h"
#include "machine/machine.h"
#include "machine/memory.h"
#include "machine/nodes.h"
#include "machine/text.h"

enum { MIB = 1 << 20 };

static void fields(void **state)
{
    (void)state;
    char path[] = "/tmp/prony-text-XXXXXX", text[16];
    int fd = mkstemp(path);
    const char content[] =
        "first line\nModel name\t:  A CPU  \nNAME=\"Debian 12\"\nVmHWM:\t 12 kB\n"
        "Plain: 7\nBad: x\nHuge: 99999999999999999999 kB\n"
        "Long: 0123456789abcdefghij";
    assert_int_equal(write(fd, content, sizeof content - 1), sizeof content - 1);
    close(fd);
    assert_true(text_line(path, text, sizeof text));
    assert_string_equal(text, "first line");
    assert_true(text_field(path, "Model name", text, sizeof text));
    assert_string_equal(text, "A CPU");
    assert_true(text_field(path, "NAME", text, sizeof text));
    assert_string_equal(text, "Debian 12");
    assert_true(text_field(path, "Long", text, sizeof text));
    assert_string_equal(text, "0123456789abcde");
    assert_false(text_field(path, "Model", text, sizeof text));
    assert_string_equal(text, "");
    assert_int_equal(text_field_bytes(path, "VmHWM"), 12 * 1024);
    assert_int_equal(text_field_bytes(path, "Plain"), 7);
    assert_int_equal(text_field_bytes(path, "Bad"), -1);
    assert_int_equal(text_field_bytes(path, "Huge"), -1);
    assert_int_equal(text_field_bytes(path, "None"), -1);
    unlink(path);
    assert_false(text_line(path, text, sizeof text));
    assert_int_equal(text_field_bytes(path, "VmHWM"), -1);
}

/* A descendant's memory counts: here a child's child's. */
static void tree_counts_descendants(void **state)
{
    (void)state;
    struct memory_tree before, after;
    int pipes[2];
    char byte;
    memory_tree_read(getpid(), &before);
    assert_true(before.pss_bytes > 0 && before.peak_bytes > 0);
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        pid_t grandchild = fork();
        if (grandchild == 0) {
            void *memory =
                mmap(NULL, 64 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            memset(memory, 1, 64 * MIB);
            if (write(pipes[1], "x", 1) != 1)
                _exit(1);
        }
        pause();
        _exit(0);
    }
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    memory_tree_read(getpid(), &after);
    char path[64];
    int grandchild = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", child, child);
    FILE *stream = fopen(path, "r");
    if (stream) {
        assert_int_equal(fscanf(stream, "%d", &grandchild), 1);
        fclose(stream);
    }
    if (grandchild > 0)
        kill(grandchild, SIGKILL);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_true(after.pss_bytes >= before.pss_bytes + 60 * MIB);
    assert_true(after.peak_bytes >= before.peak_bytes + 60 * MIB);
    memory_tree_read(child, &after); /* gone */
    assert_int_equal(after.pss_bytes, -1);
}

struct starter {
    int from_main, to_main;
    pid_t child;
};

/* Starts a child and lives on. */
static void *start_child(void *argument)
{
    struct starter *starter = argument;
    char byte = 1;
    starter->child = fork();
    if (starter->child == 0) {
        pause();
        _exit(0);
    }
    if (write(starter->to_main, &byte, 1) != 1 || read(starter->from_main, &byte, 1) < 0)
        return argument;
    return NULL;
}

static void tree_counts_children_of_threads(void **state)
{
    (void)state;
    int up[2], down[2];
    char byte;
    pid_t list[16];
    pthread_t thread;
    void *problem;
    bool found = false;
    assert_int_equal(pipe(up), 0);
    assert_int_equal(pipe(down), 0);
    struct starter starter = {.from_main = down[0], .to_main = up[1]};
    assert_int_equal(pthread_create(&thread, NULL, start_child, &starter), 0);
    assert_int_equal(read(up[0], &byte, 1), 1);
    size_t count = descendants_list(getpid(), list, 16);
    for (size_t i = 0; i < count; i++)
        found = found || list[i] == starter.child;
    kill(starter.child, SIGKILL);
    waitpid(starter.child, NULL, 0);
    close(down[1]);
    assert_int_equal(pthread_join(thread, &problem), 0);
    assert_null(problem);
    assert_true(found);
    close(up[0]);
    close(up[1]);
    close(down[0]);
}

/* Two nodes with processors, one of memory alone, and names that are none. */
static void memory_nodes(void **state)
{
    (void)state;
    char sys[256];
    const struct cores both = {.count = 2, .cpu_count = 2, .cpu = {1, 66}};
    const struct cores one = {.count = 2, .cpu_count = 2, .cpu = {31, 95}};
    const struct cores none = {.count = 1, .cpu_count = 1, .cpu = {200}};
    snprintf(sys, sizeof sys, "%s/sys", temporary_folder);
    temporary_put("sys/devices/system/node/node0/cpulist", "0-31,64,68-95\n");
    temporary_put("sys/devices/system/node/node1/cpulist", "32-63,66\n");
    temporary_put("sys/devices/system/node/node12/cpulist", "\n");
    temporary_put("sys/devices/system/node/node/cpulist", "0-95\n");
    temporary_put("sys/devices/system/node/possible", "0-12\n");
    struct nodes nodes = nodes_read(sys, &both);
    assert_int_equal(nodes.count, 3);
    assert_int_equal(nodes.used, 2);
    assert_int_equal(nodes_read(sys, &one).used, 1);
    assert_int_equal(nodes_read(sys, &none).used, 0);
    temporary_put("sys/devices/system/node/node1/cpulist", "x,-,66\n");
    assert_int_equal(nodes_read(sys, &both).used, 1);
    assert_int_equal(nodes_read("/nowhere", &both).count, 0);
}

static void describes_the_machine(void **state)
{
    (void)state;
    struct cpu cpu;
    cpu_read(&cpu);
    assert_true(cpu.cores_allowed >= 1 && cpu.cpus_allowed >= cpu.cores_allowed);
    assert_true(*cpu.architecture);
    assert_true(memory_total_bytes() > 0);
    json_t *machine = machine_describe();
    assert_non_null(machine);
    const char *const keys[] = {"cpu", "memory", "system", "limits"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_true(json_is_object(json_object_get(machine, keys[i])));
    json_decref(machine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields),
        cmocka_unit_test(tree_counts_descendants),
        cmocka_unit_test(tree_counts_children_of_threads),
        cmocka_unit_test(memory_nodes),
        cmocka_unit_test(describes_the_machine),
    };
    return cmocka_run_group_tests(tests, temporary_make, temporary_remove);
}
