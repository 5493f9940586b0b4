/* dump_tensor MODEL [TENSOR]: one tensor of a GGUF or safetensors file, dequantised, as raw float32
 * to stdout; without a name, the list of tensors. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/gguf/gguf.h"
#include "model/safetensors/safetensors.h"

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

static int dump_gguf(const char *path, const char *name)
{
    struct error err;
    struct gguf file;
    if (gguf_open(&file, path, &err)) {
        error_print(&err, stderr);
        return 1;
    }
    int result = answer(file.tensors, file.tensor_count, name);
    gguf_close(&file);
    return result;
}

static int dump_safetensors(const char *path, const char *name)
{
    struct error err;
    struct safetensors file;
    if (safetensors_open(&file, path, &err)) {
        error_print(&err, stderr);
        return 1;
    }
    int result = answer(file.tensors, file.tensor_count, name);
    safetensors_close(&file);
    return result;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: dump_tensor MODEL [TENSOR]\n");
        return 1;
    }
    const char *name = argc > 2 ? argv[2] : NULL;
    return is_gguf(argv[1]) ? dump_gguf(argv[1], name) : dump_safetensors(argv[1], name);
}
