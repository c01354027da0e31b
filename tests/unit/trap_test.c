/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/trap_*.c, handle.c: a client's calls, from its own side. */
#include <transport/open_notes.h>
#include <unit/trap_rig.h>

#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>

#include <transport/handle.h>

#define PAGE 4096ul

/* Wrong on purpose; volatile, so that compilers do not say so. */
static void *volatile bad = (void *)8;
static volatile int many = 2000;

/* ---- open and close ---- */

static bool has_fd_flag(int fd)
{
	return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

static void open_and_close(void)
{
	int a = node("vfio", O_RDWR), b = node("vfio", O_RDWR | O_CLOEXEC);
	int g = node("2", O_RDWR | O_NONBLOCK), copy;
	char link[64], path[64];

	CHECK(a >= 0 && b >= 0 && g >= 0);
	CHECK(!has_fd_flag(a) && has_fd_flag(b));
	CHECK(fcntl(g, F_GETFL) & O_NONBLOCK);
	/* SD-026: the path of the node */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", a);
	CHECK(readlink(path, link, sizeof(link)) == (ssize_t)strlen(rig_dir) + 5);
	CHECK(memcmp(link + strlen(rig_dir), "/vfio", 5) == 0);
	CHECK(ioctl(a, VFIO_GET_API_VERSION) == 0);		/* CG-019 */
	CHECK_FAILS(node("2", O_RDWR), EBUSY);			/* CG-052 */
	copy = dup(g);
	close(g);
	CHECK_FAILS(node("2", O_RDWR), EBUSY);			/* CG-130 */
	/* CG-056: at once, every time */
	for (int i = 0; i < 200; i++) {
		close(copy);
		copy = node("2", O_RDWR);
		CHECK(copy >= 0);
	}
	/* two containers, not one */
	CHECK(ioctl(copy, VFIO_GROUP_SET_CONTAINER, &a) == 0);
	CHECK(ioctl(a, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);
	CHECK_FAILS(ioctl(b, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU), EINVAL);
	CHECK_FAILS(node("1x", O_RDWR), ENOENT);
	CHECK_FAILS(node("77", O_RDWR), ENOENT);
}

START_TEST(opens_have_identities_and_closes_count_at_once)
{
	rig_run(open_and_close);
}
END_TEST

static void relative_paths(void)
{
	int dir = open(rig_dir, O_RDONLY | O_DIRECTORY), g, again;
	char path[64];

	g = openat(dir, "2", O_RDWR);
	CHECK(g >= 0);
	CHECK_FAILS(openat(dir, "2", O_RDWR), EBUSY);
	CHECK(chdir(rig_dir) == 0);
	CHECK_FAILS(open("2", O_RDWR), EBUSY);
	CHECK_FAILS(open("./../../tmp/../../2", O_RDWR), ENOENT);
	CHECK_FAILS(openat(9999, "2", O_RDWR), EBADF);
	CHECK_FAILS(openat(AT_FDCWD, (char *)bad, O_RDWR), EFAULT);
	close(g);
	CHECK((g = open("2", O_RDWR)) >= 0);
	/* Through its own /proc a client gets a file of its own, never one of ours. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", g);
	again = open(path, O_RDWR);
	CHECK(again >= 0);
	CHECK_FAILS(ioctl(again, VFIO_GROUP_UNSET_CONTAINER), EBUSY);
	CHECK_FAILS(ioctl(g, VFIO_GROUP_UNSET_CONTAINER), EINVAL);
}

START_TEST(paths_are_walked_as_the_client_does)
{
	rig_run(relative_paths);
}
END_TEST

/* Opened in a mode that is not trapped. CG-053 */
static void adopted(void)
{
	struct vfio_group_status status = { .argsz = sizeof(status) };
	int c = node("vfio", O_RDONLY), g = node("2", O_RDONLY), g2 = node("2", O_RDONLY);

	CHECK(ioctl(c, VFIO_GET_API_VERSION) == 0);
	CHECK(ioctl(g, VFIO_GROUP_GET_STATUS, &status) == 0);
	CHECK_FAILS(ioctl(g2, VFIO_GROUP_GET_STATUS, &status), EBUSY);
	CHECK_FAILS(node("2", O_RDWR), EBUSY);
	CHECK(ioctl(g, VFIO_GROUP_SET_CONTAINER, &c) == 0);
	close(g);
	CHECK(ioctl(g2, VFIO_GROUP_GET_STATUS, &status) == 0);
	CHECK(status.flags == VFIO_GROUP_FLAGS_VIABLE);
	/* A container that is seen first as an argument. */
	c = node("vfio", O_WRONLY);
	CHECK(ioctl(g2, VFIO_GROUP_SET_CONTAINER, &c) == 0);
	CHECK(ioctl(c, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU) == 0);
	/* CG-007: an O_PATH descriptor is none */
	CHECK_FAILS(ioctl(node("vfio", O_PATH), VFIO_GET_API_VERSION), EBADF);
}

START_TEST(other_open_modes_are_adopted)
{
	rig_run(adopted);
}
END_TEST

static void moved(void)
{
	struct opened o = open_device();
	int other = node("vfio", O_RDWR);

	for (off_t to = 0; to < 12; to++) {
		CHECK(lseek(o.container, to, SEEK_SET) == to);
		CHECK(lseek(other, 12 - to, SEEK_SET) == 12 - to);
		CHECK_FAILS(ioctl(o.container, VFIO_SET_IOMMU, VFIO_TYPE1_IOMMU), EINVAL);
		CHECK(ioctl(o.container, VFIO_CHECK_EXTENSION, VFIO_DMA_CC_IOMMU) == 1);
	}
	lseek(o.group, 0, SEEK_SET);
	CHECK_FAILS(ioctl(o.group, VFIO_GROUP_UNSET_CONTAINER), EBUSY);
}

/* The position is a short cut; who moves it loses nothing of its own. */
START_TEST(a_moved_position_does_not_change_identity)
{
	rig_run(moved);
}
END_TEST

static void foreign(void)
{
	int null = open("/dev/null", O_RDWR), c = node("vfio", O_RDWR);
	int g = node("2", O_RDWR);

	CHECK_FAILS(ioctl(null, VFIO_GET_API_VERSION), ENOTTY);
	CHECK_FAILS(ioctl(9999, VFIO_GET_API_VERSION), EBADF);
	CHECK_FAILS(ioctl(-1, VFIO_GET_API_VERSION), EBADF);
	CHECK_FAILS(ioctl(g, VFIO_GROUP_SET_CONTAINER, &null), EBADFD);	/* CG-070 */
	CHECK_FAILS(ioctl(g, VFIO_GROUP_SET_CONTAINER, &g), EBADFD);
	CHECK_FAILS(ioctl(g, VFIO_GROUP_SET_CONTAINER, &(int){ 9999 }), EBADF);
	CHECK_FAILS(ioctl(g, VFIO_GROUP_SET_CONTAINER, &(int){ -1 }), EBADF); /* CG-065 */
	CHECK_FAILS(ioctl(g, VFIO_GROUP_SET_CONTAINER, bad), EFAULT); /* CG-064 */
	CHECK_FAILS(ioctl(c, VFIO_IOMMU_MAP_DMA, NULL), EINVAL);		/* CG-045 */
}

START_TEST(foreign_files_keep_their_own_answers)
{
	rig_run(foreign);
}
END_TEST

/* ---- access ---- */

static void accesses(void)
{
	struct opened o = open_device();
	off_t config = (off_t)region(o.device, VFIO_PCI_CONFIG_REGION_INDEX);
	off_t bar = (off_t)region(o.device, 0);
	uint16_t id[2], low, high;
	struct iovec two[2] = { { &low, 2 }, { &high, 2 } };
	uint64_t value = 0x1122334455667788, back = 0;
	char big[20000];

	CHECK((uint64_t)config == (window_base(RIG_NUMBER) | 7ull << 40));
	CHECK(pread(o.device, id, 4, config) == 4 && id[0] == 0x1234 && id[1] == 0x5678);
	memset(id, 0, sizeof(id));
	CHECK(pread(o.device, id, 4, (off_t)(7ull << 40)) == 4 && id[0] == 0x1234);
	CHECK(preadv(o.device, two, 2, config) == 4 && low == 0x1234 && high == 0x5678);
	CHECK(preadv2(o.device, two, 2, config, 0) == 4);
	CHECK_FAILS(preadv2(o.device, two, 2, config, RWF_NOWAIT), EOPNOTSUPP);
	CHECK_FAILS(preadv(o.device, two, many, config), EINVAL);
	CHECK_FAILS(preadv(o.device, bad, 2, config), EFAULT);
	CHECK(preadv(o.device, two, 0, config) == 0);
	two[1].iov_len = (size_t)-1;
	CHECK_FAILS(preadv(o.device, two, 2, config), EINVAL);
	two[1] = (struct iovec){ bad, 2 };
	CHECK(preadv(o.device, two, 2, config) == 2);	/* the first was moved */
	CHECK_FAILS(pread(o.device, bad, 4, config), EFAULT);
	CHECK_FAILS(pwrite(o.device, bad, 4, config + 4), EFAULT);
	CHECK(pread(o.device, bad, 0, config) == 0);		/* PCI-188 */
	CHECK_FAILS(pread(o.device, big, sizeof(big), config), EFAULT);	/* PCI-191 */
	CHECK_FAILS(pread(-1, id, 4, config), EBADF);
	CHECK_FAILS(pread(o.device, id, 4, bar + (9ll << 40)), EINVAL);	/* PCI-189 */
	CHECK_FAILS(pread(o.device, id, 4, bar + (1ll << 44)), EINVAL);	/* no such device */

	CHECK(pwrite(o.device, &back, 2, config + 4) == 2);
	CHECK_FAILS(pread(o.device, &back, 8, bar), EIO);		/* PCI-199 */
	memory_enable(o.device);
	CHECK(pwrite(o.device, &value, 8, bar + SCRATCH_DATA) == 8);
	CHECK(pread(o.device, &back, 8, bar + SCRATCH_DATA) == 8 && back == value);
	/* More than one bounce, not at its bounds, to the end of the BAR. PCI-196 */
	CHECK(pread(o.device, big, sizeof(big), bar + 4) == 0x4000 - 4);
	CHECK(pwrite(o.device, big, 0x1000 - 24, bar + SCRATCH_MEMORY + 16) == 0x1000 - 24);
}

START_TEST(accesses_reach_the_device)
{
	rig_run(accesses);
}
END_TEST

static void closed(void)
{
	struct opened o = open_device();
	off_t config = (off_t)region(o.device, VFIO_PCI_CONFIG_REGION_INDEX);
	uint32_t id;

	for (int i = 0; i < 100; i++) {
		close(o.device);
		CHECK_FAILS(pread(o.device, &id, 4, config), EBADF);
		CHECK(ioctl(o.group, VFIO_GROUP_UNSET_CONTAINER) == 0);	/* CG-085 */
		CHECK(ioctl(o.group, VFIO_GROUP_SET_CONTAINER, &o.container) == 0);
		CHECK(ioctl(o.container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU) == 0);
		o.device = ioctl(o.group, VFIO_GROUP_GET_DEVICE_FD, RIG_BDF);
		CHECK(o.device >= 0 && has_fd_flag(o.device));		/* CG-102 */
		CHECK(pread(o.device, &id, 4, config) == 4);
	}
}

START_TEST(a_closed_device_is_closed_at_once)
{
	rig_run(closed);
}
END_TEST

static void mappings(void)
{
	struct opened o = open_device();
	off_t bar = (off_t)region(o.device, 0), bar2 = (off_t)region(o.device, 2);
	off_t config = (off_t)region(o.device, VFIO_PCI_CONFIG_REGION_INDEX);
	const int rw = PROT_READ | PROT_WRITE;
	uint32_t value = 0xabcd, back;
	volatile uint32_t *p;

	p = mmap(NULL, PAGE, rw, MAP_SHARED, o.device, bar + SCRATCH_MEMORY);
	CHECK(p != MAP_FAILED);
	memory_enable(o.device);
	CHECK(pwrite(o.device, &value, 4, bar + SCRATCH_MEMORY + 8) == 4);
	CHECK(p[2] == 0xabcd);
	p[3] = 0x77;
	CHECK(pread(o.device, &back, 4, bar + SCRATCH_MEMORY + 12) == 4 && back == 0x77);
	CHECK(mmap(NULL, 100, rw, MAP_SHARED, o.device, bar2) != MAP_FAILED);

#define NO_MAP(len, flags, offset, code) \
	CHECK_FAILS((long)mmap(NULL, len, rw, flags, o.device, offset), code)
	NO_MAP(PAGE, MAP_PRIVATE, bar2, EINVAL);		/* PCI-250 */
	NO_MAP(PAGE, MAP_SHARED, config, EINVAL);		/* PCI-252 */
	NO_MAP(2 * PAGE, MAP_SHARED, bar2, EINVAL);		/* PCI-254 */
	NO_MAP(PAGE, MAP_SHARED, bar2 + (off_t)PAGE, EINVAL);
	NO_MAP(PAGE, MAP_SHARED, bar2 + (7ll << 40), EINVAL);	/* PCI-249 */
	NO_MAP(0, MAP_SHARED, bar2, EINVAL);
	NO_MAP(PAGE, MAP_SHARED, bar2 + 16, EINVAL);
	/* another device's window */
	NO_MAP(PAGE, MAP_SHARED, bar2 + (1ll << 44), EINVAL);
	CHECK_FAILS((long)mmap(NULL, PAGE, rw, MAP_SHARED, 9999, bar2), EBADF);

	/* PCI-262: a mapping keeps the device open */
	close(o.device);
	CHECK_FAILS(ioctl(o.group, VFIO_GROUP_UNSET_CONTAINER), EBUSY);
	CHECK(p[2] == 0xabcd);
	munmap((void *)(uintptr_t)p, PAGE);
	CHECK_FAILS(ioctl(o.group, VFIO_GROUP_UNSET_CONTAINER), EBUSY);
	_exit(0);	/* the mapping of BAR 2 goes with us */
}

START_TEST(mappings_follow_the_rules)
{
	rig_run(mappings);
}
END_TEST

/* ---- limits ---- */

static void no_fd_left(void)
{
	struct opened o = open_device();
	struct rlimit limit = { 0 };
	int fd;

	close(o.device);
	limit.rlim_cur = limit.rlim_max = (rlim_t)o.device;
	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	while ((fd = dup(0)) >= 0)
		;
	CHECK_FAILS(ioctl(o.group, VFIO_GROUP_GET_DEVICE_FD, RIG_BDF), EMFILE); /* CG-092 */
	CHECK_FAILS(node("vfio", O_RDWR), EMFILE);
	CHECK_FAILS(node("1", O_RDWR), EMFILE);
	/* Nothing was left open. */
	CHECK(ioctl(o.group, VFIO_GROUP_UNSET_CONTAINER) == 0);
	close(o.container);
	CHECK(node("1", O_RDWR) >= 0);
}

START_TEST(a_full_table_of_fds_leaves_nothing_open)
{
	rig_run(no_fd_left);
}
END_TEST

static void too_many(void)
{
	struct rlimit limit = { RUN_MAX_OPEN_FILES + 200, RUN_MAX_OPEN_FILES + 200 };
	int fd = -1;

	setrlimit(RLIMIT_NOFILE, &limit);
	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur < RUN_MAX_OPEN_FILES + 100)
		return;
	for (int i = 0; i < RUN_MAX_OPEN_FILES; i++)
		CHECK((fd = node("vfio", O_RDWR)) >= 0);
	CHECK_FAILS(node("vfio", O_RDWR), ENFILE);
	CHECK_FAILS(node("2", O_RDWR), ENFILE);
	close(fd);
	CHECK(node("2", O_RDWR) >= 0);
}

START_TEST(open_files_have_a_limit)
{
	rig_run(too_many);
}
END_TEST

/* ---- clients that misbehave ---- */

static void *stalled(void *arg)
{
	int c = node("vfio", O_RDWR);

	ioctl(c, VFIO_IOMMU_MAP_DMA, arg);	/* EINVAL, without a look at the memory */
	ioctl(node("2", O_RDWR), VFIO_GROUP_SET_CONTAINER, arg);
	return NULL;
}

static void stalls_its_memory(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC), c;
	struct uffd_msg msg;
	pthread_t thread;
	void *p;

	if (uffd < 0)
		return;		/* not allowed here */
	CHECK(ioctl(uffd, UFFDIO_API, &api) == 0);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range.start = (uintptr_t)p;
	reg.range.len = PAGE;
	CHECK(ioctl(uffd, UFFDIO_REGISTER, &reg) == 0);
	CHECK(pthread_create(&thread, NULL, stalled, p) == 0);
	CHECK(read(uffd, &msg, sizeof(msg)) == sizeof(msg));
	/* Now a receiver waits for that page. Others serve us. */
	for (int i = 0; i < 100; i++) {
		CHECK((c = node("vfio", O_RDWR)) >= 0);
		CHECK(ioctl(c, VFIO_GET_API_VERSION) == 0);
		close(c);
	}
	_exit(0);
}

START_TEST(stalled_memory_stalls_only_its_thread)
{
	rig_run(stalls_its_memory);
}
END_TEST

static void *racing(void *arg)
{
	uint32_t id;

	for (int i = 0; i < 100; i++) {
		int c = node("vfio", O_RDWR), g = node("1", O_RDWR);

		CHECK(c >= 0);
		if (g >= 0)
			CHECK(ioctl(g, VFIO_GROUP_SET_CONTAINER, &c) == 0);
		else
			CHECK(errno == EBUSY);
		CHECK(ioctl(c, VFIO_GET_API_VERSION) == 0);
		CHECK(pread(*(int *)arg, &id, 4,
			    (off_t)(window_base(RIG_NUMBER) | 7ull << 40)) == 4);
		if (g >= 0)
			close(g);
		close(c);
	}
	return NULL;
}

static void threads(void)
{
	struct opened o = open_device();
	pthread_t t[4];

	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&t[i], NULL, racing, &o.device) == 0);
	for (int i = 0; i < 4; i++)
		CHECK(pthread_join(t[i], NULL) == 0);
	CHECK(node("1", O_RDWR) >= 0);
}

START_TEST(threads_do_not_meet)
{
	rig_run(threads);
}
END_TEST

static void children(void)
{
	struct opened o = open_device();
	int status, g1 = node("1", O_RDWR);
	pid_t pid;

	for (int i = 0; i < 20; i++) {
		pid = fork();
		if (pid == 0) {
			close(g1);
			CHECK(ioctl(o.container, VFIO_CHECK_EXTENSION, 1) == 1);
			if (i & 1)
				execl("/bin/true", "true", NULL);
			_exit(0);
		}
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
		CHECK_FAILS(node("1", O_RDWR), EBUSY);		/* CG-131 */
	}
	/* CG-130, CG-133: the child has the last copy, and is killed */
	pid = fork();
	if (pid == 0) {
		for (;;)
			pause();
	}
	close(g1);
	CHECK_FAILS(node("1", O_RDWR), EBUSY);
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(node("1", O_RDWR) >= 0);
}

START_TEST(children_share_open_files)
{
	rig_run(children);
}
END_TEST

/* ---- ends ---- */

static void waits(void)
{
	struct opened o = open_device();

	for (;;)
		CHECK(ioctl(o.container, VFIO_GET_API_VERSION) == 0);
}

START_TEST(a_client_killed_in_a_call)
{
	for (int i = 0; i < 5; i++) {
		unsigned long calls = 100 + 37 * (unsigned long)i;
		struct rig rig;

		rig_start(&rig, waits);
		while (trap_calls(rig.trap) < calls)
			sched_yield();
		kill(rig.child, SIGKILL);
		ck_assert_int_eq(waitpid(rig.child, NULL, 0), rig.child);
		rig_stop(&rig);
	}
}
END_TEST

static void survives(void)
{
	int c = node("vfio", O_RDWR);

	while (ioctl(c, VFIO_GET_API_VERSION) == 0)
		;
	CHECK(errno == ENOSYS);
}

/* A supervisor that is gone is no hang. */
START_TEST(a_stopped_transport_answers_enosys)
{
	struct rig rig;
	int status;

	rig_start(&rig, survives);
	while (trap_calls(rig.trap) < 100)
		sched_yield();
	trap_stop(rig.trap);
	rig.trap = NULL;
	ck_assert_int_eq(waitpid(rig.child, &status, 0), rig.child);
	ck_assert_int_eq(status, 0);
	rig_stop(&rig);
}
END_TEST

static void stops_with_a_device(void)
{
	CHECK(prctl(PR_SET_NAME, "\033[2Jevil\n") == 0);
	open_device();
	raise(SIGSTOP);
}

static void note_is(const struct open_note *note, const struct rig *rig)
{
	ck_assert_int_eq(note->who.pid, rig->child);
	ck_assert_uint_eq(note->who.uid, geteuid());
	ck_assert_str_eq(note->who.name, "?[2Jevil?");
	ck_assert(note->kind == OBJECT_CONTAINER ? note->container == 1 : note->group == 2);
}

/* What status output tells of clients, whose names may be anything. */
START_TEST(open_files_are_noted)
{
	struct open_notes notes = { 0 };
	unsigned kinds = 0;
	struct rig rig;
	int status;

	rig_start(&rig, stops_with_a_device);
	ck_assert_int_eq(waitpid(rig.child, &status, WUNTRACED), rig.child);
	ck_assert(WIFSTOPPED(status));
	ck_assert_int_eq(trap_files(rig.trap, &notes), 0);
	ck_assert_uint_eq(notes.n, 3);
	for (size_t i = 0; i < notes.n; i++) {
		note_is(&notes.files[i], &rig);
		kinds |= 1u << notes.files[i].kind;
		if (notes.files[i].kind == OBJECT_DEVICE)
			ck_assert_str_eq(notes.files[i].device, RIG_BDF);
	}
	ck_assert_uint_eq(kinds, 1u << OBJECT_CONTAINER | 1u << OBJECT_GROUP |
				 1u << OBJECT_DEVICE);
	open_notes_done(&notes);
	ck_assert_int_eq(kill(rig.child, SIGCONT), 0);
	ck_assert_int_eq(waitpid(rig.child, &status, 0), rig.child);
	ck_assert_int_eq(status, 0);
	rig_stop(&rig);
}
END_TEST

static void nested(void)
{
	struct sock_fprog program;
	struct cused_error err;

	CHECK(trap_filter_build(&program, &err) == 0);
	CHECK(trap_filter_install(&program) == -EBUSY);
}

START_TEST(one_supervisor_at_a_time)
{
	rig_run(nested);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trap");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	if (rig_setup())
		return 1;
	tcase_set_timeout(tc, 100);
	tcase_add_test(tc, opens_have_identities_and_closes_count_at_once);
	tcase_add_test(tc, paths_are_walked_as_the_client_does);
	tcase_add_test(tc, other_open_modes_are_adopted);
	tcase_add_test(tc, a_moved_position_does_not_change_identity);
	tcase_add_test(tc, foreign_files_keep_their_own_answers);
	tcase_add_test(tc, accesses_reach_the_device);
	tcase_add_test(tc, a_closed_device_is_closed_at_once);
	tcase_add_test(tc, mappings_follow_the_rules);
	tcase_add_test(tc, a_full_table_of_fds_leaves_nothing_open);
	tcase_add_test(tc, open_files_have_a_limit);
	tcase_add_test(tc, stalled_memory_stalls_only_its_thread);
	tcase_add_test(tc, threads_do_not_meet);
	tcase_add_test(tc, children_share_open_files);
	tcase_add_test(tc, a_client_killed_in_a_call);
	tcase_add_test(tc, a_stopped_transport_answers_enosys);
	tcase_add_test(tc, open_files_are_noted);
	tcase_add_test(tc, one_supervisor_at_a_time);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	rig_teardown();
	return failed ? 1 : 0;
}
