/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/iommu_file.h - files of IOMMU backends that outlive the process: the iommufds of
 * containers, as "iommufd-NUMBER" (fd_keep.h). The core puts and takes them, with the records that
 * refer to them (struct backend_files).
 */
#ifndef TRANSPORT_IOMMU_FILE_H
#define TRANSPORT_IOMMU_FILE_H

#include <core/topology.h>
#include <transport/fd_keep.h>
#include <util/keep.h>

/*
 * What a process before has kept is there, until iommu_files_restored().
 * @keep, @fds: borrowed; @keep NULL: *@ret is NULL
 * Return: 0; -ENOMEM; of kept_restore().
 */
int iommu_files_new(struct keep *keep, struct fd_keep *fds, struct backend_files **ret);
/* What nobody has taken is dropped. NULL is allowed. */
void iommu_files_restored(struct backend_files *files);
/* The topology has gone, or drops nothing any more. NULL is allowed. */
void iommu_files_free(struct backend_files *files);

#endif
