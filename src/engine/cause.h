/* Why a program of an installation failed, from what it wrote. */
#ifndef PRONY_ENGINE_CAUSE_H
#define PRONY_ENGINE_CAUSE_H

#include "base/error.h"

/* Turns "PROGRAM exited with status 1" into why: "cannot DOING: the disk is full", with the first
 * error of the log, where the log is, and what mends it. Other errors stay as they are. Returns
 * err->status. */
enum status cause_find(const char *log_path, const char *doing, const char *program,
                       struct error *err);

#endif
