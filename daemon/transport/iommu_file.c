/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include <transport/iommu_file.h>
#include <transport/kept_files.h>
#include <util/list.h>

struct iommu_files {
	struct backend_files base;	/* first */
	struct kept_files *files;
	struct list restored;		/* struct restored; of who restores, one thread */
};

/* What a process before has kept, and nobody has taken yet. */
struct restored {
	struct list item;
	struct kept *kept;
	uint64_t id;
	int fd;
};

static uint64_t keep_file(struct backend_files *base, intptr_t file, void **ret_kept)
{
	struct iommu_files *files = (struct iommu_files *)base;
	struct kept *kept = NULL;
	uint64_t id = 0;

	kept_put(files->files, &kept, &id, (int)file, 0);
	*ret_kept = kept;
	return id;
}

static void drop_file(struct backend_files *base, void *kept)
{
	kept_drop(((struct iommu_files *)base)->files, kept);
}

static int take_file(struct backend_files *base, uint64_t id, intptr_t *ret_file, void **ret_kept)
{
	struct iommu_files *files = (struct iommu_files *)base;

	list_for_each(it, &files->restored) {
		struct restored *restored = container_of(it, struct restored, item);

		if (restored->id != id)
			continue;
		*ret_file = restored->fd;
		*ret_kept = restored->kept;
		list_remove(&restored->item);
		free(restored);
		return 0;
	}
	return -ENOENT;
}

static int restore_file(void *arg, struct kept *kept, uint64_t id, int fd, uint64_t word)
{
	struct iommu_files *files = arg;
	struct restored *restored = calloc(1, sizeof(*restored));

	if (!restored)
		return -ENOMEM;
	*restored = (struct restored){ .kept = kept, .id = id, .fd = fd };
	list_push_back(&files->restored, &restored->item);
	return 0;
}

int iommu_files_new(struct keep *keep, struct fd_keep *fds, struct backend_files **ret)
{
	struct iommu_files *files;
	int r;

	*ret = NULL;
	if (!keep)
		return 0;
	files = calloc(1, sizeof(*files));
	if (!files)
		return -ENOMEM;
	files->base = (struct backend_files){ keep_file, drop_file, take_file };
	list_init(&files->restored);
	r = kept_files_new(KEEP_IOMMU_FILE, "iommufd", NULL, keep, fds, &files->files);
	if (r == 0)
		r = kept_restore(files->files, restore_file, files);
	if (r) {
		iommu_files_free(&files->base);
		return r;
	}
	*ret = &files->base;
	return 0;
}

void iommu_files_restored(struct backend_files *base)
{
	struct iommu_files *files = (struct iommu_files *)base;

	if (!files)
		return;
	list_for_each_safe(it, tmp, &files->restored) {
		struct restored *restored = container_of(it, struct restored, item);

		list_remove(&restored->item);
		kept_drop(files->files, restored->kept);
		close(restored->fd);
		free(restored);
	}
}

void iommu_files_free(struct backend_files *base)
{
	struct iommu_files *files = (struct iommu_files *)base;

	if (!files)
		return;
	iommu_files_restored(base);
	kept_files_unref(files->files);
	free(files);
}
