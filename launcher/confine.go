package main

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refused are the calls that would get around the fence: reading or steering another process (this launcher, which holds
// the lock), and io_uring, whose socket operations no seccomp filter sees (io_uring(7); LWN 902466).
var refused = []uint32{
	unix.SYS_PTRACE,
	unix.SYS_PROCESS_VM_READV,
	unix.SYS_PROCESS_VM_WRITEV,
	unix.SYS_PIDFD_GETFD,
	unix.SYS_IO_URING_SETUP,
	unix.SYS_IO_URING_ENTER,
	unix.SYS_IO_URING_REGISTER,
}

// Offsets in struct seccomp_data (linux/seccomp.h); both architectures are little-endian, so the low half comes first.
const (
	offsetNumber = 0
	offsetArch   = 4
	offsetFamily = 16 // args[0] of socket(2); the kernel looks at its low 32 bits only
)

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

func answer(action uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: action}
}

// jump compares the loaded word with value and skips that many instructions if they are equal, or if not.
func jump(value uint32, equal, other uint8) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: value, Jt: equal, Jf: other}
}

// program is the filter. Everything is allowed but: a foreign architecture (the 32-bit socketcall would need a list of
// its own; killed, because a 32-bit program cannot even exit under a refusal), x32 calls, `refused`, and every
// socket that is not AF_UNIX or AF_NETLINK (getifaddrs; reads the pod's interfaces, reaches nobody).
func program(allowNetwork bool) []unix.SockFilter {
	const deny = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	filter := []unix.SockFilter{
		load(offsetArch),
		jump(auditArch, 1, 0),
		answer(unix.SECCOMP_RET_KILL_PROCESS),
		load(offsetNumber),
	}
	if x32Bit != 0 {
		// As a kernel without x32 answers.
		atLeast := unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, K: x32Bit, Jt: 0, Jf: 1}
		filter = append(filter, atLeast, answer(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)))
	}
	for _, number := range refused {
		filter = append(filter, jump(number, 0, 1), answer(deny))
	}
	if !allowNetwork {
		filter = append(filter,
			jump(unix.SYS_SOCKET, 0, 4), // any other call: to the end
			load(offsetFamily),
			jump(unix.AF_UNIX, 2, 0),
			jump(unix.AF_NETLINK, 1, 0),
			answer(deny),
		)
	}
	return append(filter, answer(unix.SECCOMP_RET_ALLOW))
}

// confine loads the filter for this process and all it will start. It needs no privilege: no_new_privs comes with it,
// so a set-user-id program in the image gains nothing either.
func confine(allowNetwork bool) error {
	runtime.LockOSThread() // no_new_privs and seccomp belong to a thread until TSYNC hands both to the others
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	// Not dumpable: /proc/<launcher>/mem and fd are closed to the application, which runs as the same user.
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("dumpable: %w", err)
	}
	filter := program(allowNetwork)
	bpf := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	const setModeFilter = 1 // SECCOMP_SET_MODE_FILTER, linux/seccomp.h
	stray, _, errno := unix.Syscall(unix.SYS_SECCOMP, setModeFilter, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&bpf)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return errno
	}
	if stray != 0 {
		return fmt.Errorf("thread %d cannot be confined", stray)
	}
	return nil
}
