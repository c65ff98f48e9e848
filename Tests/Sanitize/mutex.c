// Tells the thread sanitizer about Swift's Mutex.
//
// Where a Mutex is free, locking it is inlined into the program and the sanitizer sees it. Where it is not, the functions
// below take over, and they are in libswiftSynchronization.so, which is not built for the sanitizer: what happened before an
// unlock then seems to race with what happens behind the lock. Loaded before that library (LD_PRELOAD), these functions
// do what it does and say so. mutexes.swift shows the difference; accesses without the lock are still found.
//
// The sanitizer's own functions are looked for when the program starts: in one that is built without, nothing changes.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>

#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *self
#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define TRY_LOCK "$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"

__attribute__((weak)) void __tsan_acquire(void *address);
__attribute__((weak)) void __tsan_release(void *address);

static SWIFT void (*library_lock)(uint32_t, SELF);
static SWIFT bool (*library_try_lock)(SELF);
static SWIFT void (*library_unlock)(SELF);

__attribute__((constructor)) static void find(void) {
    library_lock = dlsym(RTLD_NEXT, LOCK);
    library_try_lock = dlsym(RTLD_NEXT, TRY_LOCK);
    library_unlock = dlsym(RTLD_NEXT, UNLOCK);
}

SWIFT void weft_lock(uint32_t thread, SELF) __asm__(LOCK);
SWIFT bool weft_try_lock(SELF) __asm__(TRY_LOCK);
SWIFT void weft_unlock(SELF) __asm__(UNLOCK);

SWIFT void weft_lock(uint32_t thread, SELF) {
    library_lock(thread, self);
    if (__tsan_acquire) __tsan_acquire(self);
}

SWIFT bool weft_try_lock(SELF) {
    bool taken = library_try_lock(self);
    if (taken && __tsan_acquire) __tsan_acquire(self);
    return taken;
}

SWIFT void weft_unlock(SELF) {
    if (__tsan_release) __tsan_release(self);
    library_unlock(self);
}
