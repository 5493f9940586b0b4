/* What a conversation tells in numbers, on stderr: after an answer, token by token, for those who
 * look behind it, and where the time went. */
#ifndef PRONY_TALK_FIGURES_H
#define PRONY_TALK_FIGURES_H

#include "talk/session.h"

/* One line: tokens sent, time to the first one, speed, context in use. */
void figures_answer(const struct session_stats *stats, const struct session_answer *answer);
/* Each token's time, and the speed and bandwidth that it stands for. */
void figures_tokens(const struct session_stats *stats, const struct session_answer *answer);
/* The engine, its load, and how words are chosen. */
void figures_session(const struct session_stats *stats, const struct worker_sampling *sampling);
/* The ids of the conversation from one on, and of an answer, with their text. */
void figures_ids(const struct session_stats *stats, const char *what, const int32_t *ids,
                 size_t count);
/* Where the time went, by operation, and how much of it that explains. */
void figures_profile(const struct session_profile *profile, const char *path);

#endif
