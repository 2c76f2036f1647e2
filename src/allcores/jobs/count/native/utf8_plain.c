/* Counting in plain C: for processors without AVX2, and the reference that the other way is tested against.
 *
 * Counting and judging are apart. Counting knows no characters, only bytes, so compilers make vector code of it; and
 * the judge sees only stretches that hold more than ASCII. A stretch is small enough to stay in the nearest cache. */

#include "utf8.h"

/* Within so many bytes no count overflows eight bits, which keeps sixteen or more of them in one register. */
enum { STRIDE = 255, STRIDES = 16 };

static bool is_continuation(uint8_t byte) { return (byte & 0xC0) == 0x80; }

/* The counts of one stride; returns all its bytes or-ed together, whose top bit tells whether one is not ASCII. */
static uint8_t count_stride(const uint8_t *text, size_t size, struct tally *tally)
{
    uint8_t continuations = 0, feeds = 0, returns = 0, seen = 0;
    for (size_t i = 0; i < size; i++) {
        continuations += is_continuation(text[i]);
        feeds += text[i] == '\n';
        returns += text[i] == '\r';
        seen |= text[i];
    }
    tally->continuations += continuations;
    tally->feeds += feeds;
    tally->returns += returns;
    return seen;
}

static uint64_t count_pairs(const uint8_t *text, size_t size, bool after_return)
{
    uint64_t pairs = after_return && size && text[0] == '\n';
    for (size_t i = 1; i < size; i++)
        pairs += text[i - 1] == '\r' && text[i] == '\n';
    return pairs;
}

/* The length of the character at the front if it is a well-formed one (the Unicode Standard, table 3-7), else 0. */
static size_t character_length(const uint8_t *text, size_t size)
{
    uint8_t lead = text[0];
    if (lead < 0x80)
        return 1;
    if (lead < 0xC2 || lead > 0xF4)
        return 0;
    size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (length > size)
        return 0;
    uint8_t lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;  /* below are overlong forms */
    uint8_t highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF; /* above, surrogates; what Unicode ends before */
    if (text[1] < lowest || text[1] > highest)
        return 0;
    for (size_t i = 2; i < length; i++)
        if (!is_continuation(text[i]))
            return 0;
    return length;
}

bool count_piece_plain(const uint8_t *text, size_t size, struct tally *tally)
{
    size_t judged = 0; /* all before is well-formed; a character may reach beyond the stretch that it begins in */
    for (size_t start = 0; start < size;) {
        uint8_t seen = 0;
        uint64_t returns = tally->returns;
        size_t stretch = start;
        for (int i = 0; i < STRIDES && start < size; i++) {
            size_t stride = size - start < STRIDE ? size - start : STRIDE;
            seen |= count_stride(text + start, stride, tally);
            start += stride;
        }
        if (tally->after_return || tally->returns != returns)
            tally->pairs += count_pairs(text + stretch, start - stretch, tally->after_return);
        tally->after_return = text[start - 1] == '\r';
        if (seen < 0x80) {
            if (judged < stretch)
                return false;
            judged = start;
        }
        while (judged < start) {
            size_t length = character_length(text + judged, size - judged);
            if (!length)
                return false;
            judged += length;
        }
    }
    tally->bytes += size;
    return true;
}
