/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: an ioctl on a FUSE file whose number has neither size nor direction reaches
 * the server with its argument as given and the number of the calling thread; nothing is
 * copied, and to ask for it by retry is refused (EIO), but the server can reach the memory
 * itself. ENOSYS becomes ENOTTY.
 */
#include "fuse_files.h"

static struct files f;

static void *in_thread(void *arg)
{
	int fd = *(int *)arg;

	EXPECT(ioctl(fd, FILE_FIVE, 0x123456789abcul) == 5);
	EXPECT(f.seen->pid == (int)gettid() && gettid() != getpid());
	EXPECT(f.seen->cmd == FILE_FIVE && f.seen->arg == 0x123456789abcul);
	EXPECT(f.seen->flags == 0);
	return NULL;
}

int main(void)
{
	uint64_t word = 0x1122334455667788;
	pthread_t thread;
	int fd;

	f = files_start(-1);
	fd = files_open_one(&f);
	EXPECT(pthread_create(&thread, NULL, in_thread, &fd) == 0);
	EXPECT(pthread_join(thread, NULL) == 0);
	EXPECT(ioctl(fd, FILE_COPY, &word) == 0 && word == ~0x1122334455667788u);
	EXPECT(ioctl(fd, FILE_RETRY, &word) < 0 && errno == EIO);
	EXPECT(ioctl(fd, FILE_NOSYS, &word) < 0 && errno == ENOTTY);
	close(fd);
	files_stop(&f);
	return 0;
}
