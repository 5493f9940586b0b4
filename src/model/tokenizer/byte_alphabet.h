/* The printable stand-ins for bytes in which byte-level BPE vocabularies are written.
 *
 * Each of the 256 bytes is one character: those that are printable in Latin-1 are themselves, the
 * others are U+0100, U+0101, ... in order, so a space is "Ġ" (GPT-2's bytes_to_unicode). */
#ifndef PRONY_MODEL_BYTE_ALPHABET_H
#define PRONY_MODEL_BYTE_ALPHABET_H

#include <stdbool.h>
#include <stddef.h>

/* Writes the byte's character as UTF-8, without a NUL. Returns its length, 1 or 2. */
size_t byte_alphabet_encode(unsigned char byte, char out[2]);

/* Turns characters back into the bytes they stand for. out has room for text_bytes and may be
 * text itself. False when text has a character that is none of the 256. */
bool byte_alphabet_decode(const char *text, size_t text_bytes, char *out, size_t *out_bytes);

#endif
