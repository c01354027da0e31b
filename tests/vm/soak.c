/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-soak - clients that come and go, for as long as one likes; linked statically.
 *
 *   vm-soak CLIENTS SECONDS BDF…
 *
 * CLIENTS processes at a time, each with a container. Each looks for one of the devices (edu)
 * that nobody has, has it copy memory from one mapping to another and interrupt, and goes: by
 * closing in one order or another, by exit, or killed at any point. When one has gone, the next
 * comes. Writes what has happened as "word=number…"; status 1 if a call answered what it must
 * not, or the device did what it was not told. What the service answers when the machine is too
 * busy for the deadlines of a delivery (ETIMEDOUT, EIO) is counted apart, and may be one in a
 * hundred.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "system/edu_user.h"
#include "system/vc.h"

#define SIZE 65536u
#define FROM_IOVA 0x1000000ull
#define TO_IOVA 0x2000000ull
#define LOOKS 20		/* of a client for a device */
#define LOOK_MS 1000
#define ROUNDS 4		/* of copying */
#define EVENT_MS 20000		/* on a busy machine */
#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

enum { USED = 0, FAILED = 1, NOTHING_FREE = 3, LATE = 4 };

static unsigned seed;

static unsigned draw(unsigned n)
{
	return (unsigned)rand_r(&seed) % n;
}

static int failed(const char *what, int r)
{
	printf("failed: %s: %d\n", what, r);
	fflush(stdout);
	return FAILED;
}

/* One in a hundred ends here. */
static void perhaps_die(void)
{
	if (draw(100) == 0)
		raise(SIGKILL);
}

/* Return: 0, 1 nothing is free, -errno. */
static int find_device(struct vc *vc, char **bdfs, unsigned n)
{
	struct vc_where where = { .dir = "/dev/vfio" };
	int r;

	for (unsigned look = 0; look < LOOKS; look++) {
		where.bdf = bdfs[draw(n)];
		where.group = vc_sysfs_group(where.bdf);
		if (where.group < 0)
			return where.group;
		r = vc_open(vc, &where, VFIO_TYPE1v2_IOMMU);
		if (r != -EBUSY)
			return r;
		perhaps_die();
		poll(NULL, 0, (int)draw(LOOK_MS));
	}
	return 1;
}

static int copy_round(struct vc *vc, uint8_t *from, const uint8_t *to, int event)
{
	unsigned at = draw(SIZE - 2048), to_at = draw(SIZE - 2048), len = 1 + draw(2047);
	int r;

	for (unsigned i = 0; i < len; i++)
		from[at + i] = (uint8_t)draw(256);
	perhaps_die();
	r = edu_dma(vc->device, FROM_IOVA + at, 0, len, false, false);
	perhaps_die();
	if (r == 0)
		r = edu_dma(vc->device, TO_IOVA + to_at, 0, len, true, true);
	if (r == 0 && !vc_event_wait(event, EVENT_MS))
		r = -ETIMEDOUT;
	if (r)
		return failed("DMA", r);
	return memcmp(from + at, to + to_at, len) ? failed("content", (int)len) : 0;
}

static int use_device(struct vc *vc)
{
	int memory = memfd_create("soak", MFD_CLOEXEC), event = eventfd(0, EFD_CLOEXEC), r;
	uint8_t *from = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *to;

	if (memory < 0 || ftruncate(memory, SIZE) || event < 0 || from == MAP_FAILED)
		return failed("memory", -errno);
	to = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
	if (to == MAP_FAILED)
		return failed("memory", -errno);
	r = vc_bus_master(vc->device, true);
	if (r)
		return failed("bus master", r);
	r = vc_map(vc->container, from, FROM_IOVA, SIZE, RW);
	if (r == 0)
		r = vc_map(vc->container, to, TO_IOVA, SIZE, RW);
	if (r)
		return failed("map", r);
	r = vc_irq_eventfds(vc->device, VFIO_PCI_MSI_IRQ_INDEX, 0, 1, &event);
	if (r)
		return failed("interrupt", r);
	for (unsigned i = 0; r == 0 && i < ROUNDS; i++)
		r = copy_round(vc, from, to, event);
	if (r == 0 && draw(2))
		r = vc_unmap(vc->container, FROM_IOVA, SIZE, NULL);
	return r;
}

/* Close in any order, or leave it to the end of the process. */
static void go(struct vc *vc)
{
	int fds[3] = { vc->container, vc->group, vc->device };
	unsigned first = draw(3), step = 1 + draw(2);

	if (draw(4) == 0)
		return;
	for (unsigned i = 0; i < 3; i++) {
		close(fds[(first + i * step) % 3]);
		perhaps_die();
	}
}

static int client(char **bdfs, unsigned n)
{
	struct vc vc = VC_NONE;
	int r = find_device(&vc, bdfs, n);

	if (r > 0)
		return NOTHING_FREE;
	if (r == -ETIMEDOUT || r == -EIO)
		return LATE;
	if (r < 0)
		return failed("open", r);
	perhaps_die();
	r = use_device(&vc);
	if (r == 0)
		go(&vc);
	return r;
}

int main(int argc, char **argv)
{
	unsigned running = 0, used = 0, nothing = 0, killed = 0, bad = 0, late = 0, clients;
	unsigned all = 0;
	uint64_t end;
	int status;
	pid_t pid;

	if (argc < 4)
		return 2;
	clients = (unsigned)atoi(argv[1]);
	end = vc_now_ns() + (uint64_t)atoi(argv[2]) * 1000000000u;
	for (;;) {
		while (running < clients && vc_now_ns() < end) {
			all++;
			pid = fork();
			if (pid < 0)
				return failed("fork", -errno);
			if (pid == 0) {
				seed = all;
				_exit(client(argv + 3, (unsigned)argc - 3));
			}
			running++;
		}
		if (!running)
			break;
		if (wait(&status) < 0)
			return failed("wait", -errno);
		running--;
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
			killed++;
		else if (WIFEXITED(status) && WEXITSTATUS(status) == USED)
			used++;
		else if (WIFEXITED(status) && WEXITSTATUS(status) == NOTHING_FREE)
			nothing++;
		else if (WIFEXITED(status) && WEXITSTATUS(status) == LATE)
			late++;
		else
			bad++;
	}
	printf("clients=%u used=%u nothing_free=%u killed=%u late=%u failed=%u\n", all, used, nothing,
	       killed, late, bad);
	return fflush(stdout) || bad || late > 1 + all / 100;
}
