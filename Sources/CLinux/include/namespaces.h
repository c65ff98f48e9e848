// Moving the calling thread between namespaces. By number, as in thread_control.h.
#pragma once
#include <sys/syscall.h>
#include <unistd.h>

static inline int weft_leave_namespace(int kinds) { return (int)syscall(SYS_unshare, kinds); }
static inline int weft_enter_namespace(int descriptor, int kind) { return (int)syscall(SYS_setns, descriptor, kind); }
