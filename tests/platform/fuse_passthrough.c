/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: from Linux 6.9 on a FUSE file may have direct I/O and passthrough at once:
 * pread and pwrite reach the server, with offsets of any size, and a shared mapping is one
 * of the file behind, here a sparse memfd, so that both sides see each store. The mapping
 * does not keep the file open: RELEASE comes with close, and the mapping works on.
 */
#include "fuse_files.h"

#define REGION(n) ((off_t)(n) << 40)

int main(void)
{
	int memfd = memfd_create("backing", MFD_CLOEXEC), fd;
	volatile uint32_t *ours, *theirs;
	uint32_t word = 7;
	struct files f;

	EXPECT(memfd >= 0 && ftruncate(memfd, FILE_SIZE) == 0);
	f = files_start(memfd);
	if (f.seen->backing_errno) {
		errno = f.seen->backing_errno;
		files_stop(&f);
		SKIP("no passthrough of FUSE files: %s", strerror(f.seen->backing_errno));
	}
	fd = files_open_one(&f);
	ours = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, REGION(2));
	theirs = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, REGION(2));
	EXPECT(ours != MAP_FAILED && theirs != MAP_FAILED);
	for (uint32_t i = 0; i < 1000; i++) {
		theirs[i] = i;
		EXPECT(ours[i] == i);
		ours[i] = ~i;
		EXPECT(theirs[i] == ~i);
	}
	EXPECT(f.seen->reads == 0 && f.seen->writes == 0);
	EXPECT(pread(fd, &word, 4, REGION(7) + 0x44) == 4);
	EXPECT(!memcmp(&word, "read", 4));
	EXPECT(f.seen->reads == 1 && f.seen->offset == (uint64_t)REGION(7) + 0x44);
	EXPECT(pwrite(fd, &word, 4, REGION(255) + 0x48) == 4);
	EXPECT(f.seen->writes == 1 && f.seen->offset == (uint64_t)REGION(255) + 0x48);
	EXPECT(f.seen->size == 4);
	EXPECT(pread(fd, &word, 4, REGION(2)) == 4 && f.seen->reads == 2);
	EXPECT(ours[0] == ~0u);		/* it was not read from there */
	EXPECT(ioctl(fd, FILE_FIVE, 0) == 5);
	close(fd);
	await(&f.seen->releases, 1);
	theirs[1] = 77;
	EXPECT(ours[1] == 77);
	files_stop(&f);
	theirs[1] = 78;			/* even when the server has gone */
	EXPECT(ours[1] == 78);
	return 0;
}
