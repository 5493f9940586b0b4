/* Where a model is written and in which files: rows of a table for every command that writes one.
 */
#ifndef PRONY_CLI_MODEL_OUTPUT_OPTIONS_H
#define PRONY_CLI_MODEL_OUTPUT_OPTIONS_H

#define OPTION_MODEL_OUTPUT(field)                                                                 \
    {                                                                                              \
        .name = "output", .letter = 'o', .kind = OPTION_STRING, .metavar = "PATH",                 \
        .required = true,                                                                          \
        .help = "A name that ends in .gguf is a GGUF file, any other a safetensors folder.",       \
        .offset = (field)                                                                          \
    }

#define OPTION_MODEL_FORMAT(field)                                                                 \
    {                                                                                              \
        .name = "format", .kind = OPTION_CHOICE, .choices = "gguf safetensors",                    \
        .help = "The format, whatever the name of the output.", .offset = (field)                  \
    }

#define OPTION_MODEL_PART_GB(field)                                                                \
    {                                                                                              \
        .name = "part-gb", .kind = OPTION_NUMBER, .metavar = "F", .low = 0, .high = 1e6,           \
        .help = "Safetensors: at most this many GB of weights in a file, and an index; 0 is one "  \
                "file.",                                                                           \
        .offset = (field)                                                                          \
    }

#endif
