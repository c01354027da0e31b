/* SPDX-License-Identifier: GPL-2.0-or-later */
/* random/exec_priv.h - what the operations have in common. */
#ifndef RANDOM_EXEC_PRIV_H
#define RANDOM_EXEC_PRIV_H

#include "exec.h"

#define RAW_BYTES 4096u

struct exec {
	struct exec_sys *sys;
	FILE *out;
	int fds[SLOTS];
	uint8_t kind[SLOTS];		/* of device fds: DEVICE_A or DEVICE_B */
	int saved_fds[SLOTS];		/* while a child runs */
	uint8_t saved_kind[SLOTS];
	bool child, held;
	uint64_t arg;			/* address of the argument */
	void *bytes;			/* ours of it; NULL if nothing can stand there */
	const uint64_t *a;		/* the operation's */
	uint8_t raw[RAW_BYTES];
	char text[2048];		/* of the result */
	size_t used;
};

/* Add to the text of the result. */
__attribute__((format(printf, 2, 3))) void exec_say(struct exec *e, const char *format, ...);
bool exec_result(struct exec *e, int64_t r);	/* return: whether it is no error */
void exec_dump(struct exec *e, const char *name, const void *data, size_t len);

int exec_fd(struct exec *e, uint64_t slot);

/* Whether the operation's slot is of [first, end): the same number of an ioctl means
 * something else to a file of another kind. */
bool exec_is_kind(struct exec *e, uint64_t first, uint64_t end);

/* The operation's ioctl, with an argument of @len bytes at a place. What follows it in
 * memory is all 0x55, to see what is written. Return: as ioctl(); e->bytes is the argument. */
int64_t exec_call(struct exec *e, unsigned cmd, uint64_t place, const void *arg, size_t len);

/* An ioctl whose argument is argsz and numbers, and comes back with its first @shown bytes. */
void exec_sized(struct exec *e, unsigned cmd, uint64_t place, const uint32_t *words,
		size_t n_words, size_t shown);
void exec_by_value(struct exec *e, unsigned cmd, uint64_t arg);

/* ---- operations of devices: exec_device.c ---- */

void exec_do_reset(struct exec *e);
void exec_do_dev_info(struct exec *e);
void exec_do_region_info(struct exec *e);
void exec_do_irq_info(struct exec *e);
void exec_do_irqs(struct exec *e);
void exec_do_hot_info(struct exec *e);
void exec_do_hot_reset(struct exec *e);
void exec_do_ioeventfd(struct exec *e);
void exec_do_feature(struct exec *e);
void exec_do_read(struct exec *e);
void exec_do_write(struct exec *e);
void exec_do_mmap(struct exec *e);
void exec_do_cfg(struct exec *e);
void exec_do_cfg_set(struct exec *e);
void exec_do_cap_set(struct exec *e);

#endif
