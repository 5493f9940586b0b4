/* dump_tensor MODEL [TENSOR]: one tensor of a GGUF or safetensors file, dequantised, as raw float32
 * to stdout; without a name, the list of tensors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/gguf.h"
#include "model/safetensors.h"

static bool is_gguf(const char *path)
{
    size_t bytes = strlen(path);
    return bytes > 5 && strcmp(path + bytes - 5, ".gguf") == 0;
}

static int dump(const struct tensor *tensor)
{
    uint64_t columns = tensor_columns(tensor);
    float *row = malloc(columns * sizeof *row);
    if (!row)
        return 1;
    for (uint64_t i = 0; i < tensor_rows(tensor); i++) {
        tensor_row_f32(tensor, i, row);
        fwrite(row, sizeof *row, columns, stdout);
    }
    free(row);
    return fflush(stdout) != 0;
}

static int answer(const struct tensor *tensors, uint64_t count, const char *name)
{
    for (uint64_t i = 0; i < count; i++) {
        if (!name)
            printf("%s %s\n", tensors[i].name, tensor_type_name(tensors[i].type));
        else if (strcmp(tensors[i].name, name) == 0)
            return dump(&tensors[i]);
    }
    return name != NULL;
}

int main(int argc, char **argv)
{
    struct error err;
    struct gguf gguf = {0};
    struct safetensors file = {0};
    int result = 1;
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: dump_tensor MODEL [TENSOR]\n");
    } else if (is_gguf(argv[1]) ? gguf_open(&gguf, argv[1], &err)
                                : safetensors_open(&file, argv[1], &err)) {
        error_print(&err, stderr);
    } else {
        const struct tensor *tensors = gguf.tensors ? gguf.tensors : file.tensors;
        result = answer(tensors, gguf.tensor_count + file.tensor_count, argc > 2 ? argv[2] : NULL);
    }
    gguf_close(&gguf);
    safetensors_close(&file);
    return result;
}
