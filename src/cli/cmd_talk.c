/* prony without a command: talk to a model. */
#include <sys/random.h>

#include "cli/command.h"
#include "cli/form_options.h"
#include "cli/memory_option.h"
#include "cli/talk_model.h"
#include "machine/gpu.h"
#include "talk/talk.h"

struct talk_options {
    const char *model, *prompt, *system, *framework, *device, *chat_template, *quantize;
    int64_t threads, context, max_tokens, top_k, seed, shard;
    double temperature, top_p, min_p;
    bool benchmark, timing, profile, debug, download, memory_check;
};

#define FIELD(name) offsetof(struct talk_options, name)

static const struct talk_options defaults = {.model = "llama3-1b",
                                             .framework = "native-f16",
                                             .device = "cpu",
                                             .max_tokens = 1024,
                                             .temperature = 0.85,
                                             .top_p = 1,
                                             .seed = -1,
                                             .memory_check = true};

static const struct option options[] = {
    {.name = "model",
     .letter = 'm',
     .kind = OPTION_STRING,
     .metavar = "NAME|PATH",
     .help = "The model: llama3-1b (the default), llama3-8b, llama3-70b, llama3-405b or "
             "ORG/REPO[:FILE], as 'prony model get' has got it; or a GGUF file, or a folder with "
             "one or with safetensors.",
     .offset = FIELD(model),
     .group = "Talking to a model"},
    {.name = "download",
     .kind = OPTION_FLAG,
     .help = "Get the model from a hub if it is not here, without asking.",
     .offset = FIELD(download)},
    {.name = "prompt",
     .letter = 'p',
     .kind = OPTION_STRING,
     .metavar = "TEXT",
     .help = "Answer this and exit, instead of asking for questions.",
     .offset = FIELD(prompt)},
    {.name = "system",
     .kind = OPTION_STRING,
     .metavar = "TEXT",
     .help = "What the model is told before the conversation; by default what its chat template "
             "says.",
     .offset = FIELD(system)},
    {.name = "chat-template",
     .kind = OPTION_CHOICE,
     .choices = "llama3 llama2 chatml",
     .help = "How a conversation is written for the model; by default as the model's file says.",
     .offset = FIELD(chat_template)},
    {.name = "framework",
     .letter = 'f',
     .kind = OPTION_STRING,
     .metavar = "NAME",
     .help = "The engine or variant that answers.",
     .offset = FIELD(framework)},
    {.name = "device",
     .kind = OPTION_STRING,
     .metavar = "DEVICE",
     .help = "Where the model runs: cpu, cuda or cuda:N.",
     .offset = FIELD(device)},
    OPTION_QUANTIZE(OPTION_CHOICE, FIELD(quantize), ""),
    OPTION_SHARD(OPTION_INT, FIELD(shard), ""),
    {.name = "threads",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 1024,
     .help = "Threads of the engine; by default its own choice.",
     .offset = FIELD(threads)},
    {.name = "context",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 1 << 20,
     .help = "Tokens that a conversation can have; by default what the model was made for, up to "
             "4096.",
     .offset = FIELD(context)},
    OPTION_MEMORY_CHECK(FIELD(memory_check)),
    {.name = "max-tokens",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 1,
     .high = 1 << 20,
     .help = "Tokens that an answer can have.",
     .offset = FIELD(max_tokens)},
    {.name = "temperature",
     .kind = OPTION_NUMBER,
     .metavar = "F",
     .low = 0,
     .high = 100,
     .help = "How freely words are chosen; 0: always the likeliest.",
     .offset = FIELD(temperature)},
    {.name = "top-k",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 0,
     .high = 1 << 24,
     .help = "Choose among the N likeliest tokens; 0: among all.",
     .offset = FIELD(top_k)},
    {.name = "top-p",
     .kind = OPTION_NUMBER,
     .metavar = "F",
     .low = 0,
     .high = 1,
     .help = "Choose among the likeliest tokens that together have this probability.",
     .offset = FIELD(top_p)},
    {.name = "min-p",
     .kind = OPTION_NUMBER,
     .metavar = "F",
     .low = 0,
     .high = 1,
     .help = "Leave out tokens less likely than this share of the likeliest.",
     .offset = FIELD(min_p)},
    {.name = "seed",
     .kind = OPTION_INT,
     .metavar = "N",
     .low = 0,
     .high = INT32_MAX,
     .help = "The same seed gives the same text; by default another one each time.",
     .offset = FIELD(seed)},
    {.name = "timing",
     .kind = OPTION_FLAG,
     .help = "After an answer, print each token's time, tok/s and GB/s to stderr.",
     .offset = FIELD(timing)},
    {.name = "benchmark",
     .kind = OPTION_FLAG,
     .help = "Time 20 tokens, print the speed and exit.",
     .offset = FIELD(benchmark)},
    {.name = "profile",
     .kind = OPTION_FLAG,
     .help = "Write where the time goes to prony-profile-*.json (Chrome trace) in this folder, and "
             "sum it up by operation at the end.",
     .offset = FIELD(profile)},
    {.name = "debug",
     .kind = OPTION_FLAG,
     .help = "Tell what happens behind: engine, load, token ids, the worker's log.",
     .offset = FIELD(debug)},
    {0},
};

static uint64_t seed_of(const struct talk_options *o)
{
    uint32_t seed = 0;
    if (o->seed >= 0)
        return (uint64_t)o->seed;
    return getrandom(&seed, sizeof seed, 0) == sizeof seed ? seed : 0;
}

static int run(const void *given, const struct option_list *args)
{
    const struct talk_options *o = given;
    struct error err;
    struct gpu gpu;
    char model[PATH_MAX];
    struct talk_request request = {
        .session = {.model = model,
                    .framework = o->framework,
                    .device = o->device,
                    .pci = gpu.pci,
                    .no_memory_check = !o->memory_check,
                    .form = form_asked(o->quantize, o->shard),
                    .system = o->system,
                    .chat_template = o->chat_template,
                    .threads = (uint32_t)o->threads,
                    .context = (uint32_t)o->context,
                    .max_tokens = (uint32_t)o->max_tokens,
                    .sampling = {.temperature = o->temperature,
                                 .top_k = (uint32_t)o->top_k,
                                 .top_p = o->top_p,
                                 .min_p = o->min_p,
                                 .seed = seed_of(o)}},
        .prompt = o->prompt,
        .benchmark = o->benchmark,
        .timing = o->timing,
        .profile = o->profile,
        .debug = o->debug,
    };
    (void)args;
    enum status status = gpu_check(o->device, &gpu, &err);
    if (!status)
        status = talk_model_find(o->model, o->download, model, &err);
    if (!status)
        status = talk_run(&request, &err);
    if (status == STATUS_INTERRUPTED)
        return EXIT_INTERRUPTED;
    if (status)
        error_print(&err, stderr);
    return status ? EXIT_ERROR : EXIT_PASS;
}

const struct command command_talk = {
    .name = "",
    .summary = "Talks to a model.",
    .options = options,
    .options_bytes = sizeof(struct talk_options),
    .defaults = &defaults,
    .run = run,
};
