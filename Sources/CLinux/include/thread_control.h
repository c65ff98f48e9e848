// Pinning, naming and sleeping of threads. System calls by number where the C library hides them behind _GNU_SOURCE, which
// Foundation's modules do not define: all modules must see the same declarations.
#pragma once
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define WEFT_MAXIMUM_CORES 4096

// Pins the calling thread. 0, or an errno value.
static inline int weft_pin_to_core(int core) {
    uint64_t set[WEFT_MAXIMUM_CORES / 64] = {0};
    if (core < 0 || core >= WEFT_MAXIMUM_CORES) return EINVAL;
    set[core / 64] |= (uint64_t)1 << (core % 64);
    return syscall(SYS_sched_setaffinity, 0, sizeof set, set) == 0 ? 0 : errno;
}

// Cores that this process may run on, as many as fit; returns how many there are.
static inline int weft_allowed_cores(int *cores, int capacity) {
    uint64_t set[WEFT_MAXIMUM_CORES / 64] = {0};
    int count = 0;
    if (syscall(SYS_sched_getaffinity, 0, sizeof set, set) < 0) return 0;
    for (int core = 0; core < WEFT_MAXIMUM_CORES; core++)
        if (set[core / 64] >> (core % 64) & 1) {
            if (count < capacity) cores[count] = core;
            count++;
        }
    return count;
}

// Name of the calling thread, 15 bytes, as `top -H` shows it.
static inline void weft_name_thread(const char *name) { prctl(PR_SET_NAME, name); }

// How many nanoseconds later than asked for the calling thread's sleeps may end, so that the kernel can gather timers.
static inline void weft_timer_slack(unsigned long nanoseconds) { prctl(PR_SET_TIMERSLACK, nanoseconds); }

// ppoll(2): waits for one of the descriptors, for so many nanoseconds at the most.
static inline int weft_poll(struct pollfd *descriptors, unsigned int count, uint64_t nanoseconds) {
    struct timespec limit = {
        .tv_sec = (time_t)(nanoseconds / 1000000000), .tv_nsec = (long)(nanoseconds % 1000000000)};
    return (int)syscall(SYS_ppoll, descriptors, count, &limit, (void *)0, (size_t)8);
}
