/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Memory of a model's own: from a configuration and files that are kept, to another process that
 * takes over while a client has the device open. The models are one of ours, and the NVMe drive. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <core/bar_space.h>
#include <core/container.h>
#include <core/device_priv.h>
#include <core/group.h>
#include <core/restore.h>
#include <instance.h>
#include <transport/backing.h>
#include <unit/fake_mm.h>
#include <unit/fd_keep_fake.h>

#define KEEP_ID 7u
#define MM_ID 200u
#define PAGE 4096ul

/* ---- a model that asks for memory as it is told to ---- */

static struct {
	unsigned id[2];
	uint64_t size[2];		/* 0: it does not ask */
	int create_error;
	/* of the latest create(): */
	bool has_memory, has_save, has_save_now;
	uint8_t *memory[2];
	bool alive;
} hoard;

static int hoard_create(const struct cused_services *services, struct cused_port *port,
			const struct cused_value *values, struct cused_pci *ret_pci,
			void **ret_state, struct cused_error *err)
{
	hoard.has_memory = CUSED_HAS(services, memory);
	hoard.has_save = CUSED_HAS(services, save);
	hoard.has_save_now = CUSED_HAS(services, save_now);
	for (unsigned i = 0; i < 2; i++) {
		hoard.memory[i] = NULL;
		if (hoard.size[i] && hoard.has_memory)
			hoard.memory[i] = services->memory(port, hoard.id[i], hoard.size[i]);
	}
	if (hoard.create_error)
		return cused_error_set(err, hoard.create_error, "no");
	*ret_pci = (struct cused_pci){ .vendor = 0x1234, .device = 0x4321,
				       .class_code = 0xff0000, .bars[0].size = PAGE };
	*ret_state = &hoard;
	hoard.alive = true;
	return 0;
}

static void hoard_destroy(void *state)
{
	/* It is the model's until now. */
	for (unsigned i = 0; i < 2; i++)
		if (hoard.memory[i])
			hoard.memory[i][0]++;
	hoard.alive = false;
}

static const struct cused_device_ops hoard_ops = {
	.size = sizeof(hoard_ops), .version = CUSED_API_VERSION, .name = "hoard",
	.summary = "a hoard", .create = hoard_create, .destroy = hoard_destroy,
};
CUSED_DEVICE(hoard_ops);

/* ---- where it comes from: the transport, which can fail ---- */

static int own_error;
static unsigned n_allocs, n_frees;

static int own_alloc(void *arg, unsigned id, uint64_t size, void **ret_base)
{
	n_allocs++;
	return own_error ? own_error : backing_memfd_ops.alloc_own(arg, id, size, ret_base);
}

static void own_free(void *arg, unsigned id, uint64_t size, void *base)
{
	ck_assert(!hoard.alive);
	n_frees++;
	backing_memfd_ops.free_own(arg, id, size, base);
}

/* ---- processes ---- */

struct process {
	struct conf conf;
	struct fake_kept *kept;
	struct backing_ops ops;
	struct instance *instance;
	struct backing *backing;
	struct device *device;
	struct container *container;
	struct device_file *file;
	bool open;
};

static struct fake_kept kept[2];
static struct fake_mm mm;
static struct process before, after;
static struct cused_error err;

/* @keep_id: 0: the device is not kept. Return: of making the device. */
static int process_up(struct process *p, const char *text, struct fake_kept *files,
		      uint64_t keep_id, bool again)
{
	struct instance_backing where = { .ops = &p->ops, .keep_id = keep_id };

	memset(p, 0, sizeof(*p));
	p->kept = files;
	p->ops = backing_memfd_ops;
	p->ops.alloc_own = own_alloc;
	p->ops.free_own = own_free;
	conf_init(&p->conf);
	ck_assert_msg(conf_add_device(&p->conf, text, &err) == 0, "%s", err.text);
	ck_assert_msg(conf_finish(&p->conf, "/nonexistent", &err) == 0, "%s", err.text);
	ck_assert_int_eq(instance_begin(&p->conf, files->keep, NULL, &p->instance, &err), 0);
	if (again)
		ck_assert_int_eq(backing_adopt(0, backing_kept(&files->fds, KEEP_ID), &p->backing,
					       &err), 0);
	else
		ck_assert_int_eq(backing_new(0, &p->backing, &err), 0);
	backing_keep_own(p->backing, &files->fds, KEEP_ID);
	where.arg = p->backing;
	return instance_add_device(p->instance, &p->conf.devices[0], &where, &p->device, &err);
}

static void process_ready(struct process *p)
{
	ck_assert_int_eq(backing_seal(p->backing), 0);
	backing_keep(p->backing, &p->kept->fds, KEEP_ID);
}

static void process_begin(const char *text)
{
	ck_assert_msg(process_up(&before, text, &kept[0], KEEP_ID, false) == 0, "%s", err.text);
	process_ready(&before);
}

static void process_close(struct process *p)
{
	if (p->file)
		device_file_release(p->file);
	if (p->open)
		group_release(device_group(p->device));
	if (p->container)
		container_release(p->container);
}

static void process_down(struct process *p)
{
	process_close(p);
	instance_free(p->instance);
	backing_free(p->backing);
	conf_done(&p->conf);
}

static void process_open(struct process *p)
{
	struct caller caller = { .mm = &mm.mm, .memlock_limit = UINT64_MAX };
	struct group *group = device_group(p->device);
	struct container_arg arg;

	ck_assert_int_eq(container_open(instance_topology(p->instance), &p->container), 0);
	arg = (struct container_arg){ 0, p->container };
	ck_assert_int_eq(group_open(group, &caller), 0);
	p->open = true;
	ck_assert_int_eq(group_set_container(group, &caller, &arg), 0);
	ck_assert_int_eq(container_set_iommu(p->container, &caller, 3), 0);
	ck_assert_int_eq(group_get_device(group, &caller, device_name(p->device), &p->file), 0);
}

/* The next process, whose device is made as it was. Return: of making it. */
static int process_next(const char *text)
{
	fake_kept_killed(&kept[0], &kept[1]);
	/* Another process has the same addresses for itself. */
	for (unsigned bar = 0; bar < CFG_BARS; bar++)
		bar_space_free(before.device->bars[bar].host);
	return process_up(&after, text, &kept[1], KEEP_ID, true);
}

static struct mm *find_mm(void *arg, uint64_t id)
{
	return id == MM_ID ? mm_ref(&mm.mm) : NULL;
}

static struct event *find_event(void *arg, uint64_t id)
{
	return NULL;
}

/* Return: of what is the first to fail. */
static int process_restore(void)
{
	static const struct restore_ops ops = { find_mm, find_event };
	struct topology *topology = instance_topology(after.instance);
	int r = topology_restore(topology, &ops, NULL, &err);

	if (r)
		return r;
	after.container = container_restore_file(topology, container_id(before.container));
	ck_assert_ptr_nonnull(after.container);
	after.open = group_restore_file(device_group(after.device));
	ck_assert(after.open);
	ck_assert_int_eq(device_restore_file(after.device, &after.file), 0);
	return topology_restore_end(topology, &err);
}

static void setup(void)
{
	memset(&hoard, 0, sizeof(hoard));
	own_error = 0;
	n_allocs = n_frees = 0;
	fake_kept_init(&kept[0]);
	memset(&kept[1], 0, sizeof(kept[1]));
	fake_mm_init(&mm, 0x100000, PAGE);
	mm.mm.keep_id = MM_ID;
}

static void teardown(void)
{
	if (kept[1].keep)
		fake_kept_done(&kept[1]);
	fake_kept_done(&kept[0]);
	ck_assert_uint_eq(fake_mm_done(&mm), 1);
}

static bool all_zero(const uint8_t *bytes, size_t size)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0;
}

/* ---- cases ---- */

START_TEST(it_is_as_it_was)
{
	uint8_t *was[2];
	int fd;

	hoard.id[0] = 0;
	hoard.size[0] = 3 * PAGE + 1;		/* not of whole pages */
	hoard.id[1] = CUSED_MEMORIES - 1;
	hoard.size[1] = PAGE;
	process_begin("hoard,id=a");
	ck_assert(hoard.has_memory && hoard.has_save && hoard.has_save_now);
	for (unsigned i = 0; i < 2; i++) {
		was[i] = hoard.memory[i];
		ck_assert_ptr_nonnull(was[i]);
		ck_assert_uint_eq((uintptr_t)was[i] % PAGE, 0);
		ck_assert(all_zero(was[i], hoard.size[i]));
		memset(was[i], 0x30 + (int)i, hoard.size[i]);
	}
	ck_assert_uint_eq(kept[0].n, 3);
	ck_assert_int_ge(fake_kept_find(&kept[0], "mem-7-0"), 0);
	ck_assert_int_ge(fake_kept_find(&kept[0], "mem-7-3"), 0);
	ck_assert_int_ge(fake_kept_find(&kept[0], "bar-7"), 0);
	/* Shared memory of a file, all of it: pages can be given back. */
	ck_assert_int_eq(madvise(was[0] + PAGE, PAGE, MADV_REMOVE), 0);
	process_open(&before);
	ck_assert_msg(process_next("hoard,id=a") == 0, "%s", err.text);
	process_ready(&after);
	ck_assert_msg(process_restore() == 0, "%s", err.text);
	ck_assert_uint_eq(kept[1].puts, 0);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_ptr_nonnull(hoard.memory[i]);
		ck_assert_ptr_ne(hoard.memory[i], was[i]);
		ck_assert_uint_eq(hoard.memory[i][0], 0x30 + i);
		ck_assert_uint_eq(hoard.memory[i][hoard.size[i] - 1], 0x30 + i);
	}
	ck_assert(all_zero(hoard.memory[0] + PAGE, PAGE));
	/* Nobody can make it shorter, so that it faults. */
	fd = kept[1].files[fake_kept_find(&kept[1], "mem-7-0")].fd;
	ck_assert_int_eq(ftruncate(fd, 0), -1);
	ck_assert_int_eq(errno, EPERM);
	/* It ends with the device. */
	process_down(&after);
	ck_assert_uint_eq(kept[1].n, 0);
	ck_assert_uint_eq(n_frees, 2);
	hoard.memory[0] = hoard.memory[1] = NULL;
	process_down(&before);
	ck_assert_uint_eq(n_frees, 4);
}
END_TEST

/* A device that nobody has open, too. */
static void lose(void (*spoil)(void))
{
	hoard.size[0] = 2 * PAGE;
	process_begin("hoard,id=a");
	spoil();
	ck_assert_int_eq(process_next("hoard,id=a"), -EBADMSG);
	ck_assert_msg(strstr(err.text, "memory 0 of its model"), "%s", err.text);
	ck_assert(!hoard.alive);
	process_down(&after);
	hoard.memory[0] = NULL;
	process_down(&before);
}

static void drop_it(void)
{
	fake_kept_drop(&kept[0].fds, "mem-7-0");
}

static void want_more(void)
{
	hoard.size[0] += PAGE;
}

static void want_less(void)
{
	hoard.size[0] -= PAGE;
}

static void put_another(int fd)
{
	drop_it();
	fake_kept_put(&kept[0].fds, "mem-7-0", fd);
	close(fd);
}

static void not_sealed(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_eq(ftruncate(fd, 2 * PAGE), 0);
	put_another(fd);
}

static void no_memory_at_all(void)
{
	put_another(open("/dev/zero", O_RDWR | O_CLOEXEC));
}

START_TEST(what_is_lost_is_not_made_up)
{
	static void (*const spoils[])(void) = { drop_it, want_more, want_less, not_sealed,
						no_memory_at_all };

	lose(spoils[_i]);
}
END_TEST

START_TEST(a_process_without_memory_is_the_last)
{
	hoard.size[0] = PAGE;
	own_error = -ENOMEM;
	process_begin("hoard,id=a");
	ck_assert(hoard.has_memory);
	ck_assert_ptr_null(hoard.memory[0]);
	ck_assert_uint_eq(n_allocs, 1);
	ck_assert(keep_is_broken(kept[0].keep));
	process_down(&before);
	ck_assert_uint_eq(n_frees, 0);
	kept[0].dead = true;			/* as it is broken */
}
END_TEST

/* The memory is one of 2^62 bytes, for which there are no addresses. */
START_TEST(memory_that_cannot_be)
{
	hoard.size[0] = 1ull << 62;
	process_begin("hoard,id=a");
	ck_assert_ptr_null(hoard.memory[0]);
	ck_assert_int_eq(fake_kept_find(&kept[0], "mem-7-0"), -1);
	ck_assert(keep_is_broken(kept[0].keep));
	process_down(&before);
	kept[0].dead = true;
}
END_TEST

START_TEST(what_a_model_must_not_ask)
{
	static const struct {
		unsigned id;
		uint64_t size;
	} wrong[] = { { CUSED_MEMORIES, PAGE }, { 0, PAGE }, { UINT32_MAX, PAGE },
		      { 1, UINT64_MAX } };

	hoard.size[0] = PAGE;
	hoard.id[1] = wrong[_i].id;
	hoard.size[1] = wrong[_i].size;
	process_begin("hoard,id=a");
	ck_assert_ptr_nonnull(hoard.memory[0]);
	ck_assert_ptr_null(hoard.memory[1]);
	ck_assert_uint_eq(n_allocs, 1);
	ck_assert(keep_is_broken(kept[0].keep));
	process_down(&before);
	ck_assert_uint_eq(kept[0].n, 0);
	kept[0].dead = true;
}
END_TEST

START_TEST(nothing_is_left_of_what_is_not_made)
{
	hoard.size[0] = PAGE;
	hoard.create_error = -EDOM;
	ck_assert_int_eq(process_up(&before, "hoard,id=a", &kept[0], KEEP_ID, false), -EDOM);
	ck_assert_str_eq(err.text, "no");
	ck_assert_uint_eq(n_frees, 1);
	ck_assert_uint_eq(kept[0].n, 0);
	process_down(&before);
}
END_TEST

/* A mistake with one device is not the others'. */
START_TEST(what_is_not_made_breaks_nothing)
{
	ck_assert_int_eq(process_up(&before, "nvme,id=a,size=1024T", &kept[0], KEEP_ID, false),
			 -ENOMEM);
	ck_assert_uint_eq(n_allocs, 1);
	ck_assert_uint_eq(kept[0].n, 0);
	ck_assert(!keep_is_broken(kept[0].keep));
	process_down(&before);
}
END_TEST

/* Then all of it costs nothing. */
START_TEST(what_is_not_kept_has_nothing_to_save)
{
	hoard.size[0] = PAGE;
	ck_assert_int_eq(process_up(&before, "hoard,id=a", &kept[0], 0, false), 0);
	ck_assert(!hoard.has_memory && !hoard.has_save && !hoard.has_save_now);
	ck_assert_uint_eq(n_allocs, 0);
	process_down(&before);
}
END_TEST

/* Without its memory it would refuse to go on: nvme_save_resume(). */
START_TEST(namespaces_in_memory)
{
	static const char text[] = "nvme,id=a,size=1M,size2=8192";
	uint8_t *bytes;
	int fd;

	process_begin(text);
	ck_assert_int_ge(fake_kept_find(&kept[0], "mem-7-0"), 0);
	ck_assert_int_ge(fake_kept_find(&kept[0], "mem-7-1"), 0);
	ck_assert_uint_eq(n_allocs, 2);
	process_open(&before);
	ck_assert_msg(process_next(text) == 0, "%s", err.text);
	process_ready(&after);
	fd = kept[1].files[fake_kept_find(&kept[1], "mem-7-0")].fd;
	bytes = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert(bytes != MAP_FAILED);
	memset(bytes, 0x5a, 1 << 20);
	ck_assert_msg(process_restore() == 0, "%s", err.text);
	/* Nobody wipes it. */
	ck_assert(bytes[0] == 0x5a && memcmp(bytes, bytes + 1, (1 << 20) - 1) == 0);
	munmap(bytes, 1 << 20);
	process_down(&after);
	ck_assert_uint_eq(kept[1].n, 0);
	process_down(&before);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("own_memory");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	signal(SIGXFSZ, SIG_IGN);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, it_is_as_it_was);
	tcase_add_loop_test(tc, what_is_lost_is_not_made_up, 0, 5);
	tcase_add_test(tc, a_process_without_memory_is_the_last);
	tcase_add_test(tc, memory_that_cannot_be);
	tcase_add_loop_test(tc, what_a_model_must_not_ask, 0, 4);
	tcase_add_test(tc, nothing_is_left_of_what_is_not_made);
	tcase_add_test(tc, what_is_not_made_breaks_nothing);
	tcase_add_test(tc, what_is_not_kept_has_nothing_to_save);
	tcase_add_test(tc, namespaces_in_memory);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
