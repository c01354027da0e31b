/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bench/ioas - what a mapping costs: nanoseconds to add, find and remove one while N
 * others exist, and bytes of heap. It reports and never fails.
 *
 *   cused_bench_ioas [N...]          default 1000 10000 100000 1000000
 *
 * Each figure is the median of ROUNDS maps built from nothing, in CPU time: the last BLOCK
 * mappings of the filling (map), FINDS look-ups at random places (find), as many DMAs that
 * are translated and refused for their right (dma), and the removal of BLOCK mappings
 * (unmap). The last column is the machine's share: one load from a random line of as much
 * memory as the map takes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#include <core/ioas.h>
#include <vfio-cused/iommu.h>

#define ROUNDS 5
#define BLOCK 1000u
#define FINDS 200000u
#define PAGE 4096ull

enum order { UPWARDS, DOWNWARDS, SHUFFLED, N_ORDERS };
static const char *const order_names[] = { "upwards", "downwards", "random" };

struct figures {
	double map, find, dma, unmap;	/* ns */
	double bytes;			/* of memory, per mapping */
	double load;			/* ns */
};

static uint64_t rng_state = 1;

static uint64_t rng(void)
{
	uint64_t z = rng_state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* Of this thread: what others do to the machine shows in its caches only. */
static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v)
{
	qsort(v, ROUNDS, sizeof(*v), compare);
	return v[ROUNDS / 2];
}

static int no_copy(struct mm *mm, const struct iovec *local, size_t n_local,
		   const struct iovec *remote, size_t n_remote)
{
	return 0;
}

static const struct mm_ops mm_ops = { .read = no_copy, .write = no_copy };
static struct mm mm;

/* Every other page, so that nothing could be merged. */
static uint64_t iova_of(uint64_t key)
{
	return key * 2 * PAGE;
}

static void map_one(struct ioas *ioas, uint64_t key)
{
	struct ioas_mapping m = { .iova = { iova_of(key), iova_of(key) + PAGE - 1 },
				  .vaddr = iova_of(key) * 3, .prot = CUSED_PROT_READ,
				  .mm = &mm };

	if (ioas_map(ioas, &m))
		abort();
}

static uint64_t *make_keys(size_t n, enum order order)
{
	uint64_t *keys = malloc(n * sizeof(*keys));

	if (!keys)
		abort();
	for (size_t i = 0; i < n; i++)
		keys[i] = order == DOWNWARDS ? n - 1 - i : i;
	for (size_t i = n - 1; order == SHUFFLED && i > 0; i--) {
		size_t j = rng() % (i + 1);
		uint64_t t = keys[i];

		keys[i] = keys[j];
		keys[j] = t;
	}
	return keys;
}

static double time_finds(struct ioas *ioas, size_t n)
{
	struct ioas_mapping m;
	uint64_t sum = 0;
	double start = now();

	for (unsigned i = 0; i < FINDS; i++) {
		uint64_t at = iova_of(rng() % n) + 5;

		sum += ioas_find(ioas, (struct cused_range){ at, at }, &m) ? m.vaddr : 1;
	}
	start = (now() - start) / FINDS;
	if (sum == 12345)	/* keeps the loop */
		puts("");
	return start;
}

/* Translation of a DMA, ended by the missing right. */
static double time_dma(struct ioas *ioas, size_t n)
{
	char buf[8];
	double start = now();

	for (unsigned i = 0; i < FINDS; i++) {
		struct cused_dma v = { iova_of(rng() % n) + 5, buf, sizeof(buf) };

		if (ioas_dma(ioas, &v, 1, true, NULL) == 0)
			abort();
	}
	return (now() - start) / FINDS;
}

#define LINE 64u

/* Lines that lead to each other in one random circle. */
static double time_loads(size_t size)
{
	size_t n = size / LINE;
	uint64_t *order = make_keys(n, SHUFFLED);
	char *lines = aligned_alloc(2u << 20, (size | ((2u << 20) - 1)) + 1);
	uint64_t at = 0;
	double start;

	if (!lines)
		abort();
	madvise(lines, (size | ((2u << 20) - 1)) + 1, MADV_HUGEPAGE);
	for (size_t i = 0; i < n; i++)
		*(uint64_t *)(void *)(lines + order[i] * LINE) = order[(i + 1) % n] * LINE;
	start = now();
	for (unsigned i = 0; i < FINDS; i++)
		at = *(volatile uint64_t *)(void *)(lines + at);
	start = (now() - start) / FINDS;
	free(lines);
	free(order);
	return start;
}

static struct figures one_round(size_t n, enum order order)
{
	size_t block = n < BLOCK ? n : BLOCK;
	uint64_t *keys = make_keys(n, order);
	struct figures f;
	struct ioas *ioas;
	double start;

	if (ioas_new(&ioas))
		abort();
	for (size_t i = 0; i < n - block; i++)
		map_one(ioas, keys[i]);
	start = now();
	for (size_t i = n - block; i < n; i++)
		map_one(ioas, keys[i]);
	f.map = (now() - start) / (double)block;
	f.bytes = (double)ioas_memory(ioas) / (double)n;
	f.load = time_loads(ioas_memory(ioas));
	f.find = time_finds(ioas, n);
	f.dma = time_dma(ioas, n);
	start = now();
	for (size_t i = 0; i < block; i++)
		if (ioas_unmap(ioas, iova_of(keys[i])))
			abort();
	f.unmap = (now() - start) / (double)block;
	ioas_free(ioas);
	free(keys);
	return f;
}

static struct figures measure(size_t n, enum order order)
{
	double v[6][ROUNDS];

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct figures f = one_round(n, order);

		v[0][i] = f.map;
		v[1][i] = f.find;
		v[2][i] = f.dma;
		v[3][i] = f.unmap;
		v[4][i] = f.bytes;
		v[5][i] = f.load;
	}
	return (struct figures){ median(v[0]), median(v[1]), median(v[2]), median(v[3]),
				 median(v[4]), median(v[5]) };
}

int main(int argc, char **argv)
{
	static const size_t preset[] = { 1000, 10000, 100000, 1000000 };
	size_t n_sizes = argc > 1 ? (size_t)argc - 1 : sizeof(preset) / sizeof(preset[0]);

	mm_init(&mm, &mm_ops);
	printf("%-10s %9s %8s %8s %8s %8s %10s %8s\n", "order", "mappings", "map ns",
	       "find ns", "dma ns", "unmap ns", "bytes each", "load ns");
	for (int order = UPWARDS; order < N_ORDERS; order++) {
		struct figures first = { 0 }, last = { 0 };

		for (size_t i = 0; i < n_sizes; i++) {
			size_t n = argc > 1 ? strtoull(argv[i + 1], NULL, 0) : preset[i];

			if (n == 0)
				continue;
			last = measure(n, (enum order)order);
			if (first.map == 0)
				first = last;
			printf("%-10s %9zu %8.0f %8.0f %8.0f %8.0f %10.1f %8.0f\n",
			       order_names[order], n, last.map, last.find, last.dma,
			       last.unmap, last.bytes, last.load);
		}
		printf("%-10s %9s %8.2f %8.2f %8.2f %8.2f\n", order_names[order],
		       "last/first", last.map / first.map, last.find / first.find,
		       last.dma / first.dma, last.unmap / first.unmap);
	}
	return 0;
}
