/* The files that a model's weights are written to: one, or parts and the index that names them.
 * Nothing has its name before all of them are complete; the index comes last. */
#ifndef PRONY_MODEL_WEIGHTS_FILES_H
#define PRONY_MODEL_WEIGHTS_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/file.h"
#include "model/layout.h"

struct weights_file {
    const char *path;
    struct file_writer writer;
    struct weight *weights; /* [count] of the model's, one after the other */
    size_t count;
    uint64_t bytes; /* the whole file; set by who writes its head */
};

struct weights_files {
    struct weights_file *file; /* [count] */
    size_t count;
    const char *index; /* its path; NULL: one file, without */
    struct arena arena;
};

/* Opens what a GGUF file, or a folder (made if it is missing) with safetensors, needs, and sets the
 * part of each weight. part_bytes: the most weights of a file, but for one weight that is larger;
 * 0: one file. STATUS_USAGE when another model in the folder would win over this one. */
enum status weights_files_open(struct weights_files *files, const char *path,
                               enum model_format format, uint64_t part_bytes,
                               struct weight *weights, size_t count, struct error *err);
/* On failure none of them is there. */
enum status weights_files_commit(struct weights_files *files, struct error *err);
/* Removes what is not committed. Safe after commit, and on zeroed files. */
void weights_files_close(struct weights_files *files);

#endif
