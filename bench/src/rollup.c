// SPDX-License-Identifier: MIT OR Apache-2.0
// The peer of `pagelens ps`: adds up the PSS of all processes, in one thread.

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>

int main(void)
{
	unsigned long kilobytes, sum = 0;
	char path[64], line[256];
	struct dirent *entry;
	DIR *proc = opendir("/proc");

	while (proc && (entry = readdir(proc))) {
		FILE *file;

		if (!isdigit(entry->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%.20s/smaps_rollup", entry->d_name);
		file = fopen(path, "r");
		if (!file)
			continue;
		while (fgets(line, sizeof(line), file)) {
			if (sscanf(line, "Pss: %lu kB", &kilobytes) == 1)
				sum += kilobytes;
		}
		fclose(file);
	}
	printf("%lu\n", sum);
	return 0;
}
