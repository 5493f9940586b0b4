/* Talking to a model at a terminal or through pipes: answers on stdout, the rest on stderr. */
#ifndef PRONY_TALK_TALK_H
#define PRONY_TALK_TALK_H

#include "talk/session.h"

struct talk_request {
    struct session_request session; /* conversation, profile and cancel_fd are filled in */
    const char *prompt;             /* one question; NULL: as many as standard input has */
    bool benchmark;                 /* print the engine's speed instead */
    bool timing;                    /* the time of each token, after an answer */
    bool profile;                   /* write a trace into this folder, and sum it up at the end */
    bool debug;                     /* tell what happens behind: engine, load, ids, log */
};

/* Blocks SIGINT, SIGTERM and SIGHUP for good. STATUS_INTERRUPTED when one of them ended it, not
 * only an answer of several. */
enum status talk_run(struct talk_request *request, struct error *err);

#endif
