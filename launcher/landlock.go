package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the application may change, by Landlock (landlock(7)): everything in its image may be read and run, but only the places named by --write
// may be written. It stands behind the read-only mounts and the seccomp filter, and closes what these leave open: the barrier, which the launcher
// has to write and the application must not, and abstract sockets and signals to anybody outside.

const (
	// Rights of a file; a rule on anything but a folder may name no other (landlock_add_rule(2)).
	writeFile = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	writeTree = writeFile | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK | unix.LANDLOCK_ACCESS_FS_MAKE_SYM | unix.LANDLOCK_ACCESS_FS_REFER
)

// kernels are the kernel's own places: the application's settings in /proc and each device (GPUs among them) may be written, nothing made or
// removed. The container's termination message lies among the devices, and is the launcher's.
func kernels() ([]string, error) {
	entries, err := os.ReadDir("/dev")
	places := []string{"/proc"}
	for _, entry := range entries {
		if name := entry.Name(); name != "termination-log" && entry.Type()&os.ModeSymlink == 0 {
			places = append(places, "/dev/"+name)
		}
	}
	return places, err
}

// gantry is the folder of the image that is Gantry's: with --write-image everything else at the root may be written.
const gantry = "gantry"

// ruleset is what the kernel of that ABI is asked to watch: it refuses a ruleset with rights it does not know.
func ruleset(abi int, o options) unix.LandlockRulesetAttr {
	attributes := unix.LandlockRulesetAttr{}
	// ABI 1 (Linux 5.13 to 5.18) refuses every rename from one folder into another: applications do that.
	if len(o.writable) > 0 && abi >= 2 {
		attributes.Access_fs = writeTree
		if abi < 3 {
			attributes.Access_fs &^= unix.LANDLOCK_ACCESS_FS_TRUNCATE
		}
	}
	if abi >= 4 && !o.allowNetwork {
		attributes.Access_net = unix.LANDLOCK_ACCESS_NET_BIND_TCP | unix.LANDLOCK_ACCESS_NET_CONNECT_TCP
	}
	if abi >= 6 {
		attributes.Scoped = unix.LANDLOCK_SCOPE_SIGNAL
		if !o.allowNetwork {
			attributes.Scoped |= unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
		}
	}
	return attributes
}

// fenced is what came of it, for exit.json.
type fenced struct {
	abi     int
	skipped []string // of --write, what is not there
}

// fence restricts this thread and what it starts from now on. A kernel without Landlock, or a container runtime that does not let it be used, is
// no error: abi is 0, and the other fences stand.
func fence(o options, directory string) (fenced, error) {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	switch errno {
	case 0:
	case unix.ENOSYS, unix.EOPNOTSUPP, unix.EPERM: // not built in; not switched on; an older runtime's own filter
		return fenced{}, nil
	default:
		return fenced{}, errno
	}
	done := fenced{abi: int(version)}
	attributes := ruleset(done.abi, o)
	if attributes == (unix.LandlockRulesetAttr{}) {
		return done, nil
	}
	fd, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attributes)), size(done.abi), 0)
	if errno != 0 {
		return done, fmt.Errorf("ruleset: %w", errno)
	}
	defer unix.Close(int(fd))
	if attributes.Access_fs != 0 {
		places, err := writable(o, directory)
		if err != nil {
			return done, err
		}
		for _, place := range places {
			switch err := allow(int(fd), place, attributes.Access_fs); {
			case errors.Is(err, unix.ENOENT):
				done.skipped = append(done.skipped, place)
			case err != nil:
				return done, fmt.Errorf("%s: %w", place, err)
			}
		}
		if places, err = kernels(); err != nil {
			return done, err
		}
		for _, place := range places {
			if err := allow(int(fd), place, attributes.Access_fs&writeFile); err != nil && !errors.Is(err, unix.ENOENT) {
				return done, fmt.Errorf("%s: %w", place, err)
			}
		}
		// /dev/stdout is a pipe in a pod, which Landlock leaves alone; here it may be a file.
		for _, number := range []int{1, 2} {
			if err := allowOpen(int(fd), number, attributes.Access_fs&writeFile); err != nil && !errors.Is(err, unix.EBADFD) && !errors.Is(err, unix.EBADF) {
				return done, fmt.Errorf("output %d: %w", number, err)
			}
		}
	}
	if _, _, errno := unix.Syscall(unix.SYS_LANDLOCK_RESTRICT_SELF, fd, 0, 0); errno != 0 {
		return done, fmt.Errorf("restrict: %w", errno)
	}
	return done, nil
}

// size of struct landlock_ruleset_attr as that ABI has it: 6.7 added access_net (ABI 4), 6.12 scoped (ABI 6).
func size(abi int) uintptr {
	switch {
	case abi < 4:
		return 8
	case abi < 6:
		return 16
	}
	return 24
}

// writable is --write, and with --write-image what lies at the root of the image. An application that works in the root itself may make files
// there, and rules hold for whole trees: then everything may be written, as before Landlock.
func writable(o options, directory string) ([]string, error) {
	places := o.writable
	if !o.writeImage {
		return places, nil
	}
	if directory == "" {
		var err error
		if directory, err = os.Getwd(); err != nil {
			return nil, err
		}
	}
	if filepath.Clean(directory) == "/" {
		return append(places, "/"), nil
	}
	entries, err := os.ReadDir("/")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if name := entry.Name(); name != gantry && name != "proc" && name != "dev" && name != "sys" {
			places = append(places, "/"+name)
		}
	}
	return places, nil
}

func allow(ruleset int, place string, access uint64) error {
	fd, err := unix.Open(place, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return allowOpen(ruleset, fd, access)
}

func allowOpen(ruleset, fd int, access uint64) error {
	var state unix.Stat_t
	if err := unix.Fstat(fd, &state); err != nil {
		return err
	}
	if state.Mode&unix.S_IFMT != unix.S_IFDIR {
		access &= writeFile
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: access, Parent_fd: int32(fd)}
	_, _, errno := unix.Syscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(ruleset), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
