/* The members of an exported document as data: one table each for writing and for reading.
 * docs/results-format.md describes them. */
#ifndef PRONY_STORE_DOCUMENT_H
#define PRONY_STORE_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    DOCUMENT_VERSION = 4,
    DOCUMENT_MAX_BYTES = 1 << 28, /* of a file */
    DOCUMENT_MAX_VARIANTS = 256,
    DOCUMENT_MAX_BLOCKS = 10000
};

#define DOCUMENT_SCHEMA "prony-runs"

enum member_kind {
    MEMBER_U32,
    MEMBER_U64,
    MEMBER_I64,
    MEMBER_REAL,        /* finite, not negative */
    MEMBER_TEXT,        /* const char *, never NULL once read */
    MEMBER_TEXT_OR_NULL /* const char * */
};

struct member {
    const char *key; /* NULL ends a table */
    enum member_kind kind;
    size_t offset;     /* of the field in the record's struct */
    int64_t low, high; /* of whole numbers */
    bool later;        /* documents of earlier versions lack it: it is 0 there */
};

/* Of struct record_run, record_variant, record_equivalence, record_process and record_phase. What
 * they hold besides (lists, plan, manifest) is read and written by name. */
extern const struct member run_members[], variant_members[], equivalence_members[],
    process_members[], phase_members[];

#endif
