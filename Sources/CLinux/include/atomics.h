// Atomics on words inside raw memory (slabs, rings), where Swift's `Atomic` cannot be placed.
// Relaxed unless the name says otherwise.
#pragma once
#include <stdint.h>

static inline void weft_atomic_add(uint64_t *word, uint64_t value) { __atomic_fetch_add(word, value, __ATOMIC_RELAXED); }
static inline uint64_t weft_atomic_load(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }
static inline void weft_atomic_store(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELAXED); }
static inline uint64_t weft_atomic_load_acquire(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static inline void weft_atomic_store_release(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
static inline uint32_t weft_atomic_load_acquire32(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static inline void weft_atomic_store_release32(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }

static inline _Bool weft_atomic_compare_exchange(uint64_t *word, uint64_t expected, uint64_t desired) {
    return __atomic_compare_exchange_n(word, &expected, desired, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static inline void weft_atomic_max(uint64_t *word, uint64_t value) {
    uint64_t seen = __atomic_load_n(word, __ATOMIC_RELAXED);
    while (seen < value && !__atomic_compare_exchange_n(word, &seen, value, 1, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

// Sequentially consistent, for the handshake of LeftRight: a reader's announcement must be visible before it looks where
// to read.
static inline void weft_atomic_store_ordered(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_SEQ_CST); }
static inline uint64_t weft_atomic_load_ordered(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_SEQ_CST); }
static inline void weft_fence_acquire(void) { __atomic_thread_fence(__ATOMIC_ACQUIRE); }
static inline void weft_fence_release(void) { __atomic_thread_fence(__ATOMIC_RELEASE); }

static inline uint32_t weft_atomic_load32(const uint32_t *word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }
static inline void weft_atomic_store32(uint32_t *word, uint32_t value) { __atomic_store_n(word, value, __ATOMIC_RELAXED); }
// Returns what was there before.
static inline uint64_t weft_atomic_fetch_add(uint64_t *word, uint64_t value) { return __atomic_fetch_add(word, value, __ATOMIC_RELAXED); }
static inline uint32_t weft_atomic_add32(uint32_t *word, uint32_t value) { return __atomic_fetch_add(word, value, __ATOMIC_RELAXED); }
// For a counter that one thread writes and others read.
static inline void weft_count(uint64_t *word, uint64_t value) {
    __atomic_store_n(word, __atomic_load_n(word, __ATOMIC_RELAXED) + value, __ATOMIC_RELAXED);
}
static inline void weft_fence_ordered(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
