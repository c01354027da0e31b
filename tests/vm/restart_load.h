/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * restart_load.h - vm-restart-load: clients that make requests at a given rate, and know
 * each answer.
 *
 * Theory of operation
 *
 *   A worker is a process with a container, a group or a device of its own. It keeps a
 * model of all that the service keeps for it (which IOVAs are mapped, what registers and
 * memory hold) and draws operations; each answer is compared with the model's, byte by
 * byte. The first that differs ends the worker: what follows would say nothing new.
 *
 *   Requests are paced by an absolute clock: number n of a thread is due at start + n *
 * interval. After a stall all that became due meanwhile is made at once, so that a service
 * which stands still for some time has the same number of requests to answer as one that
 * does not.
 *
 *   What a thread has done stands in memory that all processes share (struct load_stats),
 * and so does the request which it waits for: one that is never answered is found by its
 * parent.
 *
 *   A fault can be planted between the service and what checks its answers (struct
 * load_fault), which shows that the checks find it.
 */
#ifndef VM_RESTART_LOAD_H
#define VM_RESTART_LOAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "system/vc.h"

#define LOAD_THREADS_MAX 64	/* of all workers */
#define LOAD_LIMITS 5	/* of durations that are counted: see load_limits_ms */
#define LOAD_ERROR_TEXT 256

enum load_state { LOAD_STARTS, LOAD_RUNS, LOAD_DONE, LOAD_FAILED };

/* Of one thread, in shared memory. Only the thread writes, but for what its parent says. */
struct load_stats {
	_Atomic uint64_t requests;
	_Atomic uint64_t since_ns;	/* of the request that it waits for, 0: none */
	_Atomic(const char *) call;	/* that request's name; a constant */
	_Atomic unsigned state;	/* enum load_state */
	uint64_t busy;			/* answers that a close was not known of yet */
	uint64_t spurious;	/* interrupts that nothing asked for */
	uint64_t over[LOAD_LIMITS];	/* requests that took longer than that */
	uint64_t longest_ns, longest_at_ns;
	const char *longest_call;
	uint64_t late_ns;	/* longest time behind the clock */
	char error[LOAD_ERROR_TEXT];
};

extern const unsigned load_limits_ms[LOAD_LIMITS];

/* What is done to number @at of the requests named @call of each thread. */
struct load_fault {
	const char *call;	/* NULL: no fault */
	enum load_fault_kind {
		FAULT_NONE,
		FAULT_ERROR,	/* ENOTCONN is answered, and nothing done */
		FAULT_LOST,	/* nothing is done, though the answer says so */
		FAULT_TWICE,	/* done twice; the second answer counts */
		FAULT_WRONG,	/* a bit of the answer's bytes is another */
		FAULT_FORGOTTEN,	/* all mappings are gone before it is made */
	} kind;
	unsigned at;
};

struct load {
	struct load_stats *stats;
	const char *name;	/* of the worker, for errors */
	_Atomic bool *stop;	/* in shared memory */
	uint64_t began_ns, next_ns, interval_ns;
	unsigned seed;
	int patience_ms;	/* for what the service does by itself, an interrupt */
	struct load_fault fault;
	unsigned fault_seen;
};

/* ---- restart_call.c: single requests. All of them end the process at a difference. ----
 */

unsigned load_draw(struct load *l, unsigned n);	/* below n */
bool load_stops(const struct load *l);

/* Ends the process with an error: what was seen, and what was expected. */
_Noreturn void load_fail(struct load *l, const char *call, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A request's begin and end, for what is no system call: waits until it is due; -> the
 * fault that applies. */
enum load_fault_kind load_begin(struct load *l, const char *call);
void load_end(struct load *l, const char *call);

/* The result must be @want: a number, or a negative errno. Return: it. */
int load_result(struct load *l, const char *call, long is, long want);

/* open() of @path; @want is 0 for a file, or a negative errno. Return: the file, -1. */
int load_open(struct load *l, const char *call, const char *path, int want);
void load_close(struct load *l, const char *call, int *fd);
/* ioctl(). @size bytes at @arg are afterwards compared with @want_arg, unless that is NULL.
 */
int load_ioctl(struct load *l, const char *call, int fd, unsigned long cmd, void *arg,
	       size_t size, const void *want_arg, long want);
/* The same with a number as argument. */
int load_ioctl_number(struct load *l, const char *call, int fd, unsigned long cmd,
		      unsigned long arg, long want);
/* What may be EBUSY for a moment after a close, of which the service is told behind its back: tried
 * again for as long as there is patience. */
int load_open_soon(struct load *l, const char *call, const char *path);
void load_ioctl_soon(struct load *l, const char *call, int fd, unsigned long cmd);
/* GET_DEVICE_FD. Return: the file, or -1 if @want is a negative errno. */
int load_get_device(struct load *l, int group, const char *bdf, int want);

void load_read(struct load *l, const char *call, int fd, uint64_t at, void *buf, size_t len);
void load_write(struct load *l, const char *call, int fd, uint64_t at, const void *buf,
		size_t len);

/* Waits for an interrupt. What has come before, unasked, is counted by load_quiet(). */
void load_event(struct load *l, const char *call, int event);
void load_quiet(struct load *l, int event);
/* Memory that somebody else has written: @len bytes at @is must be those at @want. */
void load_same(struct load *l, const char *call, void *is, const void *want, size_t len);

/* Container, group, SET_IOMMU and device. */
void load_open_device(struct load *l, const char *bdf, struct vc *ret,
		      struct vc_where *ret_where);

/* ---- workers: run until load_stops() ---- */

/* edu: maps, registers, DMA, interrupts. @more: threads beside, which map in the same
 * container. */
void load_edu(struct load *l, const char *bdf, struct load *more, unsigned n_more);
void load_nvme(struct load *l, const char *bdf);
/* Opens and closes a group, its container and its device. */
void load_opener(struct load *l, const char *bdf);
/* Containers alone. */
void load_containers(struct load *l);

/* Begins to make requests; what came before, the opening, is not paced. */
void load_ready(struct load *l);

/* ---- restart_maps.c: mappings of one container, in a window of its own ---- */

#define MAPS 64u
#define MAP_BYTES 16384u

struct maps {
	struct load *load;
	int container;
	uint64_t iova;	/* of the first; they lie side by side */
	bool mapped[MAPS];
	uint8_t *memory[2];	/* private and shared, MAPS * MAP_BYTES each */
	uint8_t *model;	/* what the memory of each must hold */
};

void maps_init(struct maps *m, struct load *l, int container, unsigned window);
uint8_t *maps_memory(const struct maps *m,
		     unsigned i);	/* even ones are private, odd ones shared */
uint8_t *maps_model(const struct maps *m, unsigned i);
uint64_t maps_iova(const struct maps *m, unsigned i);
unsigned maps_count(const struct maps *m);
/* One request about mappings, or some. */
void maps_step(struct maps *m);
/* All of them, one after the other: there or not. */
void maps_sweep(struct maps *m);
void maps_map(struct maps *m, unsigned i);
/* VFIO_DMA_UNMAP_FLAG_ALL: its size is what all windows together have. */
void maps_unmap_all(struct maps *m);

#endif
