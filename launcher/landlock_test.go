package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func abi() int {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0
	}
	return int(version)
}

// behind needs a kernel with that ABI; what an older one is asked is in TestWhatEachKernelIsAsked.
func behind(t *testing.T, wanted int) {
	t.Helper()
	if has := abi(); has < wanted {
		t.Skipf("this kernel has Landlock ABI %d, the test needs %d", has, wanted)
	}
}

func TestOnlyWhatIsNamedCanBeChanged(t *testing.T) {
	t.Parallel()
	behind(t, 3)
	folder := t.TempDir()
	output, image := filepath.Join(folder, "output"), filepath.Join(folder, "image")
	for _, one := range []string{output, image, filepath.Join(output, "inner")} {
		if err := os.Mkdir(one, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(image, "model"), []byte("weights"), 0o666); err != nil {
		t.Fatal(err)
	}
	script := `
		set -e
		grep -q weights "$IMAGE/model"                                        # read
		echo x >"$OUTPUT/a"; echo y >"$OUTPUT/a"; mv "$OUTPUT/a" "$OUTPUT/inner/b"; mkdir "$OUTPUT/c"; rmdir "$OUTPUT/c"; rm "$OUTPUT/inner/b"
		echo x >/dev/null
		for forbidden in 'echo x >"$IMAGE/new"' 'echo x >"$IMAGE/model"' 'echo x >>"$IMAGE/model"' ': >"$IMAGE/model"' 'rm -f "$IMAGE/model"' \
			'mkdir "$IMAGE/d"' 'ln -s / "$IMAGE/l"' 'ln "$IMAGE/model" "$OUTPUT/model"' 'mv "$IMAGE/model" "$OUTPUT/"' 'mkfifo "$IMAGE/f"' \
			'echo x >"$BARRIER/exit.json"' 'rm -f "$BARRIER/lock"' 'mv "$BARRIER/lock" "$BARRIER/other"' 'echo x >"$BARRIER/started"'; do
			if (eval "$forbidden") 2>/dev/null; then echo "done: $forbidden"; exit 1; fi
		done`
	s := a(t)
	s.begin("--write", output, "--write", filepath.Join(folder, "not-there"), "--", "env", "OUTPUT="+output, "IMAGE="+image, "BARRIER="+s.barrier, "sh", "-c", script)
	if code := s.code(); code != 0 {
		t.Fatal(code, s.out.String())
	}
	if e := s.exit(); e.Landlock != abi() || len(e.Skipped) != 1 || e.Skipped[0] != filepath.Join(folder, "not-there") {
		t.Fatalf("%+v", e)
	}
}

func TestAnApplicationThatMayChangeItsImageChangesNothingOfGantrys(t *testing.T) {
	t.Parallel()
	for directory, want := range map[string]bool{"/": true, "/usr": false} {
		places, err := writable(options{writable: []string{"/gantry/output"}, writeImage: true}, directory)
		if err != nil {
			t.Fatal(err)
		}
		all, usr := false, false
		for _, place := range places {
			all, usr = all || place == "/", usr || place == "/usr"
			if place == "/gantry" || place == "/proc" || place == "/sys" || place == "/dev" {
				t.Errorf("in %s: %s", directory, place)
			}
		}
		if all != want || usr == want {
			t.Errorf("in %s: %v", directory, places)
		}
	}
}

func TestTheLauncherCannotBeSignalled(t *testing.T) {
	t.Parallel()
	behind(t, 6)
	s := launch(t, role(t, "outside")...)
	if code := s.code(); code != 0 {
		t.Fatal(code, s.out.String())
	}
}

// outside: this process's parent is the launcher.
func outside() int {
	if err := unix.Kill(os.Getppid(), unix.SIGUSR1); !errors.Is(err, unix.EPERM) {
		return complain("a signal to the launcher: %v", err)
	}
	child := exec.Command("sleep", "30")
	if err := child.Start(); err != nil {
		return complain("%v", err)
	}
	if err := child.Process.Kill(); err != nil {
		return complain("a signal to its own child: %v", err)
	}
	_ = child.Wait()
	return 0
}

func TestWhatEachKernelIsAsked(t *testing.T) {
	t.Parallel()
	const truncate = unix.LANDLOCK_ACCESS_FS_TRUNCATE
	o := options{writable: []string{"/tmp"}}
	for version, want := range map[int]struct {
		without, net, scoped uint64
		size                 uintptr
	}{
		1: {without: writeTree, size: 8},
		2: {without: truncate, size: 8},
		3: {size: 8},
		4: {net: 3, size: 16},
		5: {net: 3, size: 16},
		6: {net: 3, scoped: 3, size: 24},
		7: {net: 3, scoped: 3, size: 24},
	} {
		got := ruleset(version, o)
		if got.Access_fs != writeTree&^want.without || got.Access_net != want.net || got.Scoped != want.scoped || size(version) != want.size {
			t.Errorf("ABI %d: %+v, %d bytes", version, got, size(version))
		}
	}
	if got := ruleset(7, options{allowNetwork: true}); got.Access_fs != 0 || got.Access_net != 0 || got.Scoped != unix.LANDLOCK_SCOPE_SIGNAL {
		t.Errorf("with network: %+v", got)
	}
}

// A kernel without Landlock is played by a filter that answers as one: the launcher goes on and says so.
func TestAKernelWithoutLandlock(t *testing.T) {
	t.Parallel()
	for name, errno := range map[string]unix.Errno{"not built in": unix.ENOSYS, "not switched on": unix.EOPNOTSUPP, "an older runtime's filter": unix.EPERM} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			s := a(t)
			s.cmd = exec.Command(self, launcher, "--barrier", s.barrier, "--write", t.TempDir(), "--", "sh", "-c", "echo ran")
			s.cmd.Env = append(os.Environ(), "LAUNCHER_TEST_ROLE=without-landlock", "ANSWER="+errno.Error())
			s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
			if err := s.cmd.Run(); err != nil || s.out.String() != "ran\n" {
				t.Fatal(err, s.out.String())
			}
			if e := s.exit(); e.Code != 0 || e.Landlock != 0 {
				t.Fatalf("%+v", e)
			}
		})
	}
}

// withoutLandlock becomes its arguments, behind a filter that answers landlock_create_ruleset with an error.
func withoutLandlock() int {
	number := uint32(0)
	for _, errno := range []unix.Errno{unix.ENOSYS, unix.EOPNOTSUPP, unix.EPERM} {
		if errno.Error() == os.Getenv("ANSWER") {
			number = uint32(errno)
		}
	}
	filter := []unix.SockFilter{
		load(offsetNumber),
		jump(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 1),
		answer(unix.SECCOMP_RET_ERRNO | number),
		answer(unix.SECCOMP_RET_ALLOW),
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return complain("%v", err)
	}
	bpf := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, 1, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&bpf))); errno != 0 {
		return complain("%v", errno)
	}
	os.Unsetenv("LAUNCHER_TEST_ROLE")
	return complain("%v", unix.Exec(os.Args[1], os.Args[1:], os.Environ()))
}

func TestNoCoreIsLeft(t *testing.T) {
	t.Parallel()
	s := launch(t, "--", "sh", "-c", `test "$(ulimit -Hc)" = 0`)
	if code := s.code(); code != 0 {
		t.Fatal(code, s.out.String())
	}
}
