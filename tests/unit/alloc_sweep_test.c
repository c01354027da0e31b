/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/alloc_sweep_test.c - every allocation fails once.
 *
 * One session, from the configuration over each kind of call to the last close, is run
 * again and again. In run n the n-th allocation of the program fails, and only that. The
 * step in which it failed must either do without (0) or answer -ENOMEM and leave nothing
 * behind: the same step is then done again and has to succeed, and so has all the rest.
 * The last run is the first in which nothing failed. Leaks show under ASan.
 *
 * CG-093 T1-003 T1-029 T1-039 T1-114
 */
#include <check.h>
#include <linux/vfio.h>
#include <stdio.h>

#include <conf.h>
#include <instance.h>
#include <unit/client.h>

/* ---- allocations, counted and failed; the linker puts these before the real ones ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

/* Volatile: a compiler knows that malloc() changes no variables of ours. */
static _Thread_local volatile bool counting;	/* inside a step; not in libcheck */
static volatile unsigned countdown;	/* 1: the next one fails; 0: none does */
static volatile unsigned failures;	/* in this run: 0 or 1 */

static bool fails_now(void)
{
	if (!counting || countdown == 0 || --countdown > 0)
		return false;
	failures++;
	errno = ENOMEM;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails_now() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails_now() ? NULL : __real_realloc(p, size);
}

/* ---- one step: 0 or -ENOMEM, and then once more ---- */

static unsigned run;

static int64_t check_step(int64_t r, const char *what, bool fresh)
{
	ck_assert_msg(r >= 0 || (r == -ENOMEM && fresh),
		      "allocation %u failed: %s answers %lld", run, what, (long long)r);
	return r;
}

/* Evaluates to the result. A step that failed in vain, without any allocation failing
 * inside it, is a failure. */
#define COUNTED(expr) ({ \
	int64_t counted_; \
	counting = true; \
	counted_ = (expr); \
	counting = false; \
	counted_; })
#define STEP(expr) ({ \
	unsigned before_ = failures; \
	int64_t r_ = COUNTED(expr); \
	check_step(r_, #expr, failures > before_); \
	if (r_ < 0) \
		r_ = check_step((expr), "again: " #expr, false); \
	r_; })

/* ---- the session ---- */

static struct client c;
static struct conf conf;
static struct instance *instance;
static struct cused_error err;
static int container, group, device;

static int configure(void)
{
	int r;

	conf_init(&conf);
	r = conf_set_iommu(&conf, "sim", &err);
	if (!r)
		r = conf_add_device(&conf, "edu,bdf=0000:01:00.0,group=5", &err);
	if (!r)
		r = conf_add_device(&conf, "edu,bdf=0000:01:01.0,group=5", &err);
	if (!r)
		r = conf_finish(&conf, "/nonexistent", &err);
	if (r)
		conf_done(&conf);
	return r;
}

static int64_t set_container(void)
{
	int32_t fd = container;

	return client_ioctl_struct(&c, group, VFIO_GROUP_SET_CONTAINER, &fd, sizeof(fd));
}

static int64_t map(uint64_t iova, unsigned page)
{
	struct vfio_iommu_type1_dma_map arg = {
		.argsz = sizeof(arg), .flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = client_page(page), .iova = iova, .size = 4096,
	};

	return client_ioctl_struct(&c, container, VFIO_IOMMU_MAP_DMA, &arg, sizeof(arg));
}

static int64_t unmap(uint32_t flags, uint64_t iova, uint64_t size)
{
	struct vfio_iommu_type1_dma_unmap arg = {
		.argsz = sizeof(arg), .flags = flags, .iova = iova, .size = size,
	};

	return client_ioctl_struct(&c, container, VFIO_IOMMU_UNMAP_DMA, &arg, sizeof(arg));
}

static int64_t get_info(void)
{
	uint8_t buf[256] = { 0 };
	struct vfio_iommu_type1_info arg = { .argsz = sizeof(buf) };

	memcpy(buf, &arg, sizeof(arg));
	return client_ioctl_struct(&c, container, VFIO_IOMMU_GET_INFO, buf, sizeof(buf));
}

static int64_t dirty(uint32_t flags)
{
	struct {
		struct vfio_iommu_type1_dirty_bitmap head;
		struct vfio_iommu_type1_dirty_bitmap_get get;
	} arg = {
		.head = { .argsz = sizeof(arg), .flags = flags },
		.get = { .iova = 0x100000, .size = 0x100000, .bitmap = {
			.pgsize = 4096, .size = 32, .data = (void *)client_page(2) } },
	};

	return client_ioctl_struct(&c, container, VFIO_IOMMU_DIRTY_PAGES, &arg, sizeof(arg));
}

static int64_t get_device(const char *name)
{
	char arg[32];

	snprintf(arg, sizeof(arg), "%s", name);
	return client_ioctl_struct(&c, group, VFIO_GROUP_GET_DEVICE_FD, arg, sizeof(arg));
}

static int64_t set_irq(uint32_t index, uint32_t flags, uint32_t n, int fd)
{
	struct {
		struct vfio_irq_set head;
		int32_t fd;
	} arg = {
		.head = { .argsz = sizeof(arg), .index = index, .count = n, .flags = flags },
		.fd = fd,
	};

	return client_ioctl_struct(&c, device, VFIO_DEVICE_SET_IRQS, &arg, sizeof(arg));
}

static int64_t region_info(uint32_t index)
{
	struct vfio_region_info arg = { .argsz = sizeof(arg), .index = index };

	return client_ioctl_struct(&c, device, VFIO_DEVICE_GET_REGION_INFO, &arg, sizeof(arg));
}

static int64_t hot_reset_info(void)
{
	uint8_t buf[64] = { sizeof(buf) };

	return client_ioctl_struct(&c, device, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, buf,
				   sizeof(buf));
}

static int64_t hot_reset(void)
{
	struct {
		struct vfio_pci_hot_reset head;
		int32_t fd;
	} arg = { .head = { .argsz = sizeof(arg), .count = 1 }, .fd = group };

	return client_ioctl_struct(&c, device, VFIO_DEVICE_PCI_HOT_RESET, &arg, sizeof(arg));
}

static int64_t ioeventfd(int fd)
{
	struct vfio_device_ioeventfd arg = {
		.argsz = sizeof(arg), .flags = VFIO_DEVICE_IOEVENTFD_32, .offset = 4,
		.data = 1, .fd = fd,
	};

	return client_ioctl_struct(&c, device, VFIO_DEVICE_IOEVENTFD, &arg, sizeof(arg));
}

static void memory_calls(void)
{
	STEP(get_info());
	/* enough of them that the map has to grow */
	for (unsigned i = 0; i < 40; i++)
		STEP(map(0x100000 + i * 0x2000, 3));
	STEP(dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_START));
	STEP(map(0x180000, 4));
	STEP(dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_GET_BITMAP));
	STEP(dirty(VFIO_IOMMU_DIRTY_PAGES_FLAG_STOP));
	STEP(unmap(0, 0x100000, 0x4000));
	STEP(unmap(VFIO_DMA_UNMAP_FLAG_ALL, 0, 0));
	STEP(map(0x100000, 3));
}

static void device_calls(int event)
{
	const uint32_t eventfd = VFIO_IRQ_SET_DATA_EVENTFD;

	for (uint32_t i = 0; i < VFIO_PCI_VGA_REGION_INDEX; i++)
		STEP(region_info(i));
	STEP(set_irq(VFIO_PCI_INTX_IRQ_INDEX, eventfd | VFIO_IRQ_SET_ACTION_TRIGGER, 1, event));
	STEP(set_irq(VFIO_PCI_INTX_IRQ_INDEX, eventfd | VFIO_IRQ_SET_ACTION_UNMASK, 1, event));
	STEP(set_irq(VFIO_PCI_INTX_IRQ_INDEX,
		     VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER, 0, 0));
	STEP(set_irq(VFIO_PCI_MSI_IRQ_INDEX, eventfd | VFIO_IRQ_SET_ACTION_TRIGGER, 1, event));
	STEP(set_irq(VFIO_PCI_REQ_IRQ_INDEX, eventfd | VFIO_IRQ_SET_ACTION_TRIGGER, 1, event));
	STEP(ioeventfd(event));
	STEP(hot_reset_info());
	STEP(hot_reset());
}

static void session(void)
{
	struct topology *topology;
	int event, second;

	STEP(configure());
	STEP(instance_new(&conf, NULL, NULL, &instance, &err));
	topology = instance_topology(instance);
	client_init(&c);
	container = (int)STEP(client_open_container(&c, topology));
	group = (int)STEP(client_open_group(&c, topology_find_group(topology, 5, false)));
	STEP(set_container());
	STEP(client_ioctl(&c, container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
	memory_calls();
	device = (int)STEP(get_device("0000:01:00.0"));
	second = (int)STEP(get_device("0000:01:00.0"));
	STEP(get_device("0000:01:01.0"));
	event = (int)STEP(client_eventfd(&c));
	device_calls(event);
	STEP(client_close(&c, second));
	ck_assert(client_exit(&c));
	instance_free(instance);
	conf_done(&conf);
}

START_TEST(each_allocation_fails_once)
{
	for (run = 1;; run++) {
		failures = 0;
		countdown = run;
		session();
		countdown = 0;
		if (!failures)
			break;
	}
	/* far fewer would mean that nothing was counted */
	ck_assert_uint_gt(run, 40);
	printf("%u allocations\n", run - 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("alloc_sweep");
	TCase *tc = tcase_create("alloc_sweep");
	SRunner *runner;
	int n;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, each_allocation_fails_once);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	n = srunner_ntests_failed(runner);
	srunner_free(runner);
	return n ? EXIT_FAILURE : EXIT_SUCCESS;
}
