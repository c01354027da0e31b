/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/type1_fixture.h - a container with the type1 driver, a backend that does as it is
 * told, and a client that is a byte array.
 */
#ifndef UNIT_TYPE1_FIXTURE_H
#define UNIT_TYPE1_FIXTURE_H

#include <check.h>
#include <linux/vfio.h>

#include <core/internal.h>
#include <core/iommu_type1.h>
#include "unit/fake_mm.h"

#define R VFIO_DMA_MAP_FLAG_READ
#define W VFIO_DMA_MAP_FLAG_WRITE
#define RW (R | W)
#define VADDR VFIO_DMA_MAP_FLAG_VADDR
#define UNMAP_ALL VFIO_DMA_UNMAP_FLAG_ALL
#define UNMAP_VADDR VFIO_DMA_UNMAP_FLAG_VADDR
#define UNMAP_BITMAP VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP

#define PAGE 4096ull
#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define TIB (1ull << 40)

/* Unlike ck_assert(), takes no memory where all is well: for use inside of a sweep. */
#define REQUIRE(x) do { \
	if (!(x)) \
		ck_abort_msg("%s", #x); \
} while (0)

/* ---- no devices: group.c and topology.c ask for these ---- */

int device_new(struct topology *topology, struct group *group,
	       const struct device_params *params, struct device **ret,
	       struct cused_error *err)
{
	return -ENOMEM;
}

void device_free(struct device *device)
{
}

int device_match_name(const struct device *device, const char *name)
{
	return -ENODEV;
}

int device_open(struct device *device, struct ioas *ioas, struct device_file **ret)
{
	return -ENODEV;
}

bool device_close(struct device_file *file)
{
	return true;
}

bool device_is_revoked(const struct device *device)
{
	return false;
}

bool device_has_files(struct device *device)
{
	return false;
}

void device_shut(struct device *device)
{
}

void device_record_gone(struct device *device)
{
}

struct group *device_group(const struct device *device)
{
	return NULL;
}

bool device_is_open(struct device *device)
{
	return false;
}

/* ---- backend ---- */

#define TEST_GROUPS 4

static struct test_backend {
	unsigned flags;
	struct cused_iommu_geometry geometry[TEST_GROUPS];	/* by group number */
	int domain_error, attach_error, geometry_error;
	unsigned map_fail_at;		/* > 0: the map() that fails, counted down */
	int map_error;
	int domains, attached, maps, unmaps;
	struct cused_iommu_map last_map;
} backend;

static unsigned backend_flags(void *state)
{
	return backend.flags;
}

static int backend_geometry(void *state, unsigned group, struct cused_iommu_geometry *ret)
{
	if (backend.geometry_error)
		return backend.geometry_error;
	*ret = backend.geometry[group];
	return 0;
}

static int backend_domain_new(void *state, void **ret_domain)
{
	if (backend.domain_error)
		return backend.domain_error;
	backend.domains++;
	*ret_domain = &backend.domains;
	return 0;
}

static void backend_domain_free(void *domain)
{
	REQUIRE(domain == &backend.domains);
	backend.domains--;
}

static int backend_attach(void *domain, unsigned group)
{
	REQUIRE(domain == &backend.domains);
	if (backend.attach_error)
		return backend.attach_error;
	backend.attached++;
	return 0;
}

static void backend_detach(void *domain, unsigned group)
{
	REQUIRE(domain == &backend.domains);
	backend.attached--;
}

static int backend_map(void *domain, const struct cused_iommu_map *map)
{
	REQUIRE(domain == &backend.domains);
	if (backend.map_fail_at && --backend.map_fail_at == 0)
		return backend.map_error;
	backend.maps++;
	backend.last_map = *map;
	return 0;
}

static void backend_unmap(void *domain, struct cused_range iova)
{
	REQUIRE(domain == &backend.domains);
	backend.unmaps++;
}

static const struct cused_iommu_ops backend_ops = {
	.size = sizeof(backend_ops),
	.version = CUSED_API_VERSION,
	.name = "test",
	.flags = backend_flags,
	.geometry = backend_geometry,
	.domain_new = backend_domain_new,
	.domain_free = backend_domain_free,
	.attach = backend_attach,
	.detach = backend_detach,
	.map = backend_map,
	.unmap = backend_unmap,
};

/* What the IOMMU has at the moment. */
static inline int programmed(void)
{
	return backend.maps - backend.unmaps;
}

/* ---- the container ---- */

static struct topology_params params;
static struct topology *topology;
static struct container *container;
static struct group *real[TEST_GROUPS];	/* numbers 0 … */
static struct group *emulated[2];		/* numbers 10, 11 */
static struct fake_mm client, other;		/* two processes */
static struct caller caller, stranger;		/* their calls */

#define CLIENT 0x100000ull			/* where their memory is */
#ifndef CLIENT_SIZE
#define CLIENT_SIZE (4 * MIB)
#endif

static inline void fixture_caller(struct caller *c, struct fake_mm *mm)
{
	fake_mm_init(mm, CLIENT, CLIENT_SIZE);
	*c = (struct caller){ .mm = &mm->mm, .memlock_limit = UINT64_MAX };
}

/* 39 bits, 4K+2M+1G, the MSI window: what x86 looks like. */
static inline void fixture_geometry(struct cused_iommu_geometry *g)
{
	*g = (struct cused_iommu_geometry){
		.page_sizes = PAGE | 2 * MIB | GIB,
		.aperture = { 0, (1ull << 39) - 1 },
		.n_resv = 1,
		.resv = { { { 0xfee00000, 0xfeefffff }, CUSED_RESV_MSI } },
	};
}

/* @params may have been filled in before. */
static inline void fixture_start(void)
{
	backend = (struct test_backend){ .flags = CUSED_IOMMU_SIMULATED |
						  CUSED_IOMMU_COHERENT };
	params.iommu = &backend_ops;
	ck_assert_int_eq(topology_new(&params, &topology), 0);
	ck_assert_int_eq(iommu_driver_register(topology, &iommu_noiommu_driver), 0);
	ck_assert_int_eq(iommu_driver_register(topology, &iommu_type1_driver), 0);
	for (unsigned i = 0; i < TEST_GROUPS; i++) {
		fixture_geometry(&backend.geometry[i]);
		ck_assert_int_eq(topology_add_group(topology, i, GROUP_REAL, &real[i]), 0);
	}
	for (unsigned i = 0; i < 2; i++)
		ck_assert_int_eq(topology_add_group(topology, 10 + i, GROUP_EMULATED,
						    &emulated[i]), 0);
	ck_assert_int_eq(container_open(topology, &container), 0);
	fixture_caller(&caller, &client);
	fixture_caller(&stranger, &other);
}

static inline int attach(struct group *group)
{
	return container_attach_group(container, group, &caller);
}

static inline void detach(struct group *group)
{
	container_detach_group(container, group);
}

static inline void with(struct group *group, uint64_t id)
{
	ck_assert_int_eq(attach(group), 0);
	ck_assert_int_eq(container_set_iommu(container, &caller, id), 0);
}

/* The container that most tests want: v2, one real group. */
static inline void setup_v2(void)
{
	params = (struct topology_params){ 0 };
	fixture_start();
	with(real[0], VFIO_TYPE1v2_IOMMU);
}

static inline void setup_v1(void)
{
	params = (struct topology_params){ 0 };
	fixture_start();
	with(real[0], VFIO_TYPE1_IOMMU);
}

static inline void setup_emulated(void)
{
	params = (struct topology_params){ 0 };
	fixture_start();
	with(emulated[0], VFIO_TYPE1v2_IOMMU);
}

/* Nothing and no charge may be left when the groups are gone; pass them in. */
static inline void fixture_end(struct group *const *groups, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		detach(groups[i]);
	ck_assert_int_eq(backend.domains, 0);
	ck_assert_int_eq(backend.attached, 0);
	ck_assert_int_eq(programmed(), 0);
	ck_assert_uint_eq(client.mm.locked_pages, 0);
	ck_assert_uint_eq(other.mm.locked_pages, 0);
	container_release(container);
	topology_free(topology);
	ck_assert_uint_eq(fake_mm_done(&client), 1);
	ck_assert_uint_eq(fake_mm_done(&other), 1);
}

static inline void teardown_real(void)
{
	fixture_end(&real[0], 1);
}

static inline void teardown_emulated(void)
{
	fixture_end(&emulated[0], 1);
}

/* ---- calls in short ---- */

static inline int map(uint32_t flags, uint64_t vaddr, uint64_t iova, uint64_t size)
{
	return type1_map(container, &caller, flags, vaddr, iova, size);
}

/* Bytes unmapped, or -errno. */
static inline int64_t unmap(uint32_t flags, uint64_t iova, uint64_t size)
{
	uint64_t done = 0x5a5a;
	int r = type1_unmap(container, &caller, flags, iova, size, NULL, &done);

	REQUIRE(r == 0 || done == 0x5a5a);	/* T1-069 */
	return r ? r : (int64_t)done;
}

static inline struct type1_info info(void)
{
	struct type1_info i;

	memset(&i, 0xff, sizeof(i));
	ck_assert_int_eq(type1_get_info(container, &i), 0);
	return i;
}

static inline uint64_t mappings(void)
{
	struct container_status s;

	container_get_status(container, &s);
	return s.mappings;
}

static inline uint64_t mapped_bytes(void)
{
	struct container_status s;

	container_get_status(container, &s);
	return s.mapped_bytes;
}

/* Does a device get through? */
static inline int dma(uint64_t iova, void *buf, size_t len, bool to_client)
{
	struct cused_dma v = { iova, buf, len };
	struct ioas *ioas;

	REQUIRE(container_get_ioas(container, &ioas) == 0);
	return ioas_dma(ioas, &v, 1, to_client, NULL);
}

static inline int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}

#endif
