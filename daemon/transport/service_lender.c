/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/service_lender.c - what the caller of an ioctl gives for a device of the machine; see
 * vfio-cused/iommu.h. */
#include <errno.h>
#include <string.h>

#include <transport/client_mm.h>
#include <transport/replay.h>
#include <transport/service_internal.h>
#include <util/log.h>

void service_armed(void *arg)
{
	/* What the client sees if the courier dies half-way. */
	request_error(arg, EIO);
}

/* The same, but if this process dies half-way the courier asks the next what came of it. */
static void lent_out(void *arg)
{
	replay_lend();
	service_armed(arg);
}

void service_lend_end(struct service_lender *l, int result)
{
	replay_lent(l->ioctl->request->tid, result);
	agent_lend_end(l->lending, result);
	replay_told();
}

void service_tell_courier(const struct service_ioctl *ioctl, int r)
{
	struct log_about about = { .pid = ioctl->request->tid, .row = "CG-102" };

	if (!atomic_exchange(&ioctl->service->told_courier, true))
		log_about(&about, CUSED_LOG_WARNING, "service", "the courier cannot serve "
			  "a client: %s; start it by vfio-cused exec, or see in "
			  "vfio-cused-serve(8) what stops the courier", strerror(-r));
}

static int lender_file(struct cused_lender *lender, uint64_t vaddr, uint64_t len,
		       unsigned prot, int *ret_fd, uint64_t *ret_offset)
{
	const struct service_lender *l = (struct service_lender *)lender;

	if (!l->ioctl->service->params.dma_by_file)
		return -EOPNOTSUPP;
	return client_mm_file(l->mm, l->ioctl->request->tid, vaddr, len, prot, ret_fd,
			      ret_offset);
}

/* The first call stops the thread, and its own ioctl counts as answered; run() lets it go. */
static int lender_begin(struct service_lender *l)
{
	struct service_ioctl *ioctl = l->ioctl;
	int r;

	server_will_wait();
	if (l->lending)
		return 0;
	r = agent_lend_begin(ioctl->service->agent, ioctl->request->tid,
			     ioctl->file ? ioctl->file->node->number : 0, replay_number(),
			     lent_out, ioctl->request, &l->lending);
	if (r)
		service_tell_courier(ioctl, r);
	return r == -EPERM ? -EOPNOTSUPP : r;
}

static int lender_call(struct cused_lender *lender, int fd, unsigned long cmd, void *arg,
		       size_t len, int *ret_result)
{
	struct service_lender *l = (struct service_lender *)lender;
	const struct service_params *params = &l->ioctl->service->params;
	int r;

	if (!params->dma_by_courier || !params->courier)
		return -EOPNOTSUPP;
	r = lender_begin(l);
	return r ? r : agent_lend_call(l->lending, fd, cmd, arg, len, ret_result);
}

static const char *swap_error(int r)
{
	switch (r) {
	case -EBUSY:
		return "another process has a copy of its file; let it open one of its own";
	case -E2BIG:
		return "the process has too many copies of its file; let it close some";
	case -EOPNOTSUPP:
		return "it is a 32-bit program, or the courier may not stop it";
	case -ENOSYS:
		return "the kernel has no kcmp(); take one that has CONFIG_KCMP";
	default:
		return strerror(-r);
	}
}

static void tell_swap(const struct service_ioctl *ioctl, int r)
{
	struct log_about about = { .pid = ioctl->request->tid };
	unsigned long long id = container_id(ioctl->object.container);

	if (r == -ESRCH)
		log_about(&about, CUSED_LOG_WARNING, "service", "container %llu of process %d "
			  "cannot be swapped: the process has ended, or the courier was too late "
			  "or is gone; its VFIO_SET_IOMMU fails", id, (int)about.pid);
	else if (r)
		log_about(&about, CUSED_LOG_WARNING, "service", "container %llu of process %d "
			  "cannot be swapped: %s; it is served by file and courier", id,
			  (int)about.pid, swap_error(r));
	else
		log_about(&about, CUSED_LOG_INFO, "service", "container %llu of process %d is "
			  "swapped: an iommufd of its own", id, (int)about.pid);
}

/* As lender_call(); of SET_IOMMU, whose file it is about. */
static int lender_swap(struct cused_lender *lender, int fd)
{
	struct service_lender *l = (struct service_lender *)lender;
	struct service_ioctl *ioctl = l->ioctl;
	int r;

	if (!ioctl->service->params.dma_swap || ioctl->object.kind != OBJECT_CONTAINER)
		return -EOPNOTSUPP;
	r = lender_begin(l);
	if (r == 0) {
		open_file_swap(ioctl->file, true);
		r = agent_lend_swap(l->lending, fd, ioctl->file->node->number);
		if (r)
			open_file_swap(ioctl->file, false);
		tell_swap(ioctl, r);
		return r == -ESRCH ? -EIO : r == -EIO ? -EOPNOTSUPP : r;
	}
	tell_swap(ioctl, r);
	return r == -EIO || r == -ESRCH ? -EOPNOTSUPP : r;	/* its call can be answered still */
}

struct service_lender service_lender(struct service_ioctl *ioctl, struct mm *mm)
{
	return (struct service_lender){
		.lender = { .size = sizeof(struct cused_lender), .file = lender_file,
			    .call = lender_call, .swap = lender_swap },
		.ioctl = ioctl, .mm = mm,
	};
}
