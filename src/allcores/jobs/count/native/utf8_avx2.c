/* Counting 64 bytes at a time with AVX2.
 *
 * The judge is the "lookup" algorithm of John Keiser and Daniel Lemire, "Validating UTF-8 In Less Than One Instruction
 * Per Byte", Software: Practice and Experience 51 (2021): whether two neighbouring bytes can stand together is looked
 * up by three of their four half bytes; each table gives the set of faults that its half byte allows, and what is in
 * all three sets is a fault. What two bytes cannot tell, whether a third or fourth byte continues the character, is
 * told by the lead two or three bytes before. */

#include "utf8.h"

#ifdef ALLCORES_HAS_AVX2

#include <immintrin.h>
#include <string.h>

#define AVX2 __attribute__((target("avx2,popcnt")))
#define AVX2_INLINE AVX2 static inline __attribute__((always_inline))

/* Faults of a byte and the one before it. */
enum {
    CUT_SHORT = 1,       /* a lead, then no continuation */
    UNASKED = 2,         /* ASCII, then a continuation */
    OVERLONG_2 = 4,      /* C0 or C1, then a continuation */
    OVERLONG_3 = 8,      /* E0, then below A0 */
    SURROGATE = 16,      /* ED, then A0 or above */
    BEYOND = 32,         /* F4, then 90 or above; F5 and above, then likewise */
    OVERLONG_4 = 64,     /* F0, then below 90; F5 and above, then likewise, which are beyond */
    CONTINUES_TWICE = 128 /* two continuations: a fault unless a lead before asks for them */
};

/* The faults that the upper half of the first byte allows, its lower half, and the upper half of the second. */
#define FIRST_UPPER(h)                                                                                                 \
    (char)((h) < 0x8   ? UNASKED                                                                                       \
           : (h) < 0xC ? CONTINUES_TWICE                                                                               \
           : (h) < 0xD ? CUT_SHORT | OVERLONG_2                                                                        \
           : (h) < 0xE ? CUT_SHORT                                                                                     \
           : (h) < 0xF ? CUT_SHORT | OVERLONG_3 | SURROGATE                                                            \
                       : CUT_SHORT | BEYOND | OVERLONG_4)
#define FIRST_LOWER(h)                                                                                                 \
    (char)(CUT_SHORT | UNASKED | CONTINUES_TWICE | ((h) < 2 ? OVERLONG_2 : 0) | ((h) == 0 ? OVERLONG_3 : 0) |          \
           ((h) == 0xD ? SURROGATE : 0) | ((h) >= 4 ? BEYOND : 0) | ((h) == 0 || (h) >= 5 ? OVERLONG_4 : 0))
#define SECOND_UPPER(h)                                                                                                \
    (char)((h) < 0x8 || (h) >= 0xC                                                                                     \
               ? CUT_SHORT                                                                                             \
               : UNASKED | CONTINUES_TWICE | OVERLONG_2 | ((h) < 0xA ? OVERLONG_3 : SURROGATE) |                       \
                     ((h) == 0x8 ? OVERLONG_4 : BEYOND))

#define HALF_TABLE(f)                                                                                                  \
    f(0), f(1), f(2), f(3), f(4), f(5), f(6), f(7), f(8), f(9), f(10), f(11), f(12), f(13), f(14), f(15)
#define TABLE(f) _mm256_setr_epi8(HALF_TABLE(f), HALF_TABLE(f))

/* Each byte's predecessor at the given distance. */
#define BEFORE(distance, now, previous)                                                                                \
    _mm256_alignr_epi8(now, _mm256_permute2x128_si256(previous, now, 0x21), 16 - (distance))

AVX2_INLINE __m256i faults(__m256i now, __m256i previous)
{
    const __m256i lower_half = _mm256_set1_epi8(0x0F);
    __m256i first = BEFORE(1, now, previous);
    __m256i of_two = _mm256_and_si256(
        _mm256_and_si256(
            _mm256_shuffle_epi8(TABLE(FIRST_UPPER), _mm256_and_si256(_mm256_srli_epi16(first, 4), lower_half)),
            _mm256_shuffle_epi8(TABLE(FIRST_LOWER), _mm256_and_si256(first, lower_half))),
        _mm256_shuffle_epi8(TABLE(SECOND_UPPER), _mm256_and_si256(_mm256_srli_epi16(now, 4), lower_half)));
    /* The top bit is left where the byte two before leads three or more, or the byte three before leads four. */
    __m256i third = _mm256_subs_epu8(BEFORE(2, now, previous), _mm256_set1_epi8((char)(0xE0 - 0x80)));
    __m256i fourth = _mm256_subs_epu8(BEFORE(3, now, previous), _mm256_set1_epi8((char)(0xF0 - 0x80)));
    __m256i asked = _mm256_and_si256(_mm256_or_si256(third, fourth), _mm256_set1_epi8((char)0x80));
    return _mm256_xor_si256(asked, of_two);
}

AVX2_INLINE uint64_t mask_of(__m256i low, __m256i high)
{
    return (uint32_t)_mm256_movemask_epi8(low) | (uint64_t)(uint32_t)_mm256_movemask_epi8(high) << 32;
}

AVX2_INLINE uint64_t sum_of_bytes(__m256i bytes)
{
    __m256i sums = _mm256_sad_epu8(bytes, _mm256_setzero_si256());
    return (uint64_t)_mm256_extract_epi64(sums, 0) + (uint64_t)_mm256_extract_epi64(sums, 1) +
           (uint64_t)_mm256_extract_epi64(sums, 2) + (uint64_t)_mm256_extract_epi64(sums, 3);
}

/* What goes from one 64 bytes to the next. */
struct run {
    __m256i fault;    /* faults so far, of all positions together */
    __m256i previous; /* the last 32 bytes */
    bool was_ascii;   /* these were, all of them */
    uint64_t returns, pairs, after_return;
};

/* Sixty-four bytes: judges them, and counts what is rare. Feeds and continuations are added bytewise, so that their
 * sums have to be taken only now and then: they grow by at most 2 in each byte. */
AVX2_INLINE void take(const uint8_t *text, struct run *run, __m256i *feeds, __m256i *continuations)
{
    const __m256i feed = _mm256_set1_epi8('\n'), carriage = _mm256_set1_epi8('\r');
    __m256i low = _mm256_loadu_si256((const __m256i *)text);
    __m256i high = _mm256_loadu_si256((const __m256i *)(text + 32));

    __m256i low_feeds = _mm256_cmpeq_epi8(low, feed), high_feeds = _mm256_cmpeq_epi8(high, feed);
    *feeds = _mm256_sub_epi8(*feeds, _mm256_add_epi8(low_feeds, high_feeds));

    __m256i low_returns = _mm256_cmpeq_epi8(low, carriage), high_returns = _mm256_cmpeq_epi8(high, carriage);
    __m256i any_return = _mm256_or_si256(low_returns, high_returns);
    if (run->after_return || !_mm256_testz_si256(any_return, any_return)) {
        uint64_t returns = mask_of(low_returns, high_returns);
        run->returns += (uint64_t)__builtin_popcountll(returns);
        run->pairs += (uint64_t)__builtin_popcountll(mask_of(low_feeds, high_feeds) & (returns << 1 | run->after_return));
        run->after_return = returns >> 63;
    }

    if (!_mm256_movemask_epi8(_mm256_or_si256(low, high))) {
        if (!run->was_ascii) /* a character may have been left open; bytes before these see no difference */
            run->fault = _mm256_or_si256(run->fault, faults(low, run->previous));
        run->was_ascii = true;
    } else {
        const __m256i last_continuation = _mm256_set1_epi8((char)0xC0); /* as signed numbers, all below 0xC0 */
        *continuations = _mm256_sub_epi8(*continuations, _mm256_add_epi8(_mm256_cmpgt_epi8(last_continuation, low),
                                                                         _mm256_cmpgt_epi8(last_continuation, high)));
        run->fault = _mm256_or_si256(run->fault, _mm256_or_si256(faults(low, run->previous), faults(high, low)));
        run->was_ascii = false;
    }
    run->previous = high;
}

AVX2 bool count_piece_avx2(const uint8_t *text, size_t size, struct tally *tally)
{
    enum { GROUP = 64, GROUPS_IN_A_BYTE = 127 };
    struct run run = {_mm256_setzero_si256(), _mm256_setzero_si256(), true, 0, 0, tally->after_return};
    size_t whole = size - size % GROUP, position = 0;

    while (position < whole) {
        __m256i feeds = _mm256_setzero_si256(), continuations = _mm256_setzero_si256();
        size_t stop = whole - position > GROUP * GROUPS_IN_A_BYTE ? position + GROUP * GROUPS_IN_A_BYTE : whole;
        for (; position < stop; position += GROUP)
            take(text + position, &run, &feeds, &continuations);
        tally->feeds += sum_of_bytes(feeds);
        tally->continuations += sum_of_bytes(continuations);
    }

    /* What is left, and behind it zeros: a character that they cut short is a fault. */
    uint8_t rest[GROUP] = {0};
    memcpy(rest, text + whole, size - whole);
    __m256i feeds = _mm256_setzero_si256(), continuations = _mm256_setzero_si256();
    take(rest, &run, &feeds, &continuations);
    tally->feeds += sum_of_bytes(feeds);
    tally->continuations += sum_of_bytes(continuations);

    if (!_mm256_testz_si256(run.fault, run.fault))
        return false;
    tally->bytes += size;
    tally->returns += run.returns;
    tally->pairs += run.pairs;
    if (size)
        tally->after_return = text[size - 1] == '\r';
    return true;
}

bool avx2_is_there(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt"); }

#endif
