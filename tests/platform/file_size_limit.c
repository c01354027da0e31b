/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: RLIMIT_FSIZE holds for a memfd's length too; with SIGXFSZ ignored, ftruncate
 * fails with EFBIG.
 */
#include <sys/mman.h>
#include <sys/resource.h>

#include "platform.h"

int main(void)
{
	struct rlimit limit = { 1 << 20, 1 << 20 };
	int fd = memfd_create("test", MFD_CLOEXEC);

	EXPECT(fd >= 0);
	EXPECT(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	EXPECT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
	EXPECT(ftruncate(fd, INT64_MAX) < 0 && errno == EFBIG);
	EXPECT(ftruncate(fd, 1 << 20) == 0);
	return 0;
}
