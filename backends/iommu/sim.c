/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sim - an IOMMU that exists only as a set of properties.
 *
 * Devices behind it are models: the core translates their DMA through its own map of
 * IOVAs, so there is nothing to program and map() and unmap() are absent. What is left is
 * what clients can see: page sizes, the width of IOVAs, reserved ranges, coherency.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <vfio-cused/iommu.h>

struct sim {
	unsigned flags;
	struct cused_iommu_geometry geometry;
};

enum { PARAM_PAGE_SIZES, PARAM_APERTURE, PARAM_RESERVED, PARAM_COHERENT, N_PARAMS };

static const struct cused_param sim_params[N_PARAMS] = {
	[PARAM_PAGE_SIZES] = {
		.name = "page_sizes", .type = CUSED_PARAM_STRING, .preset = "4K+2M+1G",
		.text = "page sizes of the IOMMU, powers of two from 4K on, joined by +; "
			"the smallest is the unit of every mapping",
	},
	[PARAM_APERTURE] = {
		.name = "aperture", .type = CUSED_PARAM_UINT, .preset = "39",
		.min = 16, .max = 64,
		.text = "width of an IOVA in bits",
	},
	[PARAM_RESERVED] = {
		.name = "reserved", .type = CUSED_PARAM_STRING,
		.preset = "0xfee00000-0xfeefffff:msi",
		.text = "ranges that cannot be mapped, FIRST-LAST:TYPE joined by +; TYPE is "
			"direct, direct-relaxable (can be mapped), reserved or msi; none for none",
	},
	[PARAM_COHERENT] = {
		.name = "coherent", .type = CUSED_PARAM_BOOL, .preset = "on",
		.text = "enforce cache coherency (what DMA_CC_IOMMU asks for)",
	},
};

#define SIM_SMALLEST_PAGE 4096u

/* ---- parsing ---- */

/* The next word of a list joined by + or comma; NULL at its end. Empty words count. */
static const char *next_word(const char **list, size_t *ret_len)
{
	const char *word = *list;

	if (!word)
		return NULL;
	*ret_len = strcspn(word, "+,");
	*list = word[*ret_len] ? word + *ret_len + 1 : NULL;
	return word;
}

/* A number, decimal or 0x hex, that ends at @end at the latest. Return: what follows it,
 * or NULL. */
static const char *parse_number(const char *s, const char *end, uint64_t *ret)
{
	unsigned base = 10;
	uint64_t n = 0;
	const char *start;

	if (end - s > 2 && s[0] == '0' && (s[1] == 'x' || s[1] == 'X')) {
		base = 16;
		s += 2;
	}
	for (start = s; s < end; s++) {
		unsigned digit = *s >= '0' && *s <= '9' ? (unsigned)(*s - '0') :
				 *s >= 'a' && *s <= 'f' ? (unsigned)(*s - 'a' + 10) :
				 *s >= 'A' && *s <= 'F' ? (unsigned)(*s - 'A' + 10) : 99;

		if (digit >= base)
			break;
		if (n > (UINT64_MAX - digit) / base)
			return NULL;
		n = n * base + digit;
	}
	if (s == start)
		return NULL;
	*ret = n;
	return s;
}

/* "4K". Return: the size, or 0. */
static uint64_t parse_page_size(const char *word, size_t len)
{
	static const char suffixes[] = "KMGT";
	const char *end = word + len, *s, *suffix;
	uint64_t size;

	s = parse_number(word, end, &size);
	if (!s)
		return 0;
	if (s < end) {
		suffix = strchr(suffixes, *s & ~0x20);	/* lower case too */
		if (!suffix || !*suffix || s + 1 != end)
			return 0;
		for (const char *p = suffixes; p <= suffix; p++) {
			if (size > UINT64_MAX / 1024)
				return 0;
			size *= 1024;
		}
	}
	return size < SIM_SMALLEST_PAGE || size & (size - 1) ? 0 : size;
}

static int parse_page_sizes(const char *list, uint64_t *ret, struct cused_error *err)
{
	const char *word;
	uint64_t sizes = 0;
	size_t len;

	while ((word = next_word(&list, &len))) {
		uint64_t size = parse_page_size(word, len);

		if (!size)
			return cused_error_set(err, -EINVAL,
				"--iommu sim: page_sizes: \"%.*s\" is not a page size; give "
				"powers of two from 4K on, such as 4K+2M+1G",
				(int)(len > 64 ? 64 : len), word);
		sizes |= size;
	}
	*ret = sizes;
	return 0;
}

/* "msi". Return: is it a type? */
static bool parse_type(const char *s, size_t len, enum cused_resv_type *ret)
{
	static const char *const names[] = {
		[CUSED_RESV_DIRECT] = "direct",
		[CUSED_RESV_DIRECT_RELAXABLE] = "direct-relaxable",
		[CUSED_RESV_RESERVED] = "reserved",
		[CUSED_RESV_MSI] = "msi",
	};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strlen(names[i]) == len && memcmp(names[i], s, len) == 0) {
			*ret = (enum cused_resv_type)i;
			return true;
		}
	}
	return false;
}

/* "0xfee00000-0xfeefffff:msi". Return: is it a range with a type? */
static bool parse_reserved(const char *word, size_t len, struct cused_resv *ret)
{
	const char *end = word + len, *s;

	s = parse_number(word, end, &ret->range.first);
	if (!s || s == end || *s != '-')
		return false;
	s = parse_number(s + 1, end, &ret->range.last);
	if (!s || s == end || *s != ':' || ret->range.first > ret->range.last)
		return false;
	return parse_type(s + 1, (size_t)(end - s - 1), &ret->type);
}

/* Sorted by first. Ranges of one type that overlap or touch become one, as in the
 * kernel's list. */
static void add_reserved(struct cused_iommu_geometry *g, struct cused_resv add)
{
	unsigned i = 0;

	while (i < g->n_resv) {
		const struct cused_resv *old = &g->resv[i];
		bool below = old->range.last < UINT64_MAX &&
			     old->range.last + 1 < add.range.first;
		bool above = add.range.last < UINT64_MAX &&
			     add.range.last + 1 < old->range.first;

		if (old->type != add.type || below || above) {
			i++;
			continue;
		}
		if (old->range.first < add.range.first)
			add.range.first = old->range.first;
		if (old->range.last > add.range.last)
			add.range.last = old->range.last;
		memmove(&g->resv[i], &g->resv[i + 1],
			(--g->n_resv - i) * sizeof(g->resv[0]));
		i = 0;
	}
	for (i = g->n_resv; i > 0 && g->resv[i - 1].range.first > add.range.first; i--)
		g->resv[i] = g->resv[i - 1];
	g->resv[i] = add;
	g->n_resv++;
}

static int parse_reserved_list(const char *list, struct cused_iommu_geometry *g,
			       struct cused_error *err)
{
	const char *word;
	size_t len;

	if (!*list || strcmp(list, "none") == 0)
		return 0;
	while ((word = next_word(&list, &len))) {
		struct cused_resv resv;

		if (!parse_reserved(word, len, &resv))
			return cused_error_set(err, -EINVAL,
				"--iommu sim: reserved: \"%.*s\" is not a reserved range; give "
				"FIRST-LAST:TYPE with FIRST <= LAST and TYPE direct, "
				"direct-relaxable, reserved or msi, such as "
				"0xfee00000-0xfeefffff:msi, or none",
				(int)(len > 64 ? 64 : len), word);
		if (g->n_resv == CUSED_IOMMU_RESV_MAX)
			return cused_error_set(err, -EINVAL,
				"--iommu sim: reserved: \"%.*s\" is one range too many; give at "
				"most %d", (int)(len > 64 ? 64 : len), word,
				CUSED_IOMMU_RESV_MAX);
		add_reserved(g, resv);
	}
	return 0;
}

/* Is any page left between the reserved ranges? (They are sorted.) */
static bool space_left(const struct cused_iommu_geometry *g)
{
	uint64_t free_from = g->aperture.first;

	for (unsigned i = 0; i < g->n_resv; i++) {
		const struct cused_resv *r = &g->resv[i];

		if (r->type == CUSED_RESV_DIRECT_RELAXABLE || r->range.last < free_from)
			continue;
		if (r->range.first > free_from)
			return true;
		if (r->range.last >= g->aperture.last)
			return false;
		free_from = r->range.last + 1;
	}
	return true;
}

/* ---- the backend's calls ---- */

static int sim_create(const struct cused_value *values, void **ret_state,
		      struct cused_error *err)
{
	struct sim *sim = calloc(1, sizeof(*sim));
	struct cused_iommu_geometry *g;
	uint64_t bits;
	int r;

	if (!sim)
		return cused_error_set(err, -ENOMEM,
				       "--iommu sim: out of memory; free some and try again");
	g = &sim->geometry;
	bits = values[PARAM_APERTURE].number;
	r = parse_page_sizes(values[PARAM_PAGE_SIZES].string, &g->page_sizes, err);
	if (r)
		goto err_free;
	g->aperture.last = bits >= 64 ? UINT64_MAX : (1ull << bits) - 1;
	if ((g->page_sizes & -g->page_sizes) - 1 > g->aperture.last) {
		r = cused_error_set(err, -EINVAL,
			"--iommu sim: aperture: %llu bits are less than one page of \"%s\"; "
			"give more bits or a smaller page size",
			(unsigned long long)bits, values[PARAM_PAGE_SIZES].string);
		goto err_free;
	}
	r = parse_reserved_list(values[PARAM_RESERVED].string, g, err);
	if (r)
		goto err_free;
	if (!space_left(g)) {
		r = cused_error_set(err, -EINVAL,
			"--iommu sim: reserved: \"%.200s\" leaves no IOVA below 2^%llu free; "
			"reserve less or give a larger aperture",
			values[PARAM_RESERVED].string, (unsigned long long)bits);
		goto err_free;
	}
	sim->flags = CUSED_IOMMU_SIMULATED |
		     (values[PARAM_COHERENT].number ? CUSED_IOMMU_COHERENT : 0);
	*ret_state = sim;
	return 0;

err_free:
	free(sim);
	return r;
}

static void sim_destroy(void *state)
{
	free(state);
}

static unsigned sim_flags(void *state)
{
	return ((struct sim *)state)->flags;
}

/* Every group sees the same. */
static int sim_geometry(void *state, unsigned group, struct cused_iommu_geometry *ret)
{
	*ret = ((struct sim *)state)->geometry;
	return 0;
}

/* A domain has no content; a byte of its own makes it a thing that can leak and be told
 * apart. */
static int sim_domain_new(void *state, void **ret_domain)
{
	void *domain = malloc(1);

	if (!domain)
		return -ENOMEM;
	*ret_domain = domain;
	return 0;
}

static void sim_domain_free(void *domain)
{
	free(domain);
}

static int sim_attach(void *domain, unsigned group)
{
	return 0;
}

static void sim_detach(void *domain, unsigned group)
{
}

static const struct cused_iommu_ops sim_ops = {
	.size = sizeof(sim_ops),
	.version = CUSED_API_VERSION,
	.name = "sim",
	.summary = "simulated IOMMU: DMA of device models, nothing else of the machine",
	.description =
		"Translates and checks every DMA of a simulated device through the mappings "
		"that the client made. It needs no hardware and no privilege.\n"
		"\n"
		"The presets are those of a common x86 machine: pages of 4 KiB, 2 MiB and 1 "
		"GiB, 39 bits of IOVA, and the window of message signalled interrupts "
		"reserved.",
	.params = sim_params,
	.n_params = N_PARAMS,
	.create = sim_create,
	.destroy = sim_destroy,
	.flags = sim_flags,
	.geometry = sim_geometry,
	.domain_new = sim_domain_new,
	.domain_free = sim_domain_free,
	.attach = sim_attach,
	.detach = sim_detach,
};

CUSED_IOMMU(sim_ops);
