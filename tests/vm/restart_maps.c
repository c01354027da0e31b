/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Mappings and their model. */
#include "restart_load.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <stdlib.h>
#include <unistd.h>

#define WINDOW 0x400000ull
#define RW (VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE)

_Static_assert((uint64_t)MAPS *MAP_BYTES <= WINDOW, "mappings do not fit their window");

uint8_t *maps_memory(const struct maps *m, unsigned i)
{
	return m->memory[i % 2] + (size_t)i * MAP_BYTES;
}

uint8_t *maps_model(const struct maps *m, unsigned i)
{
	return m->model + (size_t)i * MAP_BYTES;
}

uint64_t maps_iova(const struct maps *m, unsigned i)
{
	return m->iova + (uint64_t)i * MAP_BYTES;
}

unsigned maps_count(const struct maps *m)
{
	unsigned n = 0;

	for (unsigned i = 0; i < MAPS; i++)
		n += m->mapped[i];
	return n;
}

void maps_init(struct maps *m, struct load *l, int container, unsigned window)
{
	size_t size = (size_t)MAPS * MAP_BYTES;
	int fd = memfd_create("restart", MFD_CLOEXEC);

	*m = (struct maps){ .load = l, .container = container, .iova = WINDOW * (1 + window) };
	if (fd < 0 || ftruncate(fd, (off_t)size))
		load_fail(l, "memory", "%s", strerror(errno));
	m->memory[0] =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	m->memory[1] = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	m->model = malloc(size);
	if (m->memory[0] == MAP_FAILED || m->memory[1] == MAP_FAILED || !m->model)
		load_fail(l, "memory", "%s", strerror(errno));
	/* The memory lives as long as the file is open: see nvme_user.c. */
	for (unsigned i = 0; i < MAPS; i++) {
		for (unsigned k = 0; k < MAP_BYTES; k++)
			maps_model(m, i)[k] = (uint8_t)load_draw(l, 256);
		memcpy(maps_memory(m, i), maps_model(m, i), MAP_BYTES);
	}
}

static void map(struct maps *m, unsigned i, int want)
{
	struct vfio_iommu_type1_dma_map arg =
						{
							.argsz = sizeof(arg),
							.flags = RW,
							.vaddr = (uintptr_t)maps_memory(m,
											i),
							.iova = maps_iova(m, i),
							.size = MAP_BYTES,
						},
					before = arg;

	load_ioctl(m->load, "MAP_DMA", m->container, VFIO_IOMMU_MAP_DMA, &arg, sizeof(arg),
		   &before, want);
}

/* @n from the @i-th on. */
static void unmap(struct maps *m, unsigned i, unsigned n)
{
	struct vfio_iommu_type1_dma_unmap arg =
						  {
							  .argsz = sizeof(arg),
							  .iova = maps_iova(m, i),
							  .size = (uint64_t)n * MAP_BYTES,
						  },
					  after = arg;

	after.size = 0;
	for (unsigned k = i; k < i + n; k++)
		after.size += m->mapped[k] ? MAP_BYTES : 0;
	load_ioctl(m->load, "UNMAP_DMA", m->container, VFIO_IOMMU_UNMAP_DMA, &arg, sizeof(arg),
		   &after, 0);
	memset(m->mapped + i, 0, n * sizeof(*m->mapped));
}

void maps_map(struct maps *m, unsigned i)
{
	map(m, i, m->mapped[i] ? -EEXIST : 0);
	m->mapped[i] = true;
}

void maps_step(struct maps *m)
{
	unsigned i = load_draw(m->load, MAPS), n = 1;

	switch (load_draw(m->load, 4)) {
	case 0:
		n += load_draw(m->load, MAPS - i < 4 ? MAPS - i : 4);
		/* fall through */
	case 1:
		unmap(m, i, n);
		if (load_draw(m->load, 4) == 0)
			unmap(m, i, n);
		break;
	default:
		maps_map(m, i);
	}
}

void maps_sweep(struct maps *m)
{
	for (unsigned i = 0; i < MAPS; i++) {
		if (m->mapped[i])
			map(m, i, -EEXIST);
		else
			unmap(m, i, 1);
	}
}

void maps_unmap_all(struct maps *m)
{
	struct vfio_iommu_type1_dma_unmap arg =
						  {
							  .argsz = sizeof(arg),
							  .flags = VFIO_DMA_UNMAP_FLAG_ALL,
						  },
					  after = arg;

	after.size = (uint64_t)maps_count(m) * MAP_BYTES;
	load_ioctl(m->load, "UNMAP_DMA", m->container, VFIO_IOMMU_UNMAP_DMA, &arg, sizeof(arg),
		   &after, 0);
	memset(m->mapped, 0, sizeof(m->mapped));
}
