/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Expectation: the creator of a user namespace can read and write the memory of a process
 * in it (process_vm_readv, process_vm_writev), without capabilities of its own; a page
 * that the process may not write is not written either (EFAULT).
 */
#include <sys/mman.h>
#include <sys/uio.h>

#include "platform.h"

static char word[8] = "before";

int main(void)
{
	struct iovec local = { word, sizeof(word) }, remote = { word, sizeof(word) };
	struct meeting m;
	char *readable;
	pid_t pid;

	need_namespaces();
	readable = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	EXPECT(readable != MAP_FAILED);
	meeting_init(&m);
	pid = fork_child();
	if (pid == 0) {
		EXPECT(enter_namespaces() == 0);
		strcpy(word, "child");
		tell(m.theirs, 1);
		hear(m.theirs);
		EXPECT(!strcmp(word, "parent"));
		_exit(0);
	}
	hear(m.ours);
	if (process_vm_readv(pid, &local, 1, &remote, 1, 0) < 0 && errno == ENOSYS)
		SKIP("no process_vm_readv in this kernel");
	EXPECT(!strcmp(word, "child"));
	strcpy(word, "parent");
	EXPECT(process_vm_writev(pid, &local, 1, &remote, 1, 0) == sizeof(word));
	remote.iov_base = readable;
	EXPECT(process_vm_writev(pid, &local, 1, &remote, 1, 0) < 0 && errno == EFAULT);
	tell(m.ours, 1);
	return join_child(pid);
}
