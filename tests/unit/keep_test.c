/* SPDX-License-Identifier: GPL-2.0-or-later */
/* util/keep.c: what is put is there, a batch whole or not at all, whoever is killed when. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <util/keep.h>

#define KILLS 300
#define HEAD 4096u			/* of the file, before its records */
#define RECORD_HEAD 16u

static struct keep *keep;

static void setup(void)
{
	ck_assert_int_eq(keep_new(&keep), 0);
}

static void teardown(void)
{
	keep_free(keep);
	keep = NULL;
}

/* As another process would have it. */
static struct keep *open_copy(struct keep *of)
{
	struct keep *other;

	ck_assert_int_eq(keep_open(fcntl(keep_fd(of), F_DUPFD_CLOEXEC, 0), &other), 0);
	return other;
}

static void put(enum keep_kind kind, uint64_t id, const char *text)
{
	keep_put(keep, kind, id, text, strlen(text));
}

/* "-": it is not there. */
static const char *text_of(struct keep *of, enum keep_kind kind, uint64_t id)
{
	static char buf[256];
	long size = keep_get(of, kind, id, buf, sizeof(buf) - 1);

	if (size < 0) {
		ck_assert_int_eq(size, -ENOENT);
		return "-";
	}
	ck_assert_int_lt(size, sizeof(buf));
	buf[size] = '\0';
	return buf;
}

/* Now, and for who opens the file. */
static void expect(enum keep_kind kind, uint64_t id, const char *text)
{
	struct keep *other = open_copy(keep);

	ck_assert_str_eq(text_of(keep, kind, id), text);
	ck_assert_str_eq(text_of(other, kind, id), text);
	keep_free(other);
}

/* ---- one thread ---- */

START_TEST(the_last_word_counts)
{
	expect(KEEP_DEVICE, 1, "-");
	put(KEEP_DEVICE, 1, "one");
	put(KEEP_IRQ, 1, "of another kind");
	expect(KEEP_DEVICE, 1, "one");
	put(KEEP_DEVICE, 1, "");
	expect(KEEP_DEVICE, 1, "");
	put(KEEP_DEVICE, 1, "and longer than before");
	expect(KEEP_DEVICE, 1, "and longer than before");
	keep_drop(keep, KEEP_DEVICE, 1);
	expect(KEEP_DEVICE, 1, "-");
	keep_drop(keep, KEEP_DEVICE, 1);
	keep_drop(keep, KEEP_DEVICE, 2);
	expect(KEEP_DEVICE, 1, "-");
	expect(KEEP_IRQ, 1, "of another kind");
	put(KEEP_DEVICE, UINT64_MAX, "the last number");
	expect(KEEP_DEVICE, UINT64_MAX, "the last number");
}
END_TEST

START_TEST(no_more_is_copied_than_asked_for)
{
	char buf[4] = "....";

	put(KEEP_DEVICE, 1, "abcdef");
	ck_assert_int_eq(keep_get(keep, KEEP_DEVICE, 1, buf, 3), 6);
	ck_assert_mem_eq(buf, "abc.", 4);
	ck_assert_int_eq(keep_get(keep, KEEP_DEVICE, 1, NULL, 0), 6);
}
END_TEST

static int collect(void *arg, uint64_t id, const void *data, size_t size)
{
	char *text = arg;

	sprintf(text + strlen(text), "%llu=%.*s ", (unsigned long long)id, (int)size,
		size ? (const char *)data : "");
	return id == 30 ? -ECANCELED : 0;
}

static int drop_next(void *arg, uint64_t id, const void *data, size_t size)
{
	(*(unsigned *)arg)++;
	keep_drop(keep, KEEP_GROUP, id + 1);
	keep_put(keep, KEEP_GROUP, id + 1000, data, size);
	return 0;
}

START_TEST(each_in_the_order_of_numbers)
{
	char text[256] = "";
	unsigned n = 0;

	put(KEEP_GROUP, 20, "b");
	put(KEEP_GROUP, 3, "a");
	put(KEEP_GROUP, 25, "");
	put(KEEP_DEVICE, 4, "of another kind");
	put(KEEP_GROUP, 21, "x");
	keep_drop(keep, KEEP_GROUP, 21);
	ck_assert_int_eq(keep_each(keep, KEEP_GROUP, collect, text), 0);
	ck_assert_str_eq(text, "3=a 20=b 25= ");
	put(KEEP_GROUP, 30, "c");
	put(KEEP_GROUP, 31, "d");
	text[0] = '\0';
	ck_assert_int_eq(keep_each(keep, KEEP_GROUP, collect, text), -ECANCELED);
	ck_assert_str_eq(text, "3=a 20=b 25= 30=c ");
	ck_assert_int_eq(keep_each(keep, KEEP_MM, collect, text), 0);
	/* One that was dropped by then is not told of, nor one that has come. */
	ck_assert_int_eq(keep_each(keep, KEEP_GROUP, drop_next, &n), 0);
	ck_assert_uint_eq(n, 4);
}
END_TEST

START_TEST(nothing_is_kept_by_none)
{
	struct keep_batch batch;
	uint64_t log, live;

	keep_begin(NULL, &batch);
	keep_put(NULL, KEEP_DEVICE, 1, "x", 1);
	keep_drop(NULL, KEEP_DEVICE, 1);
	ck_assert(!keep_is_changed(&batch));
	keep_end(&batch);
	ck_assert_int_eq(keep_get(NULL, KEEP_DEVICE, 1, NULL, 0), -ENOENT);
	ck_assert_int_eq(keep_each(NULL, KEEP_DEVICE, collect, NULL), 0);
	keep_break(NULL);
	ck_assert(!keep_is_broken(NULL));
	ck_assert_int_eq(keep_fd(NULL), -1);
	keep_usage(NULL, &log, &live);
	ck_assert_uint_eq(log + live, 0);
	keep_free(NULL);
}
END_TEST

/* ---- batches ---- */

START_TEST(a_batch_comes_at_its_end)
{
	struct keep_batch outer, inner;

	put(KEEP_DEVICE, 1, "old");
	keep_begin(keep, &outer);
	ck_assert(!keep_is_changed(&outer));
	put(KEEP_DEVICE, 1, "new");
	keep_begin(keep, &inner);
	ck_assert(keep_is_changed(&inner));
	put(KEEP_DEVICE, 2, "inner");
	keep_end(&inner);
	ck_assert(keep_is_changed(&outer));
	expect(KEEP_DEVICE, 1, "old");
	expect(KEEP_DEVICE, 2, "-");
	keep_end(&outer);
	expect(KEEP_DEVICE, 1, "new");
	expect(KEEP_DEVICE, 2, "inner");
}
END_TEST

START_TEST(a_batch_in_two_parts)
{
	struct keep_batch outer, inner;

	keep_flush(keep);			/* of nothing */
	keep_begin(keep, &outer);
	put(KEEP_DEVICE, 1, "first");
	keep_begin(keep, &inner);
	keep_flush(keep);
	expect(KEEP_DEVICE, 1, "first");
	ck_assert(keep_is_changed(&outer));
	put(KEEP_DEVICE, 1, "second");
	keep_flush(NULL);
	keep_end(&inner);
	expect(KEEP_DEVICE, 1, "first");
	keep_end(&outer);
	expect(KEEP_DEVICE, 1, "second");
}
END_TEST

START_TEST(at_once_whatever_the_batch)
{
	struct keep_batch batch;

	keep_begin(keep, &batch);
	put(KEEP_DEVICE, 1, "later");
	keep_put_now(keep, KEEP_DEVICE, 2, "now", 3);
	expect(KEEP_DEVICE, 1, "-");
	expect(KEEP_DEVICE, 2, "now");
	keep_end(&batch);
	expect(KEEP_DEVICE, 1, "later");
	keep_put_now(NULL, KEEP_DEVICE, 2, "now", 3);
}
END_TEST

START_TEST(a_batch_that_changes_its_mind)
{
	struct keep_batch batch;

	keep_begin(keep, &batch);
	put(KEEP_DEVICE, 1, "a");
	keep_drop(keep, KEEP_DEVICE, 1);
	keep_drop(keep, KEEP_DEVICE, 2);
	put(KEEP_DEVICE, 2, "b");
	keep_end(&batch);
	expect(KEEP_DEVICE, 1, "-");
	expect(KEEP_DEVICE, 2, "b");
}
END_TEST

START_TEST(batches_of_two_keeps)
{
	struct keep_batch one, two;
	struct keep *other;

	ck_assert_int_eq(keep_new(&other), 0);
	keep_begin(keep, &one);
	put(KEEP_DEVICE, 1, "a");
	keep_begin(other, &two);
	keep_put(other, KEEP_DEVICE, 1, "b", 1);
	put(KEEP_DEVICE, 2, "c");
	ck_assert_str_eq(text_of(keep, KEEP_DEVICE, 2), "-");
	keep_end(&two);
	ck_assert_str_eq(text_of(other, KEEP_DEVICE, 1), "b");
	put(KEEP_DEVICE, 3, "d");
	ck_assert_str_eq(text_of(keep, KEEP_DEVICE, 3), "-");
	keep_end(&one);
	expect(KEEP_DEVICE, 1, "a");
	expect(KEEP_DEVICE, 2, "c");
	expect(KEEP_DEVICE, 3, "d");
	keep_free(other);
}
END_TEST

/* More than a batch has room for without allocating. */
START_TEST(a_large_batch)
{
	struct keep_batch batch;
	char text[64];

	keep_begin(keep, &batch);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "number %u", i);
		put(KEEP_MAPPING, i, text);
	}
	ck_assert_str_eq(text_of(keep, KEEP_MAPPING, 0), "-");
	keep_end(&batch);
	for (unsigned i = 0; i < 5000; i += 499) {
		snprintf(text, sizeof(text), "number %u", i);
		expect(KEEP_MAPPING, i, text);
	}
}
END_TEST

/* ---- batches of several threads ---- */

/* A thread that does one thing after the other, when it is told. */
struct puppet {
	pthread_t thread;
	pthread_barrier_t barrier;
	void (*todo)(void);
	struct keep_batch batch;
};
static struct puppet *pulled;

static void *puppet_main(void *arg)
{
	struct puppet *p = arg;

	for (;;) {
		pthread_barrier_wait(&p->barrier);
		if (!p->todo)
			return NULL;
		p->todo();
		pthread_barrier_wait(&p->barrier);
	}
}

static void pull(struct puppet *p, void (*todo)(void))
{
	pulled = p;
	p->todo = todo;
	pthread_barrier_wait(&p->barrier);
	if (todo)
		pthread_barrier_wait(&p->barrier);
}

static void begins(void)
{
	keep_begin(keep, &pulled->batch);
}

static void ends(void)
{
	keep_end(&pulled->batch);
}

static void says_old(void)
{
	put(KEEP_DEVICE, 1, "old");
	put(KEEP_DEVICE, 10, "beside old");
}

static void says_new(void)
{
	put(KEEP_DEVICE, 1, "new");
}

static void drops(void)
{
	keep_drop(keep, KEEP_DEVICE, 1);
}

/* So many that the table of records is renewed within the batch. */
static void says_many(void)
{
	for (unsigned i = 0; i < 1000; i++)
		put(KEEP_MAPPING, i, "x");
}

/* And so much that the log is written anew. */
static void says_much(void)
{
	static char much[600 * 1024];

	keep_put(keep, KEEP_MODEL, 1, much, sizeof(much));
}

static void puppets(struct puppet p[2])
{
	for (int i = 0; i < 2; i++) {
		pthread_barrier_init(&p[i].barrier, NULL, 2);
		pthread_create(&p[i].thread, NULL, puppet_main, &p[i]);
		pull(&p[i], begins);
	}
}

static void puppets_end(struct puppet p[2])
{
	for (int i = 0; i < 2; i++) {
		pull(&p[i], NULL);
		pthread_join(p[i].thread, NULL);
		pthread_barrier_destroy(&p[i].barrier);
	}
}

/* Who has said the last word: not who ends last. [][0]: the first word, [][1]: the second. */
START_TEST(the_last_word_of_two_threads)
{
	static void (*const between[])(void) = { NULL, says_many, says_much };
	struct puppet p[2];

	for (int dropped = 0; dropped < 2; dropped++) {
		for (int first = 0; first < 2; first++) {
			for (int i = 0; i < 3; i++) {
				puppets(p);
				/* Before the old word, too, as words of a batch come in order. */
				if (between[i])
					pull(&p[0], between[i]);
				pull(&p[0], says_old);
				pull(&p[1], dropped ? drops : says_new);
				if (between[i])
					pull(&p[0], between[i]);
				pull(&p[first], ends);
				pull(&p[!first], ends);
				puppets_end(p);
				expect(KEEP_DEVICE, 1, dropped ? "-" : "new");
				expect(KEEP_DEVICE, 10, "beside old");
				teardown();
				setup();
			}
		}
	}
}
END_TEST

#define STORM_THREADS 4
#define STORM_ROUNDS 3000
#define STORM_IDS 16

static pthread_mutex_t storm_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned storm_truth[STORM_IDS];	/* storm_lock; 0: dropped */

/* Words are said under the lock of what they tell of; batches end outside of it. */
static void *storm(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;

	for (unsigned i = 0; i < STORM_ROUNDS; i++) {
		struct keep_batch batch;

		keep_begin(keep, &batch);
		for (unsigned n = rand_r(&seed) % 4; n; n--) {
			unsigned id = rand_r(&seed) % STORM_IDS, value = rand_r(&seed) % 4 ?
				(unsigned)rand_r(&seed) | 1 : 0;

			pthread_mutex_lock(&storm_lock);
			storm_truth[id] = value;
			if (value)
				keep_put(keep, KEEP_CONTAINER, id, &value, sizeof(value));
			else
				keep_drop(keep, KEEP_CONTAINER, id);
			pthread_mutex_unlock(&storm_lock);
		}
		keep_put(keep, KEEP_MAPPING, i % 64, &seed, sizeof(seed));
		keep_drop(keep, KEEP_EVENT, i);		/* of numbers that never come again */
		keep_end(&batch);
	}
	return NULL;
}

START_TEST(a_storm_of_threads)
{
	pthread_t threads[STORM_THREADS];
	struct keep *other;

	for (unsigned i = 0; i < STORM_THREADS; i++)
		pthread_create(&threads[i], NULL, storm, (void *)(uintptr_t)(i + 1));
	for (unsigned i = 0; i < STORM_THREADS; i++)
		pthread_join(threads[i], NULL);
	other = open_copy(keep);
	for (unsigned id = 0; id < STORM_IDS; id++) {
		unsigned a = 0, b = 0;

		keep_get(keep, KEEP_CONTAINER, id, &a, sizeof(a));
		keep_get(other, KEEP_CONTAINER, id, &b, sizeof(b));
		ck_assert_uint_eq(a, storm_truth[id]);
		ck_assert_uint_eq(b, storm_truth[id]);
	}
	keep_free(other);
}
END_TEST

/* ---- the log is written anew ---- */

/* Contents that tell of which record and which turn they are. */
static void fill(unsigned char *bytes, size_t size, uint64_t id, unsigned turn)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (unsigned char)(id * 31 + turn * 7 + i);
}

#define LIVE 200u

static unsigned turns[LIVE];		/* of each record; 0: dropped */
static size_t sizes[LIVE];

static void compare_all(struct keep *with)
{
	static unsigned char is[4096], wanted[4096];

	for (unsigned id = 0; id < LIVE; id++) {
		long size = keep_get(with, KEEP_CONFIG, id, is, sizeof(is));

		if (turns[id] == 0) {
			ck_assert_int_eq(size, -ENOENT);
			continue;
		}
		ck_assert_int_eq(size, (long)sizes[id]);
		fill(wanted, sizes[id], id, turns[id]);
		ck_assert_mem_eq(is, wanted, sizes[id]);
	}
}

START_TEST(nothing_changes_when_it_is_written_anew)
{
	uint64_t log, live, before = 0;
	unsigned seed = 5, anew = 0;
	unsigned char bytes[4096];

	memset(turns, 0, sizeof(turns));
	for (unsigned turn = 1; turn < 6000; turn++) {
		unsigned id = rand_r(&seed) % LIVE;

		if (rand_r(&seed) % 8 == 0) {
			turns[id] = 0;
			keep_drop(keep, KEEP_CONFIG, id);
		} else {
			turns[id] = turn;
			sizes[id] = rand_r(&seed) % sizeof(bytes);
			fill(bytes, sizes[id], id, turn);
			keep_put(keep, KEEP_CONFIG, id, bytes, sizes[id]);
		}
		keep_usage(keep, &log, &live);
		ck_assert_uint_le(live, log);
		/* What is not of interest is never more than that, and a bit. */
		ck_assert_uint_le(log, 2 * live + 256 * 1024 + 3 * sizeof(bytes));
		if (log < before) {
			struct keep *other = open_copy(keep);

			anew++;
			compare_all(keep);
			compare_all(other);
			keep_free(other);
		}
		before = log;
	}
	compare_all(keep);
	ck_assert_uint_ge(anew, 5);
}
END_TEST

/* Who takes over goes on, and so does the next one. */
START_TEST(generations)
{
	struct keep *other;
	char text[32];

	for (unsigned i = 0; i < 50; i++) {
		snprintf(text, sizeof(text), "generation %u", i);
		for (unsigned n = 0; n < 100; n++)
			put(KEEP_NODE, n, text);
		keep_drop(keep, KEEP_NODE, i);
		other = open_copy(keep);
		keep_free(keep);
		keep = other;
		ck_assert_str_eq(text_of(keep, KEEP_NODE, i), "-");
		ck_assert_str_eq(text_of(keep, KEEP_NODE, 99), text);
	}
}
END_TEST

/* ---- limits ---- */

START_TEST(the_largest_record)
{
	static unsigned char large[KEEP_RECORD_MAX + 1], copy[KEEP_RECORD_MAX];
	struct keep *other;

	fill(large, KEEP_RECORD_MAX, 1, 1);
	keep_put(keep, KEEP_MODEL, 1, large, KEEP_RECORD_MAX);
	ck_assert(!keep_is_broken(keep));
	other = open_copy(keep);
	ck_assert_int_eq(keep_get(other, KEEP_MODEL, 1, copy, sizeof(copy)), KEEP_RECORD_MAX);
	ck_assert_mem_eq(copy, large, sizeof(copy));
	keep_free(other);
	keep_put(keep, KEEP_MODEL, 2, large, KEEP_RECORD_MAX + 1);
	ck_assert(keep_is_broken(keep));
	ck_assert_int_eq(keep_open(keep_fd(keep), &other), -ESTALE);
}
END_TEST

/* Nobody reads the contents again, so they need not be held. */
static void fill_up_to(uint64_t end, uint64_t *id)
{
	static unsigned char large[KEEP_RECORD_MAX];
	uint64_t log, live;

	for (;;) {
		uint64_t left, size = KEEP_RECORD_MAX;

		keep_usage(keep, &log, &live);
		left = end - HEAD - log;
		if (left == 0)
			return;
		/* Of the last two, neither is too small. */
		if (left < 2 * (RECORD_HEAD + size))
			size = left <= RECORD_HEAD + size ? left - RECORD_HEAD : size / 2;
		keep_put(keep, KEEP_MODEL, ++*id, large, size);
		ck_assert(!keep_is_broken(keep));
		ck_assert_int_eq(fallocate(keep_fd(keep), FALLOC_FL_PUNCH_HOLE |
					   FALLOC_FL_KEEP_SIZE, HEAD + 4096,
					   (off_t)KEEP_SIZE_MAX - HEAD - 4096), 0);
	}
}

START_TEST(the_end_of_the_file)
{
	uint64_t id = 0, log, live;
	struct keep *other;

	/* A record of a batch has 8 bytes of its own there, of which the file needs none. */
	fill_up_to(KEEP_SIZE_MAX - RECORD_HEAD - 16, &id);
	put(KEEP_DEVICE, 1, "12345678");
	ck_assert(!keep_is_broken(keep));
	keep_usage(keep, &log, &live);
	ck_assert_uint_eq(log, KEEP_SIZE_MAX - HEAD - 8);
	ck_assert_str_eq(text_of(keep, KEEP_DEVICE, 1), "12345678");
	put(KEEP_DEVICE, 2, "");
	ck_assert(keep_is_broken(keep));
	ck_assert_int_eq(keep_open(keep_fd(keep), &other), -ESTALE);
	/* Nothing more is written. */
	ck_assert_str_eq(text_of(keep, KEEP_DEVICE, 2), "-");
}
END_TEST

/* Records that change need room for themselves three times, and have it up to there. */
START_TEST(a_third_of_the_file)
{
	static unsigned char large[KEEP_RECORD_MAX];
	unsigned n = 16;

	for (unsigned turn = 0; turn < 8 * n; turn++)
		keep_put(keep, KEEP_MODEL, turn % n, large, sizeof(large));
	ck_assert(!keep_is_broken(keep));
}
END_TEST

/* ---- what was kept cannot be used ---- */

START_TEST(broken_is_told)
{
	struct keep *other;

	put(KEEP_DEVICE, 1, "x");
	keep_break(keep);
	ck_assert(keep_is_broken(keep));
	put(KEEP_DEVICE, 1, "y");
	ck_assert_str_eq(text_of(keep, KEEP_DEVICE, 1), "x");
	ck_assert_int_eq(keep_open(keep_fd(keep), &other), -ESTALE);
}
END_TEST

START_TEST(another_version)
{
	uint32_t version = KEEP_VERSION + 1;
	struct keep *other;

	ck_assert_int_eq(pwrite(keep_fd(keep), &version, sizeof(version), 8), sizeof(version));
	ck_assert_int_eq(keep_open(keep_fd(keep), &other), -ESTALE);
	version = KEEP_VERSION;
	ck_assert_int_eq(pwrite(keep_fd(keep), &version, sizeof(version), 8), sizeof(version));
	keep_free(open_copy(keep));
}
END_TEST

START_TEST(files_that_are_none)
{
	int fd = memfd_create("none", MFD_CLOEXEC | MFD_ALLOW_SEALING), ends[2];
	struct keep *other;

	ck_assert_int_eq(keep_open(-1, &other), -EBADF);
	ck_assert_int_eq(keep_open(fd, &other), -EBADMSG);	/* empty */
	ck_assert_int_eq(ftruncate(fd, (off_t)KEEP_SIZE_MAX), 0);
	ck_assert_int_eq(keep_open(fd, &other), -EBADMSG);	/* it can be truncated */
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
	ck_assert_int_eq(keep_open(fd, &other), -EBADMSG);	/* zeroes */
	close(fd);
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_int_eq(keep_open(ends[0], &other), -EBADMSG);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

static int touch(void *arg, uint64_t id, const void *data, size_t size)
{
	const unsigned char *bytes = data;
	unsigned *sum = arg;

	for (size_t i = 0; i < size; i++)
		*sum += bytes[i];
	return 0;
}

/* It is refused, or a store: one that can be read and written. */
static void expect_refused_or_usable(int fd)
{
	struct keep *other;
	unsigned sum = 0;
	int r = keep_open(fcntl(fd, F_DUPFD_CLOEXEC, 0), &other);

	if (r) {
		ck_assert(r == -EBADMSG || r == -ESTALE);
		return;
	}
	for (int kind = KEEP_SERVICE; kind < KEEP_KINDS; kind++)
		ck_assert_int_eq(keep_each(other, kind, touch, &sum), 0);
	keep_put(other, KEEP_DEVICE, 77, "mine", 4);
	if (!keep_is_broken(other))
		ck_assert_str_eq(text_of(other, KEEP_DEVICE, 77), "mine");
	keep_free(other);
}

START_TEST(each_byte_flipped)
{
	unsigned char before[HEAD + 256], byte;
	uint64_t log, live, end;
	int fd = keep_fd(keep);

	put(KEEP_DEVICE, 1, "a record");
	put(KEEP_GROUP, 2, "another");
	keep_drop(keep, KEEP_DEVICE, 1);
	put(KEEP_MODEL, 3, "");
	put(KEEP_GROUP, 2, "and again");
	keep_usage(keep, &log, &live);
	end = HEAD + log;
	ck_assert_uint_le(end, sizeof(before));
	ck_assert_int_eq(pread(fd, before, end, 0), (ssize_t)end);
	for (uint64_t at = 0; at < end; at++) {
		if (at == 64)
			at = HEAD;	/* what is between is not used */
		for (unsigned bit = 0; bit < 9; bit++) {
			byte = (unsigned char)(before[at] ^ (bit < 8 ? 1u << bit : 0xff));
			ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
			expect_refused_or_usable(fd);
			/* It has put something, too. */
			ck_assert_int_eq(pwrite(fd, before, end, 0), (ssize_t)end);
		}
	}
	expect(KEEP_GROUP, 2, "and again");
}
END_TEST

/* ---- killed at any instruction ---- */

/* What the child says when a batch has ended: in memory that both have. */
struct progress {
	_Atomic uint64_t ended;		/* turns */
};

#define PAIRS 8u
#define PAIR_BYTES 3000u		/* at most */

static unsigned char pair_a[PAIR_BYTES], pair_b[PAIR_BYTES];

static size_t pair_size(uint64_t turn)
{
	return sizeof(turn) + turn * 977 % (PAIR_BYTES - sizeof(turn));
}

/* Two records that must agree; then and now there is another pair less. */
static void put_pair(struct keep *into, uint64_t turn)
{
	uint64_t id = turn % PAIRS;
	size_t size = pair_size(turn);
	struct keep_batch batch;

	fill(pair_a, size, id, (unsigned)turn);
	memcpy(pair_a, &turn, sizeof(turn));
	keep_begin(into, &batch);
	keep_put(into, KEEP_CONFIG, id, pair_a, size);
	if (turn % 5 == 0) {
		keep_drop(into, KEEP_IRQ, (turn + 3) % PAIRS);
		keep_drop(into, KEEP_CONFIG, (turn + 3) % PAIRS);
	}
	keep_put(into, KEEP_IRQ, id, pair_a, size);
	keep_end(&batch);
}

static void child_main(int fd, struct progress *progress) __attribute__((noreturn));
static void child_main(int fd, struct progress *progress)
{
	struct keep *mine;

	if (keep_open(fd, &mine))
		_exit(1);
	for (uint64_t turn = atomic_load(&progress->ended) + 1;; turn++) {
		put_pair(mine, turn);
		atomic_store(&progress->ended, turn);
	}
}

/* Return: the last turn that is in the file. */
static uint64_t check_pairs(struct keep *with)
{
	uint64_t newest = 0;

	for (uint64_t id = 0; id < PAIRS; id++) {
		long a = keep_get(with, KEEP_CONFIG, id, pair_a, PAIR_BYTES);
		long b = keep_get(with, KEEP_IRQ, id, pair_b, PAIR_BYTES);
		static unsigned char wanted[PAIR_BYTES];
		uint64_t turn;

		ck_assert_int_eq(a, b);
		if (a < 0)
			continue;
		memcpy(&turn, pair_a, sizeof(turn));
		ck_assert_uint_eq(turn % PAIRS, id);
		ck_assert_int_eq(a, (long)pair_size(turn));
		fill(wanted, (size_t)a, id, (unsigned)turn);
		memcpy(wanted, &turn, sizeof(turn));
		ck_assert_mem_eq(pair_a, wanted, (size_t)a);
		ck_assert_mem_eq(pair_b, wanted, (size_t)a);
		newest = turn > newest ? turn : newest;
	}
	return newest;
}

START_TEST(killed_at_any_time)
{
	struct progress *progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE,
					 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t before = 0, lead = 0;
	unsigned seed = 11;

	ck_assert_ptr_ne(progress, MAP_FAILED);
	for (unsigned i = 0; i < KILLS; i++) {
		uint64_t some = rand_r(&seed) % 60, ended, newest;
		struct keep *other;
		pid_t pid = fork();

		if (pid == 0)
			child_main(keep_fd(keep), progress);
		ck_assert_int_gt(pid, 0);
		/* It gets that far, and a bit. */
		while (atomic_load(&progress->ended) < before + some)
			ck_assert_int_eq(waitpid(pid, NULL, WNOHANG), 0);
		for (unsigned spin = rand_r(&seed) % 3000; spin; spin--)
			atomic_signal_fence(memory_order_seq_cst);
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
		ended = atomic_load(&progress->ended);
		other = open_copy(keep);
		newest = check_pairs(other);
		keep_free(other);
		/* All that it said has ended is there, and at most one more. */
		ck_assert_uint_ge(newest, ended);
		ck_assert_uint_le(newest, ended + 1);
		lead += newest - ended;
		atomic_store(&progress->ended, newest);
		before = newest;
	}
	/* The log was written anew many times by then. */
	ck_assert_uint_gt(before * PAIR_BYTES, 20ull * 256 * 1024);
	printf("%d kills, %llu batches, %llu killed behind their end\n", KILLS,
	       (unsigned long long)before, (unsigned long long)lead);
	munmap(progress, sizeof(*progress));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("keep");
	TCase *tc = tcase_create("keep");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 100);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, the_last_word_counts);
	tcase_add_test(tc, no_more_is_copied_than_asked_for);
	tcase_add_test(tc, each_in_the_order_of_numbers);
	tcase_add_test(tc, nothing_is_kept_by_none);
	tcase_add_test(tc, a_batch_comes_at_its_end);
	tcase_add_test(tc, a_batch_in_two_parts);
	tcase_add_test(tc, at_once_whatever_the_batch);
	tcase_add_test(tc, a_batch_that_changes_its_mind);
	tcase_add_test(tc, batches_of_two_keeps);
	tcase_add_test(tc, a_large_batch);
	tcase_add_test(tc, the_last_word_of_two_threads);
	tcase_add_test(tc, a_storm_of_threads);
	tcase_add_test(tc, nothing_changes_when_it_is_written_anew);
	tcase_add_test(tc, generations);
	tcase_add_test(tc, the_largest_record);
	tcase_add_test(tc, the_end_of_the_file);
	tcase_add_test(tc, a_third_of_the_file);
	tcase_add_test(tc, broken_is_told);
	tcase_add_test(tc, another_version);
	tcase_add_test(tc, files_that_are_none);
	tcase_add_test(tc, each_byte_flipped);
	tcase_add_test(tc, killed_at_any_time);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
