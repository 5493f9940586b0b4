/* What the turns and commands of one conversation share. */
#ifndef PRONY_TALK_CONVERSATION_H
#define PRONY_TALK_CONVERSATION_H

#include "talk/session.h"
#include "talk/talk.h"
#include "talk/transcript.h"

struct talk {
    const struct talk_request *request;
    struct session *session;
    struct input *input;
    struct transcript transcript;
    int cancel_fd;
    bool terminal; /* stdout is one */
    bool newline;  /* nothing printed of the answer, or it ends a line */
    bool left;     /* a signal asked for the end of the program, not of an answer */
};

/* Whether a line is a command: a slash, letters, then a space or nothing. Pasted text that only
 * begins with a slash is a question. */
bool command_is(const char *line);
/* Runs it; false when it ends the program. */
bool command_run(struct talk *talk, const char *line);
/* What can be done about a full context, as a sentence. */
void context_advice(const struct talk *talk, char *text, size_t size);

#endif
