/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Cases of the type1 IOMMU: its information, and MAP_DMA. */
#include "conf.h"

#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define IOVA 0x100000ull
#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)
#define TOP (UINT64_MAX - PAGE + 1)	/* the last page */

static struct conf_files f = { -1, -1, -1 };

static void unmap_all(void)
{
	conf_unmap(f.container, VFIO_DMA_UNMAP_FLAG_ALL, 0, 0, NULL);
}

/* A container with its driver; no device is opened, which takes long on real hardware. */
static void fresh(int type)
{
	conf_close(&f);
	f = (struct conf_files){ conf_container(), conf_group(0), -1 };
	if (conf_attach(f.group, f.container) || T->ioctl(f.container, VFIO_SET_IOMMU,
							  (uint64_t)type))
		conf_abort("SET_IOMMU", -1);
}

/* ---- GET_INFO ---- */

struct info {
	struct vfio_iommu_type1_info head;
	uint8_t space[PAGE - sizeof(struct vfio_iommu_type1_info)];
};

static uint32_t word(const struct info *info, uint32_t at)
{
	uint32_t value;

	memcpy(&value, (const char *)info + at, 4);
	return value;
}

static uint64_t wide(const struct info *info, uint32_t at)
{
	return word(info, at) | (uint64_t)word(info, at + 4) << 32;
}

static void capabilities(const char *when)
{
	struct info info = { .head.argsz = sizeof(info) };
	int64_t r = CALL(f.container, VFIO_IOMMU_GET_INFO, &info);
	uint32_t at = info.head.cap_offset;

	conf_step("T1-006 T1-008", r, conf_text("flags 0x%x argsz %u first %u",
						info.head.flags, info.head.argsz, at),
		  "%s: GET_INFO", when);
	STEP("T1-009", info.head.iova_pgsizes & -info.head.iova_pgsizes,
	     "%s: smallest page", when);
	for (unsigned n = 0; at && at < PAGE - 64 && n < 8; n++) {
		uint32_t id = word(&info, at) & 0xffff;

		conf_step("T1-011 T1-012 T1-013", at,
			  conf_text("id %u version %u next %u", id, word(&info, at) >> 16,
				    word(&info, at + 4)),
			  "%s: capability %u", when, n);
		if (id == VFIO_IOMMU_TYPE1_INFO_CAP_MIGRATION)
			conf_step("T1-011", word(&info, at + 8),
				  conf_text("pages 0x%llx most 0x%llx",
					    (unsigned long long)wide(&info, at + 16),
					    (unsigned long long)wide(&info, at + 24)),
				  "%s: migration", when);
		else if (id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL)
			STEP("T1-012 T1-129", word(&info, at + 8), "%s: mappings left",
			     when);
		else
			conf_step("T1-013 T1-134", word(&info, at + 8),
				  conf_text("0x%llx-0x%llx, 0x%llx-",
					    (unsigned long long)wide(&info, at + 16),
					    (unsigned long long)wide(&info, at + 24),
					    (unsigned long long)wide(&info, at + 32)),
				  "%s: ranges", when);
		at = word(&info, at + 4);
	}
}

static void type1_info(void)
{
	/* Its size differs between programs and between headers. */
	union { struct vfio_iommu_type1_info head; uint32_t words[6]; } arg = {
		.words = { 24, ~0u, ~0u, ~0u, ~0u, ~0u } };
	struct conf_struct s = { .name = "GET_INFO",
				 .cmd = VFIO_IOMMU_GET_INFO,
				 .arg = &arg,
				 .len = 24,
				 .min = 16 };
	uint64_t memory = T->memory(4), page;

	for (int type = VFIO_TYPE1_IOMMU; type <= VFIO_TYPE1v2_IOMMU; type += 2) {
		fresh(type);
		s.fd = f.container;
		capabilities(conf_text("type %d", type));
		conf_try_pointers("CG-001 T1-001 T1-007", &s);
		conf_try_argsz("CG-002 CG-003 CG-004 T1-002 T1-004 T1-006 T1-007 T1-010",
			       &s);
		conf_try_flags("T1-008", &s);
		conf_map(f.container, RW, memory, IOVA, PAGE);
		conf_map(f.container, RW, memory, IOVA + PAGE, PAGE);
		capabilities(conf_text("type %d, two mappings", type));
		conf_map(f.container, RW, memory, IOVA + PAGE, PAGE);
		capabilities(conf_text("type %d, one refused", type));
		unmap_all();
		capabilities(conf_text("type %d, none", type));
	}
	page = T->memory(2);
	T->protect(page + PAGE, 1, RIGHTS_NONE);
	for (uint32_t len = 20; len < 128; len += 4) {
		/* Space for a part of the chain, then none that could be written. */
		memset(conf_at(page), 0, PAGE);
		arg.words[0] = 256;
		memcpy(conf_at(page + PAGE - len), &arg,
		       len < sizeof(arg) ? len : sizeof(arg));
		STEP("T1-005",
		     T->ioctl(f.container, VFIO_IOMMU_GET_INFO, page + PAGE - len),
		     "GET_INFO with %u of 256 bytes", len);
	}
}

/* ---- MAP_DMA ---- */

static void type1_map_struct(void)
{
	struct vfio_iommu_type1_dma_map arg = { .argsz = sizeof(arg), .flags = RW,
		.vaddr = T->memory(1), .iova = IOVA, .size = PAGE };
	struct conf_struct s = { .name = "MAP_DMA", .cmd = VFIO_IOMMU_MAP_DMA, .arg = &arg,
		.len = sizeof(arg), .min = sizeof(arg), .undo = unmap_all };

	fresh(VFIO_TYPE1v2_IOMMU);
	s.fd = f.container;
	conf_try_pointers("CG-001 T1-014", &s);
	conf_try_argsz("CG-002 CG-003 CG-004 T1-015", &s);
	conf_try_flags("T1-015 T1-019 T1-020", &s);
	arg.flags = 0;
	strcpy(s.name, "MAP_DMA without flags");
	conf_try_flags("T1-015 T1-019 T1-020", &s);
}

/* Where a value is too large or too odd, and which of two faults is reported (T1-131); larger
 * pages than the smallest do not matter (T1-038). */
static void type1_map_values(void)
{
	static const uint64_t iovas[] = { 0, IOVA, 1, PAGE - 1,
					  PAGE / 2,   IOVA + 8,   TOP,        TOP - PAGE,
					  UINT64_MAX, 1ull << 31, 1ull << 32, 1ull << 38,
					  1ull << 39, 1ull << 47, 1ull << 48, 1ull << 52,
					  1ull << 62, 1ull << 63, 0xfedff000, 0xfee00000,
					  0xfeeff000, 0xfef00000 };
	static const uint64_t sizes[] = { 0, 1, PAGE - 1, PAGE,
					  PAGE + 1, 2 * PAGE,   4 * PAGE, 1ull << 63,
					  TOP,      UINT64_MAX, 0 - IOVA };
	static const uint32_t flags[] = { 0, 1, 2, 3, 4, 5, 7, 8, 0x80000003 };
	uint64_t memory = T->memory(4);

	for (int type = VFIO_TYPE1_IOMMU; type <= VFIO_TYPE1v2_IOMMU; type += 2) {
		fresh(type);
		for (size_t i = 0; i < sizeof(iovas) / sizeof(*iovas); i++)
			for (size_t j = 0; j < sizeof(sizes) / sizeof(*sizes); j++) {
				int64_t r = conf_map(f.container, RW, memory, iovas[i],
						     sizes[j]);

				STEP("T1-017 T1-018 T1-021 T1-028 T1-037 T1-042 T1-134", r,
				     "type %d: MAP at 0x%llx of 0x%llx", type,
				     (unsigned long long)iovas[i],
				     (unsigned long long)sizes[j]);
				if (!r)
					unmap_all();
			}
		for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
			for (size_t j = 0; j < sizeof(sizes) / sizeof(*sizes); j++)
				for (unsigned odd = 0; odd < 4; odd++) {
					uint64_t vaddr = memory + (odd & 1),
						 iova = IOVA + (odd & 2);

					int64_t r = conf_map(f.container, flags[i], vaddr,
							     iova, sizes[j]);

					STEP("T1-015 T1-017 T1-018 T1-019 T1-020 T1-021 "
					     "T1-022 "
					     "T1-131",
					     r, "type %d: flags 0x%x of 0x%llx%s%s", type,
					     flags[i], (unsigned long long)sizes[j],
					     odd & 1 ? " odd vaddr" : "",
					     odd & 2 ? " odd iova" : "");
					if (!r)
						unmap_all();
				}
	}
}

/* vaddr is looked at when pages are pinned (T1-032 T1-039). */
static void type1_map_memory(void)
{
	uint64_t memory = T->memory(8), page;
	const struct { const char *name; uint64_t vaddr; } places[] = {
		{ "NULL", 0 }, { "nowhere", conf_nowhere() }, { "the last page", TOP },
		{ "before the last page", TOP - PAGE }, { "2^63", 1ull << 63 },
		{ "2^47", 1ull << 47 }, { "the kernel's half", 0xffff888000000000 },
	};
	static const char *const rights[] = { "none", "read", "write", "both" };

	fresh(VFIO_TYPE1v2_IOMMU);
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		for (uint64_t n = 1; n < 4; n++) {
			STEP("T1-018 T1-032",
			     conf_map(f.container, RW, places[i].vaddr, IOVA, n * PAGE),
			     "MAP of %s, %llu pages", places[i].name,
			     (unsigned long long)n);
			unmap_all();
		}
	for (unsigned have = RIGHTS_NONE; have <= RIGHTS_BOTH; have++) {
		if (have == RIGHTS_WRITE)
			continue;		/* there is no such memory */
		page = memory + 2 * PAGE;
		T->protect(page, 1, have);
		for (uint32_t want = 1; want <= 3; want++)
			for (unsigned n = 1; n <= 5; n += 2) {
				STEP("T1-032 T1-039",
				     conf_map(f.container, want, page - n / 2 * PAGE, IOVA,
					      (uint64_t)n * PAGE),
				     "MAP of rights %s for %s, %u pages around",
				     rights[have], rights[want], n);
				STEP("T1-039",
				     conf_map(f.container, want, memory + 7 * PAGE, IOVA,
					      PAGE),
				     "MAP of another page there");
				unmap_all();
			}
		T->protect(page, 1, RIGHTS_BOTH);
	}
	capabilities("at the end");		/* T1-039 T1-129 */
}

/* Overlaps in all ways (T1-026 T1-043). */
static void type1_map_overlap(void)
{
	uint64_t memory = T->memory(16);

	fresh(VFIO_TYPE1v2_IOMMU);
	conf_map(f.container, RW, memory, IOVA + 4 * PAGE, 4 * PAGE);
	for (uint64_t at = 0; at < 10; at++)
		for (uint64_t n = 1; n < 11; n++) {
			int64_t r = conf_map(f.container, RW, memory, IOVA + at * PAGE,
					     n * PAGE);

			STEP("T1-026", r, "MAP of pages %llu to %llu, 4 to 7 are mapped",
			     (unsigned long long)at, (unsigned long long)(at + n - 1));
			if (r)
				continue;
			STEP("T1-026",
			     conf_map(f.container, RW, memory, IOVA + at * PAGE, PAGE),
			     "the first of them again");
			conf_unmap(f.container, 0, IOVA + at * PAGE, n * PAGE, NULL);
		}
	for (uint32_t flags = 1; flags < 8; flags++)
		STEP("T1-020 T1-023 T1-026",
		     conf_map(f.container, flags, memory, IOVA + 4 * PAGE, 4 * PAGE),
		     "MAP of the same, flags %u", flags);
	STEP("T1-026 T1-032",
	     conf_map(f.container, RW, conf_nowhere(), IOVA + 4 * PAGE, PAGE),
	     "MAP of nowhere where something is");
	STEP("T1-043",
	     conf_map(f.container, RW, memory + 4 * PAGE, IOVA + 8 * PAGE, 4 * PAGE),
	     "MAP beside it");
	STEP("T1-043 T1-070", conf_unmap(f.container, 0, IOVA + 4 * PAGE, 8 * PAGE, NULL),
	     "UNMAP of both");
}

/* A new address for a mapping: the struct is the old one's or nothing (T1-022 T1-025). */
static void type1_map_vaddr(void)
{
	const uint32_t vaddr = VFIO_DMA_MAP_FLAG_VADDR, invalid = VFIO_DMA_UNMAP_FLAG_VADDR;
	uint64_t memory = T->memory(8), size;

	for (int type = VFIO_TYPE1_IOMMU; type <= VFIO_TYPE1v2_IOMMU; type += 2) {
		fresh(type);
		conf_map(f.container, RW, memory, IOVA + 2 * PAGE, 2 * PAGE);
		for (unsigned gone = 0; gone < 2; gone++) {
			for (uint64_t at = 0; at < 5; at++)
				for (uint64_t n = 0; n < 5; n++) {
					int64_t r;

					if (gone)
						conf_unmap(f.container, invalid,
							   IOVA + 2 * PAGE, 2 * PAGE, NULL);
					r = conf_map(f.container, vaddr, memory + PAGE,
						     IOVA + at * PAGE, n * PAGE);
					STEP("T1-017 T1-022 T1-023 T1-025", r,
					     "type %d, %s: new "
					     "vaddr at page %llu for %llu, 2 and 3 are "
					     "mapped",
					     type, gone ? "invalid" : "valid",
					     (unsigned long long)at, (unsigned long long)n);
				}
		}
		conf_unmap(f.container, invalid, IOVA + 2 * PAGE, 2 * PAGE, NULL);
		STEP("T1-044", conf_map(f.container, RW, memory, IOVA + 6 * PAGE, PAGE),
		     "type %d: MAP while one is invalid", type);
		STEP("T1-026", conf_map(f.container, RW, memory, IOVA + 2 * PAGE, PAGE),
		     "type %d: MAP over the invalid", type);
		STEP("T1-080",
		     conf_unmap(f.container, invalid, IOVA + 2 * PAGE, 2 * PAGE, &size),
		     "type %d: invalid again", type);
		STEP("T1-080", conf_unmap(f.container, invalid, IOVA, 8 * PAGE, &size),
		     "type %d: one of two is invalid", type);
		STEP("T1-080", conf_map(f.container, vaddr, memory, IOVA + 6 * PAGE, PAGE),
		     "type %d: the other is as it was", type);
		STEP("T1-023",
		     conf_map(f.container, vaddr, conf_nowhere(), IOVA + 6 * PAGE, PAGE),
		     "type %d: new vaddr for a valid one", type);
		STEP("T1-025",
		     conf_map(f.container, vaddr, conf_nowhere(), IOVA + 2 * PAGE,
			      2 * PAGE),
		     "type %d: new vaddr that is nowhere", type);
		STEP("T1-078", conf_unmap(f.container, 0, IOVA + 2 * PAGE, 2 * PAGE, &size),
		     "type %d: UNMAP of it", type);
	}
}

/* Memory of other kinds (T1-032), and what happens to it later (T1-133). */
static void type1_map_kinds(void)
{
	int shared = memfd_create("conformance", MFD_CLOEXEC);
	char path[] = "/tmp/conformance-XXXXXX";
	int file = mkstemp(path);
	const struct { const char *name; int fd, prot, flags;
	} kinds[] = {
		{ "a memfd, shared", shared, PROT_READ | PROT_WRITE, MAP_SHARED },
		{ "a memfd, private", shared, PROT_READ | PROT_WRITE, MAP_PRIVATE },
		{ "a memfd, read-only", shared, PROT_READ, MAP_SHARED },
		{ "anonymous, shared", -1, PROT_READ | PROT_WRITE,
		  MAP_SHARED | MAP_ANONYMOUS },
		{ "a file, private", file, PROT_READ | PROT_WRITE, MAP_PRIVATE },
		{ "a file, read-only", file, PROT_READ, MAP_SHARED },
	};

	unlink(path);
	if (ftruncate(shared, 4 * PAGE) || ftruncate(file, 4 * PAGE))
		conf_abort("ftruncate", -errno);
	fresh(VFIO_TYPE1v2_IOMMU);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		void *p =
			mmap(NULL, 4 * PAGE, kinds[i].prot, kinds[i].flags, kinds[i].fd, 0);

		for (uint32_t want = 1; want <= 3; want++) {
			STEP("T1-032",
			     conf_map(f.container, want, (uintptr_t)p, IOVA, 4 * PAGE),
			     "MAP of %s, flags %u", kinds[i].name, want);
			unmap_all();
		}
		conf_map(f.container, 1, (uintptr_t)p, IOVA, 4 * PAGE);
		munmap(p, 4 * PAGE);
		STEP("T1-133", conf_map(f.container, 1, T->memory(1), IOVA, PAGE),
		     "MAP there, %s is gone", kinds[i].name);
		STEP("T1-133", conf_unmap(f.container, 0, IOVA, 4 * PAGE, NULL),
		     "UNMAP, %s is gone", kinds[i].name);
	}
	close(shared);
	close(file);
}

/* ---- locked memory ---- */

static long locked_kib(void)
{
	char line[128];
	long kib = -1;
	FILE *file = fopen("/proc/self/status", "re");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmLck: %ld", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

/* CAP_IPC_LOCK is what a limit is not asked of. */
static void drop_ipc_lock(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		conf_abort("capget", -errno);
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	if (syscall(SYS_capset, &head, data))
		conf_abort("capset", -errno);
}

static void limit_pages(rlim_t pages)
{
	struct rlimit limit = { pages * PAGE, 64 * PAGE };

	if (setrlimit(RLIMIT_MEMLOCK, &limit))
		conf_abort("setrlimit", -errno);
}

/* Some pages, and the same memory once more, which is charged once more (T1-048). */
static void try_locked(const char *who, uint64_t memory, uint64_t n, rlim_t limit)
{
	const char *what = conf_text("%s: %llu pages, limit %llu", who, (unsigned long long)n,
				     (unsigned long long)limit);

	limit_pages(limit);
	STEP("T1-031 T1-046 T1-047", conf_map(f.container, RW, memory, IOVA, n * PAGE),
	     "%s: MAP", what);
	STEP("T1-045", locked_kib(), "%s: locked", what);
	STEP("T1-031 T1-048", conf_map(f.container, RW, memory, IOVA + 16 * PAGE, n * PAGE),
	     "%s: MAP again", what);
	STEP("T1-045 T1-048", locked_kib(), "%s: locked by both", what);
	unmap_all();
	STEP("T1-050", locked_kib(), "%s: locked in the end", what);
}

static void type1_memlock(void)
{
	uint64_t memory = T->memory(8);

	fresh(VFIO_TYPE1v2_IOMMU);
	for (unsigned dropped = 0; dropped < 2; dropped++) {
		if (dropped)
			drop_ipc_lock();
		for (rlim_t limit = 0; limit <= 6; limit += 2)
			for (uint64_t n = 1; n <= 7; n += 2)
				try_locked(dropped ? "unprivileged" : "privileged", memory, n,
					   limit);
	}
}

const struct conf_case cases_type1[] = {
	CASE(type1_info, "T1-001 to T1-013"),
	CASE(type1_map_struct, "T1-014 T1-015 T1-019 T1-020"),
	CASE(type1_map_values, "T1-015 to T1-021 T1-028 T1-131", .needs = MANY_STEPS),
	CASE(type1_map_memory, "T1-032 T1-039 T1-129"),
	CASE(type1_map_overlap, "T1-026 T1-043", .needs = MANY_STEPS),
	CASE(type1_map_vaddr, "T1-022 T1-023 T1-025 T1-044 T1-080", .needs = MANY_STEPS),
	CASE(type1_map_kinds, "T1-032 T1-133", .needs = NEEDS_SYSCALLS),
	CASE(type1_memlock, "T1-031 T1-045 to T1-050", .needs = NEEDS_SYSCALLS),
	{ .name = NULL },
};
