/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/random_test.c - the sequences of random runs (../random) over the core itself.
 *
 * There is nothing to compare with here; what must hold is that each answer is an errno or
 * a small number, that nothing is open, mapped, charged or shared when all files have been
 * closed, in whatever order that was, and what the sanitizers check. Where the runs against
 * the kernel have two groups behind an IOMMU, these have emulated and noiommu groups, too.
 */
#include <check.h>

#include "random/exec.h"
#include "unit/harness.h"

#define SEQUENCES 2400u
#define SHARES 8u			/* cases that they are divided among */
#define OPS 250u
#define CHILDREN 64u			/* of one sequence, at most OPS / 4 */

_Static_assert(CLIENT_PAGES == ARENA_PAGES, "a client has the pages of the arena");

static struct world world;
static struct group *groups[DEVICES];

/* Processes with their fds: the first, and its children, whose memory may have to stay as
 * long as a mapping of it. */
static struct client *family[1 + CHILDREN + 1];
static unsigned n_family;
static struct client *now, *parent, *holder;

static void *core_at(struct exec_sys *sys, uint64_t addr)
{
	return client_at(now, addr);
}

static void core_writable(struct exec_sys *sys, uint64_t page, bool yes)
{
	paged_mm_protect(&now->memory, client_page((unsigned)page), 1, yes ? 3 : 1);
}

static struct client *born(void)
{
	struct client *c = malloc(sizeof(*c));

	ck_assert(c && n_family < sizeof(family) / sizeof(family[0]));
	client_init(c);
	c->caller.cap_sys_rawio = true;
	family[n_family++] = c;
	paged_mm_protect(&c->memory, client_page(ARENA_RO), ARENA_NONE - ARENA_RO, 1);
	paged_mm_protect(&c->memory, client_page(ARENA_NONE), ARENA_SHARED - ARENA_NONE, 0);
	paged_mm_protect(&c->memory, client_page(ARENA_ARG_RO), 1, 1);
	return c;
}

static struct client *born_of(struct client *c)
{
	struct client *child = born();

	memcpy(child->memory.bytes, c->memory.bytes, c->memory.size);
	for (int fd = 0; fd < CLIENT_FDS; fd++)
		if (c->fds[fd]) {
			atomic_fetch_add(&c->fds[fd]->refs, 1);
			child->fds[fd] = c->fds[fd];
		}
	return child;
}

static void close_all(struct client *c)
{
	for (int fd = 0; fd < CLIENT_FDS; fd++)
		client_close(c, fd);
}

static int core_open_container(struct exec_sys *sys)
{
	return client_open_container(now, world.topology);
}

static int core_open_group(struct exec_sys *sys, unsigned which)
{
	return client_open_group(now, groups[which]);
}

static int core_open_eventfd(struct exec_sys *sys, unsigned count)
{
	int fd = client_eventfd(now);

	if (fd >= 0)
		atomic_store(&now->fds[fd]->eventfd->count, count);
	return fd;
}

static int core_open_other(struct exec_sys *sys)
{
	return client_other_file(now);
}

static int core_close(struct exec_sys *sys, int fd)
{
	return client_close(now, fd);
}

static int core_dup(struct exec_sys *sys, int fd)
{
	return client_dup(now, fd);
}

static int64_t core_ioctl(struct exec_sys *sys, int fd, unsigned cmd, uint64_t arg)
{
	int64_t r = client_ioctl(now, fd, cmd, arg);

	ck_assert_msg(r >= -4095 && r <= 65535, "ioctl 0x%x is %lld", cmd, (long long)r);
	return r;
}

static int64_t core_read(struct exec_sys *sys, int fd, uint64_t pos, void *buf, size_t len)
{
	struct client_file *file = client_file(now, fd);
	ssize_t n = device_rw_check(file->object.device, pos, len, false);
	int r = n > 0 ? device_read(file->object.device, pos, buf, (size_t)n) : 0;

	return r ? r : n;
}

static int64_t core_write(struct exec_sys *sys, int fd, uint64_t pos, const void *buf,
			  size_t len)
{
	struct client_file *file = client_file(now, fd);
	ssize_t n = device_rw_check(file->object.device, pos, len, true);
	int r = n > 0 ? device_write(file->object.device, pos, buf, (size_t)n) : 0;

	return r ? r : n;
}

static int64_t core_mmap(struct exec_sys *sys, int fd, uint64_t pos, uint64_t len, int prot,
			 int flags)
{
	return device_mmap_check(client_file(now, fd)->object.device, pos, len, flags == 1);
}

static int64_t core_drain(struct exec_sys *sys, int fd, uint64_t *ret_count)
{
	*ret_count = client_drain(now, fd);
	return *ret_count ? 0 : -EAGAIN;
}

static int64_t core_signal(struct exec_sys *sys, int fd)
{
	client_signal(now, fd);
	return 0;
}

static int core_fork(struct exec_sys *sys)
{
	parent = now;
	now = born_of(now);
	return 1;
}

static void core_end(struct exec_sys *sys)
{
	close_all(now);
	now = parent;
}

static int core_hold(struct exec_sys *sys)
{
	holder = born_of(now);
	return 0;
}

static void core_unhold(struct exec_sys *sys)
{
	close_all(holder);
	holder = NULL;
}

static struct exec_sys core = {
	.arena = PAGED_MM_BASE, .at = core_at, .writable = core_writable,
	.open_container = core_open_container, .open_group = core_open_group,
	.open_eventfd = core_open_eventfd, .open_other = core_open_other,
	.close = core_close, .dup = core_dup, .ioctl = core_ioctl, .read = core_read,
	.write = core_write, .mmap = core_mmap, .drain = core_drain, .signal = core_signal,
	.fork = core_fork, .end = core_end, .hold = core_hold, .unhold = core_unhold,
};

/* CG-133: all is closed, so nothing is left. */
static void check_end(uint64_t seed)
{
	struct device *const devices[] = { world.d10, world.d11, world.d20, world.d30,
		world.d40 };

	for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++)
		ck_assert_msg(!device_is_open(devices[i]), "seed %llu: a device is open",
			      (unsigned long long)seed);
	for (unsigned i = 0; i < n_family; i++) {
		struct client *c = family[i];

		ck_assert_msg(c->memory.mm.locked_pages == 0 && c->memory.shares == 0,
			      "seed %llu: pages are charged or shared",
			      (unsigned long long)seed);
		ck_assert_msg(client_exit(c), "seed %llu: memory is held",
			      (unsigned long long)seed);
		free(c);
	}
	n_family = 0;
}

static void run(uint64_t seed, unsigned ops)
{
	struct op *list = op_generate(seed, ops);

	ck_assert_ptr_nonnull(list);
	parent = now = born();
	exec_run(&core, list, ops, NULL);
	free(list);
	check_end(seed);
}

/* CG-130 CG-131 CG-133 */
START_TEST(sequences)
{
	static const struct { unsigned a, b; } pairs[] = {
		{ 0, 1 }, { 1, 0 }, { 0, 2 }, { 2, 3 }, { 2, 1 }, { 3, 0 },
	};
	const struct topology_params params = { .unsafe_noiommu = true, .dma_entry_limit = 8,
		.memlock_enforced = _i & 1 };
	static const char *const names[] = { "0000:01:00.0", "0000:02:00.0", "0000:03:00.0",
		"0000:04:00.0" };

	world_init(&world, &params);
	for (unsigned i = 0; i < SEQUENCES / SHARES; i++) {
		struct group *const all[] = { world.g1, world.g2, world.emulated,
			world.noiommu };
		unsigned pair = i % (sizeof(pairs) / sizeof(pairs[0]));

		groups[DEVICE_A] = all[pairs[pair].a];
		groups[DEVICE_B] = all[pairs[pair].b];
		core.bdf[DEVICE_A] = names[pairs[pair].a];
		core.bdf[DEVICE_B] = names[pairs[pair].b];
		run((uint64_t)_i * SEQUENCES + i, OPS);
	}
	world_done(&world);
}
END_TEST

/* The text of each operation is read as what it was written from, so that a sequence that
 * somebody kept runs as it ran. */
START_TEST(text_is_the_operation)
{
	for (uint64_t seed = 0; seed < 40; seed++) {
		struct op *ops = op_generate(seed, OPS), op;
		char text[512];

		for (unsigned i = 0; i < OPS; i++) {
			op_print(&ops[i], text, sizeof(text));
			ck_assert_msg(op_parse(text, &op), "%s", text);
			ck_assert_int_eq(op.code, ops[i].code);
			for (unsigned n = 0; op_arg_name(op.code, n); n++)
				ck_assert_uint_eq(op.arg[n], ops[i].arg[n]);
		}
		free(ops);
	}
	ck_assert(!op_parse("map c0", &(struct op){ 0 }));
	ck_assert(!op_parse("close c9", &(struct op){ 0 }));
	ck_assert(!op_parse("close c0 c1", &(struct op){ 0 }));
	ck_assert(!op_parse("nothing", &(struct op){ 0 }));
}
END_TEST

/* A seed is a sequence. */
START_TEST(a_seed_is_a_sequence)
{
	struct op *a = op_generate(7, OPS), *b = op_generate(7, OPS), *c = op_generate(8, OPS);

	ck_assert_int_eq(memcmp(a, b, OPS * sizeof(*a)), 0);
	ck_assert_int_ne(memcmp(a, c, OPS * sizeof(*a)), 0);
	free(a);
	free(b);
	free(c);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("random");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, sequences, 0, SHARES);
	tcase_add_test(tc, text_is_the_operation);
	tcase_add_test(tc, a_seed_is_a_sequence);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
