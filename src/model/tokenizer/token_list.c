#include "model/tokenizer/token_list.h"

#include <limits.h>
#include <stdio.h>

#include "base/file.h"
#include "model/files.h"
#include "model/synthetic.h"

void folder_of(const char *path, char folder[PATH_MAX])
{
    int length = (int)(path_base(path) - path);
    if (length == 0)
        snprintf(folder, PATH_MAX, ".");
    else
        snprintf(folder, PATH_MAX, "%.*s", length == 1 ? 1 : length - 1, path);
}

enum status token_list_of_model(struct token_list *list, struct arena *arena,
                                const struct model *model, struct error *err)
{
    char folder[PATH_MAX];
    if (model->format == MODEL_SYNTHETIC)
        return synthetic_has_no_tokenizer(model->weights, err);
    if (model->format == MODEL_GGUF)
        return token_list_from_gguf(list, arena, model->files->gguf, err);
    folder_of(model->weights, folder);
    return token_list_from_folder(list, arena, folder, model->config.vocabulary, err);
}
