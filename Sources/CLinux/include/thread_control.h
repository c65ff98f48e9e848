// Pinning and sleeping of threads.
#pragma once
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

// 0, or an errno value.
static inline int weft_pin_to_core(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    return pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

// Cores that this process may run on, as many as fit; returns how many there are.
static inline int weft_allowed_cores(int *cores, int capacity) {
    cpu_set_t set;
    int count = 0;
    if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &set)) {
            if (count < capacity) cores[count] = core;
            count++;
        }
    return count;
}
