/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/devfs.c on the kernel's FUSE: what clients have open outlives the process that serves
 * it. Skipped (77) without root, /dev/fuse or a kernel that sends requests again (Linux 6.9).
 */
#include <sys/ioctl.h>
#include <sys/utsname.h>

#include <unit/devfs_rig.h>

#define REGION(index) ((uint64_t)(index) << 40)

static struct access *rules;	/* of the group, in the next process; NULL: none */
static uint64_t gone;		/* keep_id of a device that is no more */
static unsigned restored;

static struct device_file *restore_file(void *arg, uint64_t device, bool wants_access,
					struct access **ret_access)
{
	ck_assert_ptr_eq(arg, &rig);
	ck_assert(device == RIG_KEEP_ID || device == RIG_KEEP_ID_PLAIN);
	if (device == gone)
		return NULL;
	if (wants_access)
		*ret_access = rules;
	restored++;
	return rig_open(device == RIG_KEEP_ID ? rig.device : rig.plain);
}

/* Nothing is served yet. */
static void adopt(void)
{
	struct cused_error err;

	ck_assert_msg(rig_serve(&err) == 0, "%s", err.text);
	rig_add_devices();
	restored = 0;
	ck_assert_int_eq(devfs_restore(rig.devfs, restore_file, &rig), 0);
}

static void resume(void)
{
	ck_assert_int_eq(devfs_resume(rig.devfs), 0);
}

static void next_process(void)
{
	rig_kill();
	adopt();
	resume();
}

static struct fake_kept *kept(void)
{
	return &rig.kept[rig.process];
}

/* The connection, as whoever keeps it has it. Borrowed. */
static int fuse_of_store(void)
{
	int i = fake_kept_find(kept(), "devfs");

	ck_assert_int_ge(i, 0);
	return kept()->files[i].fd;
}

/* Does a thread wait for a request from @fd? */
static bool is_read(int fd)
{
	char path[64], text[256];
	unsigned long arg;
	bool found = false;
	struct dirent *e;
	long number;
	ssize_t n;
	DIR *dir;
	int file;

	dir = opendir("/proc/self/task");
	ck_assert_ptr_ne(dir, NULL);
	while (!found && (e = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/self/task/%.16s/syscall", e->d_name);
		file = open(path, O_RDONLY | O_CLOEXEC);
		n = file < 0 ? -1 : read(file, text, sizeof(text) - 1);
		if (file >= 0)
			close(file);
		text[n < 0 ? 0 : n] = '\0';
		found = sscanf(text, "%ld %lx", &number, &arg) == 2 && number == SYS_read &&
			arg == (unsigned long)fd;
	}
	closedir(dir);
	return found;
}

/* What the process answers to the next request gets nowhere, and it reads no other. */
static void lose_answers(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char link[64], target[64];
	unsigned n = 0;

	ck_assert_int_ge(null, 0);
	for (int fd = 3; fd < 1000; fd++) {
		/* Who asks a file itself may ask us. */
		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		memset(target, 0, sizeof(target));
		if (fd == fuse_of_store() || readlink(link, target, sizeof(target) - 1) < 0 ||
		    strcmp(target, "/dev/fuse") != 0)
			continue;
		UNTIL(is_read(fd));
		ck_assert_int_eq(dup3(null, fd, O_CLOEXEC), fd);
		n++;
	}
	ck_assert_uint_eq(n, 1);
	close(null);
}

START_TEST(open_files_stay_open)
{
	uint64_t *word = remote_alloc(8);
	int fd = rig_file(0, rig.device), plain = rig_file(0, rig.plain);
	bool can_map = devfs_can_map(rig.devfs);
	long at = 0;

	/* Twice: what was taken over is taken over again. */
	for (unsigned i = 0; i < 2; i++) {
		next_process();
		ck_assert_uint_eq(restored, 2);
		ck_assert_uint_eq(devfs_count(rig.devfs), 2);
		ck_assert_uint_eq(fake_kept_count(kept(), KEEP_DEVICE_FILE), 2);
		ck_assert_uint_eq(kept()->puts, 0);
		ck_assert(devfs_can_map(rig.devfs) == can_map);
		ck_assert_int_eq(remote_ioctl(0, fd, RIG_RECORD, 5 + i), RIG_RESULT);
		ck_assert_uint_eq(rig.arg, 5 + i);
		*word = 0x0123456789abcdefull + i;
		ck_assert_int_eq(remote_call(0, SYS_pwrite64, fd, word, 8, REGION(2) + 64), 8);
		*word = 0;
		ck_assert_int_eq(remote_call(0, SYS_pread64, fd, word, 8, REGION(2) + 64), 8);
		ck_assert_uint_eq(*word, 0x0123456789abcdefull + i);
		if (!can_map)
			continue;
		at = remote_call(0, SYS_mmap, 0, 4096, PROT_READ, MAP_SHARED, fd, REGION(2));
		ck_assert_int_gt(at, 0);
		ck_assert_int_eq(remote_call(0, REMOTE_COPY, word, at + 64, 8), 0);
		ck_assert_uint_eq(*word, 0x0123456789abcdefull + i);
	}
	ck_assert_int_eq(remote_call(0, SYS_close, plain), 0);
	ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
	devfs_settle(rig.devfs, NULL);
	ck_assert_uint_eq(devfs_count(rig.devfs), 0);
	ck_assert_uint_eq(fake_kept_count(kept(), KEEP_DEVICE_FILE), 0);
	/* New ones can be backed by what the kernel was told of by the first process. */
	fd = rig_file(0, rig.device);
	at = remote_call(0, SYS_mmap, 0, 4096, PROT_READ, MAP_SHARED, fd, REGION(2));
	ck_assert(can_map == (at > 0));
}
END_TEST

/* Calls that are made while nobody serves wait. */
START_TEST(calls_wait_for_the_next_process)
{
	int fd = rig_file(0, rig.device), other = rig_file(0, rig.plain);

	remote_fork(0, 1);
	remote_fork(0, 2);
	rig_kill();
	remote_begin(1, SYS_ioctl, fd, RIG_RECORD, 9);
	remote_begin(2, SYS_close, other);
	remote_begin(0, SYS_close, other);
	adopt();
	ck_assert_uint_ne(rig.arg, 9);
	resume();
	ck_assert_int_eq(remote_end(1), RIG_RESULT);
	ck_assert_uint_eq(rig.arg, 9);
	ck_assert_int_eq(remote_end(0), 0);
	ck_assert_int_eq(remote_end(2), 0);
	ck_assert_int_eq(remote_call(1, SYS_close, other), 0);
	devfs_settle(rig.devfs, NULL);
	ck_assert_uint_eq(devfs_count(rig.devfs), 1);
}
END_TEST

/* The process was killed with requests that it had read. */
START_TEST(calls_that_were_read_come_again)
{
	int fd = rig_file(0, rig.device), other = rig_file(0, rig.plain);
	static char bytes[2 * CHANNEL_DATA_MAX];	/* the kernel wants room for the longest */
	char *name = rig_grant(rig.device);
	uint64_t *word = remote_alloc(8);
	long opened;

	for (unsigned i = 1; i < 4; i++)
		remote_fork(0, i);
	rig_kill();
	for (unsigned i = 0; i < 4; i++) {
		if (i == 0)
			remote_begin(0, SYS_ioctl, fd, RIG_RECORD, 9);
		else if (i == 1)
			remote_begin(1, SYS_close, other);
		else if (i == 2)
			remote_begin(2, SYS_openat, rig.mount, name, O_RDWR | O_CLOEXEC);
		else
			remote_begin(3, SYS_pread64, fd, word, 8, REGION(2));
		ck_assert_int_gt(read(fuse_of_store(), bytes, sizeof(bytes)), 0);
	}
	adopt();
	ck_assert_uint_ne(rig.arg, 9);
	resume();
	ck_assert_int_eq(remote_end(0), RIG_RESULT);
	ck_assert_uint_eq(rig.arg, 9);
	ck_assert_int_eq(remote_end(1), 0);
	opened = remote_end(2);
	ck_assert_int_ge(opened, 0);
	ck_assert_int_eq(remote_end(3), 8);
	ck_assert_int_eq(remote_ioctl(2, (int)opened, RIG_RECORD, 1), RIG_RESULT);
	ck_assert_uint_eq(devfs_count(rig.devfs), 3);
}
END_TEST

/* It was killed between the effect and the answer: what was done is not done again. */
START_TEST(answers_that_were_lost_are_given)
{
	char *name = rig_grant(rig.device), *link = remote_alloc(64);
	bool can_map = devfs_can_map(rig.devfs);
	long path, fd, at;

	path = remote_call(0, SYS_openat, rig.mount, name, O_PATH);
	ck_assert_int_ge(path, 0);
	snprintf(link, 64, "/proc/self/fd/%ld", path);
	remote_fork(0, 1);
	/* An open, which there is but one of. */
	lose_answers();
	remote_begin(0, SYS_openat, AT_FDCWD, link, O_RDWR | O_CLOEXEC);
	UNTIL(fake_kept_count(kept(), KEEP_ANSWER) == 1);
	next_process();
	fd = remote_end(0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(remote_call(1, SYS_openat, AT_FDCWD, link, O_RDWR), -ENXIO);
	ck_assert_int_eq(remote_ioctl(0, (int)fd, RIG_RECORD, 1), RIG_RESULT);
	/* With all that the answer told the kernel. */
	at = remote_call(0, SYS_mmap, 0, 4096, PROT_READ, MAP_SHARED, fd, REGION(2));
	ck_assert(can_map == (at > 0));
	/* Its close. */
	lose_answers();
	remote_begin(0, SYS_close, fd);
	UNTIL(fake_kept_count(kept(), KEEP_ANSWER) == 1);
	next_process();
	ck_assert_uint_eq(restored, 1);
	ck_assert_int_eq(remote_end(0), 0);
	UNTIL(devfs_count(rig.devfs) == 0);
	UNTIL(fake_kept_count(kept(), KEEP_DEVICE_FILE) == 0);
}
END_TEST

START_TEST(tokens_and_places_stay_good)
{
	char *name = rig_grant(rig.device), *used = rig_grant(rig.plain);
	char *place = remote_string("p00000000000000ab");
	struct device_file *waits = rig_open(rig.device);
	long folder, fd;

	fd = remote_call(0, SYS_openat, rig.mount, used, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	folder = remote_call(0, SYS_openat, rig.mount, place, O_PATH | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(folder, 0);
	ck_assert_int_eq(devfs_grant_place(rig.devfs, waits, NULL, NULL, 0xab), 0);
	next_process();
	ck_assert_uint_eq(restored, 3);
	ck_assert_int_eq(remote_call(0, SYS_openat, rig.mount, used, O_RDWR), -ENOENT);
	fd = remote_call(0, SYS_openat, rig.mount, name, O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(remote_call(0, SYS_openat, rig.mount, name, O_RDWR), -ENOENT);
	ck_assert_int_eq(remote_ioctl(0, (int)fd, RIG_RECORD, 1), RIG_RESULT);
	fd = remote_call(0, SYS_openat, folder, remote_string("."), O_TMPFILE | O_EXCL | O_RDWR,
			 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(remote_ioctl(0, (int)fd, RIG_RECORD, 2), RIG_RESULT);
	ck_assert_uint_eq(fake_kept_count(kept(), KEEP_DEVICE_FILE), 3);
}
END_TEST

/* A granted one can be revoked; one that was is no more. */
START_TEST(tokens_can_be_revoked)
{
	uint8_t token[SERVICE_TOKEN_SIZE], other[SERVICE_TOKEN_SIZE];
	const struct group *group;

	ck_assert_int_eq(devfs_grant(rig.devfs, rig_open(rig.device), NULL, NULL, token), 0);
	ck_assert_int_eq(devfs_grant(rig.devfs, rig_open(rig.device), NULL, NULL, other), 0);
	devfs_revoke(rig.devfs, token);
	ck_assert_uint_eq(fake_kept_count(kept(), KEEP_DEVICE_FILE), 1);
	next_process();
	ck_assert_uint_eq(devfs_unsettled(rig.devfs, &group, 1), 0);
	devfs_settle(rig.devfs, NULL);
	ck_assert_uint_eq(devfs_count(rig.devfs), 1);
	devfs_revoke(rig.devfs, other);
	ck_assert_uint_eq(devfs_count(rig.devfs), 0);
	ck_assert_uint_eq(fake_kept_count(kept(), KEEP_DEVICE_FILE), 0);
}
END_TEST

static uint64_t settle_ms(void)
{
	uint64_t began = thread_now_ns();

	devfs_settle(rig.devfs, NULL);
	return (thread_now_ns() - began) / 1000000;
}

/* Of what is waited for after a close, the process before can have left all in the queue. */
START_TEST(time_stands_still_while_nobody_serves)
{
	int fd = rig_file(0, rig.device);
	const struct group *group;
	uint64_t killed;

	remote_fork(0, 1);
	ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);	/* FLUSH of the opener's, … */
	remote_fork(1, 2);
	ck_assert_int_eq(remote_call(1, SYS_close, fd), 0);	/* … and one more */
	killed = thread_now_ns();
	rig_kill();
	while (thread_now_ns() < killed + (DEVFS_SETTLE_MS + 50) * 1000000ull)
		poll(NULL, 0, 10);
	adopt();
	resume();
	ck_assert_uint_gt(settle_ms(), DEVFS_SETTLE_MS / 2);
	/* Once waited for, it is not in the next process. */
	next_process();
	ck_assert_uint_eq(devfs_unsettled(rig.devfs, &group, 1), 0);
	ck_assert_int_eq(remote_call(2, SYS_close, fd), 0);
	devfs_settle(rig.devfs, NULL);
	ck_assert_uint_eq(devfs_count(rig.devfs), 0);
}
END_TEST

START_TEST(files_of_a_device_that_is_no_more)
{
	int fd = rig_file(0, rig.plain), other = rig_file(0, rig.device);
	char *name = rig_grant(rig.plain), *link = remote_alloc(64);
	uint64_t *word = remote_alloc(8);
	long path = remote_call(0, SYS_openat, rig.mount, name, O_PATH);
	bool can_map = devfs_can_map(rig.devfs);

	ck_assert_int_ge(path, 0);
	gone = RIG_KEEP_ID_PLAIN;
	next_process();
	ck_assert_uint_eq(devfs_count(rig.devfs), 1);
	ck_assert_uint_eq(fake_kept_count(kept(), KEEP_DEVICE_FILE), 1);
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_RECORD, 1), -ENODEV);
	ck_assert_int_eq(remote_call(0, SYS_pread64, fd, word, 8, REGION(2)), -ENODEV);
	ck_assert_int_eq(remote_call(0, SYS_pwrite64, fd, word, 8, REGION(2)), -ENODEV);
	ck_assert_int_eq(remote_call(0, SYS_openat, rig.mount, name, O_RDWR), -ENOENT);
	snprintf(link, 64, "/proc/self/fd/%ld", path);
	ck_assert_int_eq(remote_call(0, SYS_openat, AT_FDCWD, link, O_RDWR), -ENXIO);
	ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
	ck_assert_int_eq(remote_ioctl(0, other, RIG_RECORD, 1), RIG_RESULT);
	/* Its memory is not the kernel's to know any more, should it have been told. */
	gone = RIG_KEEP_ID;
	rig_kill();
	ck_assert_uint_eq(fake_kept_count(kept(), KEEP_DEVFS), can_map ? 2 : 1);
	ck_assert_int_eq(rig_serve(&(struct cused_error){ 0 }), 0);
	ck_assert_int_eq(devfs_restore(rig.devfs, restore_file, &rig), 0);
	resume();
	ck_assert_uint_eq(fake_kept_count(kept(), KEEP_DEVFS), 1);
	ck_assert_int_eq(remote_ioctl(0, other, RIG_RECORD, 1), -ENODEV);
}
END_TEST

/* Rules of a group go with its files, and whom they are for. */
START_TEST(rules_and_notes_are_as_they_were)
{
	struct access_rights nobody = { .checked = true, .mode = 0, .uid = 12345 };
	struct client_who who = { .pid = 4711, .uid = 12, .name = "guest" };
	struct open_notes notes = { 0 };
	uint8_t token[SERVICE_TOKEN_SIZE];
	struct access *access;
	long fd;

	ck_assert_int_eq(access_new("7", &ACCESS_RIGHTS_DEFAULT, &access), 0);
	ck_assert_int_eq(devfs_grant(rig.devfs, rig_open(rig.device), access, &who, token), 0);
	access_unref(access);
	fd = remote_call(0, SYS_openat, rig.mount, rig_name(token), O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(access_new("7", &nobody, &rules), 0);
	next_process();
	/* Root may still, and others may not. */
	ck_assert_int_eq(remote_ioctl(0, (int)fd, RIG_RECORD, 1), RIG_RESULT);
	remote_fork(0, 1);
	ck_assert_int_eq(remote_call(1, SYS_setresuid, 12, 12, 12), 0);
	ck_assert_int_eq(remote_ioctl(1, (int)fd, RIG_RECORD, 1), -EACCES);
	ck_assert_int_eq(devfs_files(rig.devfs, &notes), 0);
	ck_assert_uint_eq(notes.n, 1);
	ck_assert_int_eq(notes.files[0].who.pid, 4711);
	ck_assert_uint_eq(notes.files[0].who.uid, 12);
	ck_assert_str_eq(notes.files[0].who.name, "guest");
	open_notes_done(&notes);
	access_unref(rules);
	rules = NULL;
}
END_TEST

/* A number is never another file's: the kernel has inodes of the process before. */
START_TEST(numbers_are_not_used_again)
{
	struct stat *st = remote_alloc(sizeof(*st));
	int fd = rig_file(0, rig.device);
	unsigned long before;

	ck_assert_int_eq(remote_call(0, SYS_fstat, fd, st), 0);
	before = st->st_ino;
	ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
	devfs_settle(rig.devfs, NULL);
	next_process();
	fd = rig_file(0, rig.device);
	ck_assert_int_eq(remote_call(0, SYS_fstat, fd, st), 0);
	ck_assert_uint_gt(st->st_ino, before);
}
END_TEST

/* The opener's close before a restart is the opener's after it. */
START_TEST(a_close_is_remembered)
{
	uint8_t token[SERVICE_TOKEN_SIZE];
	const struct group *group;
	long fd;

	ck_assert_int_eq(devfs_grant(rig.devfs, rig_open(rig.device), NULL, NULL, token), 0);
	fd = remote_call(0, SYS_openat, rig.mount, rig_name(token), O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	remote_fork(0, 1);
	ck_assert_int_eq(remote_call(0, SYS_close, fd), 0);
	next_process();
	ck_assert_uint_eq(devfs_unsettled(rig.devfs, &group, 1), 1);
	devfs_delivered(rig.devfs, token);
	ck_assert_uint_eq(devfs_unsettled(rig.devfs, &group, 1), 0);
	ck_assert_int_eq(remote_call(1, SYS_close, fd), 0);
	devfs_settle(rig.devfs, NULL);
	ck_assert(!device_is_open(rig.device));
}
END_TEST

START_TEST(what_cannot_be_taken_over)
{
	int fd = rig_file(0, rig.device);
	struct cused_error err;

	rig_kill();
	keep_put(kept()->keep, KEEP_DEVICE_FILE, 5, "short", 5);
	ck_assert_int_eq(rig_serve(&err), 0);
	rig_add_devices();
	ck_assert_int_eq(devfs_restore(rig.devfs, restore_file, &rig), -EBADMSG);
	ck_assert_int_eq(devfs_free(rig.devfs), 0);
	server_free(rig.server);
	/* That was the end of the connection; without its file there is nothing to take over. */
	ck_assert_int_eq(remote_ioctl(0, fd, RIG_RECORD, 1), -ENOTCONN);
	ck_assert_uint_eq(kept()->n, 0);
	keep_put(kept()->keep, KEEP_DEVFS, 0, "greeting", 8);
	ck_assert_int_eq(rig_serve(&err), -ESTALE);
	ck_assert_ptr_ne(strstr(err.text, "devfs"), NULL);
	server_free(rig.server);
	keep_drop(kept()->keep, KEEP_DEVFS, 0);
	/* Files of a connection that is no more are none of a new one. */
	ck_assert_int_eq(rig_serve(&err), 0);
	keep_drop(kept()->keep, KEEP_DEVICE_FILE, 5);
	restored = 0;
	ck_assert_int_eq(devfs_restore(rig.devfs, restore_file, &rig), 0);
	ck_assert_uint_eq(restored, 0);
	ck_assert_uint_eq(fake_kept_count(kept(), KEEP_DEVICE_FILE), 0);
	ck_assert_int_eq(devfs_resume(rig.devfs), 0);
}
END_TEST

static void start(void)
{
	gone = 0;
	rig_keeps = true;
	rig_start();
}

int main(void)
{
	Suite *suite = suite_create("devfs_keep");
	TCase *tc = tcase_create("all");
	unsigned major_ = 0, minor_ = 0;
	struct utsname name;
	SRunner *runner;
	int failed;

	if (!rig_is_possible())
		return 77;
	if (uname(&name) || sscanf(name.release, "%u.%u", &major_, &minor_) != 2 ||
	    major_ * 1000 + minor_ < 6009) {
		printf("skip (host): it takes Linux 6.9, this is %s\n", name.release);
		return 77;
	}
	signal(SIGXFSZ, SIG_IGN);
	tcase_set_timeout(tc, 100);
	tcase_add_checked_fixture(tc, start, rig_stop);
	tcase_add_test(tc, open_files_stay_open);
	tcase_add_test(tc, calls_wait_for_the_next_process);
	tcase_add_test(tc, calls_that_were_read_come_again);
	tcase_add_test(tc, answers_that_were_lost_are_given);
	tcase_add_test(tc, tokens_and_places_stay_good);
	tcase_add_test(tc, tokens_can_be_revoked);
	tcase_add_test(tc, time_stands_still_while_nobody_serves);
	tcase_add_test(tc, files_of_a_device_that_is_no_more);
	tcase_add_test(tc, rules_and_notes_are_as_they_were);
	tcase_add_test(tc, numbers_are_not_used_again);
	tcase_add_test(tc, a_close_is_remembered);
	tcase_add_test(tc, what_cannot_be_taken_over);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
