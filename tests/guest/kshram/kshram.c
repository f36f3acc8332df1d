// SPDX-License-Identifier: MIT OR Apache-2.0
// A C program's view of the header.
#include "kshram.h"

#include <sys/ioctl.h>

int kshram_slots_through_header(int fd)
{
	return ioctl(fd, KSHRAM_GETSLOTS);
}

int kshram_size_through_header(int fd)
{
	return ioctl(fd, KSHRAM_GETSIZE);
}

int kshram_resize_through_header(int fd, unsigned long bytes)
{
	return ioctl(fd, KSHRAM_SETSIZE, bytes);
}
