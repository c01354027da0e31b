/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * client32 - the smallest 32-bit VFIO client: open, GET_API_VERSION. Needs no header and
 * no library of a 32-bit system. Exit status 0: it got an answer; 25: it got none.
 */
	.code32
	.globl	_start
_start:
	movl	$5, %eax		# open("/dev/vfio/vfio", O_RDWR)
	movl	$path, %ebx
	movl	$2, %ecx
	xorl	%edx, %edx
	int	$0x80
	testl	%eax, %eax
	js	no
	movl	%eax, %ebx		# ioctl(fd, VFIO_GET_API_VERSION, 0)
	movl	$54, %eax
	movl	$0x3b64, %ecx
	xorl	%edx, %edx
	int	$0x80
	testl	%eax, %eax
	jnz	no
	xorl	%ebx, %ebx
	jmp	out
no:	movl	$25, %ebx
out:	movl	$1, %eax		# exit
	int	$0x80

	.section .rodata
path:	.asciz	"/dev/vfio/vfio"
	.section .note.GNU-stack,"",@progbits
