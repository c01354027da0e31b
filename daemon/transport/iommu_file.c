/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>

#include <transport/iommu_file.h>
#include <transport/kept_files.h>

struct iommu_files {
	struct backend_files base;	/* first */
	struct kept_files *files;
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
	int fd;

	*ret_kept = kept_take(files->files, id, &fd);
	if (!*ret_kept)
		return -ENOENT;
	*ret_file = fd;
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
	r = kept_files_new(KEEP_IOMMU_FILE, "iommufd", NULL, keep, fds, &files->files);
	if (r == 0)
		r = kept_restore_all(files->files);
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

	if (files)
		kept_drop_untaken(files->files);
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
