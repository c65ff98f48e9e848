// errno is a macro that Swift cannot read.
#pragma once
#include <errno.h>

static inline int weft_errno(void) { return errno; }
