/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * transport/backing.h - the sparse memfd that is a device's fd in the client.
 *
 * Of the service it is what device files are passed through to (devfs.h).
 *
 * Its size is the largest a file can have, so that a BAR can live at the very offset
 * that GET_REGION_INFO reports (window.h): the client's mmap needs no translation, and
 * client and model share the pages. Once the BARs are mapped here, seals forbid to shrink
 * or grow the file, so that no client can make us fault. A seal against writing would
 * forbid the client's own mappings. Holes can still be punched: only BAR memory, which a
 * client may overwrite anyway, lives in the file.
 */
#ifndef TRANSPORT_BACKING_H
#define TRANSPORT_BACKING_H

#include <core/topology.h>
#include <vfio-cused/cused.h>

struct backing;

/* @base: of its regions' offsets: window_base(number), or 0. SIGXFSZ must be ignored.
 * Return: 0; -EFBIG the limit on file sizes is too low; -ENOMEM; each with @err set. */
int backing_new(uint64_t base, struct backing **ret, struct cused_error *err);
void backing_free(struct backing *backing);	/* NULL is allowed */

/* For struct device_params; the argument is the struct backing. */
extern const struct backing_ops backing_memfd_ops;

/* After the device was made. Return: 0, -errno. */
int backing_seal(struct backing *backing);
/* Borrowed. */
int backing_fd(const struct backing *backing);
/* window.h's number of the device. */
unsigned backing_number(const struct backing *backing);

#endif
