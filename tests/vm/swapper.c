/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm-swapper - a client whose container is to be swapped for an iommufd, or is not to be.
 *
 *     vm-swapper BDF CASE
 *
 *   copies   three fds of the container: all are an iommufd then, and as they were towards exec
 *   many     one fd more than may be
 *   child    another process has the container
 *   table    a thread with a table of its own has it
 *
 * In all cases memory is mapped and unmapped afterwards, and what the container is, is
 * written: "iommufd" or "container". Errors are written, and the status is 1.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "system/vc.h"

#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define SIZE 0x10000ull
#define COPIES 64			/* CLIENT_COPIES_MAX: of which one is the first */

static int failures;
static int gate[2], opened[2];		/* pipes */

static void expect(int ok, const char *what)
{
	if (ok)
		return;
	printf("not so: %s\n", what);
	failures++;
}

static int is_iommufd(int fd)
{
	struct stat st, iommu;

	return fstat(fd, &st) == 0 && stat("/dev/iommu", &iommu) == 0 &&
	       S_ISCHR(st.st_mode) && st.st_rdev == iommu.st_rdev;
}

static void hold_until_told(void)
{
	char byte = 0;

	expect(write(opened[1], &byte, 1) == 1, "the holder is there");
	expect(read(gate[0], &byte, 1) == 1, "the holder is told to end");
}

static void *own_table(void *arg)
{
	expect(unshare(CLONE_FILES) == 0, "unshare");
	hold_until_told();
	return NULL;
}

static void wait_for_holder(void)
{
	char byte;

	expect(read(opened[0], &byte, 1) == 1, "the holder is there");
}

int main(int argc, char **argv)
{
	struct vc_where where = { .dir = "/dev/vfio" };
	int container, group, copy = -1, cloexec = -1;
	pthread_t thread = 0;
	uint64_t done = 0;
	void *memory;
	pid_t child = 0;

	if (argc != 3 || pipe(gate) || pipe(opened))
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	where.bdf = argv[1];
	where.group = vc_sysfs_group(where.bdf);
	container = vc_open_container(&where);
	group = vc_open_group(&where);
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (container < 0 || group < 0 || memory == MAP_FAILED) {
		printf("open: %d, %d\n", container, group);
		return 1;
	}
	memset(memory, 1, SIZE);
	expect(vc_attach(group, container) == 0, "SET_CONTAINER");
	if (!strcmp(argv[2], "copies")) {
		copy = dup(container);
		cloexec = fcntl(container, F_DUPFD_CLOEXEC, 300);
		expect(fcntl(copy, F_SETFD, 0) == 0, "F_SETFD");
	} else if (!strcmp(argv[2], "many")) {
		for (int i = 0; i < COPIES; i++)
			expect(dup(container) >= 0, "dup");
	} else if (!strcmp(argv[2], "child")) {
		child = fork();
		if (child == 0) {
			hold_until_told();
			_exit(0);
		}
		wait_for_holder();
	} else if (!strcmp(argv[2], "table")) {
		expect(pthread_create(&thread, NULL, own_table, NULL) == 0, "a thread");
		wait_for_holder();
	} else {
		return 2;
	}
	expect(VC(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0, "SET_IOMMU");
	puts(is_iommufd(container) ? "iommufd" : "container");
	if (copy >= 0) {
		expect(is_iommufd(copy) && is_iommufd(cloexec), "copies are iommufds");
		expect(fcntl(copy, F_GETFD) == 0, "no FD_CLOEXEC where there was none");
		expect(fcntl(cloexec, F_GETFD) == FD_CLOEXEC, "FD_CLOEXEC where it was");
	}
	expect(vc_map(container, memory, 0x100000, SIZE, RW) == 0, "MAP_DMA");
	expect(vc_unmap(copy < 0 ? container : copy, 0x100000, SIZE, &done) == 0 &&
	       done == SIZE, "UNMAP_DMA");
	expect(write(gate[1], "", 1) == 1, "the gate");
	if (child)
		expect(waitpid(child, NULL, 0) == child, "the child ends");
	if (thread)
		expect(pthread_join(thread, NULL) == 0, "the thread ends");
	/* Its group can leave and come again. */
	expect(VC(group, VFIO_GROUP_UNSET_CONTAINER, 0) == 0, "UNSET_CONTAINER");
	expect(vc_attach(group, container) == 0, "SET_CONTAINER again");
	expect(VC(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0, "SET_IOMMU again");
	expect(vc_map(container, memory, 0x100000, SIZE, RW) == 0, "MAP_DMA again");
	return failures != 0;
}
