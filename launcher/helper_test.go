package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

const goarch = runtime.GOARCH

// What this test binary does when the launcher starts it as an application: 0 = as it should be.
var roles = map[string]func() int{
	"use-memory":        useMemory,
	"sockets":           func() int { return sockets(unix.EPERM) },
	"sockets-allowed":   func() int { return sockets(nil) },
	"sockets-of-child":  socketsOfChild,
	"sockets-of-thread": socketsOfThread,
	"refused":           refusedCalls,
	"no-new-privileges": noNewPrivileges,
	"launcher-closed":   launcherClosed,
	"x32":               x32,
	"outside":           outside,
	"without-landlock":  withoutLandlock,
}

func complain(format string, values ...any) int {
	fmt.Fprintf(os.Stderr, format+"\n", values...)
	return 1
}

func sockets(want error) int {
	families := map[string]int{"AF_INET": unix.AF_INET, "AF_INET6": unix.AF_INET6, "AF_PACKET": unix.AF_PACKET, "AF_VSOCK": unix.AF_VSOCK, "AF_ALG": unix.AF_ALG}
	if want == nil { // which others the kernel offers is not the launcher's matter
		families = map[string]int{"AF_INET": unix.AF_INET}
	}
	for name, family := range families {
		for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM, unix.SOCK_RAW, unix.SOCK_STREAM | unix.SOCK_CLOEXEC} {
			_, err := unix.Socket(family, kind, 0)
			if want != nil && !errors.Is(err, want) || want == nil && kind != unix.SOCK_RAW && err != nil {
				return complain("socket(%s, %d): %v, want %v", name, kind, err, want)
			}
		}
	}
	// The kernel looks at the low 32 bits of the family only.
	if _, _, errno := unix.Syscall(unix.SYS_SOCKET, uintptr(uint64(1)<<32|unix.AF_INET), unix.SOCK_STREAM, 0); want != nil && errno != unix.EPERM {
		return complain("a family with high bits: %v", errno)
	}
	for name, family := range map[string]int{"AF_UNIX": unix.AF_UNIX, "AF_NETLINK": unix.AF_NETLINK} {
		if _, err := unix.Socket(family, unix.SOCK_DGRAM, 0); err != nil {
			return complain("socket(%s): %v", name, err)
		}
	}
	if _, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); err != nil {
		return complain("socketpair: %v", err)
	}
	return 0
}

func socketsOfChild() int {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "LAUNCHER_TEST_ROLE=sockets")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return complain("%s%v", out, err)
	}
	return 0
}

func socketsOfThread() int {
	answer := make(chan int)
	go func() {
		runtime.LockOSThread()
		answer <- sockets(unix.EPERM)
	}()
	return <-answer
}

func refusedCalls() int {
	for _, number := range refused {
		if _, _, errno := unix.Syscall6(uintptr(number), 0, 0, 0, 0, 0, 0); errno != unix.EPERM {
			return complain("system call %d: %v", number, errno)
		}
	}
	return 0
}

func noNewPrivileges() int {
	if set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || set != 1 {
		return complain("no_new_privs is %d, %v", set, err)
	}
	// The launcher is not dumpable; the application is as it would be without it (core dumps, py-spy's own checks).
	if set, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0); err != nil || set != 1 {
		return complain("dumpable is %d, %v", set, err)
	}
	return 0
}

func launcherClosed() int {
	if os.Getuid() == 0 {
		return complain("root may read everything: this proves nothing")
	}
	parent := os.Getppid()
	for _, name := range []string{"mem", "fd", "environ", "maps"} {
		if _, err := os.Open(fmt.Sprintf("/proc/%d/%s", parent, name)); !errors.Is(err, os.ErrPermission) {
			return complain("/proc/%d/%s: %v", parent, name, err)
		}
	}
	return 0
}

func x32() int {
	if x32Bit == 0 {
		return 0
	}
	const getpid = 39
	if _, _, errno := unix.Syscall(getpid|0x40000000, 0, 0, 0); errno != unix.ENOSYS {
		return complain("an x32 call: %v", errno)
	}
	return 0
}

func useMemory() int {
	block := make([]byte, 80<<20)
	for i := 0; i < len(block); i += 4096 {
		block[i] = 1
	}
	time.Sleep(250 * time.Millisecond)
	runtime.KeepAlive(block)
	return 0
}
