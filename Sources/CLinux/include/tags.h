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
