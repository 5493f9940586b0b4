/* The user's lines: edited and remembered on a terminal, plain from a pipe. */
#ifndef PRONY_TALK_INPUT_H
#define PRONY_TALK_INPUT_H

#include "base/error.h"

struct input;

/* Reads standard input. cancel_fd is a signalfd. The history is kept in the cache folder; one that
 * cannot be read or written is done without. */
enum status input_open(struct input **input, int cancel_fd, struct error *err);
/* Saves the history. NULL is fine. */
void input_close(struct input *input);

enum input_result { INPUT_LINE, INPUT_END, INPUT_INTERRUPTED, INPUT_FAILED };
/* *line is borrowed until the next call, without its newline. INPUT_FAILED fills *err. */
enum input_result input_line(struct input *input, const char **line, struct error *err);

#endif
