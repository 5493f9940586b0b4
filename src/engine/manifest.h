/* engine.json: what an engine is, how its worker is started, and the variants it offers.
 *
 * Engines are folders. They are looked for in each folder of $PRONY_ENGINE_PATH (colon-separated;
 * an entry may also be an engine itself), then in engines/ beside the prony binary, then in
 * ../PRONY_LIBEXEC/engines of an installation. The first of a name wins. */
#ifndef PRONY_ENGINE_MANIFEST_H
#define PRONY_ENGINE_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "engine/manifest_install.h"
#include "engine/manifest_memory.h"

/* All strings live in the catalogue's arena. Lists end with NULL. */
struct engine_variant {
    const char *name;            /* "pytorch-opt": the engine's name, alone or with -SOMETHING */
    const char *own_name;        /* the same without @VERSION: what the worker knows it by */
    const char *title;           /* column header, "PyTorch-Opt" */
    const char *precision;       /* "float32", "float16", "bfloat16", "mixed" */
    const char *about;           /* what it turns on, one sentence */
    const char *const *formats;  /* "gguf", "gguf-parts", "safetensors", "synthetic" */
    const char *const *devices;  /* "cpu", "cuda" */
    const char *const *quantize; /* "int8", "nf4", "float16", "q8_0" */
    const char *const *quantize_devices; /* on which of the devices; all of them unless it says */
    const char *const *shard;            /* on which of the devices it can split a model */
    const char *options;                 /* JSON object of the engine's own, handed to load; "{}" */
    bool quantize_sharded;               /* it can do both at once */
    bool logits, sampling, trace;
    bool text;        /* its library takes text and gives text: not every prompt of ids can be */
    bool by_default;  /* part of `--framework ENGINE` without a variant */
    bool compiled;    /* it compiles the model */
    uint32_t context; /* capacity that the engine has by itself; 0: the model's own context */
    struct engine_memories memory; /* what it keeps */
};

struct engine {
    const char *name, *title, *licence, *about;
    const char *base;           /* the name without @VERSION */
    const char *folder;         /* absolute */
    const char *sdk;            /* folder with prony_worker.py, for PYTHONPATH; NULL: none */
    const char *const *command; /* argv of the worker, started in folder; [0] may be relative */
    const struct engine_install *install; /* NULL: nothing to install */
    /* What engine/installation.h has found on this machine: */
    const char *version;    /* of what is installed, "2.15.0", "user"; NULL: nothing, or no need */
    const char *python;     /* the interpreter, {python} in the command; NULL: none */
    bool own_python;        /* it belongs to an environment that Prony made */
    const char *built;      /* folder of what was built, {built} in the command; NULL: none */
    const char *built_from; /* see engine/recipe.h */
    const char *own;   /* what of the user's that stands on, a path; NULL: Prony built all of it */
    const char *cache; /* folder for compile caches, which need not exist; NULL: nowhere */
    const char *bytecode; /* likewise, what an interpreter of the user's compiles; NULL: its own */
    bool hidden;          /* for tests: only when named (null) */
    struct engine_variant *variants;
    size_t variant_count;
};

struct engine_problem { /* a folder that looks like an engine and is not one */
    const char *folder;
    struct error error;
};

struct engine_catalogue {
    struct engine *engines;
    size_t count;
    struct engine *versions; /* each version of an engine by itself: tinygrad@0.13.0 */
    size_t version_count;
    struct engine_problem *problems;
    size_t problem_count;
    struct arena arena;
};

enum status engine_catalogue_open(struct engine_catalogue *catalogue, struct error *err);
void engine_catalogue_close(struct engine_catalogue *catalogue);

/* By name, which may be NAME@VERSION; NULL when there is none. */
const struct engine *engine_find(const struct engine_catalogue *catalogue, const char *name);
/* By variant name ("native-f16", "tinygrad-beam@0.13.0"); *engine is its engine. NULL when there is
 * none. */
const struct engine_variant *engine_variant_find(const struct engine_catalogue *catalogue,
                                                 const char *name, const struct engine **engine);

/* One engine.json; strings go to the arena. Used by the catalogue and the fuzzer. */
enum status engine_manifest_parse(struct engine *engine, const char *folder, const char *text,
                                  size_t bytes, struct arena *arena, struct error *err);

#endif
