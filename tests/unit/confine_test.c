/* SPDX-License-Identifier: GPL-2.0-or-later */
/* transport/confine.c, in children: what each is left with. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <transport/confine.h>
#include <unit/insist.h>

static struct cused_error err;

static void in_child(void (*fn)(enum confine_who who), enum confine_who who)
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		fn(who);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

/* Its field of /proc/self/status. */
static unsigned long long status_of(const char *name)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long long value = ~0ull;
	size_t length = strlen(name);
	char line[256];

	INSIST(f);
	while (fgets(line, sizeof(line), f)) {
		if (!strncmp(line, name, length) && line[length] == ':')
			value = strtoull(line + length + 1, NULL, 16);
	}
	fclose(f);
	return value;
}

/* ---- capabilities ---- */

#define CAP(name) (1ull << CAP_##name)

static const unsigned long long kept[] = {
	[CONFINE_SERVICE] = CAP(SYS_ADMIN) | CAP(SYS_PTRACE) | CAP(DAC_OVERRIDE) | CAP(CHOWN) |
			    CAP(FOWNER) | CAP(MKNOD) | CAP(SYS_RESOURCE),
	[CONFINE_SERVICE_AND_AGENT] = CAP(SYS_ADMIN) | CAP(SYS_PTRACE) | CAP(DAC_OVERRIDE) |
				      CAP(CHOWN) | CAP(FOWNER) | CAP(MKNOD) |
				      CAP(SYS_RESOURCE),
	[CONFINE_AGENT] = CAP(SYS_ADMIN) | CAP(SYS_PTRACE) | CAP(DAC_OVERRIDE) | CAP(CHOWN) |
			  CAP(FOWNER) | CAP(MKNOD) | CAP(SYS_RESOURCE),
	[CONFINE_COURIER] = CAP(SYS_ADMIN) | CAP(SYS_PTRACE) | CAP(DAC_OVERRIDE) | CAP(SYS_RESOURCE),
};

static void capabilities(enum confine_who who)
{
	unsigned long long had = status_of("CapPrm"), bounds = status_of("CapBnd");

	INSIST(confine_capabilities(who, &err) == 0);
	INSIST(status_of("CapPrm") == (kept[who] & had));
	INSIST(status_of("CapEff") == (kept[who] & had));
	INSIST(status_of("CapInh") == 0);
	INSIST(status_of("CapAmb") == 0);
	if (who != CONFINE_COURIER)
		INSIST(status_of("CapBnd") == (had & CAP(SETPCAP) ? kept[who] & bounds : bounds));
	INSIST(status_of("NoNewPrivs") == 1);
	/* Once more: there is nothing left to give up. */
	INSIST(confine_capabilities(who, &err) == 0);
	INSIST(status_of("CapPrm") == (kept[who] & had));
}

START_TEST(capabilities_of_each)
{
	in_child(capabilities, (enum confine_who)_i);
}
END_TEST

static void becomes_courier(enum confine_who who)
{
	unsigned long long had = status_of("CapPrm");

	INSIST(confine_capabilities(who, &err) == 0);
	INSIST(confine_calls(who, &err) == 0);
	INSIST(confine_capabilities(CONFINE_COURIER, &err) == 0);
	INSIST(status_of("CapPrm") == (kept[CONFINE_COURIER] & had));
}

START_TEST(an_agent_makes_couriers)
{
	in_child(becomes_courier, CONFINE_AGENT);
}
END_TEST

/* ---- system calls ---- */

static bool refused(long number, long a, long b, long c)
{
	errno = 0;
	return syscall(number, a, b, c, 0, 0) < 0 && errno == EPERM;
}

/* With arguments that fail in another way, if the call is made at all. */
static bool is_mount_refused(void)
{
	return refused(SYS_umount2, (long)"/no/such/mount", 0, 0);
}

static void calls(enum confine_who who)
{
	char from = 'x', to = 0;
	struct iovec local = { &to, 1 }, remote = { &from, 1 };
	char *const none[] = { NULL };
	int fds[2];

	INSIST(confine_calls(who, &err) == 0);
	/* An agent under a filter could not suspend those of clients. */
	INSIST(prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == (who == CONFINE_SERVICE ? 2 : 0));
	if (who != CONFINE_SERVICE)
		return;
	/* Nobody's. A module of no descriptor is EBADF, if there is the right to load it. */
	INSIST(refused(SYS_finit_module, -1, (long)"", 0));
	INSIST(refused(SYS_bpf, 0, 0, 0));
	INSIST(refused(SYS_io_uring_setup, 0, 0, 0));
	INSIST(refused(SYS_personality, 0xffffffff, 0, 0));
	INSIST(refused(SYS_setresuid, -1, -1, -1));
	INSIST(refused(SYS_unshare, 0, 0, 0));
	INSIST(refused(SYS_keyctl, -1, 0, 0));
	/* Only start-up's. */
	INSIST(refused(SYS_fsopen, (long)"nosuchfs", 0, 0));
	/* An agent's. */
	INSIST(is_mount_refused());
	INSIST(refused(SYS_ptrace, 0xfff, getpid(), 0));
	INSIST(refused(SYS_kcmp, getpid(), getppid(), KCMP_FILE));
	INSIST(refused(SYS_kcmp, getppid(), getpid(), KCMP_FILE));
	/* Who starts an agent. */
	execv("/no/such/program", none);
	INSIST(errno == EPERM);
	/* What it does itself. */
	INSIST(syscall(SYS_kcmp, (long)getpid(), (long)getpid(), (long)KCMP_FILE, 1L, 1L) == 0);
	INSIST(process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == 1 && to == 'x');
	INSIST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0);
	INSIST(memfd_create("confine", MFD_CLOEXEC) >= 0);
	INSIST(open("/proc/self/status", O_RDONLY | O_CLOEXEC) >= 0);
}

START_TEST(calls_of_each)
{
	in_child(calls, (enum confine_who)_i);
}
END_TEST

static sem_t confined;

static void *another_thread(void *arg)
{
	while (sem_wait(&confined))
		;
	return (void *)(uintptr_t)is_mount_refused();
}

/* The service has its threads when start-up is over. */
static void threads(enum confine_who who)
{
	pthread_t thread;
	void *is_refused;

	INSIST(sem_init(&confined, 0, 0) == 0);
	INSIST(pthread_create(&thread, NULL, another_thread, NULL) == 0);
	INSIST(confine_calls(who, &err) == 0);
	INSIST(sem_post(&confined) == 0);
	INSIST(pthread_join(thread, &is_refused) == 0);
	INSIST(is_refused);
}

START_TEST(calls_of_all_threads)
{
	in_child(threads, CONFINE_SERVICE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("confine");
	TCase *tc = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (geteuid() != 0) {
		puts("skip (host): there are no rights to give up without root");
		return 77;
	}
	tcase_add_loop_test(tc, capabilities_of_each, 0, CONFINE_WHO);
	tcase_add_test(tc, an_agent_makes_couriers);
	tcase_add_loop_test(tc, calls_of_each, 0, CONFINE_COURIER);
	tcase_add_test(tc, calls_of_all_threads);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
