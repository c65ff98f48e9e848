// Sixteen one-byte tags compared at once.
#pragma once
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// One bit for each of the sixteen bytes at `tags` that equals `tag`. `tags` is aligned to 16 bytes.
static inline uint32_t weft_match16(const uint8_t *tags, uint8_t tag) {
#if defined(__x86_64__)
    __m128i group = _mm_load_si128((const __m128i *)tags);
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(group, _mm_set1_epi8((char)tag)));
#else
    uint32_t bits = 0;
    for (int i = 0; i < 16; i++) bits |= (uint32_t)(tags[i] == tag) << i;
    return bits;
#endif
}

// One bit for each of the eight 64-bit words of a cache line whose upper half equals `tag`. Each word may be changing under
// another thread's hands: the answer is a hint, to be confirmed by an atomic load.
static inline uint32_t weft_match_upper8(const uint64_t *line, uint32_t tag) {
#if defined(__AVX2__)
    __m256i wanted = _mm256_set1_epi32((int)tag);
    __m256i low = _mm256_cmpeq_epi32(_mm256_load_si256((const __m256i *)line), wanted);
    __m256i high = _mm256_cmpeq_epi32(_mm256_load_si256((const __m256i *)(line + 4)), wanted);
    return (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(low)) |
           (uint32_t)_mm256_movemask_pd(_mm256_castsi256_pd(high)) << 4;
#else
    uint32_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits |= (uint32_t)((uint32_t)(__atomic_load_n(line + i, __ATOMIC_RELAXED) >> 32) == tag) << i;
    return bits;
#endif
}
