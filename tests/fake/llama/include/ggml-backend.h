#ifndef FAKE_GGML_BACKEND_H
#define FAKE_GGML_BACKEND_H

#include "ggml.h"

typedef struct ggml_backend_device *ggml_backend_dev_t;

void ggml_backend_load_all(void);
ggml_backend_dev_t ggml_backend_dev_by_name(const char *name);

#endif
