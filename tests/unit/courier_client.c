/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * unit/courier_client.c - the clients of unit/courier_test.c. Not built with sanitizers, so
 * that it is as any client: nobody else opens files or maps memory in it.
 *
 *   courier_client MODE [NUMBER...]
 *
 * fd 3 is the file whose ioctl is answered with an fd: a memfd that holds the ioctl's
 * argument as its text and has its offset behind it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NODE 3
#define GET_DEVICE_FD 0x3b6a

#define CHECK(condition) do {								\
	if (!(condition)) {								\
		fprintf(stderr, "%s:%d: not true in the client: %s (errno %d)\n",	\
			__FILE__, __LINE__, #condition, errno);				\
		_exit(1);								\
	}										\
} while (0)

static char maps_before[65536], maps_after[65536];

static int get(uint64_t arg)
{
	return ioctl(NODE, GET_DEVICE_FD, arg);
}

/* Is it the file that belongs to @arg? */
static void check_file(int fd, uint64_t arg)
{
	uint64_t text;

	CHECK(fd >= 0);
	CHECK(lseek(fd, 0, SEEK_CUR) == sizeof(text));
	CHECK(pread(fd, &text, sizeof(text), 0) == sizeof(text));
	CHECK(text == arg);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static size_t read_maps(char *text, size_t size)
{
	int fd = open("/proc/self/maps", O_RDONLY);
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, size - len)) > 0)
		len += (size_t)n;
	close(fd);
	return len;
}

/* The lowest number, the right flags, and nothing else changed. */
static void once(bool cloexec)
{
	size_t len;

	CHECK(dup2(0, 4) == 4 && dup2(0, 6) == 6);
	len = read_maps(maps_before, sizeof(maps_before));
	CHECK(get(77) == 5);
	check_file(5, 77);
	CHECK(!!(fcntl(5, F_GETFD) & FD_CLOEXEC) == cloexec);
	CHECK(get(78) == 7);
	check_file(7, 78);
	for (int fd = 8; fd < 1024; fd++)
		CHECK(!is_open(fd));
	CHECK(read_maps(maps_after, sizeof(maps_after)) == len &&
	      memcmp(maps_before, maps_after, len) == 0);
}

static void fails_with(int error)
{
	CHECK(get(1) == -1 && errno == error);
	for (int fd = 4; fd < 64; fd++)
		CHECK(!is_open(fd));
}

/* The fd, or an error that comes of being late; never anything else. */
static void late(unsigned long count)
{
	size_t len = read_maps(maps_before, sizeof(maps_before));

	for (unsigned long i = 0; i < count; i++) {
		int fd = get(i);

		CHECK(fd == 4 || (fd == -1 && (errno == ETIMEDOUT || errno == ENODEV)));
		if (fd == 4) {
			check_file(fd, i);
			CHECK(close(fd) == 0);
		}
		CHECK(!is_open(4) && !is_open(5) && !is_open(6));
	}
	CHECK(read_maps(maps_after, sizeof(maps_after)) == len &&
	      memcmp(maps_before, maps_after, len) == 0);
}

static void *trickster(void *arg)
{
	for (;;) {
		for (int fd = 4; fd < 7; fd++) {
			close(fd);
			dup2(0, fd + 1);
		}
	}
	return NULL;
}

/* Whatever comes of it is well deserved, but it comes. */
static void tricks(unsigned long count)
{
	pthread_t id;

	CHECK(pthread_create(&id, NULL, trickster, NULL) == 0);
	for (unsigned long i = 0; i < count; i++)
		get(i);
}

static void many(unsigned long count)
{
	for (unsigned long i = 0; i < count; i++) {
		CHECK(get(i) == 4);
		check_file(4, i);
		CHECK(close(4) == 0);
	}
	CHECK(!is_open(4) && !is_open(5) && !is_open(6));
}

/* ---- threads ---- */

static unsigned long per_thread;

static void *thread_main(void *arg)
{
	for (unsigned long i = 0; i < per_thread; i++) {
		uint64_t number = (uintptr_t)arg << 32 | i;
		int fd = get(number);

		check_file(fd, number);
		CHECK(close(fd) == 0);
	}
	return NULL;
}

static void threads(unsigned long n, unsigned long count)
{
	pthread_t ids[64];

	per_thread = count;
	for (unsigned long i = 0; i < n; i++)
		CHECK(pthread_create(&ids[i], NULL, thread_main, (void *)(i + 1)) == 0);
	for (unsigned long i = 0; i < n; i++)
		CHECK(pthread_join(ids[i], NULL) == 0);
	for (int fd = 4; fd < 64; fd++)
		CHECK(!is_open(fd));
}

/* A thread that replaces the program while the main thread is in the call. */
static long exec_ns;

static void *exec_main(void *arg)
{
	char mode[] = "true", *const argv[] = { arg, mode, NULL };
	struct timespec start, t;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do
		clock_gettime(CLOCK_MONOTONIC, &t);
	while ((t.tv_sec - start.tv_sec) * 1000000000l + t.tv_nsec - start.tv_nsec < exec_ns);
	execv(arg, argv);
	_exit(1);
}

static void exec_meanwhile(char *self, unsigned long us)
{
	pthread_t id;

	exec_ns = (long)us * 1000;
	CHECK(pthread_create(&id, NULL, exec_main, self) == 0);
	for (;;) {
		int fd = get(1);

		CHECK(fd == 4 && close(fd) == 0);
	}
}

/* ---- signals ---- */

static pthread_t target;
static atomic_bool stop_sending;
static atomic_uint sent[2], got[2];

static void on_signal(int signal_number)
{
	int saved = errno;

	got[signal_number - SIGRTMIN]++;
	/* 4 is the sender's clock, 5 perhaps the new fd: the sockets are gone. */
	CHECK(!is_open(6) && !is_open(7));
	errno = saved;
}

static void *sender(void *arg)
{
	const struct itimerspec each = { { 0, 500000 }, { 0, 500000 } };
	int clock = timerfd_create(CLOCK_MONOTONIC, 0);
	uint64_t ticks;

	CHECK(clock == 4 && timerfd_settime(clock, 0, &each, NULL) == 0);
	for (unsigned i = 0; !stop_sending; i ^= 1) {
		CHECK(read(clock, &ticks, sizeof(ticks)) == sizeof(ticks));
		CHECK(pthread_sigqueue(target, SIGRTMIN + (int)i, (union sigval){ 0 }) == 0);
		sent[i]++;
	}
	return NULL;
}

/* Real-time signals are queued: each that is sent has to arrive. */
static void signals(unsigned long count)
{
	struct sigaction restart = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	struct sigaction plain = { .sa_handler = on_signal };
	pthread_t id;

	CHECK(sigaction(SIGRTMIN, &restart, NULL) == 0);
	CHECK(sigaction(SIGRTMIN + 1, &plain, NULL) == 0);
	target = pthread_self();
	CHECK(pthread_create(&id, NULL, sender, NULL) == 0);
	while (!is_open(4) || got[1] == 0)
		;
	for (unsigned long i = 0; i < count; i++) {
		int fd = get(i);

		CHECK(fd == 5);
		check_file(fd, i);
		close(fd);
	}
	stop_sending = true;
	CHECK(pthread_join(id, NULL) == 0);
	CHECK(got[0] == sent[0] && got[1] == sent[1]);
	CHECK(sent[0] + sent[1] > count / 4);
}

/* ---- limits ---- */

/* @spare: free numbers that are left; @hard: the hard limit is as low; @error: expected */
static void limit(unsigned spare, bool hard, int error)
{
	struct rlimit mine = { 20 + spare, hard ? 20 + spare : 256 }, is;
	int fd;

	for (fd = 4; fd < 20; fd++)
		CHECK(dup2(0, fd) == fd);
	/* One is open above the limit, too. */
	CHECK(dup2(0, 30) == 30);
	CHECK(setrlimit(RLIMIT_NOFILE, &mine) == 0);
	fd = get(5);
	if (error) {
		CHECK(fd == -1 && errno == error);
	} else {
		CHECK(fd == 20);
		check_file(fd, 5);
		close(fd);
	}
	CHECK(getrlimit(RLIMIT_NOFILE, &is) == 0);
	CHECK(is.rlim_cur == mine.rlim_cur && is.rlim_max == mine.rlim_max);
	for (fd = 20; fd < 256; fd++)
		CHECK(is_open(fd) == (fd == 30));
}

static const int memory_limits[] = { RLIMIT_MEMLOCK, RLIMIT_DATA, RLIMIT_AS };

/* No memory may be mapped, and what is mapped would have to be locked. */
static void no_memory(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	struct rlimit none = { 0, RLIM_INFINITY }, is;

	CHECK(mlockall(MCL_FUTURE) == 0);
	CHECK(syscall(SYS_capget, &header, data) == 0);
	data[0].effective &= ~(1u << CAP_IPC_LOCK);
	CHECK(syscall(SYS_capset, &header, data) == 0);
	for (size_t i = 0; i < 3; i++) {
		CHECK(getrlimit(memory_limits[i], &is) == 0);
		none.rlim_max = is.rlim_max;
		CHECK(setrlimit(memory_limits[i], &none) == 0);
	}
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED);
	CHECK(get(9) == 4);
	check_file(4, 9);
	for (size_t i = 0; i < 3; i++)
		CHECK(getrlimit(memory_limits[i], &is) == 0 && is.rlim_cur == 0);
}

/* ---- seccomp ---- */

/* Kills for what a courier has a client do. */
static void seccomp(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socketpair, 4, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_recvmsg, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_munmap, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

/* ---- registers ---- */

#ifdef __x86_64__

struct state {
	uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, rsp, r8, r9, r10, r11, r12, r13, r14, r15;
	uint8_t xmm[16][16];
};

extern struct state regs_in, regs_out;
void regs_syscall(void);
void regs_int80(void);

/* Load everything from regs_in, the stack pointer too, make the call, and store
 * everything to regs_out. */
__asm__(
"	.bss\n"
"	.balign 16\n"
"	.globl	regs_in, regs_out\n"
"regs_in: .skip 384\n"
"regs_out: .skip 384\n"
"regs_sp: .skip 8\n"
"	.text\n"
"	.macro	each_general op\n"
"	\\op	rbx, 8\n"
"	\\op	rcx, 16\n"
"	\\op	rdx, 24\n"
"	\\op	rsi, 32\n"
"	\\op	rdi, 40\n"
"	\\op	rbp, 48\n"
"	\\op	rsp, 56\n"
"	\\op	r8, 64\n"
"	\\op	r9, 72\n"
"	\\op	r10, 80\n"
"	\\op	r11, 88\n"
"	\\op	r12, 96\n"
"	\\op	r13, 104\n"
"	\\op	r14, 112\n"
"	\\op	r15, 120\n"
"	\\op	rax, 0\n"
"	.endm\n"
"	.macro	fill reg, at\n"
"	movq	regs_in+\\at(%rip), %\\reg\n"
"	.endm\n"
"	.macro	keep reg, at\n"
"	movq	%\\reg, regs_out+\\at(%rip)\n"
"	.endm\n"
"	.macro	function name, insn:vararg\n"
"	.globl	\\name\n"
"	.type	\\name, @function\n"
"\\name:\n"
"	pushq	%rbx\n"
"	pushq	%rbp\n"
"	pushq	%r12\n"
"	pushq	%r13\n"
"	pushq	%r14\n"
"	pushq	%r15\n"
"	movq	%rsp, regs_sp(%rip)\n"
"	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
"	movups	regs_in+128+16*\\n(%rip), %xmm\\n\n"
"	.endr\n"
"	each_general fill\n"
"	\\insn\n"
"	each_general keep\n"
"	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
"	movups	%xmm\\n, regs_out+128+16*\\n(%rip)\n"
"	.endr\n"
"	movq	regs_sp(%rip), %rsp\n"
"	popq	%r15\n"
"	popq	%r14\n"
"	popq	%r13\n"
"	popq	%r12\n"
"	popq	%rbp\n"
"	popq	%rbx\n"
"	ret\n"
"	.endm\n"
"	function regs_syscall, syscall\n"
"	function regs_int80, int $0x80\n");

static void registers(bool int80)
{
	uint8_t *bytes = (uint8_t *)&regs_in;

	for (size_t i = 0; i < sizeof(regs_in); i++)
		bytes[i] = (uint8_t)(i * 11 + 3);
	/* No stack at all, as far as a courier could see. */
	regs_in.rsp = 0x10;
	if (int80) {
		regs_in.rax = 54;
		regs_in.rbx = NODE;
		regs_in.rcx = GET_DEVICE_FD;
		regs_in.rdx = 123;
		regs_int80();
		/* Some kernels clear these in this kind of call. */
		regs_out.r8 = regs_in.r8;
		regs_out.r9 = regs_in.r9;
		regs_out.r10 = regs_in.r10;
		regs_out.r11 = regs_in.r11;
	} else {
		regs_in.rax = SYS_ioctl;
		regs_in.rdi = NODE;
		regs_in.rsi = GET_DEVICE_FD;
		regs_in.rdx = 123;
		regs_syscall();
		regs_out.rcx = regs_in.rcx;
		regs_out.r11 = regs_in.r11;
	}
	CHECK(regs_out.rax == 4);
	check_file(4, 123);
	regs_out.rax = regs_in.rax;
	CHECK(memcmp(&regs_in, &regs_out, sizeof(regs_in)) == 0);
	CHECK(!is_open(5) && !is_open(6));
}

#endif

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	unsigned long a = argc > 2 ? strtoul(argv[2], NULL, 0) : 0;
	unsigned long b = argc > 3 ? strtoul(argv[3], NULL, 0) : 0;
	unsigned long c = argc > 4 ? strtoul(argv[4], NULL, 0) : 0;

	if (strcmp(mode, "true") == 0)
		return 0;
	if (strcmp(mode, "call") == 0)
		get(1);
	else if (strcmp(mode, "once") == 0)
		once(a);
	else if (strcmp(mode, "fails") == 0)
		fails_with((int)a);
	else if (strcmp(mode, "late") == 0)
		late(a);
	else if (strcmp(mode, "tricks") == 0)
		tricks(a);
	else if (strcmp(mode, "many") == 0)
		many(a);
	else if (strcmp(mode, "threads") == 0)
		threads(a, b);
	else if (strcmp(mode, "exec") == 0)
		exec_meanwhile(argv[0], a);
	else if (strcmp(mode, "signals") == 0)
		signals(a);
	else if (strcmp(mode, "limit") == 0)
		limit((unsigned)a, b, (int)c);
	else if (strcmp(mode, "no-memory") == 0)
		no_memory();
	else if (strcmp(mode, "other-user") == 0) {
		CHECK(setresgid(65534, 65534, 65534) == 0);
		CHECK(setresuid(65534, 65534, 65534) == 0);
		CHECK(prctl(PR_SET_DUMPABLE, 0) == 0);
		many(3);
	} else if (strcmp(mode, "seccomp") == 0) {
		seccomp();
		many(3);
	} else if (strcmp(mode, "seccomp-fails") == 0) {
		seccomp();
		fails_with((int)a);
#ifdef __x86_64__
	} else if (strcmp(mode, "int80") == 0) {
		int pid = 20;

		__asm__ volatile("int $0x80" : "+a"(pid) : : "r8", "r9", "r10", "r11");
		CHECK(pid == getpid());
	} else if (strcmp(mode, "registers") == 0) {
		registers(a);
#endif
	} else {
		fprintf(stderr, "courier_client: no mode \"%s\"\n", mode);
		return 2;
	}
	/* Not exit(): nothing may be called under the filter that would not be anyway. */
	_exit(0);
}
