/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases of the type1 IOMMU: UNMAP_DMA, DIRTY_PAGES, and the budget of mappings. */
#include "conf.h"

#define IOVA 0x100000ull
#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define TOP (UINT64_MAX - PAGE + 1)
#define PAGES 8			/* of the area that cases look at */

static struct conf_files f = { -1, -1, -1 };
static uint64_t memory;

static void fresh(int type)
{
	conf_close(&f);
	f = (struct conf_files){ conf_container(), conf_group(0), -1 };
	if (!memory)
		memory = T->memory(PAGES);
	if (conf_attach(f.group, f.container) || T->ioctl(f.container, VFIO_SET_IOMMU,
							  (uint64_t)type))
		conf_abort("SET_IOMMU", -1);
}

static void unmap_all(void)
{
	conf_unmap(f.container, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0, NULL);
}

static void map_pages(uint64_t at, uint64_t n)
{
	int64_t r = conf_map(f.container, RW, memory, IOVA + at * PAGE, n * PAGE);

	if (r)
		conf_abort("MAP", r);
}

/* Two mappings with a page between and one page free at each end: pages 1, 2 and 4 to 6. */
static void two_mappings(bool again)
{
	if (!again)
		return;
	unmap_all();
	map_pages(1, 2);
	map_pages(4, 3);
}

/* Which pages are mapped: a letter each. */
static const char *mapped(void)
{
	char text[PAGES + 1] = "";

	for (uint64_t i = 0; i < PAGES; i++) {
		int64_t r = conf_map(f.container, RW, memory, IOVA + i * PAGE, PAGE);

		text[i] = r == -EEXIST ? 'x' : r ? '?' : '.';
		if (!r)
			conf_unmap(f.container, 0, IOVA + i * PAGE, PAGE, NULL);
	}
	return conf_text("%s", text);
}

/* ---- UNMAP_DMA ---- */

static void type1_unmap_struct(void)
{
	struct vfio_iommu_type1_dma_unmap arg = { .argsz = sizeof(arg), .iova = IOVA,
		.size = PAGE };
	struct conf_struct s = { .name = "UNMAP_DMA",
				 .cmd = VFIO_IOMMU_UNMAP_DMA,
				 .arg = &arg,
				 .len = sizeof(arg),
				 .min = sizeof(arg) };

	fresh(VFIO_TYPE1v2_IOMMU);
	s.fd = f.container;
	conf_try_pointers("CG-001 T1-052 T1-068", &s);
	conf_try_argsz("CG-002 CG-003 CG-004 T1-053", &s);
	conf_try_flags("T1-053 T1-054 T1-055 T1-062 T1-081", &s);
	map_pages(0, 1);
	conf_try_pointers("CG-001 T1-052 T1-068", &s);
	STEP("T1-068", conf_map(f.container, RW, memory, IOVA, PAGE), "MAP after them");
	unmap_all();
	for (uint32_t flags = 0; flags < 8; flags++) {
		map_pages(0, 1);
		arg.flags = flags;
		snprintf(s.name, sizeof(s.name), "UNMAP_DMA of flags %u", flags);
		conf_try_argsz("T1-053 T1-054 T1-055 T1-062 T1-069", &s);
		unmap_all();
	}
}

/* Every range over two mappings, in both versions (T1-066 to T1-076). */
static void type1_unmap_ranges(void)
{
	uint64_t size;

	for (int type = VFIO_TYPE1_IOMMU; type <= VFIO_TYPE1v2_IOMMU; type += 2) {
		fresh(type);
		for (uint64_t at = 0; at < PAGES; at++)
			for (uint64_t n = 1; n <= PAGES - at; n++) {
				int64_t r;

				two_mappings(true);
				r = conf_unmap(f.container, 0, IOVA + at * PAGE, n * PAGE,
					       &size);
				conf_step("T1-066 T1-067 T1-069 T1-070 T1-071 T1-072 "
					  "T1-073 T1-074 "
					  "T1-075",
					  r,
					  conf_text("size 0x%llx left %s",
						    (unsigned long long)size, mapped()),
					  "type %d: UNMAP of pages %llu to %llu", type,
					  (unsigned long long)at,
					  (unsigned long long)(at + n - 1));
			}
	}
}

static void type1_unmap_values(void)
{
	static const uint64_t iovas[] = {
		0, 1, IOVA, IOVA + 1, IOVA + PAGE / 2, TOP, UINT64_MAX, 1ull << 63
	};
	static const uint64_t sizes[] = { 0, 1, PAGE - 1, PAGE, PAGE + 1, 1ull << 63, TOP,
		UINT64_MAX, 0 - IOVA };
	static const uint32_t flags[] = { 0,
					  VFIO_DMA_UNMAP_FLAG_ALL,
					  VFIO_DMA_UNMAP_FLAG_VADDR,
					  VFIO_DMA_UNMAP_FLAG_ALL |
						  VFIO_DMA_UNMAP_FLAG_VADDR,
					  8,
					  1 | VFIO_DMA_UNMAP_FLAG_ALL };

	for (int type = VFIO_TYPE1_IOMMU; type <= VFIO_TYPE1v2_IOMMU; type += 2) {
		int64_t r = 0;

		fresh(type);
		for (size_t k = 0; k < sizeof(flags) / sizeof(*flags); k++)
			for (size_t i = 0; i < sizeof(iovas) / sizeof(*iovas); i++)
				for (size_t j = 0; j < sizeof(sizes) / sizeof(*sizes);
				     j++) {
					uint64_t size;

					/* What was refused changed nothing. */
					two_mappings(!r);
					r = conf_unmap(f.container, flags[k], iovas[i],
						       sizes[j], &size);
					conf_step("T1-053 T1-054 T1-061 T1-062 T1-063 "
						  "T1-064 T1-069 "
						  "T1-076 T1-079",
						  r,
						  conf_text("size 0x%llx",
							    (unsigned long long)size),
						  "type %d: UNMAP with flags 0x%x at "
						  "0x%llx of "
						  "0x%llx",
						  type, flags[k],
						  (unsigned long long)iovas[i],
						  (unsigned long long)sizes[j]);
				}
	}
}

/* Invalid addresses over ranges; what was marked is seen by marking it again (T1-080). */
static void type1_unmap_vaddr(void)
{
	const uint32_t invalid = VFIO_DMA_UNMAP_FLAG_VADDR;
	uint64_t size;

	for (int type = VFIO_TYPE1_IOMMU; type <= VFIO_TYPE1v2_IOMMU; type += 2) {
		fresh(type);
		for (uint64_t at = 0; at < PAGES; at++)
			for (uint64_t n = 1; n <= PAGES - at; n++) {
				int64_t r, one, two;

				two_mappings(true);
				r = conf_unmap(f.container, invalid, IOVA + at * PAGE,
					       n * PAGE, &size);
				one = conf_unmap(f.container, invalid, IOVA + PAGE,
						 2 * PAGE, NULL);
				two = conf_unmap(f.container, invalid, IOVA + 4 * PAGE,
						 3 * PAGE, NULL);
				conf_step("T1-066 T1-067 T1-079 T1-080 T1-081", r,
					  conf_text("size 0x%llx again %s, %s",
						    (unsigned long long)size,
						    conf_errno(one), conf_errno(two)),
					  "type %d: invalid pages %llu to %llu", type,
					  (unsigned long long)at,
					  (unsigned long long)(at + n - 1));
			}
		two_mappings(true);
		STEP("T1-079",
		     conf_unmap(f.container, invalid | VFIO_DMA_UNMAP_FLAG_ALL, 0, 0,
				&size),
		     "type %d: all invalid", type);
		STEP("T1-079", size, "type %d: their size", type);
		STEP("T1-080",
		     conf_unmap(f.container, invalid | VFIO_DMA_UNMAP_FLAG_ALL, 0, 0,
				&size),
		     "type %d: all invalid again", type);
		STEP("T1-076 T1-078",
		     conf_unmap(f.container, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0, &size),
		     "type %d: UNMAP of all", type);
		STEP("T1-076", size, "type %d: size of all", type);
		STEP("T1-081",
		     conf_unmap(f.container, invalid | VFIO_DMA_UNMAP_FLAG_ALL, 0, 0,
				&size),
		     "type %d: none to be invalid", type);
	}
}

/* ---- DIRTY_PAGES ---- */

/* The structs as a 64-bit kernel reads them; those of the header hold a pointer, which has
 * half the size in a 32-bit program. */
struct dirty {
	uint32_t argsz, flags;
	uint64_t iova, size, pgsize, bytes, data;
};

static int64_t dirty(uint32_t flags)
{
	struct vfio_iommu_type1_dirty_bitmap arg = { .argsz = sizeof(arg), .flags = flags };

	return CALL(f.container, VFIO_IOMMU_DIRTY_PAGES, &arg);
}

#define START VFIO_IOMMU_DIRTY_PAGES_FLAG_START
#define STOP VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP
#define GET VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP

static void stop_tracking(void)
{
	dirty(STOP);
}

static void type1_dirty_struct(void)
{
	uint64_t bitmap = T->memory(1);
	struct dirty arg = { .argsz = sizeof(arg), .flags = START };
	struct conf_struct s = { .name = "DIRTY_PAGES START", .cmd = VFIO_IOMMU_DIRTY_PAGES,
		.arg = &arg, .len = sizeof(arg), .min = 8, .undo = stop_tracking };

	fresh(VFIO_TYPE1_IOMMU);
	s.fd = f.container;
	conf_try_pointers("T1-083", &s);
	conf_try_flags("T1-083", &s);
	fresh(VFIO_TYPE1v2_IOMMU);
	map_pages(0, PAGES);
	s.fd = f.container;
	conf_try_pointers("CG-001 T1-084", &s);
	conf_try_argsz("CG-002 CG-003 CG-004 T1-085", &s);
	conf_try_flags("T1-085 T1-086", &s);
	arg.flags = 0;
	strcpy(s.name, "DIRTY_PAGES");
	conf_try_flags("T1-085 T1-086 T1-091", &s);
	for (uint32_t flags = 0; flags < 8; flags++)
		STEP("T1-086", dirty(flags), "DIRTY_PAGES of flags %u, short", flags);
	stop_tracking();
	arg = (struct dirty){ .argsz = sizeof(arg), .flags = GET, .iova = IOVA,
		.size = PAGES * PAGE, .pgsize = PAGE, .bytes = 8, .data = bitmap };
	strcpy(s.name, "GET_BITMAP, off");
	s.undo = NULL;
	s.min = sizeof(arg);
	conf_try_argsz("T1-092 T1-102", &s);
	STEP("T1-087 T1-090", dirty(START), "START");
	STEP("T1-087", dirty(START), "START again");
	strcpy(s.name, "GET_BITMAP");
	conf_try_pointers("T1-084 T1-093 T1-105", &s);
	conf_try_argsz("T1-092 T1-105", &s);
	STEP("T1-091", dirty(STOP), "STOP");
	STEP("T1-091", dirty(STOP), "STOP again");
}

static uint64_t bits_at;	/* where the client's bitmap is */

static int pattern;		/* of its bytes before each call */

/* What the client's bitmap holds. */
static const char *bits(void)
{
	const uint8_t *p = conf_at(bits_at);

	return conf_text("%02x%02x%02x%02x%02x%02x%02x%02x %02x%02x", p[0], p[1], p[2],
			 p[3], p[4], p[5], p[6], p[7], p[8], p[15]);
}

static int64_t get(uint64_t iova, uint64_t size, uint64_t pgsize, uint64_t bytes,
		   uint64_t data)
{
	struct dirty arg = { .argsz = sizeof(arg), .flags = GET, .iova = iova, .size = size,
		.pgsize = pgsize, .bytes = bytes, .data = data };

	memset(conf_at(bits_at), pattern, PAGE);
	return CALL(f.container, VFIO_IOMMU_DIRTY_PAGES, &arg);
}

static void type1_dirty_values(void)
{
	static const uint64_t iovas[] = { 0, IOVA, IOVA + 1, IOVA + PAGE, TOP, UINT64_MAX };
	static const uint64_t sizes[] = { 0, 1, PAGE - 1,
					  PAGE,       PAGE + 1,   PAGES * PAGE,
					  1ull << 40, 1ull << 63, TOP,
					  UINT64_MAX };
	static const uint64_t pages[] = { 0, 1, PAGE / 2, PAGE, 2 * PAGE, PAGE + 1, 1 << 21,
		1ull << 63, UINT64_MAX };
	static const uint64_t lengths[] = { 0, 1, 4, 7, 8,
					    9, 16, PAGE, 1 << 28, (1 << 28) + 1,
					    UINT64_MAX };

	bits_at = T->memory(1);
	fresh(VFIO_TYPE1v2_IOMMU);
	for (unsigned on = 0; on < 2; on++) {
		if (on)
			dirty(START);
		map_pages(0, PAGES);
		for (size_t i = 0; i < sizeof(iovas) / sizeof(*iovas); i++)
			for (size_t j = 0; j < sizeof(sizes) / sizeof(*sizes); j++)
				STEP("T1-095 T1-096 T1-098 T1-100 T1-101 T1-102 T1-103 "
				     "T1-105",
				     get(iovas[i], sizes[j], PAGE, 8, bits_at),
				     "GET_BITMAP %s at 0x%llx of 0x%llx", on ? "on" : "off",
				     (unsigned long long)iovas[i],
				     (unsigned long long)sizes[j]);
		for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++)
			for (size_t j = 0; j < sizeof(lengths) / sizeof(*lengths); j++)
				STEP("T1-097 T1-098 T1-099",
				     get(IOVA, PAGES * PAGE, pages[i], lengths[j], bits_at),
				     "GET_BITMAP %s of pages 0x%llx in 0x%llx bytes",
				     on ? "on" : "off", (unsigned long long)pages[i],
				     (unsigned long long)lengths[j]);
		STEP("T1-104", get(IOVA, PAGES * PAGE, PAGE, 8, 0),
		     "GET_BITMAP to NULL, %u", on);
		STEP("T1-104", get(IOVA, PAGES * PAGE, PAGE, 8, conf_nowhere()),
		     "GET_BITMAP to nowhere, %u", on);
		STEP("T1-097", get(IOVA, PAGES * PAGE, PAGE, 8, UINT64_MAX - 7),
		     "GET_BITMAP to the last bytes, %u", on);
		STEP("T1-097", get(IOVA, PAGES * PAGE, PAGE, 8, 0xffff888000000000),
		     "GET_BITMAP to the kernel's half, %u", on);
		unmap_all();
	}
}

/* Every range over two mappings, and the bits of it (T1-103, T1-106 to T1-110). */
static void try_bits(bool restart)
{
	bits_at = T->memory(1);
	fresh(VFIO_TYPE1v2_IOMMU);
	for (unsigned late = 0; late < 2; late++) {
		if (!late)
			dirty(START);
		two_mappings(true);
		if (late)
			dirty(START);
		for (uint64_t at = 0; at < PAGES; at++)
			for (uint64_t n = 1; n <= PAGES - at; n++) {
				int64_t r;

				if (restart) {
					dirty(STOP);
					dirty(START);
				}
				r = get(IOVA + at * PAGE, n * PAGE, PAGE, 16, bits_at);
				conf_step("T1-103 T1-106 T1-108 T1-109 T1-110", r, bits(),
					  "started %s: pages %llu to %llu",
					  late ? "after" : "before", (unsigned long long)at,
					  (unsigned long long)(at + n - 1));
			}
		dirty(STOP);
	}
	STEP("T1-091", get(IOVA, PAGES * PAGE, PAGE, 16, bits_at), "after STOP");
}

/* The whole of the longer struct is read before anything of it is looked at (T1-056). */
static void type1_unmap_dirty_struct(void)
{
	struct dirty arg = { .argsz = sizeof(arg), .iova = IOVA, .size = PAGE,
		.flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, .pgsize = PAGE, .bytes = 8,
		.data = T->memory(1) };
	struct conf_struct s = { .name = "UNMAP and bitmap", .cmd = VFIO_IOMMU_UNMAP_DMA,
		.arg = &arg, .len = sizeof(arg), .min = sizeof(arg), .no_argsz = true };

	fresh(VFIO_TYPE1v2_IOMMU);
	s.fd = f.container;
	conf_try_pointers("T1-052 T1-056 T1-065", &s);
	dirty(START);
	conf_try_pointers("T1-052 T1-056", &s);
	conf_try_argsz("T1-055", &s);
}

static void type1_dirty_bits(void)
{
	try_bits(true);
}

/* One reading after the other, without a new start. */
static void type1_dirty_again(void)
{
	try_bits(false);
}

/* Into a bitmap that was not zeroed. */
static void type1_dirty_pattern(void)
{
	pattern = 0x5a;
	try_bits(true);
}

static int64_t unmap_get(uint64_t iova, uint64_t size, uint64_t pgsize, uint64_t bytes,
			 uint64_t data, uint64_t *ret_size)
{
	struct dirty arg = { .argsz = sizeof(arg), .iova = iova, .size = size,
		.flags = VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP, .pgsize = pgsize,
		.bytes = bytes, .data = data };
	int64_t r;

	memset(conf_at(bits_at), pattern, PAGE);
	r = CALL(f.container, VFIO_IOMMU_UNMAP_DMA, &arg);
	*ret_size = arg.size;
	return r;
}

/* UNMAP that says what was dirty (T1-055 to T1-058, T1-065, section 4.3). */
static void type1_unmap_dirty(void)
{
	static const uint64_t pages[] = { 0, 1, PAGE / 2, PAGE, 2 * PAGE, UINT64_MAX };
	static const uint64_t lengths[] = { 0, 1, 7, 8, 16, 1 << 28, (1 << 28) + 1,
					    UINT64_MAX };
	uint64_t size;

	bits_at = T->memory(1);
	fresh(VFIO_TYPE1v2_IOMMU);
	for (unsigned on = 0; on < 2; on++) {
		int64_t r = 0;

		if (on)
			dirty(START);
		for (size_t i = 0; i < sizeof(pages) / sizeof(*pages); i++)
			for (size_t j = 0; j < sizeof(lengths) / sizeof(*lengths); j++) {
				two_mappings(!r);
				r = unmap_get(IOVA, PAGES * PAGE, pages[i], lengths[j],
					      bits_at, &size);
				conf_step("T1-057 T1-058 T1-065 T1-069", r,
					  conf_text("%s left %s", r ? "" : bits(),
						    r ? "all" : mapped()),
					  "UNMAP and bitmap, tracking %u: pages 0x%llx in "
					  "0x%llx bytes",
					  on, (unsigned long long)pages[i],
					  (unsigned long long)lengths[j]);
			}
		for (uint64_t at = 0; at < PAGES; at++)
			for (uint64_t n = 1; n <= PAGES - at; n++) {
				two_mappings(!r);
				r = unmap_get(IOVA + at * PAGE, n * PAGE, PAGE, 16, bits_at,
					      &size);
				conf_step(
					"T1-066 T1-067 T1-070 T1-106 T1-108", r,
					conf_text("size 0x%llx %s left %s",
						  (unsigned long long)size, bits(),
						  r ? "all" : mapped()),
					"UNMAP and bitmap, tracking %u: pages %llu to %llu",
					on, (unsigned long long)at,
					(unsigned long long)(at + n - 1));
			}
		two_mappings(true);
		STEP("T1-104",
		     unmap_get(IOVA, PAGES * PAGE, PAGE, 8, conf_nowhere(), &size),
		     "UNMAP and bitmap to nowhere, tracking %u", on);
		conf_step("T1-104", (int64_t)size, mapped(), "what is left, tracking %u",
			  on);
		two_mappings(true);
		STEP("T1-057",
		     unmap_get(IOVA, PAGES * PAGE, PAGE, 8, UINT64_MAX - 7, &size),
		     "UNMAP and bitmap to the last bytes, tracking %u", on);
	}
}

const struct conf_case cases_type1_unmap[] = {
	CASE(type1_unmap_struct, "T1-052 to T1-055 T1-062 T1-068 T1-069"),
	CASE(type1_unmap_ranges, "T1-066 to T1-075", .needs = MANY_STEPS),
	CASE(type1_unmap_values, "T1-053 T1-054 T1-061 to T1-064 T1-076", .needs = MANY_STEPS),
	CASE(type1_unmap_vaddr, "T1-079 to T1-081", .needs = MANY_STEPS),
	CASE(type1_dirty_struct, "T1-083 to T1-092"),
	CASE(type1_dirty_values, "T1-095 to T1-104"),
	CASE(type1_dirty_bits, "T1-103 T1-106 to T1-110"),
	CASE(type1_dirty_again, "T1-106 T1-108"),
	CASE(type1_dirty_pattern, "T1-108 T1-109"),
	CASE(type1_unmap_dirty_struct, "T1-055 T1-056"),
	CASE(type1_unmap_dirty, "T1-054 to T1-058 T1-065", .needs = MANY_STEPS),
	{ .name = NULL },
};
