// Memory in whole cache lines.
#pragma once
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

// Zeroed, aligned to a cache line; NULL when the machine has no more. Freed with free().
static inline void *weft_allocate_lines(size_t bytes) {
    size_t rounded = (bytes + 63) & ~(size_t)63;
    void *memory = aligned_alloc(64, rounded);
    if (memory) memset(memory, 0, rounded);
    return memory;
}
