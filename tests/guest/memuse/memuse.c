// SPDX-License-Identifier: MIT OR Apache-2.0
// A C program's view of the header.
#define _GNU_SOURCE
#include "memuse.h"

long memuse_through_header(pid_t pid, int type)
{
	return memuse(pid, type);
}
