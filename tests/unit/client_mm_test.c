/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/client.c, client_mm.c, client_event.c against real processes. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <transport/client.h>
#include <transport/client_event.h>
#include <transport/client_mm.h>
#include <vfio-cused/iommu.h>

#define PAGE 4096ul
#define PAGES 8ul
#define RW (CUSED_PROT_READ | CUSED_PROT_WRITE)

/* Same addresses in the child, as it is forked: writable, read-only, none, hole, … */
static char *area, *shared;
static int memfd = -1, go[2];
static pid_t child;

/* A child that waits for a byte and then runs cat(1), or ends if there is none. */
static void child_start(void)
{
	ck_assert_int_eq(pipe2(go, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		char byte;

		close(go[1]);
		memset(area, 'c', PAGE);
		/* cat(1) reads the same pipe, which nobody writes to any more. */
		if (read(go[0], &byte, 1) == 1 && dup2(go[0], 0) == 0)
			execlp("cat", "cat", NULL);
		_exit(0);
	}
	close(go[0]);
}

static void child_end(void)
{
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
		close(go[1]);
	}
	child = 0;
}

static void setup(void)
{
	area = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	memfd = memfd_create("client", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(memfd, 4 * PAGE), 0);
	shared = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	ck_assert(area != MAP_FAILED && shared != MAP_FAILED);
	memset(area, 'p', PAGE);
	ck_assert_int_eq(mprotect(area + 2 * PAGE, PAGE, PROT_READ), 0);
	ck_assert_int_eq(mprotect(area + 3 * PAGE, PAGE, PROT_NONE), 0);
	ck_assert_int_eq(munmap(area + 4 * PAGE, PAGE), 0);
	child_start();
}

static void teardown(void)
{
	child_end();
	munmap(area, PAGES * PAGE);
	munmap(shared, 4 * PAGE);
	close(memfd);
}

static struct mm *child_mm(void)
{
	struct mm *mm;

	ck_assert_int_eq(client_mm_new(child, NULL, &mm), 0);
	ck_assert_int_eq(client_mm_tgid(mm), child);
	ck_assert(client_mm_alive(mm));
	return mm;
}

static int check(struct mm *mm, void *addr, uint64_t size, unsigned prot)
{
	return mm->ops->check(mm, (uintptr_t)addr, size, prot);
}

/* T1-032 */
START_TEST(check_follows_the_layout)
{
	struct mm *mm = child_mm();

	ck_assert_int_eq(check(mm, area, 2 * PAGE, RW), 0);
	ck_assert_int_eq(check(mm, area, 3 * PAGE, CUSED_PROT_READ), 0);
	ck_assert_int_eq(check(mm, area, 3 * PAGE, RW), -EFAULT);
	ck_assert_int_eq(check(mm, area + 2 * PAGE, PAGE, CUSED_PROT_READ), 0);
	ck_assert_int_eq(check(mm, area + 2 * PAGE, PAGE, CUSED_PROT_WRITE), -EFAULT);
	ck_assert_int_eq(check(mm, area + 3 * PAGE, PAGE, CUSED_PROT_READ), -EFAULT);
	ck_assert_int_eq(check(mm, area + 4 * PAGE, PAGE, CUSED_PROT_READ), -EFAULT);
	ck_assert_int_eq(check(mm, area + 5 * PAGE, PAGE, RW), 0);
	ck_assert_int_eq(check(mm, (void *)(PAGE), PAGE, CUSED_PROT_READ), -EFAULT);
	ck_assert_int_eq(check(mm, area, UINT64_MAX, RW), -EFAULT);
	ck_assert_int_eq(check(mm, shared, 4 * PAGE, RW), 0);
	mm_unref(mm);
}
END_TEST

static int copy(struct mm *mm, bool write, void *remote, void *local, size_t len)
{
	struct iovec theirs = { remote, len }, ours = { local, len };

	return write ? mm->ops->write(mm, &ours, 1, &theirs, 1) :
		       mm->ops->read(mm, &ours, 1, &theirs, 1);
}

START_TEST(copies_reach_the_child_and_not_us)
{
	struct mm *mm = child_mm();
	char buf[2 * PAGE];

	do {		/* the child fills its page some time */
		ck_assert_int_eq(copy(mm, false, area, buf, 16), 0);
	} while (buf[15] != 'c');
	memset(buf, 'x', sizeof(buf));
	ck_assert_int_eq(copy(mm, true, area + PAGE - 8, buf, 16), 0);
	ck_assert_int_eq(area[PAGE - 1], 'p');
	memset(buf, 0, sizeof(buf));
	ck_assert_int_eq(copy(mm, false, area + PAGE - 8, buf, 16), 0);
	ck_assert_int_eq(buf[15], 'x');
	/* A short copy is a fault. */
	ck_assert_int_eq(copy(mm, true, area + PAGE, buf, 2 * PAGE), -EFAULT);
	ck_assert_int_eq(copy(mm, false, area + 3 * PAGE, buf, 8), -EFAULT);
	mm_unref(mm);
}
END_TEST

/* A program that took the other's place is not reached. */
START_TEST(exec_ends_an_address_space)
{
	struct mm *mm = child_mm();
	char byte = 'y';

	ck_assert_int_eq(write(go[1], "g", 1), 1);
	while (client_mm_alive(mm))
		sched_yield();
	ck_assert_int_eq(copy(mm, true, area, &byte, 1), -EFAULT);
	ck_assert_int_eq(check(mm, area, PAGE, CUSED_PROT_READ), -EFAULT);
	ck_assert_int_eq(kill(child, 0), 0);
	mm_unref(mm);
}
END_TEST

START_TEST(death_ends_an_address_space)
{
	struct mm *mm = child_mm();
	char byte;

	child_end();
	ck_assert(!client_mm_alive(mm));
	ck_assert_int_eq(copy(mm, false, area, &byte, 1), -EFAULT);
	ck_assert_int_eq(check(mm, area, PAGE, CUSED_PROT_READ), -EFAULT);
	mm_unref(mm);
}
END_TEST

START_TEST(files_are_shared_where_the_client_holds_them)
{
	struct mm *mm = child_mm();
	struct mm_share share;
	char *p;

	ck_assert_int_eq(mm->ops->share(mm, (uintptr_t)shared + PAGE + 16, 100, RW, &share),
			 0);
	p = share.base;
	p[0] = 'z';
	ck_assert_int_eq(shared[PAGE + 16], 'z');
	mm->ops->unshare(mm, &share, 100);
	/* private memory, half outside, nothing */
	ck_assert_int_eq(mm->ops->share(mm, (uintptr_t)area, 100, RW, &share), -EOPNOTSUPP);
	ck_assert_int_eq(mm->ops->share(mm, (uintptr_t)shared, 100 * PAGE, RW, &share),
			 -EOPNOTSUPP);
	ck_assert_int_eq(mm->ops->share(mm, PAGE, PAGE, RW, &share), -EOPNOTSUPP);
	mm_unref(mm);
}
END_TEST

/* By the mapping, where we have the right to open what it maps. */
START_TEST(files_are_shared_that_the_client_has_closed)
{
	struct mm_share share;
	struct mm *mm;
	char *p;
	int r;

	close(memfd);		/* the child is made without it */
	memfd = -1;
	mm = child_mm();
	r = mm->ops->share(mm, (uintptr_t)shared + PAGE + 16, 100, RW, &share);
	if (geteuid() != 0) {
		ck_assert_int_eq(r, -EOPNOTSUPP);
	} else {
		ck_assert_int_eq(r, 0);
		p = share.base;
		p[0] = 'z';
		ck_assert_int_eq(shared[PAGE + 16], 'z');
		mm->ops->unshare(mm, &share, 100);
	}
	/* The limits of a mapping are those of the fd. */
	ck_assert_int_eq(mm->ops->share(mm, (uintptr_t)shared, 100 * PAGE, RW, &share),
			 -EOPNOTSUPP);
	mm_unref(mm);
}
END_TEST

/* T1-032: unless it is a file in memory */
START_TEST(shared_files_on_disk_are_not_written)
{
	char path[] = "/var/tmp/cused-client-XXXXXX";
	int fd = mkstemp(path);
	struct statfs fs;
	struct mm *mm;
	void *p;

	ck_assert_int_ge(fd, 0);
	unlink(path);
	ck_assert_int_eq(fstatfs(fd, &fs), 0);
	ck_assert_int_eq(ftruncate(fd, PAGE), 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert(p != MAP_FAILED);
	ck_assert_int_eq(client_mm_new(getpid(), NULL, &mm), 0);
	ck_assert_int_eq(check(mm, p, PAGE, CUSED_PROT_READ), 0);
	if (fs.f_type == EXT4_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC)
		ck_assert_int_eq(check(mm, p, PAGE, RW), -EFAULT);
	ck_assert_int_eq(check(mm, shared, PAGE, RW), 0);
	mm_unref(mm);
	munmap(p, PAGE);
	close(fd);
}
END_TEST

START_TEST(threads_of_a_process_have_one_address_space)
{
	struct client_thread *thread, *again;
	struct clients *clients;
	struct caller caller, other;

	ck_assert_int_eq(clients_new(&clients), 0);
	ck_assert_int_eq(client_get(clients, child, true, &thread), 0);
	ck_assert_int_eq(client_caller(clients, thread, &caller), 0);
	ck_assert_int_eq(client_get(clients, child, true, &again), 0);
	ck_assert_ptr_eq(thread, again);
	ck_assert_int_eq(client_caller(clients, again, &other), 0);
	ck_assert_ptr_eq(caller.mm, other.mm);
	ck_assert_uint_gt(caller.memlock_limit, 0);
	client_put(again);
	ck_assert_int_eq(client_dup_fd(thread, 9999), -EBADF);
	client_put(thread);

	child_end();
	ck_assert_int_eq(client_get(clients, child ? child : 1 << 22, true, &thread), -ESRCH);
	clients_free(clients);
}
END_TEST

/* Those who are remembered give their files back when these are short. */
START_TEST(the_remembered_give_way)
{
	enum { CLIENTS = 24, FILES = 12 };
	struct client_thread *thread;
	struct rlimit limit, less;
	struct clients *clients;
	struct caller caller;
	pid_t pids[CLIENTS];
	int stay[2], first;

	ck_assert_int_eq(clients_new(&clients), 0);
	ck_assert_int_eq(pipe(stay), 0);
	for (unsigned i = 0; i < CLIENTS; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			char c;

			close(stay[1]);
			_exit(read(stay[0], &c, 1) < 0);
		}
	}
	first = dup(0);
	close(first);
	getrlimit(RLIMIT_NOFILE, &limit);
	less = limit;
	less.rlim_cur = (rlim_t)first + FILES;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &less), 0);
	for (unsigned i = 0; i < CLIENTS; i++) {
		ck_assert_int_eq(client_get(clients, pids[i], true, &thread), 0);
		ck_assert_int_eq(client_caller(clients, thread, &caller), 0);
		client_put(thread);
	}
	setrlimit(RLIMIT_NOFILE, &limit);
	/* A limit that is known at the start is shared from the start. */
	clients_free(clients);
	setrlimit(RLIMIT_NOFILE, &less);
	ck_assert_int_eq(clients_new(&clients), 0);
	for (unsigned i = 0; i < CLIENTS; i++) {
		ck_assert_int_eq(client_get(clients, pids[i], true, &thread), 0);
		client_put(thread);
	}
	ck_assert_int_lt(dup(0), first + FILES / 2);
	setrlimit(RLIMIT_NOFILE, &limit);
	clients_free(clients);
	close(stay[1]);
	for (unsigned i = 0; i < CLIENTS; i++)
		ck_assert_int_eq(waitpid(pids[i], NULL, 0), pids[i]);
	close(stay[0]);
}
END_TEST

/* After exec the same thread number means other memory. */
START_TEST(exec_makes_another_address_space)
{
	struct client_thread *thread;
	struct clients *clients;
	struct caller caller;
	struct mm *before;

	ck_assert_int_eq(clients_new(&clients), 0);
	ck_assert_int_eq(client_get(clients, child, true, &thread), 0);
	ck_assert_int_eq(client_caller(clients, thread, &caller), 0);
	before = mm_ref(caller.mm);
	ck_assert_int_eq(write(go[1], "g", 1), 1);
	while (client_mm_alive(before))
		sched_yield();
	ck_assert_int_eq(client_caller(clients, thread, &caller), 0);
	ck_assert_ptr_ne(caller.mm, before);
	mm_unref(before);
	client_put(thread);
	clients_free(clients);
}
END_TEST

START_TEST(strings_end_at_unreadable_pages)
{
	char buf[3 * PAGE];

	/* area + 2 pages is readable and zero: found in the first page. */
	ck_assert_uint_ge(client_read_str(child, (uintptr_t)area + PAGE - 4, buf, PAGE), 5);
	ck_assert_uint_eq(client_read_str(child, (uintptr_t)area + 3 * PAGE, buf, 64), 0);
	ck_assert_uint_eq(client_read_str(child, 0, buf, 64), 0);
	ck_assert_uint_eq(client_read_str(child, (uintptr_t)area, buf, 3), 3);
	ck_assert_int_eq(client_read(child, 8, buf, 4), -EFAULT);
	ck_assert_int_eq(client_write(child, (uintptr_t)area + 2 * PAGE, buf, 4), -EFAULT);
	ck_assert_int_eq(client_read(child, 8, buf, 0), 0);
}
END_TEST

/* ---- events ---- */

static pthread_mutex_t fired_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t fired_changed = PTHREAD_COND_INITIALIZER;
static uint64_t fired;

static void on_event(void *arg, uint64_t cookie)
{
	pthread_mutex_lock(&fired_lock);
	fired = cookie;
	pthread_cond_signal(&fired_changed);
	pthread_mutex_unlock(&fired_lock);
}

static void fired_wait(uint64_t cookie)
{
	struct timespec deadline;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 20;
	pthread_mutex_lock(&fired_lock);
	while (fired != cookie)
		ck_assert_int_eq(pthread_cond_timedwait(&fired_changed, &fired_lock,
							&deadline), 0);
	fired = 0;
	pthread_mutex_unlock(&fired_lock);
}

START_TEST(events_signal_and_watch)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct client_events *events;
	struct event *event;
	uint64_t value = UINT64_MAX - 1;

	ck_assert_int_eq(client_events_new(&events), 0);
	ck_assert_int_eq(client_event_new(events, dup(fd), &event), 0);
	event->ops->signal(event);
	event->ops->signal(event);
	ck_assert_int_eq(read(fd, &value, 8), 8);
	ck_assert_uint_eq(value, 2);

	/* PCI-085: a full counter does not stop us */
	value = UINT64_MAX - 1;
	ck_assert_int_eq(write(fd, &value, 8), 8);
	event->ops->signal(event);
	ck_assert_int_eq(read(fd, &value, 8), 8);

	ck_assert_int_eq(event->ops->watch(event, on_event, NULL, 7), 0);
	ck_assert_int_eq(event->ops->watch(event, on_event, NULL, 8), -EBUSY);
	value = 1;
	ck_assert_int_eq(write(fd, &value, 8), 8);
	fired_wait(7);
	ck_assert_int_eq(poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, 0), 0); /* consumed */
	event->ops->unwatch(event);
	ck_assert_int_eq(event->ops->watch(event, on_event, NULL, 9), 0);
	ck_assert_int_eq(write(fd, &value, 8), 8);
	fired_wait(9);
	event_unref(event);
	client_events_free(events);
	close(fd);
}
END_TEST

/* PCI-066, PCI-072, PCI-091: only an eventfd will do */
START_TEST(other_files_are_no_events)
{
	struct client_events *events;
	struct event *event;

	ck_assert_int_eq(client_events_new(&events), 0);
	ck_assert_int_eq(client_event_new(events, dup(memfd), &event), -EINVAL);
	ck_assert_int_eq(client_event_new(events, open("/dev/null", O_RDWR), &event),
			 -EINVAL);
	client_events_free(events);
}
END_TEST

/* ---- the file behind a mapping, for devices of the machine ---- */

static bool may_open_behind(struct mm *mm)
{
	uint64_t offset;
	int fd;

	if (client_mm_file(mm, child, (uintptr_t)shared, PAGE, RW, &fd, &offset))
		return false;
	close(fd);
	return true;
}

/* Bytes that the child has there, seen through the file. */
static void shows(int fd, uint64_t offset, const char *text)
{
	char buf[16] = { 0 };

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pread(fd, buf, strlen(text), (off_t)offset), (ssize_t)strlen(text));
	ck_assert_str_eq(buf, text);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
}

/* The child's mappings are those of the test, as they were at its start. */
START_TEST(the_file_behind_shared_memory)
{
	char *anonymous = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0), *mm_area;
	uint64_t offset = 0;
	struct mm *mm;
	int fd = -1;

	child_end();
	/* Neither has an fd any more. */
	mm_area = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, memfd, PAGE);
	close(memfd);
	memfd = -1;
	strcpy(anonymous + PAGE + 5, "anonymous");
	strcpy(shared + PAGE + 7, "memfd");
	child_start();
	mm = child_mm();
	if (!may_open_behind(mm)) {
		printf("skip (host): /proc/PID/map_files may not be used here\n");
		mm_unref(mm);
		return;
	}
	ck_assert_int_eq(client_mm_file(mm, child, (uintptr_t)anonymous + PAGE, PAGE, RW, &fd,
					&offset), 0);
	shows(fd, offset + 5, "anonymous");
	ck_assert_int_eq(client_mm_file(mm, child, (uintptr_t)shared + PAGE, 3 * PAGE, RW, &fd,
					&offset), 0);
	ck_assert_uint_eq(offset, PAGE);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	shows(fd, offset + 7, "memfd");
	/* What the mapping does not allow, the device gets no more than the client. */
	ck_assert_int_eq(client_mm_file(mm, child, (uintptr_t)mm_area, PAGE, CUSED_PROT_READ,
					&fd, &offset), 0);
	ck_assert_uint_eq(offset, PAGE);
	ck_assert_int_eq(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
	ck_assert_int_eq(client_mm_file(mm, child, (uintptr_t)mm_area, PAGE, RW, &fd, &offset),
			 -EFAULT);
	mm_unref(mm);
	munmap(anonymous, 4 * PAGE);
	munmap(mm_area, 2 * PAGE);
}
END_TEST

START_TEST(memory_with_no_file_behind_it)
{
	char *code = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, memfd, 0);
	int exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), fd = -1;
	char *disk = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, exe, 0);
	uint64_t offset = 0, most = UINT64_MAX - PAGE;
	struct mm *mm;

	child_end();
	/* Two mappings that meet are not one. */
	ck_assert_int_eq(mprotect(shared + 2 * PAGE, PAGE, PROT_READ), 0);
	child_start();
	mm = child_mm();
	ck_assert_int_eq(client_mm_file(mm, child, (uintptr_t)area, PAGE, RW, &fd, &offset),
			 -EOPNOTSUPP);
	ck_assert_int_eq(client_mm_file(mm, child, (uintptr_t)code, PAGE, RW, &fd, &offset),
			 -EOPNOTSUPP);
	ck_assert_int_eq(client_mm_file(mm, child, (uintptr_t)disk, PAGE, CUSED_PROT_READ, &fd,
					&offset), -EOPNOTSUPP);
	ck_assert_int_eq(client_mm_file(mm, child, (uintptr_t)shared, 3 * PAGE, CUSED_PROT_READ,
					&fd, &offset), -EOPNOTSUPP);
	ck_assert_int_eq(client_mm_file(mm, child, (uintptr_t)area + 4 * PAGE, PAGE, RW, &fd,
					&offset), -EFAULT);
	ck_assert_int_eq(client_mm_file(mm, child, (uintptr_t)shared, most, RW, &fd, &offset),
			 -EFAULT);
	ck_assert_int_eq(fd, -1);
	mm_unref(mm);
	munmap(code, 2 * PAGE);
	munmap(disk, PAGE);
	close(exe);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("client");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, check_follows_the_layout);
	tcase_add_test(tc, copies_reach_the_child_and_not_us);
	tcase_add_test(tc, exec_ends_an_address_space);
	tcase_add_test(tc, death_ends_an_address_space);
	tcase_add_test(tc, files_are_shared_where_the_client_holds_them);
	tcase_add_test(tc, files_are_shared_that_the_client_has_closed);
	tcase_add_test(tc, shared_files_on_disk_are_not_written);
	tcase_add_test(tc, threads_of_a_process_have_one_address_space);
	tcase_add_test(tc, the_remembered_give_way);
	tcase_add_test(tc, exec_makes_another_address_space);
	tcase_add_test(tc, strings_end_at_unreadable_pages);
	tcase_add_test(tc, the_file_behind_shared_memory);
	tcase_add_test(tc, memory_with_no_file_behind_it);
	tcase_add_test(tc, events_signal_and_watch);
	tcase_add_test(tc, other_files_are_no_events);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
