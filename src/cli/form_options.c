#include "cli/form_options.h"

#include <string.h>

struct engine_form form_from(const char *quantize, int64_t shard)
{
    bool none = !quantize || strcmp(quantize, "none") == 0;
    return (struct engine_form){none ? NULL : quantize, shard > 1 ? (uint32_t)shard : 1};
}
