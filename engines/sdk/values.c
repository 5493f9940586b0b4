#include "sdk.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

int prony_fail(struct prony_error *error, const char *code, const char *hint, const char *message,
               ...)
{
    va_list args;
    snprintf(error->code, sizeof error->code, "%s", code);
    snprintf(error->hint, sizeof error->hint, "%s", hint);
    va_start(args, message);
    vsnprintf(error->message, sizeof error->message, message, args);
    va_end(args);
    return -1;
}

int64_t prony_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void prony_phase_add(struct prony_loaded *loaded, const char *name, int64_t start_ns,
                     int64_t end_ns)
{
    loaded->phase[loaded->phases].name = name;
    loaded->phase[loaded->phases].start_ns = start_ns;
    loaded->phase[loaded->phases++].end_ns = end_ns;
}

const char *string_of(const json_t *request, const char *key)
{
    const char *text = json_string_value(json_object_get(request, key));
    return text ? text : "";
}

uint32_t count_of(const json_t *request, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(request, key));
    return value < 0 ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

double number_of(const json_t *request, const char *key, double otherwise)
{
    const json_t *value = json_object_get(request, key);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}
