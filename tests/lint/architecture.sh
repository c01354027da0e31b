#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
# Data goes down, answers come up: what may include what, and who may call the system.
# The order of the libraries (CMakeLists.txt) keeps the rest.
. "$(dirname "$0")/lib.sh"

# forbid FOLDER REGEX REASON [FIND EXPRESSION…]: no include of FOLDER may match
forbid()
{
	local folder=$1 regex=$2 reason=$3 line

	shift 3
	while IFS= read -r line; do
		finding "$line: $reason"
	done < <(files -path "$folder/*" -name '*.[ch]' "$@" -exec \
		grep -HnE "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($regex)" {} + || :)
}

forbid include '(util|core|proto|transport)/|linux/|seccomp|fuse|pci/pci' \
	"a public header sees public headers and the C library only"
forbid backends '(util|core|proto|transport)/|\.\./|seccomp|linux/seccomp|fuse|pci/pci' \
	"a backend sees <vfio-cused/...> and its own folder only"
forbid daemon/util '(core|proto|transport)/' "util stands below everything"
forbid daemon/core '(proto|transport)/' "core knows no caller of its own"
forbid daemon/proto 'transport/' "proto knows no transport"
for folder in daemon/util daemon/core daemon/proto; do
	forbid $folder 'seccomp|linux/seccomp|fuse|cuse|pci/pci|sys/ptrace' \
		"only the transport knows how calls arrive"
done
# check tries for itself what the transport will do.
forbid daemon 'seccomp\.h|fuse|cuse|sys/ptrace' \
	"only the transport knows how calls arrive" -not -path 'daemon/transport/*' \
	-not -path 'daemon/check*.c'

# Core and proto do no I/O and know no process: none of these may be called.
system_calls='open|open64|openat|close|read|write|pread|pread64|pwrite|pwrite64|readv|writev'
system_calls+='|ioctl|fcntl|fcntl64|poll|ppoll|epoll_.*|eventfd|eventfd_.*|socket|send.*|recv.*'
system_calls+='|fork|vfork|exec.*|kill|wait|waitpid|ptrace|mount|umount|umount2|unshare|prctl'
system_calls+='|process_vm_.*|pidfd_.*|getpid|gettid|syscall|memfd_create|fopen|fopen64'
for library in core proto; do
	archive=$build_dir/daemon/libcused_$library.a
	[[ -f $archive ]] || { finding "$archive was not built"; continue; }
	while IFS= read -r symbol; do
		finding "daemon/$library calls $symbol(): I/O belongs to the transport"
	done < <(nm -u "$archive" 2>/dev/null | awk '{ print $2 }' | sort -u |
		grep -xE "$system_calls" || :)
done
verdict
