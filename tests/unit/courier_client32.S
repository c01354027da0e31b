/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * courier_client32 - a 32-bit client of unit/courier_test.c: asks for an fd by int $0x80
 * and by the kernel's own entry (AT_SYSINFO), and checks number, file and registers.
 * With an argument, it gets no fd, but the same numbers, and looks at registers alone.
 * Exit status 0: all as it should be. Needs no header and no library of a 32-bit system.
 */
	.code32
	.globl	_start
_start:
	/* The auxiliary vector is behind argv and envp. */
	movl	(%esp), %eax
	movl	%eax, arguments
	leal	8(%esp,%eax,4), %esi
1:	lodsl
	testl	%eax, %eax
	jnz	1b
2:	movl	(%esi), %eax
	testl	%eax, %eax
	jz	no
	cmpl	$32, %eax		# AT_SYSINFO
	je	3f
	addl	$8, %esi
	jmp	2b
3:	movl	4(%esi), %eax
	movl	%eax, sysinfo

	movl	$4, expected
	movl	$0x11111, argument
	call	fill
	int	$0x80
	call	check

	movl	$5, expected
	movl	$0x22222, argument
	call	fill
	call	*sysinfo
	call	check

	movl	$6, %ebx		# no other fd: close() fails
	movl	$6, %eax
	int	$0x80
	cmpl	$-9, %eax		# EBADF
	jne	no
	xorl	%ebx, %ebx
	jmp	out
no:	movl	$25, %ebx
out:	movl	$1, %eax		# exit
	int	$0x80

fill:	movl	$54, %eax		# ioctl(3, GET_DEVICE_FD, argument)
	movl	$3, %ebx
	movl	$0x3b6a, %ecx
	movl	argument, %edx
	movl	$0x51515151, %esi
	movl	$0x61616161, %edi
	movl	$0x71717171, %ebp
	ret

check:	cmpl	expected, %eax
	jne	no
	cmpl	$3, %ebx
	jne	no
	cmpl	$0x3b6a, %ecx
	jne	no
	cmpl	argument, %edx
	jne	no
	cmpl	$0x51515151, %esi
	jne	no
	cmpl	$0x61616161, %edi
	jne	no
	cmpl	$0x71717171, %ebp
	jne	no
	cmpl	$1, arguments
	jne	1f
	movl	%eax, %ebx		# pread64(fd, text, 8, 0)
	movl	$180, %eax
	movl	$text, %ecx
	movl	$8, %edx
	xorl	%esi, %esi
	xorl	%edi, %edi
	int	$0x80
	cmpl	$8, %eax
	jne	no
	movl	text, %eax
	cmpl	argument, %eax
	jne	no
1:	ret

	.bss
	.balign	4
arguments: .skip 4
sysinfo: .skip	4
expected: .skip	4
argument: .skip	4
text:	.skip	8
	.section .note.GNU-stack,"",@progbits
