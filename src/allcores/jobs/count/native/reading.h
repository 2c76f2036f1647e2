/* Counting what a file holds; nothing here knows of Python. */

#ifndef ALLCORES_READING_H
#define ALLCORES_READING_H

#include "utf8.h"

/* What became of a file. Python has the same numbers by the same names. */
enum verdict {
    COUNTED,
    FAILED,      /* detail: the system's error number */
    NOT_REGULAR, /* detail: its mode */
    BINARY,      /* detail: 1 if it begins with a byte-order mark of UTF-16 or UTF-32, else 0 */
    INVALID,     /* detail: everything before this offset is valid */
    LARGE        /* detail: its size; it has not been read */
};

struct outcome {
    enum verdict verdict;
    int64_t detail; /* if counted: its size when it was opened if that has changed since, else -1 */
    int64_t line_ends;
    int64_t characters;
    int64_t bytes;
    bool open_line; /* the last line has no end */
};

/* A folder's file, or with AT_FDCWD for the folder a path. Files of `large` bytes and more are left to others. With
 * `look_for_nul`, a file with a NUL among its first bytes is taken for binary. The buffer has `size` bytes. */
struct outcome count_named(int folder, const char *name, int64_t large, bool look_for_nul, uint8_t *buffer, size_t size);

/* The bytes of an open file from `start` up to `stop`, or to its end if that comes before. */
struct outcome count_range(int descriptor, int64_t start, int64_t stop, uint8_t *buffer, size_t size);

/* A text that comes in pieces which may cut characters. */
struct counter {
    struct tally tally;
    bool begun;  /* what comes next is not the front of the file */
    bool marked; /* the front was a byte-order mark */
    uint8_t last;
};

/* Count the first `filled` bytes of the buffer as far as they are whole characters; returns how far that is, or -1 if
 * they are not valid. What is left over belongs in front of what is fed next. */
ptrdiff_t feed(struct counter *counter, const uint8_t *buffer, size_t filled);

/* Put what was counted into an outcome. */
void conclude(const struct counter *counter, struct outcome *outcome);

/* Which way of counting to take; for tests. */
void use(count_piece way);

#endif
