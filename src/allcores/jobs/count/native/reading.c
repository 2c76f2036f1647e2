/* Files are opened without blocking and looked at through the descriptor, since a name may have come to mean a FIFO;
 * they are read to their end, never mapped (a file that shrinks kills its mapper), and their size is not believed. */

#define _GNU_SOURCE
#define _FILE_OFFSET_BITS 64 /* where the system has a choice */

#include "reading.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As many first bytes as git looks through for a NUL. */
enum { BYTES_OF_A_VERDICT = 8000 };

static count_piece count_with = count_piece_plain;

void use(count_piece way) { count_with = way; }

/* How many bytes at the end belong to a character that may go on: less than four. */
static size_t unfinished(const uint8_t *text, size_t size)
{
    for (size_t back = 1; back <= 3 && back <= size; back++) {
        uint8_t byte = text[size - back];
        if (byte < 0x80)
            return 0;
        if (byte >= 0xC0) { /* the lead: of how many bytes? */
            size_t length = byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : byte < 0xF8 ? 4 : 1;
            return length > back ? back : 0;
        }
    }
    return 0;
}

ptrdiff_t feed(struct counter *counter, const uint8_t *buffer, size_t filled)
{
    size_t used = filled - unfinished(buffer, filled);
    if (!used)
        return 0;
    if (!counter->begun && used >= 3)
        counter->marked = !memcmp(buffer, "\xEF\xBB\xBF", 3);
    counter->begun = true;
    if (!count_with(buffer, used, &counter->tally))
        return -1;
    counter->last = buffer[used - 1];
    return (ptrdiff_t)used;
}

void conclude(const struct counter *counter, struct outcome *outcome)
{
    const struct tally *tally = &counter->tally;
    outcome->line_ends = (int64_t)(tally->feeds + tally->returns - tally->pairs);
    outcome->characters =
        (int64_t)(tally->bytes - tally->continuations - tally->feeds - tally->returns - counter->marked);
    outcome->bytes = (int64_t)tally->bytes;
    outcome->open_line = tally->bytes && counter->last != '\n' && counter->last != '\r';
}

static struct outcome ended(enum verdict verdict, int64_t detail)
{
    return (struct outcome){.verdict = verdict, .detail = detail};
}

static ssize_t read_on(int descriptor, uint8_t *into, size_t size)
{
    ssize_t got;
    do
        got = read(descriptor, into, size);
    while (got < 0 && errno == EINTR);
    return got;
}

static bool is_binary(const uint8_t *text, size_t size)
{
    return memchr(text, 0, size < BYTES_OF_A_VERDICT ? size : BYTES_OF_A_VERDICT) != NULL;
}

static bool has_wide_mark(const uint8_t *text, size_t size)
{
    return size >= 2 && (!memcmp(text, "\xFF\xFE", 2) || !memcmp(text, "\xFE\xFF", 2) ||
                         (size >= 4 && !memcmp(text, "\0\0\xFE\xFF", 4)));
}

/* Which bytes of an open file, from where it stands. */
struct stretch {
    int64_t start;
    int64_t limit;      /* how many at most */
    int64_t stated_end; /* how many there should be, -1 if nobody has said */
    bool look_for_nul;
};

/* A read that falls short of its room at the very place where the file is said to end has come to the end: the call
 * that would return nothing is spared, which is a tenth of what a small file costs. */
static struct outcome count_stretch(int descriptor, struct stretch stretch, uint8_t *buffer, size_t size)
{
    struct counter counter = {.begun = stretch.start > 0};
    size_t kept = 0;
    int64_t total = 0;

    while (stretch.limit > total) {
        size_t room = size - kept;
        if ((uint64_t)(stretch.limit - total) < room)
            room = (size_t)(stretch.limit - total);
        ssize_t got = read_on(descriptor, buffer + kept, room);
        if (got < 0)
            return ended(FAILED, errno);
        if (!got)
            break;
        total += got;
        size_t filled = kept + (size_t)got;
        if (stretch.look_for_nul && is_binary(buffer, filled))
            return ended(BINARY, has_wide_mark(buffer, filled));
        stretch.look_for_nul = false;
        ptrdiff_t used = feed(&counter, buffer, filled);
        if (used < 0)
            return ended(INVALID, stretch.start + (int64_t)counter.tally.bytes);
        kept = filled - (size_t)used;
        memmove(buffer, buffer + used, kept);
        if ((size_t)got < room && total == stretch.stated_end)
            break;
    }
    if (kept)
        return ended(INVALID, stretch.start + (int64_t)counter.tally.bytes);
    struct outcome outcome = ended(COUNTED, -1);
    conclude(&counter, &outcome);
    return outcome;
}

static struct outcome count_open(int descriptor, int64_t large, bool look_for_nul, uint8_t *buffer, size_t size)
{
    struct stat before, after;
    if (fstat(descriptor, &before))
        return ended(FAILED, errno);
    if (!S_ISREG(before.st_mode))
        return ended(NOT_REGULAR, before.st_mode);
    if (before.st_size >= large)
        return ended(LARGE, before.st_size);
    struct stretch all = {0, INT64_MAX, before.st_size, look_for_nul};
    struct outcome outcome = count_stretch(descriptor, all, buffer, size);
    /* Files whose size is made up, as those in /proc, have not changed by being longer or shorter than that. */
    if (outcome.verdict == COUNTED && outcome.bytes != before.st_size && !fstat(descriptor, &after) &&
        after.st_size != before.st_size)
        outcome.detail = before.st_size;
    return outcome;
}

struct outcome count_named(int folder, const char *name, int64_t large, bool look_for_nul, uint8_t *buffer, size_t size)
{
    int descriptor = openat(folder, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (descriptor < 0)
        return ended(FAILED, errno);
    struct outcome outcome = count_open(descriptor, large, look_for_nul, buffer, size);
    close(descriptor);
    return outcome;
}

struct outcome count_range(int descriptor, int64_t start, int64_t stop, uint8_t *buffer, size_t size)
{
    if (lseek(descriptor, start, SEEK_SET) < 0)
        return ended(FAILED, errno);
    return count_stretch(descriptor, (struct stretch){start, stop - start, -1, false}, buffer, size);
}
