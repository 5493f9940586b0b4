/* Whole runs: listed, imported, removed. */
#include <string.h>

#include "store/connection.h"
#include "store/write.h"

enum { MAX_RUNS = 1000000 };

static const char *column_text(sqlite3_stmt *statement, int column, struct arena *arena)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    return arena_strdup(arena, text ? text : "");
}

static enum status listing_read(sqlite3_stmt *statement, struct store_listing *listing,
                                struct arena *arena, struct error *err)
{
    *listing = (struct store_listing){
        .id = sqlite3_column_int64(statement, 0),
        .created = column_text(statement, 1, arena),
        .state = column_text(statement, 2, arena),
        .uid = column_text(statement, 3, arena),
        .imported = sqlite3_column_int64(statement, 4) != 0,
        .manifest = column_text(statement, 5, arena),
        .variants = sqlite3_column_int64(statement, 6),
        .blocks = sqlite3_column_int64(statement, 7),
        .processes = sqlite3_column_int64(statement, 8),
        .failures = sqlite3_column_int64(statement, 9),
    };
    bool kept = listing->created && listing->state && listing->uid && listing->manifest;
    return kept ? STATUS_OK : error_no_memory(err, 0);
}

static enum status list_read(sqlite3 *db, struct store_listing *list, size_t room, size_t *count,
                             struct arena *arena, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool more = false;
    enum status status = sql_prepare(
        db, &statement,
        "SELECT id, created, state, uid, imported, manifest,"
        " (SELECT count(*) FROM variant WHERE run = run.id),"
        " (SELECT count(DISTINCT block) FROM process WHERE run = run.id AND failure IS NULL),"
        " (SELECT count(*) FROM process WHERE run = run.id),"
        " (SELECT count(*) FROM process WHERE run = run.id AND failure IS NOT NULL)"
        " FROM run ORDER BY id",
        err);
    if (!status)
        status = sql_step(statement, &more, err);
    for (*count = 0; !status && more && *count < room; (*count)++) {
        status = listing_read(statement, &list[*count], arena, err);
        if (!status)
            status = sql_step(statement, &more, err);
    }
    sqlite3_finalize(statement);
    return status;
}

enum status store_runs_list(struct store *store, struct store_listing **list, size_t *count,
                            struct arena *arena, struct error *err)
{
    int64_t runs = 0;
    /* One transaction: another process may begin a run in between. */
    enum status status = sql_run(store->db, "BEGIN", err);
    if (status)
        return status;
    status = sql_integer(store->db, "SELECT count(*) FROM run", &runs, err);
    if (!status && runs > MAX_RUNS)
        status = error_set(err, STATUS_FORMAT, "the store claims %lld runs", (long long)runs);
    if (!status) {
        *list = arena_array(arena, (size_t)runs + 1, sizeof **list);
        status = *list ? list_read(store->db, *list, (size_t)runs, count, arena, err)
                       : error_no_memory(err, (size_t)runs * sizeof **list);
    }
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

/* Whether the store has the run already: an error that names it. */
static enum status check_new(sqlite3 *db, const struct record_run *run, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool found = false;
    int at = 0;
    enum status status = sql_prepare(db, &statement, "SELECT id FROM run WHERE uid = ?", err);
    if (!status) {
        sql_bind_text(statement, &at, run->uid);
        status = sql_step(statement, &found, err);
    }
    if (found) {
        long long here = sqlite3_column_int64(statement, 0);
        error_set(err, STATUS_USAGE, "the run is here already, as run %lld", here);
        error_where(err, "uid %s", run->uid);
        status = error_remedy(err, "To replace it, remove that one first: 'prony results rm %lld'.",
                              here);
    }
    sqlite3_finalize(statement);
    return status;
}

static enum status run_insert(sqlite3 *db, struct record_run *run, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int at = 0;
    enum status status = sql_prepare(db, &statement,
                                     "INSERT INTO run(created, state, uid, imported, plan,"
                                     " manifest) VALUES(?, ?, ?, 1, ?, ?)",
                                     err);
    if (!status) {
        sql_bind_text(statement, &at, run->created);
        sql_bind_text(statement, &at, run->state);
        sql_bind_text(statement, &at, run->uid);
        sql_bind_text(statement, &at, run->plan);
        sql_bind_text(statement, &at, run->manifest);
        status = sql_execute(statement, err);
    }
    sqlite3_finalize(statement);
    run->id = sqlite3_last_insert_rowid(db);
    run->imported = true;
    return status;
}

static enum status run_import(struct store *store, struct record_run *run, struct error *err)
{
    enum status status = check_new(store->db, run, err);
    if (!status)
        status = run_insert(store->db, run, err);
    if (!status)
        status = variants_write(store->db, run->id, run->variants, run->variant_count, err);
    for (size_t i = 0; i < run->variant_count && !status; i++) {
        const struct record_variant *variant = &run->variants[i];
        const struct record_versions versions = {variant->engine_version, variant->stands_on,
                                                 variant->detail};
        status = versions_write(store->db, run->id, i, &versions, err);
    }
    for (size_t i = 0; run->equivalence && i < run->variant_count && !status; i++)
        if (run->equivalence[i].precision)
            status = equivalence_write(store->db, run->id, i, &run->equivalence[i], err);
    for (size_t i = 0; i < run->process_count && !status; i++)
        status = process_write(store->db, run->id, &run->processes[i], err);
    return status;
}

enum status store_runs_import(struct store *store, struct record_run *runs, size_t count,
                              struct error *err)
{
    enum status status = sql_run(store->db, "BEGIN IMMEDIATE", err);
    if (status)
        return status;
    for (size_t i = 0; i < count && !status; i++)
        status = run_import(store, &runs[i], err);
    return transaction_end(store->db, status, err);
}

static enum status run_delete(sqlite3 *db, int64_t run, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int at = 0;
    enum status status = sql_prepare(db, &statement, "DELETE FROM run WHERE id = ?", err);
    if (!status) {
        sql_bind_integer(statement, &at, run);
        status = sql_execute(statement, err);
    }
    sqlite3_finalize(statement);
    if (!status && sqlite3_changes(db) == 0) {
        error_set(err, STATUS_NOT_FOUND, "there is no run %lld", (long long)run);
        status = error_remedy(err, "'prony results list' shows what there is.");
    }
    return status;
}

enum status store_runs_remove(struct store *store, const int64_t *runs, size_t count,
                              struct error *err)
{
    enum status status = sql_run(store->db, "BEGIN IMMEDIATE", err);
    if (status)
        return status;
    for (size_t i = 0; i < count && !status; i++) {
        status = store_run_lock(store, runs[i], err);
        if (!status)
            status = run_delete(store->db, runs[i], err);
    }
    return transaction_end(store->db, status, err);
}
