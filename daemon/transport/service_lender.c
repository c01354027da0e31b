/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/service_lender.c - what the caller of an ioctl gives for a device of the machine; see
 * vfio-cused/iommu.h. */
#include <errno.h>
#include <string.h>

#include <transport/client_mm.h>
#include <transport/service_internal.h>
#include <util/log.h>

void service_armed(void *arg)
{
	/* What the client sees if the courier dies half-way. */
	request_error(arg, EIO);
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
static int lender_call(struct cused_lender *lender, int fd, unsigned long cmd, void *arg,
		       size_t len, int *ret_result)
{
	struct service_lender *l = (struct service_lender *)lender;
	struct service_ioctl *ioctl = l->ioctl;
	struct service *service = ioctl->service;
	int r;

	if (!service->params.dma_by_courier || !service->params.courier)
		return -EOPNOTSUPP;
	server_will_wait();
	if (!l->lending) {
		r = agent_lend_begin(service->agent, ioctl->request->tid, service_armed,
				     ioctl->request, &l->lending);
		if (r) {
			service_tell_courier(ioctl, r);
			return r == -EPERM ? -EOPNOTSUPP : r;
		}
	}
	return agent_lend_call(l->lending, fd, cmd, arg, len, ret_result);
}

struct service_lender service_lender(struct service_ioctl *ioctl, struct mm *mm)
{
	return (struct service_lender){
		.lender = { .size = sizeof(struct cused_lender), .file = lender_file,
			    .call = lender_call },
		.ioctl = ioctl, .mm = mm,
	};
}
