/* Child processes: what they inherit, how they end, and that nothing of theirs survives. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/child.h"
#include "base/file.h"

static char log_path[] = "/tmp/prony-test-child-XXXXXX";

static enum status shell(struct child *child, const char *script, struct error *err)
{
    const char *argv[] = {"sh", "-c", script, NULL};
    const char *environment[] = {"GREETING=hello", NULL};
    return child_start(
        child,
        &(struct child_options){
            .argv = argv, .folder = "/usr", .log_path = log_path, .environment = environment},
        err);
}

static char *log_text(void)
{
    struct error err;
    char *text;
    size_t bytes;
    assert_int_equal(file_read(log_path, 1 << 20, &text, &bytes, &err), STATUS_OK);
    return text;
}

static void runs_in_a_clean_process(void **state)
{
    (void)state;
    struct child child;
    struct error err;
    setenv("PRONY_FD_IN", "77", 1);
    assert_int_equal(
        shell(&child,
              "pwd; echo $GREETING $PRONY_FD_IN $PRONY_FD_OUT >&2; read line <&3; echo \"$line\";"
              "for f in /proc/self/fd/*; do test -e $f && echo fd ${f##*/}; done; cat;"
              "echo $(ps -o pid=,pgid=,sid= -p $$); exit 3",
              &err),
        STATUS_OK);
    assert_int_equal(write(child.to_fd, "ping\n", 5), 5);
    assert_true(child_wait(&child, 10000));
    char expected[256], how[80];
    child_status_text(&child, how, sizeof how);
    assert_string_equal(how, "exited with status 3");
    assert_int_equal(child.survivors, 0);
    snprintf(expected, sizeof expected,
             "/usr\nhello 3 4\nping\nfd 0\nfd 1\nfd 2\nfd 3\nfd 4\n%d %d %d\n", child.pid,
             child.pid, child.pid);
    char *text = log_text();
    /* The shell's own glob may hold one more descriptor open while it lists them. */
    char *extra = strstr(text, "fd 5\n");
    if (extra)
        memmove(extra, extra + 5, strlen(extra + 5) + 1);
    assert_string_equal(text, expected);
    free(text);
    child_kill(&child);
}

static void says_why_it_did_not_start(void **state)
{
    (void)state;
    struct child child;
    struct error err;
    const char *missing[] = {"no-such-program", NULL};
    struct child_options options = {.argv = missing, .folder = "/", .log_path = log_path};
    assert_int_equal(child_start(&child, &options, &err), STATUS_NOT_FOUND);
    assert_string_equal(err.what, "cannot start 'no-such-program': No such file or directory");
    const char *folder[] = {"/etc/passwd", NULL};
    options.argv = folder;
    assert_int_equal(child_start(&child, &options, &err), STATUS_IO);
    assert_non_null(strstr(err.what, "Permission denied"));
    options.folder = "/no/such/folder";
    assert_int_equal(child_start(&child, &options, &err), STATUS_NOT_FOUND);
    assert_string_equal(err.where, "/no/such/folder");
    options.folder = "/";
    options.log_path = "/no/such/folder/log";
    assert_int_equal(child_start(&child, &options, &err), STATUS_NOT_FOUND);
    assert_string_equal(err.where, "/no/such/folder/log");
}

static void tells_the_signal(void **state)
{
    (void)state;
    struct child child;
    struct error err;
    char how[80];
    assert_int_equal(shell(&child, "kill -SEGV $$", &err), STATUS_OK);
    assert_true(child_wait(&child, 10000));
    child_status_text(&child, how, sizeof how);
    assert_string_equal(how, "killed by signal 11 (Segmentation fault)");
    assert_false(child.killed);
    child_kill(&child);
}

static pid_t pid_from_log(void)
{
    pid_t pid = 0;
    while (pid == 0) { /* until the script has come that far */
        char *text = log_text();
        if (strchr(text, '\n'))
            pid = atoi(text);
        free(text);
        usleep(1000);
    }
    return pid;
}

static void leaves_no_descendant(void **state)
{
    (void)state;
    struct child child;
    struct error err;
    /* A grandchild in a session of its own, out of reach of the process group. */
    assert_int_equal(shell(&child, "setsid sleep 1000 & echo $!; read line <&3", &err), STATUS_OK);
    pid_t pid = pid_from_log();
    assert_int_equal(kill(pid, 0), 0);
    assert_false(child_wait(&child, 0));
    child_kill(&child);
    assert_true(child.ended);
    assert_true(child.killed);
    assert_int_equal(kill(pid, 0), -1);
    assert_int_equal(kill(child.pid, 0), -1);
    child_kill(&child);
}

static void counts_what_a_child_leaves_behind(void **state)
{
    (void)state;
    struct child child;
    struct error err;
    assert_int_equal(shell(&child, "setsid sleep 1000 & echo $!; exit 0", &err), STATUS_OK);
    pid_t pid = pid_from_log();
    assert_true(child_wait(&child, 10000));
    assert_int_equal(child.wait_status, 0);
    assert_int_equal(child.survivors, 1);
    assert_int_equal(kill(pid, 0), -1);
    child_kill(&child);
}

/* Gone, or a zombie that its new parent has not reaped yet. */
static bool is_dead(pid_t pid)
{
    char path[64], line[256] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *stream = fopen(path, "re");
    if (!stream)
        return true;
    bool read = fgets(line, sizeof line, stream) != NULL;
    fclose(stream);
    return !read || strstr(line, ") Z ") != NULL;
}

/* The guard is the last line of defence; when it is killed itself, the child must go with it. */
static void dies_with_its_guard(void **state)
{
    (void)state;
    struct child child;
    struct error err;
    assert_int_equal(shell(&child, "read line <&3", &err), STATUS_OK);
    kill(child.guard_pid, SIGKILL);
    assert_true(child_wait(&child, 10000));
    assert_int_equal(child.wait_status, -1);
    for (int i = 0; i < 10000 && !is_dead(child.pid); i++)
        usleep(1000);
    assert_true(is_dead(child.pid));
    child_kill(&child);
}

/* Whether the child ends, is killed, or cannot be started. */
static void removes_its_scratch_folder(void **state)
{
    (void)state;
    const char *const scripts[] = {"mkdir -p a/b; echo x > a/b/c; ln -s /usr a/usr",
                                   "mkdir a; touch a/c; read line <&3", "touch c; kill -9 $$", ""};
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        char scratch[] = "/tmp/prony-test-scratch-XXXXXX";
        const char *argv[] = {*scripts[i] ? "sh" : "no-such-program", "-c", scripts[i], NULL};
        struct child child;
        struct error err;
        assert_non_null(mkdtemp(scratch));
        enum status status = child_start(
            &child,
            &(struct child_options){
                .argv = argv, .folder = scratch, .log_path = log_path, .scratch = scratch},
            &err);
        assert_int_equal(status, *scripts[i] ? STATUS_OK : STATUS_NOT_FOUND);
        child_wait(&child, i == 1 ? 100 : 10000);
        child_kill(&child);
        assert_int_not_equal(access(scratch, F_OK), 0);
        assert_int_equal(access("/usr/bin", F_OK), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_in_a_clean_process),
        cmocka_unit_test(says_why_it_did_not_start),
        cmocka_unit_test(tells_the_signal),
        cmocka_unit_test(leaves_no_descendant),
        cmocka_unit_test(counts_what_a_child_leaves_behind),
        cmocka_unit_test(dies_with_its_guard),
        cmocka_unit_test(removes_its_scratch_folder),
    };
    int fd = mkstemp(log_path);
    if (fd < 0)
        return 1;
    close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(log_path);
    return failed;
}
