/* Which processor this is, for what was compiled for it alone (-march=native). */
#ifndef PRONY_ENGINE_PROCESSOR_H
#define PRONY_ENGINE_PROCESSOR_H

enum { PROCESSOR_TAG = 32 };

/* A word for a folder's name, "x86_64-1f0c33aa": the same on all machines whose processors have the
 * same model and instructions. */
void processor_tag(char tag[PROCESSOR_TAG]);

#endif
