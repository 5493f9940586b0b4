/* What names a model on a hub: a short name of the table, or ORG/REPO[:FILE]. */
#ifndef PRONY_HUB_NAME_H
#define PRONY_HUB_NAME_H

#include <stdbool.h>

#include "base/error.h"

enum { HUB_PATH_BYTES = 513 };

struct hub_name {
    char repo[200];            /* "org/repo" */
    char file[HUB_PATH_BYTES]; /* a path inside it; empty: what makes up the model */
};

/* A short name and what it stands for. */
struct hub_model {
    const char *name, *repo, *file, *about; /* file NULL: the repository's model */
};
extern const struct hub_model hub_models[]; /* ends with a NULL name */

/* STATUS_USAGE for a name that is neither; a slip of a short name is pointed out. */
enum status hub_name_parse(struct hub_name *name, const char *text, struct error *err);

/* Whether a path from a hub stays inside the folder that it is put in: relative, of at most 512
 * bytes, no component that is empty, "." or "..", no backslash, no control character. */
bool hub_path_is_safe(const char *path);
/* Whether it ends in ".gguf". */
bool hub_path_is_gguf(const char *path);
/* What a file of a repository stands for: of a GGUF in parts the first one, else itself. */
void hub_path_of_model(const char *path, char model[HUB_PATH_BYTES]);
/* Whether it is a part of a GGUF, but not the first. */
bool hub_path_is_later_part(const char *path);
/* Whether a component of the path starts with a dot; such files are Prony's own or the hub's. */
bool hub_path_is_hidden(const char *path);

#endif
