/* Rows of the tables, within the caller's transaction. */
#include "store/write.h"

#include "store/connection.h"

enum status transaction_end(sqlite3 *db, enum status status, struct error *err)
{
    if (!status)
        status = sql_run(db, "COMMIT", err);
    if (status)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

enum status variants_write(sqlite3 *db, int64_t run, const struct record_variant *variants,
                           size_t count, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sql_prepare(
        db, &statement,
        "INSERT INTO variant(run, position, name, title, engine, precision, about, unavailable)"
        " VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
        err);
    for (size_t i = 0; i < count && !status; i++) {
        int at = 0;
        sql_bind_integer(statement, &at, run);
        sql_bind_integer(statement, &at, (int64_t)i);
        sql_bind_text(statement, &at, variants[i].name);
        sql_bind_text(statement, &at, variants[i].title);
        sql_bind_text(statement, &at, variants[i].engine);
        sql_bind_text(statement, &at, variants[i].precision);
        sql_bind_text(statement, &at, variants[i].about);
        sql_bind_text(statement, &at, variants[i].unavailable);
        status = sql_execute(statement, err);
    }
    sqlite3_finalize(statement);
    return status;
}

enum status versions_write(sqlite3 *db, int64_t run, size_t variant,
                           const struct record_versions *versions, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sql_prepare(db, &statement,
                                     "UPDATE variant SET engine_version = ?, stands_on = ?,"
                                     " detail = ? WHERE run = ? AND position = ?",
                                     err);
    if (!status) {
        int at = 0;
        sql_bind_text(statement, &at, versions->engine_version);
        sql_bind_text(statement, &at, versions->stands_on);
        sql_bind_text(statement, &at, versions->detail);
        sql_bind_integer(statement, &at, run);
        sql_bind_integer(statement, &at, (int64_t)variant);
        status = sql_execute(statement, err);
    }
    sqlite3_finalize(statement);
    return status;
}

static enum status process_insert(sqlite3 *db, int64_t run, const struct record_process *process,
                                  struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sql_prepare(db, &statement,
                                     "INSERT INTO process(run," PROCESS_COLUMNS
                                     ") VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?,"
                                     " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                                     err);
    if (status)
        return status;
    int at = 0;
    sql_bind_integer(statement, &at, run);
    sql_bind_integer(statement, &at, process->block);
    sql_bind_integer(statement, &at, process->position);
    sql_bind_integer(statement, &at, process->variant);
    sql_bind_text(statement, &at, process->failure);
    sql_bind_text(statement, &at, process->log_tail);
    sql_bind_integer(statement, &at, process->spawned_ns);
    sql_bind_integer(statement, &at, process->hello_ns);
    sql_bind_integer(statement, &at, process->load_asked_ns);
    sql_bind_integer(statement, &at, process->load_ready_ns);
    sql_bind_integer(statement, &at, (int64_t)process->weight_bytes);
    sql_bind_integer(statement, &at, (int64_t)process->kv_token_bytes);
    sql_bind_integer(statement, &at, (int64_t)process->embedding_bytes);
    sql_bind_integer(statement, &at, process->threads);
    sql_bind_text(statement, &at, process->precision ? process->precision : "");
    sql_bind_integer(statement, &at, process->cold_asked_ns);
    sql_bind_integer(statement, &at, process->cold_prompt_ns);
    sql_bind_integer(statement, &at, process->cold_first_ns);
    sql_bind_integer(statement, &at, process->prompt_tokens);
    sql_bind_integer(statement, &at, process->prompt_ns);
    sql_bind_integer(statement, &at, process->warmup_steps);
    sql_bind_integer(statement, &at, process->memory_before);
    sql_bind_integer(statement, &at, process->memory_loaded);
    sql_bind_integer(statement, &at, process->memory_peak);
    sql_bind_integer(statement, &at, process->device_before);
    sql_bind_integer(statement, &at, process->device_loaded);
    sql_bind_integer(statement, &at, process->device_peak);
    sql_bind_text(statement, &at, process->memory_method ? process->memory_method : "");
    sql_bind_real(statement, &at, process->bandwidth);
    sql_bind_real(statement, &at, process->load_average);
    sql_bind_integer(statement, &at, process->attempt);
    sql_bind_integer(statement, &at, process->point);
    status = sql_execute(statement, err);
    sqlite3_finalize(statement);
    return status;
}

static enum status phases_insert(sqlite3 *db, int64_t id, const struct record_process *process,
                                 struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status =
        sql_prepare(db, &statement, "INSERT INTO phase VALUES(?, ?, ?, ?, ?)", err);
    for (size_t i = 0; i < process->phase_count && !status; i++) {
        int at = 0;
        sql_bind_integer(statement, &at, id);
        sql_bind_integer(statement, &at, (int64_t)i);
        sql_bind_text(statement, &at, process->phases[i].name);
        sql_bind_integer(statement, &at, process->phases[i].start_ns);
        sql_bind_integer(statement, &at, process->phases[i].end_ns);
        status = sql_execute(statement, err);
    }
    sqlite3_finalize(statement);
    return status;
}

static enum status tokens_insert(sqlite3 *db, int64_t id, const struct record_process *process,
                                 struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sql_prepare(db, &statement, "INSERT INTO token VALUES(?, ?, ?, ?)", err);
    for (size_t i = 0; i < process->token_count && !status; i++) {
        int at = 0;
        sql_bind_integer(statement, &at, id);
        sql_bind_integer(statement, &at, (int64_t)i);
        sql_bind_integer(statement, &at, process->ids[i]);
        sql_bind_integer(statement, &at, process->stamps_ns[i]);
        status = sql_execute(statement, err);
    }
    sqlite3_finalize(statement);
    return status;
}

static enum status readings_insert(sqlite3 *db, int64_t id, const struct record_process *process,
                                   struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status = sql_prepare(db, &statement, "INSERT INTO reading VALUES(?, ?, ?)", err);
    for (size_t i = 0; i < process->reading_count && !status; i++) {
        int at = 0;
        sql_bind_integer(statement, &at, id);
        sql_bind_text(statement, &at, process->readings[i].name);
        sql_bind_real(statement, &at, process->readings[i].value);
        status = sql_execute(statement, err);
    }
    sqlite3_finalize(statement);
    return status;
}

enum status process_write(sqlite3 *db, int64_t run, const struct record_process *process,
                          struct error *err)
{
    enum status status = process_insert(db, run, process, err);
    int64_t id = sqlite3_last_insert_rowid(db);
    if (!status)
        status = phases_insert(db, id, process, err);
    if (!status)
        status = tokens_insert(db, id, process, err);
    if (!status)
        status = readings_insert(db, id, process, err);
    return status;
}

enum status equivalence_write(sqlite3 *db, int64_t run, size_t variant,
                              const struct record_equivalence *record, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum status status =
        sql_prepare(db, &statement,
                    "INSERT OR REPLACE INTO equivalence(run, variant," EQUIVALENCE_COLUMNS
                    ") VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    err);
    if (status)
        return status;
    int at = 0;
    sql_bind_integer(statement, &at, run);
    sql_bind_integer(statement, &at, (int64_t)variant);
    sql_bind_text(statement, &at, record->precision);
    sql_bind_text(statement, &at, record->why);
    sql_bind_integer(statement, &at, record->positions);
    sql_bind_integer(statement, &at, record->broken);
    sql_bind_integer(statement, &at, record->agreeing);
    sql_bind_real(statement, &at, record->kl_mean);
    sql_bind_real(statement, &at, record->kl_most);
    sql_bind_real(statement, &at, record->kl_bound);
    sql_bind_real(statement, &at, record->error_most);
    sql_bind_real(statement, &at, record->error_bound);
    sql_bind_integer(statement, &at, record->first);
    sql_bind_real(statement, &at, record->first_margin);
    sql_bind_integer(statement, &at, record->greedy_ids);
    sql_bind_integer(statement, &at, record->greedy_worst);
    sql_bind_real(statement, &at, record->greedy_margin);
    sql_bind_integer(statement, &at, record->told);
    status = sql_execute(statement, err);
    sqlite3_finalize(statement);
    return status;
}
