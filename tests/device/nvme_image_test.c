/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images, parameters and their messages; what happens when the disk fails. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <device/nvme_client.h>

static struct client c;
static char image[32];

static int image_fd;

/* A file without a name, so that nothing stays behind whatever happens. */
static void make_image(off_t size)
{
	image_fd = memfd_create("image", MFD_CLOEXEC);
	ck_assert_int_ge(image_fd, 0);
	ck_assert_int_eq(ftruncate(image_fd, size), 0);
	snprintf(image, sizeof(image), "/proc/self/fd/%d", image_fd);
}

static const char *with_image(const char *more)
{
	static char params[200];

	snprintf(params, sizeof(params), "image=%s%s", image, more);
	return params;
}

static void refused(const char *params, int code, const char *part1, const char *part2)
{
	int rc = fake_create(&c.p, "nvme", params, MEM, 4096);

	ck_assert_msg(rc == code, "%s: %d %s", params, rc, c.p.error.text);
	ck_assert_msg(strstr(c.p.error.text, part1) && strstr(c.p.error.text, part2),
		      "%s", c.p.error.text);
}

/* Each message names the thing, the value and the cure. */
START_TEST(parameter_errors)
{
	refused("image=/nonexistent/disk.img", -ENOENT, "/nonexistent/disk.img", "truncate");
	refused("image=/dev/null", -EINVAL, "/dev/null", "block device");
	refused("image=/tmp", -EINVAL, "/tmp", "block device");
	refused("lba=1024", -EINVAL, "lba=1024", "512 or 4096");
	refused("size=1000", -EINVAL, "1000", "multiple of the block size 512");
	refused("size=1536,lba=4096", -EINVAL, "1536", "use lba=512");
	refused("msi=3", -EINVAL, "msi=3", "1, 2, 4");
	refused("serial=123456789012345678901", -EINVAL, "21 characters", "1 to 20");
	refused("serial=a\tb", -EINVAL, "a\tb", "ASCII");
	refused("model=12345678901234567890123456789012345678901", -EINVAL, "41 characters",
		"1 to 40");
	refused("size3=1M", -EINVAL, "size3=", "size2=");
	refused("image4=/dev/null", -EINVAL, "image4=", "image3=");
	/* the table's own limits */
	ck_assert_int_eq(fake_create(&c.p, "nvme", "queues=0", MEM, 0), -EINVAL);
	ck_assert_int_eq(fake_create(&c.p, "nvme", "queues=256", MEM, 0), -EINVAL);
	ck_assert_int_eq(fake_create(&c.p, "nvme", "mdts=9", MEM, 0), -EINVAL);
	ck_assert_int_eq(fake_create(&c.p, "nvme", "msix=257", MEM, 0), -EINVAL);
}
END_TEST

START_TEST(image_errors)
{
	make_image(1000);
	refused(with_image(""), -EINVAL, image, "truncate");
	ck_assert_int_eq(truncate(image, 512), 0);
	refused(with_image(",lba=4096"), -EINVAL, image, "use lba=512");
	refused(with_image(",size=1M"), -EINVAL, image, "size");
	ck_assert_int_eq(truncate(image, 0), 0);
	refused(with_image(""), -EINVAL, image, "is empty");
	close(image_fd);
}
END_TEST

/* One writer, or many readers. */
START_TEST(image_in_use)
{
	struct client other;

	make_image(1 << 20);
	client_create(&c, with_image(""));
	ck_assert_int_eq(fake_create(&other.p, "nvme", with_image(""), MEM, 0), -EBUSY);
	ck_assert(strstr(other.p.error.text, image) && strstr(other.p.error.text, "in use"));
	ck_assert_int_eq(fake_create(&other.p, "nvme", with_image(",readonly=on"), MEM, 0),
			 -EBUSY);
	client_stop(&c);
	client_create(&c, with_image(",readonly=on"));
	ck_assert_int_eq(fake_create(&other.p, "nvme", with_image(",readonly=on"), MEM, 0), 0);
	fake_destroy(&other.p);
	ck_assert_int_eq(fake_create(&other.p, "nvme", with_image(""), MEM, 0), -EBUSY);
	client_stop(&c);
	close(image_fd);
}
END_TEST

/* ulimit -f: found before the first write would kill the process. */
START_TEST(image_above_ulimit)
{
	struct rlimit old, small;

	make_image(1 << 20);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 4096;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	refused(with_image(""), -EFBIG, image, "ulimit -f");
	client_create(&c, with_image(",readonly=on"));
	client_stop(&c);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
	close(image_fd);
}
END_TEST

/* readonly=on: NSATTR and the status Namespace is Write Protected (4.6.1.2.1). */
START_TEST(readonly_image)
{
	struct sqe dsm = { .opcode = 9, .nsid = 1, .prp1 = DATA, .cdw11 = 4 };

	make_image(1 << 20);
	ck_assert_int_eq(chmod(image, 0400), 0);
	client_start(&c, with_image(",readonly=on"));
	ck_assert_uint_eq(admin(&c, (struct sqe){ .opcode = 6, .nsid = 1, .prp1 = DATA }), 0);
	ck_assert_uint_eq(((uint8_t *)fake_mem(&c.p, DATA))[99], 1);
	ck_assert_uint_eq(client_do(&c, 1, rw(2, 1, 0, 8, DATA, 0)), 0);
	ck_assert_uint_eq(client_do(&c, 1, rw(1, 1, 0, 8, DATA, 0)), 0x20 | DNR);
	ck_assert_uint_eq(client_do(&c, 1, rw(8, 1, 0, 8, DATA, 0)), 0x20 | DNR);
	ck_assert_uint_eq(client_do(&c, 1, dsm), 0x20 | DNR);
	ck_assert_uint_eq(client_do(&c, 1, (struct sqe){ .opcode = 0, .nsid = 1 }), 0);
	client_stop(&c);
	close(image_fd);
}
END_TEST

/* The image holds what was written; deallocated blocks become holes. */
START_TEST(image_content)
{
	uint8_t *file, *data;
	struct stat before, after;
	int fd;

	make_image(1 << 20);
	client_start(&c, with_image(",mdts=8"));
	data = fake_mem(&c.p, DATA);
	pattern(data, 1 << 20, 1);
	for (unsigned i = 0; i < 512; i++)
		((uint64_t *)fake_mem(&c.p, LIST))[i] = DATA + 4096 * (i + 1);
	ck_assert_uint_eq(client_do(&c, 1, rw(1, 1, 0, 2048, DATA, LIST)), 0);
	fd = open(image, O_RDONLY);
	file = mmap(NULL, 1 << 20, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert(file != MAP_FAILED);
	ck_assert(!memcmp(file, data, 1 << 20));
	ck_assert_int_eq(fstat(fd, &before), 0);
	((uint32_t *)data)[1] = 2048;
	((uint64_t *)data)[1] = 0;
	ck_assert_uint_eq(client_do(&c, 1, (struct sqe){ .opcode = 9, .nsid = 1,
							 .prp1 = DATA, .cdw11 = 4 }), 0);
	ck_assert_int_eq(fstat(fd, &after), 0);
	if (after.st_blocks < before.st_blocks)		/* a file system with holes */
		for (unsigned i = 0; i < 1 << 20; i++)
			ck_assert_uint_eq(file[i], 0);
	ck_assert_int_eq(after.st_size, 1 << 20);
	munmap(file, 1 << 20);
	close(fd);
	client_stop(&c);
	close(image_fd);
}
END_TEST

/* Somebody shortens the image: reads fail with Unrecovered Read Error, nothing dies. */
START_TEST(image_shortened)
{
	make_image(1 << 20);
	client_start(&c, with_image(""));
	ck_assert_int_eq(truncate(image, 4096), 0);
	ck_assert_uint_eq(client_do(&c, 1, rw(2, 1, 0, 8, DATA, 0)), 0);
	memset(fake_mem(&c.p, DATA), 0x5a, 4096);
	ck_assert_uint_eq(client_do(&c, 1, rw(2, 1, 8, 8, DATA, 0)), 0x281);
	ck_assert_uint_eq(((uint8_t *)fake_mem(&c.p, DATA))[0], 0x5a);	/* nothing moved */
	ck_assert_uint_eq(client_do(&c, 1, rw(5, 1, 8, 8, DATA, 0)), 0x281);
	client_stop(&c);
	close(image_fd);
}
END_TEST

/* The disk takes no more: Write Fault, and Capacity Exceeded when it is full. */
START_TEST(image_write_fails)
{
	struct rlimit old, small;

	make_image(1 << 20);
	client_start(&c, with_image(""));
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 8192;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
	ck_assert_uint_eq(client_do(&c, 1, rw(1, 1, 0, 8, DATA, 0)), 0);
	ck_assert_uint_eq(client_do(&c, 1, rw(1, 1, 64, 8, DATA, 0)), 0x280);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
	ck_assert_uint_eq(client_do(&c, 1, rw(1, 1, 64, 8, DATA, 0)), 0);
	client_stop(&c);
	close(image_fd);
}
END_TEST

/* A write that was answered is in the image when the process is killed. */
START_TEST(killed_after_write)
{
	uint8_t got[4096], expect[4096];
	int p[2], fd, status;
	pid_t pid;
	char go;

	make_image(1 << 20);
	ck_assert_int_eq(pipe(p), 0);
	pid = fork();
	if (!pid) {
		client_start(&c, with_image(""));
		pattern(fake_mem(&c.p, DATA), 4096, 77);
		if (!client_do(&c, 1, rw(1, 1, 100, 8, DATA, 0)))
			(void)!write(p[1], "x", 1);
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(p[0], &go, 1), 1);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	fd = open(image, O_RDONLY);
	ck_assert_int_eq(pread(fd, got, 4096, 100 * 512), 4096);
	pattern(expect, 4096, 77);
	ck_assert(!memcmp(got, expect, 4096));
	close(fd);
	close(p[0]);
	close(p[1]);
	client_create(&c, with_image(""));		/* the lock went with it */
	client_stop(&c);
	close(image_fd);
}
END_TEST

CLIENT_MAIN("nvme_image", parameter_errors, image_errors, image_in_use, image_above_ulimit,
	    readonly_image, image_content, image_shortened, image_write_fails,
	    killed_after_write)
