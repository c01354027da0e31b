/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * conformance/conf.h - a VFIO client that writes down what it is answered.
 *
 * The program has no opinion: it does the same things everywhere and records each answer,
 * and tests/vm/conformance.sh compares what it recorded on the kernel's own VFIO with what
 * it recorded elsewhere. It knows nothing of vfio-cused.
 *
 * A case is a function of steps, run in a process of its own with a deadline. Each step is
 * one line of the recording:
 *
 *     CASE.STEP ROWS | WHAT WAS DONE | RESULT ERRNO | BYTES THAT MATTER
 *
 * What is written must be the same in every run on the same side: addresses, numbers of
 * fds and random bytes are left out by the case. CASE and WHAT name the step for the
 * comparison, so a step that one side has and another has not shifts nothing.
 *
 * Cases reach VFIO through a target. One does system calls; the other calls the core of
 * vfio-cused in process (inside.c), where a client's memory is not its own: an address of
 * the client is a number, conf_at() is where the program finds those bytes.
 */
#ifndef CONFORMANCE_CONF_H
#define CONFORMANCE_CONF_H

#include <errno.h>
#include <linux/vfio.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 4096u

struct conf_where {
	const char *dir;	/* "/dev/vfio" */
	const char *bdf[2];	/* the device, and another one or NULL */
	int group[2];		/* their IOMMU groups */
};
extern struct conf_where conf_where;

/* Results are 0 or more, or -errno. */
struct conf_target {
	/* Why cases that need system calls (fork, mmap, sysfs, …) cannot run; NULL: they
	 * can. */
	const char *no_syscalls;
	int (*start)(void);		/* in the case's process, before it */
	void (*stop)(void);		/* after it */
	int (*open_container)(void);
	int (*open_group)(unsigned which);		/* 0: the device's, 1: the peer's */
	int64_t (*ioctl)(int fd, unsigned long cmd, uint64_t arg);
	int (*close)(int fd);
	int (*dup)(int fd);
	int64_t (*pread)(int fd, uint64_t addr, size_t len, uint64_t pos);
	int64_t (*pwrite)(int fd, uint64_t addr, size_t len, uint64_t pos);
	int (*eventfd)(void);
	uint64_t (*event_take)(int fd);			/* the count, which becomes 0 */
	void (*event_signal)(int fd);
	int (*other_file)(void);			/* a file of another kind */
	/* New pages of the client's, zeroed. */
	uint64_t (*memory)(unsigned pages);
	void *(*at)(uint64_t addr);
	void (*protect)(uint64_t addr, unsigned pages, unsigned rights);
};
extern const struct conf_target conf_target;
#define T (&conf_target)

enum { RIGHTS_NONE, RIGHTS_READ, RIGHTS_WRITE, RIGHTS_BOTH };

enum conf_needs {
	NEEDS_SYSCALLS = 1,
	NEEDS_PEER = 2,		/* a second device in another group */
	EXHAUSTIVE = 4,		/* only with --exhaustive or by name */
	NEEDS_64 = 8,		/* addresses of 64 bits */
	MANY_STEPS = 16,	/* not with --short */
};

struct conf_case {
	const char *name;
	const char *rows;	/* what it is about; each step cites its own */
	void (*fn)(void);
	unsigned needs;		/* enum conf_needs */
	unsigned seconds;	/* deadline; 0: 120, for guests are slow */
};

#define CASE(fn_, rows_, ...) { .name = #fn_, .rows = rows_, .fn = fn_, __VA_ARGS__ }

extern const struct conf_case cases_container[], cases_group[], cases_sharing[],
	cases_type1[], cases_type1_unmap[], cases_device[], cases_access[], cases_irq[],
	cases_cfgspace[], cases_closing[], cases_discovery[], cases_spapr[];

/* ---- steps ---- */

/* One step. @bytes: what else was seen, or NULL. */
void conf_step(const char *rows, int64_t result, const char *bytes, const char *what, ...)
	__attribute__((format(printf, 4, 5)));
#define STEP(rows, result, ...) conf_step((rows), (int64_t)(result), NULL, __VA_ARGS__)
/* A text for @bytes: good until eight more were made. */
const char *conf_text(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A case that finds nothing to do ends here. */
_Noreturn void conf_skip(const char *why);
/* Something went wrong that makes the rest of the case senseless. */
_Noreturn void conf_abort(const char *what, int64_t result);

/* A result that is an fd: its number is nobody's business. It is closed. */
int64_t conf_fd(int64_t result);

/* The name of -@result, or "". */
const char *conf_errno(int64_t result);

/* ---- the client's memory ---- */

#define conf_at(addr) (T->at(addr))
/* An address that is never mapped. */
uint64_t conf_nowhere(void);

/* ---- calls ---- */

/* An ioctl whose struct goes to the client's memory and comes back. */
int64_t conf_call(int fd, unsigned long cmd, void *arg, size_t len);
#define CALL(fd, cmd, arg) conf_call((fd), (cmd), (arg), sizeof(*(arg)))

/* Opens, or ends the case. */
int conf_container(void);
int conf_group(unsigned which);
int64_t conf_attach(int group, int container);
int conf_get_device(int group, const char *name);

struct conf_files {
	int container, group, device;
};
/* All three, with a type: VFIO_TYPE1_IOMMU or VFIO_TYPE1v2_IOMMU. Or ends the case. */
struct conf_files conf_open(int type);
void conf_close(struct conf_files *files);

int64_t conf_map(int container, uint32_t flags, uint64_t vaddr, uint64_t iova,
		 uint64_t size);
/* @ret_size: what the struct holds afterwards, or NULL. */
int64_t conf_unmap(int container, uint32_t flags, uint64_t iova, uint64_t size,
		   uint64_t *ret_size);
int64_t conf_region(int device, uint32_t index, struct vfio_region_info *ret);
int64_t conf_irq(int device, uint32_t index, struct vfio_irq_info *ret);
/* @data: for the struct's data, @len bytes. */
int64_t conf_set_irqs(int device, uint32_t flags, uint32_t index, uint32_t start,
		      uint32_t count, const void *data, size_t len);
/* Where a region begins in the device's file. */
uint64_t conf_offset(int device, uint32_t index);
/* Configuration space, little endian, 1 to 4 bytes. */
uint32_t conf_cfg(int device, unsigned at, unsigned len);
int64_t conf_cfg_set(int device, unsigned at, unsigned len, uint32_t value);
/* Where a capability begins, or 0. */
unsigned conf_cap(int device, uint8_t id);

/* ---- what is tried on every ioctl that takes a struct ---- */

struct conf_struct {
	char name[48];
	int fd;
	unsigned long cmd;
	const void *arg;	/* one that is answered well */
	size_t len;		/* of @arg */
	size_t min;		/* the smallest argsz */
	bool no_argsz;		/* it does not begin with its size */
	void (*undo)(void);	/* after each call that succeeds, or NULL */
	unsigned known_flags; /* flags that are not tried, because they mean another call */
};

/* Pointers to nothing, to half a struct, to memory that cannot be written. */
void conf_try_pointers(const char *rows, const struct conf_struct *s);
/* Values of argsz, and which bytes are written. */
void conf_try_argsz(const char *rows, const struct conf_struct *s);
/* Each bit of flags on its own, added to those of @arg. */
void conf_try_flags(const char *rows, const struct conf_struct *s);
/* Each ioctl number on @fd, with no argument, zeroes, and argsz alone. */
void conf_try_numbers(const char *rows, const char *what, int fd);

#endif
