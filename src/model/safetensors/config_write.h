/* Writes config.json, as transformers 4 and 5 read it. */
#ifndef PRONY_MODEL_CONFIG_WRITE_H
#define PRONY_MODEL_CONFIG_WRITE_H

#include "base/error.h"
#include "model/config.h"
#include "model/tensor.h"

enum status config_write(const struct model_config *config, enum tensor_type precision,
                         const char *folder, struct error *err);

/* Writes the config.json of another folder with the precision changed. */
enum status config_carry(const char *from, enum tensor_type precision, const char *folder,
                         struct error *err);

#endif
