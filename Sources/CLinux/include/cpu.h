// Single instructions that Swift cannot name.
#pragma once
#include <stdint.h>

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#endif

// CRC32-C step over eight bytes: one instruction, three cycles of latency.
static inline uint64_t weft_crc32(uint64_t crc, uint64_t value) {
#if defined(__x86_64__)
    return _mm_crc32_u64(crc, value);
#else
    return __crc32cd((uint32_t)crc, value);
#endif
}

// The same over one byte.
static inline uint32_t weft_crc32_byte(uint32_t crc, uint8_t value) {
#if defined(__x86_64__)
    return _mm_crc32_u8(crc, value);
#else
    return __crc32cb(crc, value);
#endif
}

static inline void weft_prefetch(const void *address) { __builtin_prefetch(address, 0, 3); }
static inline void weft_prefetch_write(const void *address) { __builtin_prefetch(address, 1, 3); }

// Tells the core that this is a spin loop.
static inline void weft_pause(void) {
#if defined(__x86_64__)
    _mm_pause();
#else
    __asm__ volatile("yield");
#endif
}

// Time stamp counter: constant rate, not serialised.
static inline uint64_t weft_cycles(void) {
#if defined(__x86_64__)
    return __rdtsc();
#else
    uint64_t value;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(value));
    return value;
#endif
}
