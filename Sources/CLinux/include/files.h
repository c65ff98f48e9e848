// Files, clocks and the capture file library. `open` and `ioctl` are variadic, which Swift cannot call.
#pragma once
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <pcap/pcap.h>

static inline int weft_open(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }
static inline int weft_ioctl(int fd, unsigned long request, void *argument) { return ioctl(fd, request, argument); }

// Whether a file is a regular one, or one of the memory devices (/dev/null, /dev/full): what never makes a reader or writer
// wait for somebody else.
static inline bool weft_file_never_waits(int fd) {
    struct stat status;
    if (fstat(fd, &status) != 0) return false;
    return S_ISREG(status.st_mode) || (S_ISCHR(status.st_mode) && major(status.st_rdev) == 1);
}

// Nanoseconds; read through the vDSO, about 20 ns.
static inline uint64_t weft_clock(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

// Copies `length` bytes rounded up to whole 32-byte steps: the source must be readable, and the target writable, that
// far. Without a remainder to branch on this is a few vector moves for small frames.
static inline void weft_copy_frame(void *to, const void *from, uint64_t length) {
    char *target = (char *)to;
    const char *source = (const char *)from;
    uint64_t at = 0;
    do {
        __builtin_memcpy(target + at, source + at, 32);
        at += 32;
    } while (at < length);
}
