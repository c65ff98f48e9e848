// System headers and inline functions for what C gives and Swift does not: CRC32 and prefetch
// instructions, memory barriers, ring layouts. Nothing here keeps state; each header holds one concern.
// No header may be named like one of the C library: the directory is in the search path of every module, and
// Foundation would find ours when it asks for <threads.h>.
#pragma once

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>

#include "atomics.h"
#include "clock.h"
#include "cpu.h"
#include "errno_value.h"
#include "files.h"
#include "memory_lines.h"
#include "namespaces.h"
#include "network.h"
#include "tags.h"
#include "thread_control.h"
