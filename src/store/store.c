#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "store/connection.h"
#include "store/schema.h"
#include "store/write.h"

enum { BUSY_MS = 10000 };

static enum status default_path(char *path, size_t size, struct error *err)
{
    const char *own = getenv("PRONY_STORE"), *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int length;
    if (own && *own)
        length = snprintf(path, size, "%s", own);
    else if (xdg && *xdg)
        length = snprintf(path, size, "%s/prony/results.db", xdg);
    else if (home && *home)
        length = snprintf(path, size, "%s/.local/share/prony/results.db", home);
    else {
        error_set(err, STATUS_IO, "no place for the results: neither PRONY_STORE nor HOME is set");
        return error_remedy(err, "Set PRONY_STORE to a file that may be written.");
    }
    if (length < 0 || (size_t)length >= size)
        return error_set(err, STATUS_IO, "the path of the results is too long");
    return STATUS_OK;
}

/* The default, written to chosen, unless *path names a file. */
static enum status path_choose(const char **path, char *chosen, size_t size, struct error *err)
{
    if (*path)
        return STATUS_OK;
    *path = chosen;
    return default_path(chosen, size, err);
}

static enum status parent_make(const char *path, struct error *err)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash || slash == folder)
        return STATUS_OK;
    *slash = '\0';
    err->status = STATUS_OK;
    if (folder_make(folder, err))
        error_remedy(err, "Name a file that may be written with PRONY_STORE=FILE.");
    return err->status;
}

/* Writes as much as a large run's records take, for good, and removes it: whether a disk is full
 * or read-only shows only when something reaches it. */
static enum status room_check(sqlite3 *db, struct error *err)
{
    enum status status = sql_run(db,
                                 "BEGIN IMMEDIATE;"
                                 "INSERT INTO room VALUES(zeroblob(1048576));"
                                 "COMMIT",
                                 err);
    if (status) {
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
        return status;
    }
    return sql_run(db, "DELETE FROM room", err);
}

/* WAL, so that readers and a writer do not wait for each other. SQLite does not wait for the lock
 * that entering it takes (its busy timeout leaves that one out), so this does. */
static enum status wal_enter(sqlite3 *db, struct error *err)
{
    const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
    for (int waited_ms = 0;; waited_ms += 10) {
        enum status status = sql_run(db, "PRAGMA journal_mode = WAL", err);
        if (!status || (sqlite3_errcode(db) & 0xff) != SQLITE_BUSY || waited_ms >= BUSY_MS)
            return status;
        nanosleep(&pause, NULL);
    }
}

/* NULL, with the error set, when the file cannot be opened. */
static struct store *connect(const char *path, int flags, struct error *err)
{
    struct store *opened = calloc(1, sizeof *opened);
    if (!opened) {
        error_no_memory(err, sizeof *opened);
        return NULL;
    }
    opened->lock_fd = -1;
    if (sqlite3_open_v2(path, &opened->db, flags, NULL)) {
        error_set(err, STATUS_IO, "the results cannot be opened: %s",
                  opened->db ? sqlite3_errmsg(opened->db) : "no memory");
        error_where(err, "%s", path);
        error_remedy(err, "Make the file and its folder writable, or name another file with "
                          "PRONY_STORE=FILE.");
        store_close(opened);
        return NULL;
    }
    sqlite3_busy_timeout(opened->db, BUSY_MS);
    return opened;
}

enum status store_open(struct store **store, const char *path, struct error *err)
{
    char chosen[PATH_MAX];
    *store = NULL;
    if (path_choose(&path, chosen, sizeof chosen, err) || parent_make(path, err))
        return err->status;
    struct store *opened = connect(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
    if (!opened)
        return err->status;
    enum status status = wal_enter(opened->db, err);
    if (!status)
        status = sql_run(opened->db, "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON", err);
    if (!status)
        status = schema_migrate(opened->db, path, err);
    if (!status)
        status = room_check(opened->db, err);
    if (status)
        store_close(opened);
    else
        *store = opened;
    return status;
}

static enum status bring_up_to_date(const char *path, struct error *err)
{
    struct store *writer = NULL;
    enum status status = store_open(&writer, path, err);
    store_close(writer);
    return status;
}

enum status store_open_read(struct store **store, const char *path, struct error *err)
{
    char chosen[PATH_MAX];
    *store = NULL;
    if (path_choose(&path, chosen, sizeof chosen, err))
        return err->status;
    if (!path_is_file(path)) {
        error_set(err, STATUS_NOT_FOUND, "no run is stored yet: there is no such file");
        error_where(err, "%s", path);
        return error_remedy(err, "'prony bench' makes it; PRONY_STORE=FILE names another.");
    }
    bool older = false;
    struct store *opened = connect(path, SQLITE_OPEN_READONLY, err);
    if (!opened)
        return err->status;
    enum status status = schema_check(opened->db, path, &older, err);
    if (!status && older) {
        store_close(opened);
        if (bring_up_to_date(path, err))
            return err->status;
        opened = connect(path, SQLITE_OPEN_READONLY, err);
        if (!opened)
            return err->status;
    }
    if (status)
        store_close(opened);
    else
        *store = opened;
    return status;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    sqlite3_close(store->db);
    if (store->lock_fd >= 0)
        close(store->lock_fd);
    free(store);
}

const char *store_path(const struct store *store)
{
    return sqlite3_db_filename(store->db, "main");
}

enum status store_run_lock(struct store *store, int64_t run, struct error *err)
{
    char path[PATH_MAX + 8];
    struct flock byte = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = run, .l_len = 1};
    snprintf(path, sizeof path, "%s-lock", store_path(store));
    if (store->lock_fd < 0)
        store->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (store->lock_fd < 0) {
        error_errno(err, "open the lock of the results");
        return error_where(err, "%s", path);
    }
    if (fcntl(store->lock_fd, F_OFD_SETLK, &byte) == 0)
        return STATUS_OK;
    if (errno != EAGAIN && errno != EACCES) {
        error_errno(err, "lock the run");
        return error_where(err, "%s", path);
    }
    error_set(err, STATUS_USAGE, "run %lld is being measured by another process", (long long)run);
    return error_remedy(err, "Wait for its end, or interrupt it there.");
}

enum status store_run_begin(struct store *store, const char *plan, const char *manifest,
                            const struct record_variant *variants, size_t variant_count,
                            int64_t *run, struct error *err)
{
    char created[32];
    time_t now = time(NULL);
    struct tm utc;
    strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
    enum status status = sql_run(store->db, "BEGIN IMMEDIATE", err);
    if (status)
        return status;
    sqlite3_stmt *statement = NULL;
    status = sql_prepare(store->db, &statement,
                         "INSERT INTO run(created, state, uid, plan, manifest)"
                         " VALUES(?, 'running', lower(hex(randomblob(16))), ?, ?)",
                         err);
    if (!status) {
        int at = 0;
        sql_bind_text(statement, &at, created);
        sql_bind_text(statement, &at, plan);
        sql_bind_text(statement, &at, manifest);
        status = sql_execute(statement, err);
    }
    sqlite3_finalize(statement);
    *run = sqlite3_last_insert_rowid(store->db);
    if (!status)
        status = variants_write(store->db, *run, variants, variant_count, err);
    if (!status)
        status = store_run_lock(store, *run, err);
    return transaction_end(store->db, status, err);
}

enum status store_equivalence_put(struct store *store, int64_t run, size_t variant,
                                  const struct record_equivalence *record, struct error *err)
{
    return equivalence_write(store->db, run, variant, record, err);
}

enum status store_process_add(struct store *store, int64_t run,
                              const struct record_process *process,
                              const struct record_versions *versions, struct error *err)
{
    enum status status = sql_run(store->db, "BEGIN IMMEDIATE", err);
    if (status)
        return status;
    status = process_write(store->db, run, process, err);
    if (!status && versions)
        status = versions_write(store->db, run, process->variant, versions, err);
    return transaction_end(store->db, status, err);
}

enum status store_run_state(struct store *store, int64_t run, const char *state, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status =
        sql_prepare(store->db, &statement, "UPDATE run SET state = ? WHERE id = ?", err);
    if (!status) {
        int at = 0;
        sql_bind_text(statement, &at, state);
        sql_bind_integer(statement, &at, run);
        status = sql_execute(statement, err);
    }
    sqlite3_finalize(statement);
    return status;
}
