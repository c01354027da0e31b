/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: with CUSE_UNRESTRICTED_IOCTL the server gets command and argument as the
 * client gave them, the number of the calling thread, and its user. It can read and write
 * the client's memory meanwhile, so that data costs no second round, and a page that the
 * client may not write is not written either (EFAULT). FUSE's own retry works, too, and
 * takes two rounds.
 */
#include "cuse.h"

static struct device d;

static void *in_thread(void *arg)
{
	int fd = *(int *)arg;

	EXPECT(ioctl(fd, CMD_FIVE, 0x123456789abcul) == 5);
	EXPECT(d.seen->pid == (int)gettid() && gettid() != getpid());
	EXPECT(d.seen->arg == 0x123456789abcul);
	EXPECT(d.seen->cmd == CMD_FIVE);
	return NULL;
}

static bool turned(const uint8_t *data)
{
	for (unsigned i = 0; i < DEVICE_DATA; i++)
		if (data[i] != (uint8_t)~i)
			return false;
	return true;
}

static void data(int fd, unsigned cmd, unsigned rounds)
{
	uint8_t bytes[DEVICE_DATA];
	unsigned before = d.seen->rounds;

	for (unsigned i = 0; i < DEVICE_DATA; i++)
		bytes[i] = (uint8_t)i;
	EXPECT(ioctl(fd, cmd, bytes) == 0);
	EXPECT(turned(bytes));
	EXPECT(d.seen->rounds == before + rounds);
}

int main(void)
{
	uint8_t *read_only;
	pthread_t thread;
	int fd;

	d = device_start(DEVICE_NAME);
	fd = device_open();
	read_only = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(read_only != MAP_FAILED);
	EXPECT(pthread_create(&thread, NULL, in_thread, &fd) == 0);
	EXPECT(pthread_join(thread, NULL) == 0);
	EXPECT(ioctl(fd, CMD_FIVE, 0) == 5);
	EXPECT(d.seen->pid == getpid() && d.seen->uid == getuid());
	EXPECT(!(d.seen->flags & FUSE_IOCTL_COMPAT));
	EXPECT(d.seen->flags & FUSE_IOCTL_UNRESTRICTED);
	data(fd, CMD_COPY, 1);
	data(fd, CMD_RETRY, 2);
	EXPECT(ioctl(fd, CMD_COPY, read_only) < 0 && errno == EFAULT);
	EXPECT(ioctl(fd, CMD_RETRY, read_only) < 0 && errno == EFAULT);
	EXPECT(ioctl(fd, CMD_COPY, 8) < 0 && errno == EFAULT);
	EXPECT(ioctl(fd, CMD_RETRY, 8) < 0 && errno == EFAULT);
	EXPECT(ioctl(fd, CMD_ERROR, 0) < 0 && errno == EBADFD);
	close(fd);
	device_stop(&d);
	return 0;
}
