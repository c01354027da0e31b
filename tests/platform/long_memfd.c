/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: a memfd can be as long as INT64_MAX, be mapped at the offsets of our window
 * (0x564 in the top twelve bits), be sealed against a change of its length while mapped,
 * and takes memory for touched pages only. Two maps of a page are the same page.
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "platform.h"

#define WINDOW (0x564ull << 52 | 0x7full << 44 | 5ull << 40)

int main(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct rlimit limit;
	volatile uint32_t *a, *b;
	struct stat st;

	EXPECT(getrlimit(RLIMIT_FSIZE, &limit) == 0);
	if (limit.rlim_cur != RLIM_INFINITY)
		SKIP("a limit on file sizes is set (ulimit -f)");
	EXPECT(fd >= 0);
	EXPECT(ftruncate(fd, INT64_MAX) == 0);
	a = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)WINDOW);
	b = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)WINDOW);
	EXPECT(a != MAP_FAILED && b != MAP_FAILED);
	EXPECT(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
	a[3] = 77;
	EXPECT(b[3] == 77);
	EXPECT(fstat(fd, &st) == 0 && st.st_size == INT64_MAX && st.st_blocks <= 8 * 16);
	EXPECT(ftruncate(fd, 0) < 0 && errno == EPERM);
	return 0;
}
