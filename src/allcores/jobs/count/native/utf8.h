/* Counting valid UTF-8, a piece at a time: what the pieces of this folder agree on. */

#ifndef ALLCORES_UTF8_H
#define ALLCORES_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What has been counted so far. A line ends with a LF or a CR, and a CR LF pair is one end: feeds + returns - pairs.
 * Characters are all bytes but those that continue one, and but line ends: bytes - continuations - feeds - returns. */
struct tally {
    uint64_t bytes;
    uint64_t continuations;
    uint64_t feeds;
    uint64_t returns;
    uint64_t pairs;
    bool after_return; /* the last byte was a CR: a LF to come belongs to it */
};

/* Adds a piece of text, which must begin and end between two characters, and says whether it is valid. If it is not,
 * the tally is of no use any more. `pairs` counts a LF at the front of the piece whose CR ended the one before. */
typedef bool (*count_piece)(const uint8_t *text, size_t size, struct tally *tally);

bool count_piece_plain(const uint8_t *text, size_t size, struct tally *tally);

/* The fastest way that this processor has. `ALLCORES_HAS_AVX2` is defined where the compiler can make that one. */
#if (defined(__x86_64__) || defined(__amd64__)) && (defined(__GNUC__) || defined(__clang__))
#define ALLCORES_HAS_AVX2 1
bool count_piece_avx2(const uint8_t *text, size_t size, struct tally *tally);
bool avx2_is_there(void);
#endif

#endif
