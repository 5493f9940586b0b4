/* Runs out of the store, into an arena. */
#include <stdio.h>
#include <string.h>

#include "store/connection.h"

enum { MAX_PROCESSES = 1000000 };

struct reader {
    sqlite3_stmt *statement;
    struct arena *arena;
    int at;         /* the next column */
    bool no_memory; /* some text could not be kept */
};

static int64_t read_integer(struct reader *reader)
{
    return sqlite3_column_int64(reader->statement, reader->at++);
}

static uint32_t read_u32(struct reader *reader)
{
    int64_t value = read_integer(reader);
    return value < 0 || value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

static double read_real(struct reader *reader)
{
    return sqlite3_column_double(reader->statement, reader->at++);
}

static char *read_text(struct reader *reader)
{
    const char *text = (const char *)sqlite3_column_text(reader->statement, reader->at++);
    if (!text)
        return NULL;
    char *copy = arena_strdup(reader->arena, text);
    reader->no_memory = reader->no_memory || !copy;
    return copy;
}

/* Rows that a query about one number finds: how large an array must be. */
static enum status count_rows(sqlite3 *db, const char *sql, int64_t key, size_t *count,
                              struct error *err)
{
    sqlite3_stmt *statement = NULL;
    bool row = false;
    enum status status = sql_prepare(db, &statement, sql, err);
    if (!status) {
        int at = 0;
        sql_bind_integer(statement, &at, key);
        status = sql_step(statement, &row, err);
    }
    *count = row ? (size_t)sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    if (!status && *count > MAX_PROCESSES)
        status = error_set(err, STATUS_FORMAT, "the stored run claims %zu rows", *count);
    return status;
}

/* Calls one(context, reader, row number) for each row; the query has one parameter. */
static enum status each_row(sqlite3 *db, const char *sql, int64_t key, size_t limit,
                            struct arena *arena,
                            void (*one)(void *array, struct reader *reader, size_t row),
                            void *array, struct error *err)
{
    struct reader reader = {.arena = arena};
    enum status status = sql_prepare(db, &reader.statement, sql, err);
    bool more = false;
    int at = 0;
    if (!status) {
        sql_bind_integer(reader.statement, &at, key);
        status = sql_step(reader.statement, &more, err);
    }
    for (size_t row = 0; !status && more && row < limit; row++) {
        reader.at = 0;
        one(array, &reader, row);
        status = sql_step(reader.statement, &more, err);
    }
    if (!status && reader.no_memory)
        status = error_no_memory(err, 0);
    sqlite3_finalize(reader.statement);
    return status;
}

static void variant_row(void *array, struct reader *reader, size_t row)
{
    struct record_variant *variant = (struct record_variant *)array + row;
    variant->name = read_text(reader);
    variant->title = read_text(reader);
    variant->engine = read_text(reader);
    variant->precision = read_text(reader);
    variant->about = read_text(reader);
    variant->unavailable = read_text(reader);
    variant->engine_version = read_text(reader);
    variant->stands_on = read_text(reader);
    variant->detail = read_text(reader);
}

static void process_row(void *array, struct reader *reader, size_t row)
{
    struct record_process *process = (struct record_process *)array + row;
    process->block = read_u32(reader);
    process->position = read_u32(reader);
    process->variant = read_u32(reader);
    process->failure = read_text(reader);
    process->log_tail = read_text(reader);
    process->spawned_ns = read_integer(reader);
    process->hello_ns = read_integer(reader);
    process->load_asked_ns = read_integer(reader);
    process->load_ready_ns = read_integer(reader);
    process->weight_bytes = (uint64_t)read_integer(reader);
    process->kv_token_bytes = (uint64_t)read_integer(reader);
    process->embedding_bytes = (uint64_t)read_integer(reader);
    process->threads = read_u32(reader);
    process->precision = read_text(reader);
    process->cold_asked_ns = read_integer(reader);
    process->cold_prompt_ns = read_integer(reader);
    process->cold_first_ns = read_integer(reader);
    process->prompt_tokens = read_u32(reader);
    process->prompt_ns = read_integer(reader);
    process->warmup_steps = read_u32(reader);
    process->memory_before = read_integer(reader);
    process->memory_loaded = read_integer(reader);
    process->memory_peak = read_integer(reader);
    process->device_before = read_integer(reader);
    process->device_loaded = read_integer(reader);
    process->device_peak = read_integer(reader);
    process->memory_method = read_text(reader);
    process->bandwidth = read_real(reader);
    process->load_average = read_real(reader);
    process->attempt = read_u32(reader);
    process->point = read_u32(reader);
    /* The row's own key, last: what its phases and tokens are found by, until they are read. */
    process->token_count = (size_t)read_integer(reader);
}

static void phase_row(void *array, struct reader *reader, size_t row)
{
    struct record_phase *phase = (struct record_phase *)array + row;
    phase->name = read_text(reader);
    phase->start_ns = read_integer(reader);
    phase->end_ns = read_integer(reader);
}

static void token_row(void *array, struct reader *reader, size_t row)
{
    struct record_process *process = array;
    process->ids[row] = (int32_t)read_integer(reader);
    process->stamps_ns[row] = read_integer(reader);
}

static void reading_row(void *array, struct reader *reader, size_t row)
{
    struct record_reading *reading = (struct record_reading *)array + row;
    reading->name = read_text(reader);
    reading->value = read_real(reader);
}

static enum status readings_load(sqlite3 *db, struct record_process *process, int64_t key,
                                 struct arena *arena, struct error *err)
{
    size_t count;
    enum status status =
        count_rows(db, "SELECT count(*) FROM reading WHERE process = ?", key, &count, err);
    if (status)
        return status;
    process->readings = arena_array(arena, count + 1, sizeof *process->readings);
    if (!process->readings)
        return error_no_memory(err, count * sizeof *process->readings);
    process->reading_count = count;
    return each_row(db, "SELECT name, value FROM reading WHERE process = ? ORDER BY name", key,
                    count, arena, reading_row, process->readings, err);
}

static enum status details_load(sqlite3 *db, struct record_process *process, int64_t key,
                                struct arena *arena, struct error *err)
{
    size_t phases, tokens;
    enum status status =
        count_rows(db, "SELECT count(*) FROM phase WHERE process = ?", key, &phases, err);
    if (!status)
        status = count_rows(db, "SELECT count(*) FROM token WHERE process = ?", key, &tokens, err);
    if (status)
        return status;
    process->phases = arena_array(arena, phases + 1, sizeof *process->phases);
    process->ids = arena_array(arena, tokens + 1, sizeof *process->ids);
    process->stamps_ns = arena_array(arena, tokens + 1, sizeof *process->stamps_ns);
    if (!process->phases || !process->ids || !process->stamps_ns)
        return error_no_memory(err, tokens * sizeof *process->stamps_ns);
    process->phase_count = phases;
    process->token_count = tokens;
    status = each_row(db,
                      "SELECT name, start_ns, end_ns FROM phase WHERE process = ?"
                      " ORDER BY position",
                      key, phases, arena, phase_row, process->phases, err);
    if (!status)
        status = each_row(db, "SELECT id, stamp_ns FROM token WHERE process = ? ORDER BY step", key,
                          tokens, arena, token_row, process, err);
    return status ? status : readings_load(db, process, key, arena, err);
}

static enum status processes_load(sqlite3 *db, struct record_run *record, struct arena *arena,
                                  struct error *err)
{
    size_t count;
    enum status status =
        count_rows(db, "SELECT count(*) FROM process WHERE run = ?", record->id, &count, err);
    if (status)
        return status;
    record->process_count = count;
    record->processes = arena_array(arena, count + 1, sizeof *record->processes);
    if (!record->processes)
        return error_no_memory(err, count * sizeof *record->processes);
    status = each_row(db, "SELECT" PROCESS_COLUMNS ", id FROM process WHERE run = ? ORDER BY id",
                      record->id, count, arena, process_row, record->processes, err);
    for (size_t i = 0; i < count && !status; i++)
        status = details_load(db, &record->processes[i], (int64_t)record->processes[i].token_count,
                              arena, err);
    return status;
}

/* Rows say themselves which variant they are of. */
struct equivalence_rows {
    struct record_equivalence *records;
    size_t count;
};

static void equivalence_row(void *array, struct reader *reader, size_t row)
{
    const struct equivalence_rows *rows = array;
    uint32_t variant = read_u32(reader);
    (void)row;
    if (variant >= rows->count)
        return;
    struct record_equivalence *record = &rows->records[variant];
    record->precision = read_text(reader);
    record->why = read_text(reader);
    record->positions = read_u32(reader);
    record->broken = read_u32(reader);
    record->agreeing = read_u32(reader);
    record->kl_mean = read_real(reader);
    record->kl_most = read_real(reader);
    record->kl_bound = read_real(reader);
    record->error_most = read_real(reader);
    record->error_bound = read_real(reader);
    record->first = read_integer(reader);
    record->first_margin = read_real(reader);
    record->greedy_ids = read_u32(reader);
    record->greedy_worst = read_u32(reader);
    record->greedy_margin = read_real(reader);
    record->told = read_u32(reader);
}

static enum status equivalence_load(sqlite3 *db, struct record_run *record, struct arena *arena,
                                    struct error *err)
{
    size_t rows;
    enum status status =
        count_rows(db, "SELECT count(*) FROM equivalence WHERE run = ?", record->id, &rows, err);
    if (status || !rows)
        return status;
    struct equivalence_rows all = {
        arena_array(arena, record->variant_count + 1, sizeof *record->equivalence),
        record->variant_count};
    record->equivalence = all.records;
    if (!all.records)
        return error_no_memory(err, record->variant_count * sizeof *record->equivalence);
    return each_row(db, "SELECT variant," EQUIVALENCE_COLUMNS " FROM equivalence WHERE run = ?",
                    record->id, rows, arena, equivalence_row, &all, err);
}

static void run_row(void *array, struct reader *reader, size_t row)
{
    struct record_run *record = (struct record_run *)array + row;
    record->id = read_integer(reader);
    record->created = read_text(reader);
    record->state = read_text(reader);
    record->uid = read_text(reader);
    record->imported = read_integer(reader) != 0;
    record->plan = read_text(reader);
    record->manifest = read_text(reader);
}

static enum status missing(struct store *store, int64_t run, struct error *err)
{
    int64_t newest = 0;
    if (sql_integer(store->db, "SELECT coalesce(max(id), 0) FROM run", &newest, err))
        return err->status;
    if (newest == 0)
        error_set(err, STATUS_NOT_FOUND, "no run is stored yet");
    else
        error_set(err, STATUS_NOT_FOUND, "there is no run %lld; the newest is %lld", (long long)run,
                  (long long)newest);
    return error_where(err, "%s", store_path(store));
}

static enum status run_load(struct store *store, int64_t run, struct record_run *record,
                            struct arena *arena, struct error *err)
{
    enum status status = each_row(
        store->db,
        run ? "SELECT id, created, state, uid, imported, plan, manifest FROM run WHERE id = ?"
            : "SELECT id, created, state, uid, imported, plan, manifest FROM run WHERE id > ?"
              " ORDER BY id DESC LIMIT 1",
        run, 1, arena, run_row, record, err);
    if (!status && record->id == 0)
        status = missing(store, run, err);
    if (!status)
        status = count_rows(store->db, "SELECT count(*) FROM variant WHERE run = ?", record->id,
                            &record->variant_count, err);
    if (status)
        return status;
    record->variants = arena_array(arena, record->variant_count + 1, sizeof *record->variants);
    if (!record->variants)
        return error_no_memory(err, record->variant_count * sizeof *record->variants);
    status = each_row(store->db,
                      "SELECT name, title, engine, precision, about, unavailable, engine_version,"
                      " stands_on, detail FROM variant WHERE run = ? ORDER BY position",
                      record->id, record->variant_count, arena, variant_row, record->variants, err);
    if (!status)
        status = equivalence_load(store->db, record, arena, err);
    return status ? status : processes_load(store->db, record, arena, err);
}

enum status store_run_load(struct store *store, int64_t run, struct record_run *record,
                           struct arena *arena, struct error *err)
{
    *record = (struct record_run){0};
    /* One transaction: another process may be adding to the run. */
    enum status status = sql_run(store->db, "BEGIN", err);
    if (status)
        return status;
    status = run_load(store, run, record, arena, err);
    sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

enum status store_run_unfinished(struct store *store, int64_t *run, struct error *err)
{
    enum status status = sql_integer(
        store->db,
        "SELECT coalesce(max(id), 0) FROM run WHERE state <> 'complete' AND NOT imported", run,
        err);
    if (!status && *run == 0) {
        error_set(err, STATUS_NOT_FOUND, "there is no unfinished run to go on with");
        error_where(err, "%s", store_path(store));
        error_remedy(err, "Start one with `prony bench --model-path PATH`.");
    }
    return status ? status : *run == 0 ? STATUS_NOT_FOUND : STATUS_OK;
}
