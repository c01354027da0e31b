/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/devfs.c on the kernel's FUSE: tokens, reads and writes, mappings, closes.
 * Clients are remotes; the devices are the core's. Skipped (77) without root or /dev/fuse.
 */
#include <sys/ioctl.h>

#include <unit/devfs_rig.h>

#define REGION(index) ((uint64_t)(index) << 40)
#define CONFIG_REGION REGION(VFIO_PCI_CONFIG_REGION_INDEX)
#define BIG (300u << 10)	/* more than two requests can carry */

/* ---- tokens ---- */

START_TEST(a_token_is_used_once)
{
	char *name, *wrong = remote_string("0123456789abcdef0123456789abcdef");
	char *link = remote_alloc(64);
	long fd;

	ck_assert_int_eq(remote_call(0, SYS_openat, rig.mount, wrong, O_RDWR), -ENOENT);
	name = rig_grant(rig.device);
	ck_assert_int_eq(remote_call(0, SYS_openat, rig.mount, wrong, O_RDWR), -ENOENT);
	fd = remote_call(0, SYS_openat, rig.mount, name, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(remote_call(0, SYS_openat, rig.mount, name, O_RDWR), -ENOENT);
	snprintf(link, 64, "/proc/self/fd/%ld", fd);
	ck_assert_int_eq(remote_call(0, SYS_openat, AT_FDCWD, link, O_RDWR), -ENXIO);
	ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
	ck_assert_int_eq(remote_call(0, SYS_openat, rig.mount, name, O_RDWR), -ENOENT);
	devfs_settle(rig.devfs, NULL);
	ck_assert(!device_is_open(rig.device));
}
END_TEST

START_TEST(a_looked_up_name_is_opened_once)
{
	char *name = rig_grant(rig.device), *link = remote_alloc(64);
	long path, fd;

	path = remote_call(0, SYS_openat, rig.mount, name, O_PATH);
	ck_assert_int_ge(path, 0);
	snprintf(link, 64, "/proc/self/fd/%ld", path);
	fd = remote_call(0, SYS_openat, AT_FDCWD, link, O_RDWR);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(remote_call(0, SYS_openat, AT_FDCWD, link, O_RDWR), -ENXIO);
	ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
	devfs_settle(rig.devfs, NULL);
	ck_assert(!device_is_open(rig.device));
	ck_assert_int_eq(remote_call(0, SYS_openat, AT_FDCWD, link, O_RDWR), -ENXIO);
}
END_TEST

START_TEST(a_revoked_token_is_void)
{
	uint8_t token[SERVICE_TOKEN_SIZE];
	char *name, *link = remote_alloc(64);
	long path;

	ck_assert_int_eq(devfs_grant(rig.devfs, rig_open(rig.device), NULL, NULL, token), 0);
	name = rig_name(token);
	path = remote_call(0, SYS_openat, rig.mount, name, O_PATH);
	ck_assert_int_ge(path, 0);
	ck_assert_uint_eq(devfs_count(rig.devfs), 1);
	devfs_revoke(rig.devfs, token);
	ck_assert_uint_eq(devfs_count(rig.devfs), 0);
	ck_assert(!device_is_open(rig.device));
	ck_assert_int_eq(remote_call(0, SYS_openat, rig.mount, name, O_RDWR), -ENOENT);
	snprintf(link, 64, "/proc/self/fd/%ld", path);
	ck_assert_int_eq(remote_call(0, SYS_openat, AT_FDCWD, link, O_RDWR), -ENXIO);
	devfs_revoke(rig.devfs, token);
}
END_TEST

START_TEST(a_used_token_cannot_be_revoked)
{
	uint8_t token[SERVICE_TOKEN_SIZE];
	long fd;

	ck_assert_int_eq(devfs_grant(rig.devfs, rig_open(rig.device), NULL, NULL, token), 0);
	fd = remote_call(0, SYS_openat, rig.mount, rig_name(token), O_RDWR);
	ck_assert_int_ge(fd, 0);
	devfs_revoke(rig.devfs, token);
	ck_assert(device_is_open(rig.device));
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_RECORD, 0), RIG_RESULT);
}
END_TEST

START_TEST(nothing_can_be_made_or_listed)
{
	char *name = remote_string("name"), *dot = remote_string(".");
	char *buf = remote_alloc(512);
	uint8_t token[SERVICE_TOKEN_SIZE];
	long dir;

	ck_assert_int_lt(remote_call(0, SYS_openat, rig.mount, name, O_RDWR | O_CREAT,
				     0600), 0);
	ck_assert_int_lt(remote_call(0, SYS_mkdirat, rig.mount, name, 0700), 0);
	ck_assert_int_eq(devfs_grant(rig.devfs, rig_open(rig.device), NULL, NULL, token), 0);
	dir = remote_call(0, SYS_openat, rig.mount, dot, O_RDONLY | O_DIRECTORY);
	if (dir >= 0)
		ck_assert_int_le(remote_call(0, SYS_getdents64, dir, buf, 512), 0);
	devfs_revoke(rig.devfs, token);
}
END_TEST

/* ---- read, write, mmap, and the rest ---- */

/* Whatever the core says of an access, the client gets. */
START_TEST(accesses_are_those_of_the_core)
{
	static const struct { uint64_t pos; size_t len; } cases[] = {
		{ 0, 4 }, { 0, 8 }, { 1, 1 }, { 3, 2 }, { 0x3ffc, 4 }, { 0x3ffc, 64 },
		{ 0x4000, 4 }, { 0x10000, 4 }, { REGION(1), 4 }, { REGION(2), 4096 },
		{ REGION(2) + RIG_BAR2 - 4, 4096 }, { REGION(2) + RIG_BAR2, 1 },
		{ REGION(3), 4 }, { REGION(3) + 0x20, 1 }, { REGION(6), 64 },
		{ CONFIG_REGION, 4 }, { CONFIG_REGION, 256 }, { CONFIG_REGION + 4095, 1 },
		{ CONFIG_REGION + 4096, 1 }, { REGION(8), 1 }, { REGION(9), 8 },
		{ REGION(200), 8 }, { (uint64_t)INT64_MAX - 8, 8 }, { REGION(2) + 5, 0 },
	};
	struct device_file *direct = rig_open(rig.device);
	uint8_t *buf = remote_alloc(8192), expected[8192];
	int fd = rig_file(0, rig.device);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		long n = device_rw_check(direct, cases[i].pos, cases[i].len, false);
		long is;

		memset(expected, 0xee, sizeof(expected));
		memset(buf, 0xee, sizeof(expected));
		if (n > 0) {
			int r = device_read(direct, cases[i].pos, expected, (size_t)n);

			n = r ? r : n;
		}
		is = remote_call(0, SYS_pread64, fd, buf, cases[i].len, cases[i].pos);
		ck_assert_msg(is == n, "read %zu at 0x%lx: %ld, not %ld", cases[i].len,
			      (unsigned long)cases[i].pos, is, n);
		ck_assert_mem_eq(buf, expected, sizeof(expected));
		n = device_rw_check(direct, cases[i].pos, cases[i].len, true);
		is = remote_call(0, SYS_pwrite64, fd, buf, cases[i].len, cases[i].pos);
		ck_assert_msg(is == n, "write %zu at 0x%lx: %ld, not %ld", cases[i].len,
			      (unsigned long)cases[i].pos, is, n);
	}
	device_file_release(direct);
}
END_TEST

START_TEST(large_accesses_are_whole)
{
	uint8_t *out = remote_alloc(BIG), *in = remote_alloc(BIG);
	int fd = rig_file(0, rig.device);

	for (size_t i = 0; i < BIG; i++)
		out[i] = (uint8_t)(i * 7 + (i >> 8));
	ck_assert_int_eq(remote_call(0, SYS_pwrite64, fd, out, BIG, REGION(2) + 0x1000),
			 BIG);
	ck_assert_int_eq(remote_call(0, SYS_pread64, fd, in, BIG, REGION(2) + 0x1000), BIG);
	ck_assert_mem_eq(in, out, BIG);
	/* Short at the end of the region, in the middle of the kernel's requests. */
	ck_assert_int_eq(remote_call(0, SYS_pread64, fd, in, BIG,
				     REGION(2) + RIG_BAR2 - 200000),
			 200000);
	ck_assert_int_eq(remote_call(0, SYS_pwrite64, fd, in, BIG,
				     REGION(2) + RIG_BAR2 - 200000), 200000);
}
END_TEST

START_TEST(plain_reads_move_the_position)
{
	uint32_t *word = remote_alloc(4);
	int fd = rig_file(0, rig.device);

	ck_assert_int_eq(remote_call(0, SYS_lseek, fd, CONFIG_REGION, SEEK_SET),
			 CONFIG_REGION);
	ck_assert_int_eq(remote_call(0, SYS_read, fd, word, 2), 2);
	ck_assert_uint_eq(*word & 0xffff, 0x1234);
	ck_assert_int_eq(remote_call(0, SYS_read, fd, word, 2), 2);
	ck_assert_uint_eq(*word & 0xffff, 0x5678);
}
END_TEST

START_TEST(bad_memory_is_efault)
{
	int fd = rig_file(0, rig.device);

	ck_assert_int_eq(remote_call(0, SYS_pread64, fd, 8, 8, REGION(2)), -EFAULT);
	ck_assert_int_eq(remote_call(0, SYS_pwrite64, fd, 8, 8, REGION(2)), -EFAULT);
}
END_TEST

START_TEST(mappings_share_the_memory_of_the_device)
{
	uint64_t *word = remote_alloc(8), *copy = remote_alloc(8);
	int fd = rig_file(0, rig.device);
	long at;

	if (!devfs_can_map(rig.devfs)) {
		ck_assert_int_eq(remote_call(0, SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE,
					     MAP_SHARED, fd, REGION(2)), -ENODEV);
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		uint64_t pos = i ? REGION(2) + 0x42000 : SCRATCH_MEMORY;

		at = remote_call(0, SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED,
				 fd,
				 pos);
		ck_assert_int_gt(at, 0);
		*word = 0x1122334455667788ull + i;
		ck_assert_int_eq(remote_call(0, SYS_pwrite64, fd, word, 8, pos + 16), 8);
		ck_assert_int_eq(remote_call(0, REMOTE_COPY, copy, at + 16, 8), 0);
		ck_assert_uint_eq(*copy, *word);
		*word = 0xfedcba9876543210ull + i;
		ck_assert_int_eq(remote_call(0, REMOTE_COPY, at + 24, word, 8), 0);
		ck_assert_int_eq(remote_call(0, SYS_pread64, fd, copy, 8, pos + 24), 8);
		ck_assert_uint_eq(*copy, *word);
		/* It outlives the file, and the file does not wait for it. */
		if (i == 1) {
			ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
			UNTIL(!device_is_open(rig.device));
			ck_assert_int_eq(remote_call(0, REMOTE_COPY, copy, at + 24, 8), 0);
			ck_assert_uint_eq(*copy, *word);
		}
		ck_assert_int_eq(remote_call(0, SYS_munmap, at, 4096), 0);
	}
}
END_TEST

START_TEST(a_device_without_mappable_memory_refuses_mmap)
{
	int fd = rig_file(0, rig.plain);

	ck_assert_int_eq(remote_call(0, SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE,
				     MAP_SHARED,
				     fd, 0), -ENODEV);
}
END_TEST

START_TEST(other_calls_on_the_file)
{
	struct stat *st = remote_alloc(sizeof(*st));
	int fd = rig_file(0, rig.device);

	ck_assert_int_eq(remote_call(0, SYS_ftruncate, fd, 4096), -EINVAL);
	ck_assert_int_eq(remote_call(0, SYS_fchmod, fd, 0777), -EINVAL);
	ck_assert_int_eq(remote_call(0, SYS_fallocate, fd, 0, 0, 4096), -ENODEV);
	ck_assert_int_eq(remote_call(0, SYS_fallocate, fd, FALLOC_FL_PUNCH_HOLE |
				     FALLOC_FL_KEEP_SIZE, 0, 4096), -ENODEV);
	ck_assert_int_eq(remote_call(0, SYS_fsync, fd), -EINVAL);
	ck_assert_int_eq(remote_call(0, SYS_fdatasync, fd), -EINVAL);
	ck_assert_int_eq(remote_call(0, SYS_fstat, fd, st), 0);
	ck_assert_uint_eq(st->st_mode, S_IFREG | 0600);
	ck_assert_int_eq(st->st_size, INT64_MAX);
	/* None of it changed anything. */
	ck_assert_int_eq(remote_call(0, SYS_pread64, fd, st, 8, REGION(2)), 8);
}
END_TEST

START_TEST(an_ioctl_arrives_as_it_was_made)
{
	static const unsigned commands[] = { 0x3b64, 0x3b70, 0x3bff, 0x1fff3b64,
					     0x00013b64 };
	int fd = rig_file(0, rig.device);

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		uint64_t arg = 0xfedcba9876543210ull + i;

		ck_assert_int_eq(remote_ioctl(0, fd, commands[i], arg), RIG_RESULT);
		ck_assert_uint_eq(rig.cmd, commands[i]);
		ck_assert_uint_eq(rig.arg, arg);
	}
	for (int code = 1; code < 134; code++) {
		/* The kernel says ENOTTY for it. */
		if (code != ENOSYS)
			ck_assert_int_eq(remote_ioctl(0, fd, RIG_ERROR, code), -code);
	}
}
END_TEST

/* ---- closes ---- */

/* A second open file of the device keeps the count: a release too many would close it. */
START_TEST(the_last_close_releases_once)
{
	enum { DUP, FORK, PASS, LOST, KILL, WAYS };

	for (int way = 0; way < WAYS; way++) {
		struct device_file *other = rig_open(rig.device);
		int fd = rig_file(0, rig.device), copy, *pair;

		ck_assert_uint_eq(devfs_count(rig.devfs), 1);
		switch (way) {
		case DUP:
			copy = (int)remote_call(0, SYS_dup, fd);
			ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
			devfs_settle(rig.devfs, NULL);
			ck_assert_uint_eq(devfs_count(rig.devfs), 1);
			ck_assert_int_eq(remote_call(0, SYS_close, copy), 0);
			break;
		case FORK:
			remote_fork(0, 1);
			ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
			devfs_settle(rig.devfs, NULL);
			ck_assert_uint_eq(devfs_count(rig.devfs), 1);
			remote_begin(1, REMOTE_EXIT);
			remote_wait(1);
			break;
		case PASS:
			remote_fork(0, 1);
			ck_assert_int_eq(remote_call(1, SYS_close, fd), 0);
			remote_send_fd(0, fd);
			ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
			devfs_settle(rig.devfs, NULL);
			ck_assert_uint_eq(devfs_count(rig.devfs), 1);
			copy = remote_receive_fd(1);
			ck_assert_int_eq(remote_ioctl(1, copy, RIG_RECORD, 0),
					 RIG_RESULT);
			ck_assert_int_eq(remote_call(1, SYS_close, copy), 0);
			remote_kill(1);
			break;
		case LOST:
			/* On its way in a socket that nobody has any more. */
			remote_fork(0, 1);
			ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
			ck_assert_int_eq(remote_call(1, SYS_close, REMOTE_LINK + 1), 0);
			ck_assert_int_eq(remote_call(1, SYS_close, REMOTE_LINK), 0);
			pair = remote_alloc(2 * sizeof(int));
			ck_assert_int_eq(remote_call(1, SYS_socketpair, AF_UNIX,
						     SOCK_STREAM, 0,
						     pair), 0);
			ck_assert_int_eq(remote_call(1, SYS_dup2, pair[0], REMOTE_LINK),
					 REMOTE_LINK);
			remote_send_fd(1, fd);
			remote_kill(1);
			break;
		case KILL:
			remote_fork(0, 1);
			ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
			remote_kill(1);
			break;
		}
		UNTIL(devfs_count(rig.devfs) == 0);
		ck_assert(device_is_open(rig.device));
		device_file_release(other);
		ck_assert(!device_is_open(rig.device));
	}
}
END_TEST

START_TEST(a_close_has_taken_effect_after_settling)
{
	for (unsigned i = 0; i < 1000; i++) {
		size_t used = remotes.used;
		int fd = rig_file(0, rig.device);

		ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
		devfs_settle(rig.devfs, NULL);
		ck_assert_msg(!device_is_open(rig.device), "missed in round %u", i);
		remotes.used = used;
	}
}
END_TEST

START_TEST(settling_ends_while_a_copy_is_open)
{
	int fd = rig_file(0, rig.device);
	struct timespec a, b;

	ck_assert_int_ge(remote_call(0, SYS_dup, fd), 0);
	ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	devfs_settle(rig.devfs, NULL);
	devfs_settle(rig.devfs, NULL);	/* is not waited for again */
	clock_gettime(CLOCK_MONOTONIC, &b);
	ck_assert_int_lt((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000,
			 DEVFS_SETTLE_MS + 1000);
	ck_assert_uint_eq(devfs_count(rig.devfs), 1);
	ck_assert(device_is_open(rig.device));
}
END_TEST

/* Whoever opens a file for a client closes its own copy. */
START_TEST(the_openers_close_does_not_count)
{
	uint8_t token[SERVICE_TOKEN_SIZE];
	const struct group *group;
	long fd;

	/* In round 1, a client's copy is closed before. */
	for (int round = 0; round < 2; round++) {
		ck_assert_int_eq(devfs_grant(rig.devfs, rig_open(rig.device), NULL, NULL, token),
				 0);
		fd = remote_call(0, SYS_openat, rig.mount, rig_name(token), O_RDWR | O_CLOEXEC);
		ck_assert_int_ge(fd, 0);
		remote_fork(0, 1);
		remote_fork(0, 2);
		if (round == 1)
			ck_assert_int_eq(remote_call(1, SYS_close, fd), 0);
		ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
		ck_assert_uint_eq(devfs_unsettled(rig.devfs, &group, 1), 1);
		devfs_delivered(rig.devfs, token);
		ck_assert_uint_eq(devfs_unsettled(rig.devfs, &group, 1), (unsigned)round);
		if (round == 0)
			ck_assert_int_eq(remote_call(1, SYS_close, fd), 0);
		ck_assert_int_eq(remote_call(2, SYS_close, fd), 0);
		devfs_settle(rig.devfs, NULL);
		ck_assert(!device_is_open(rig.device));
		remote_kill(1);
		remote_kill(2);
	}
}
END_TEST

/* ---- places ---- */

/* Return: the folder, in remote 0, or -errno. */
static long place_open(const char *name)
{
	return remote_call(0, SYS_openat, rig.mount, remote_string(name),
			   O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static long place_fetch(unsigned i, long folder)
{
	return remote_call(i, SYS_openat, folder, remote_string("."), O_TMPFILE | O_EXCL | O_RDWR,
			   0600);
}

static int place_grant(struct device *device, uint64_t place)
{
	struct device_file *file = rig_open(device);
	int r = devfs_grant_place(rig.devfs, file, NULL, NULL, place);

	if (r)
		device_file_release(file);
	return r;
}

START_TEST(a_place_has_one_file_once)
{
	long folder = place_open("p00000000000000ab"), fd, word = 0;
	long other = place_open("p00000000000000ac");

	ck_assert_int_ge(folder, 0);
	ck_assert_int_ge(other, 0);
	ck_assert_int_eq(place_fetch(0, folder), -ENOENT);
	ck_assert_int_eq(place_grant(rig.plain, 0xab), 0);
	/* The one that nobody fetched goes. */
	ck_assert_int_eq(place_grant(rig.device, 0xab), 0);
	ck_assert(!device_is_open(rig.plain));
	ck_assert_int_eq(place_fetch(0, other), -ENOENT);
	fd = place_fetch(0, folder);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(place_fetch(0, folder), -ENOENT);
	ck_assert_int_eq(remote_ioctl(0, (int)fd, RIG_RECORD, 5), RIG_RESULT);
	ck_assert_uint_eq(rig.arg, 5);
	/* It is backed like any other file of the device. */
	word = remote_call(0, SYS_mmap, 0, 4096, PROT_READ, MAP_SHARED, fd, 2ull << 40);
	ck_assert_msg(devfs_can_map(rig.devfs) == (word > 0), "%ld", word);
	if (word > 0)
		ck_assert_int_eq(remote_call(0, SYS_munmap, word, 4096), 0);
	ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
	ck_assert_int_eq(remote_ioctl(0, (int)folder, RIG_RECORD, 0), -EBADF);
	UNTIL(devfs_count(rig.devfs) == 0);
}
END_TEST

START_TEST(what_is_no_place)
{
	static const char *const names[] = {
		"p", "p0", "p0000000000000000", "p8000000000000000", "p00000000000000ab0",
		"p00000000000000AB", "p 000000000000ab", "q00000000000000ab", "p0x00000000000001",
	};
	long root = place_open(".");

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_int_eq(place_open(names[i]), -ENOENT);
	ck_assert_int_ge(place_open("p7fffffffffffffff"), 0);
	ck_assert_int_ge(root, 0);
	ck_assert_int_eq(place_fetch(0, root), -ENOENT);
	ck_assert_int_eq(place_grant(rig.device, 0), -EINVAL);
	ck_assert_int_eq(place_grant(rig.device, SERVICE_PLACE_MAX + 1ull), -EINVAL);
	ck_assert_int_eq(place_grant(rig.device, SERVICE_PLACE_MAX), 0);
	ck_assert_int_ge(place_fetch(0, place_open("p7fffffffffffffff")), 0);
}
END_TEST

/* Who has fetched it closes its own copy: nothing to wait for, but if it says that no client has
 * one, and if the client's was closed before. Others cannot say that. */
START_TEST(the_close_of_who_fetched)
{
	enum { DELIVERED, UNDELIVERED, CLOSED_BEFORE, ROUNDS };
	long folder = place_open("p0000000000000001"), fd;
	const struct group *group;

	for (int round = 0; round < ROUNDS; round++) {
		ck_assert_int_eq(place_grant(rig.device, 1), 0);
		fd = place_fetch(0, folder);
		ck_assert_int_ge(fd, 0);
		if (round == UNDELIVERED)
			ck_assert_int_eq(remote_ioctl(0, (int)fd, SERVICE_IOC_UNDELIVERED, 0), 0);
		else
			remote_fork(0, 1);
		if (round == DELIVERED)		/* as any other number that is not ours */
			ck_assert_int_eq(remote_ioctl(1, (int)fd, SERVICE_IOC_UNDELIVERED, 0),
					 RIG_RESULT);
		if (round == CLOSED_BEFORE)
			ck_assert_int_eq(remote_call(1, SYS_close, fd), 0);
		ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
		if (round == DELIVERED) {
			ck_assert_uint_eq(devfs_unsettled(rig.devfs, &group, 1), 0);
			ck_assert_int_eq(remote_call(1, SYS_close, fd), 0);
		}
		devfs_settle(rig.devfs, NULL);
		ck_assert_msg(!device_is_open(rig.device), "round %d", round);
		if (round != UNDELIVERED)
			remote_kill(1);
	}
}
END_TEST

START_TEST(files_are_dead_after_the_end)
{
	int fd = rig_file(0, rig.device);
	long *word = remote_alloc(8);

	rig_grant(rig.device);
	ck_assert_uint_eq(devfs_count(rig.devfs), 2);
	ck_assert_int_eq(devfs_free(rig.devfs), 0);
	ck_assert(!device_is_open(rig.device));
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_RECORD, 0), -ENOTCONN);
	ck_assert_int_eq(remote_call(0, SYS_pread64, fd, word, 8, 0), -ENOTCONN);
	/* It is closed, but there is nobody to be asked. */
	ck_assert_int_eq(remote_call(0, SYS_close, fd), -ENOTCONN);
	ck_assert_int_eq(remote_call(0, SYS_close, fd), -EBADF);
	rig.devfs = NULL;
	ck_assert_int_eq(devfs_new(rig.server, rig_ioctl, &rig, NULL, NULL, &rig.devfs,
				   &(struct cused_error){ 0 }), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("devfs");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	if (!rig_is_possible())
		return 77;
	signal(SIGXFSZ, SIG_IGN);
	tcase_set_timeout(tc, 100);
	tcase_add_checked_fixture(tc, rig_start, rig_stop);
	tcase_add_test(tc, a_token_is_used_once);
	tcase_add_test(tc, a_looked_up_name_is_opened_once);
	tcase_add_test(tc, a_revoked_token_is_void);
	tcase_add_test(tc, a_used_token_cannot_be_revoked);
	tcase_add_test(tc, nothing_can_be_made_or_listed);
	tcase_add_test(tc, accesses_are_those_of_the_core);
	tcase_add_test(tc, large_accesses_are_whole);
	tcase_add_test(tc, plain_reads_move_the_position);
	tcase_add_test(tc, bad_memory_is_efault);
	tcase_add_test(tc, mappings_share_the_memory_of_the_device);
	tcase_add_test(tc, a_device_without_mappable_memory_refuses_mmap);
	tcase_add_test(tc, other_calls_on_the_file);
	tcase_add_test(tc, an_ioctl_arrives_as_it_was_made);
	tcase_add_test(tc, the_last_close_releases_once);
	tcase_add_test(tc, a_close_has_taken_effect_after_settling);
	tcase_add_test(tc, settling_ends_while_a_copy_is_open);
	tcase_add_test(tc, the_openers_close_does_not_count);
	tcase_add_test(tc, a_place_has_one_file_once);
	tcase_add_test(tc, what_is_no_place);
	tcase_add_test(tc, the_close_of_who_fetched);
	tcase_add_test(tc, files_are_dead_after_the_end);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
