/* The part of ggml's interface that engines/llamacpp uses, for tests without the library. */
#ifndef FAKE_GGML_H
#define FAKE_GGML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ggml_type { GGML_TYPE_F32 = 0, GGML_TYPE_F16 = 1, GGML_TYPE_Q8_0 = 8, GGML_TYPE_BF16 = 30 };
enum ggml_log_level { GGML_LOG_LEVEL_WARN = 3, GGML_LOG_LEVEL_ERROR = 4 };

typedef bool (*ggml_abort_callback)(void *data);
typedef void (*ggml_log_callback)(enum ggml_log_level level, const char *text, void *data);

const char *ggml_type_name(enum ggml_type type);

#endif
