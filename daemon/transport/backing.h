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
 *
 * A service whose devices outlive its process has the file kept, with all that is in it. Memory of
 * the model's own (device.h, memory()) is kept, too, in files that no client ever has.
 */
#ifndef TRANSPORT_BACKING_H
#define TRANSPORT_BACKING_H

#include <core/topology.h>
#include <vfio-cused/cused.h>

struct backing;
struct fd_keep;

/* @base: of its regions' offsets: window_base(number), or 0. SIGXFSZ must be ignored.
 * Return: 0; -EFBIG the limit on file sizes is too low; -ENOMEM; each with @err set. */
int backing_new(uint64_t base, struct backing **ret, struct cused_error *err);
/*
 * The same, around the file of a process before, whose pages are as they were.
 * @memfd: from backing_keep(); owned from now on, on success
 * Return: 0; -EBADMSG it is no such file; -ENOMEM; each with @err set.
 */
int backing_adopt(uint64_t base, int memfd, struct backing **ret, struct cused_error *err);
/* NULL is allowed. One that is kept goes from there, too. */
void backing_free(struct backing *backing);

/*
 * Have the file kept, as "bar-NUMBER", until backing_free(). After backing_seal(): of an adopted
 * one, too, which is there.
 * @fds: borrowed; NULL: nothing of it.  @keep_id: of the device, not 0
 * Locks: none.
 */
void backing_keep(struct backing *backing, struct fd_keep *fds, uint64_t keep_id);
/* The file that a process before had for that device. Return: the caller's; -1: there is none. */
int backing_kept(struct fd_keep *fds, uint64_t keep_id);

/*
 * Before the device is made: its model may have memory of its own, each in a file that is kept as
 * "mem-NUMBER-ID" from its allocation until it is freed. Of an adopted one it is what was kept, of
 * that size and sealed as we do, or -EBADMSG. Without this call, backing_memfd_ops gives none.
 * @fds, @keep_id: as below, not NULL
 * Locks: none.
 */
void backing_keep_own(struct backing *backing, struct fd_keep *fds, uint64_t keep_id);

/* For struct device_params; the argument is the struct backing. */
extern const struct backing_ops backing_memfd_ops;

/* After the device was made; again is no matter. Return: 0, -errno. */
int backing_seal(struct backing *backing);
/* Borrowed. */
int backing_fd(const struct backing *backing);
/* window.h's number of the device. */
unsigned backing_number(const struct backing *backing);

#endif
