package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Every test runs the real launcher as a process; the applications it starts are this test binary (helper_test.go) and /bin/sh.
var launcher string

func TestMain(m *testing.M) {
	if role := os.Getenv("LAUNCHER_TEST_ROLE"); role != "" {
		os.Exit(roles[role]())
	}
	folder, err := os.MkdirTemp("", "launcher")
	if err != nil {
		panic(err)
	}
	launcher = filepath.Join(folder, "launcher")
	build := exec.Command("go", "build", "-trimpath", "-o", launcher, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(folder)
	os.Exit(code)
}

// step is one launcher with a barrier of its own.
type step struct {
	t       *testing.T
	barrier string
	out     strings.Builder
	cmd     *exec.Cmd
}

func (s *step) begin(arguments ...string) *step {
	s.t.Helper()
	s.cmd = exec.Command(launcher, append([]string{"--barrier", s.barrier}, arguments...)...)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	s.cmd.WaitDelay = 10 * time.Second
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	return s
}

func (s *step) code() int {
	s.t.Helper()
	_ = s.cmd.Wait()
	return s.cmd.ProcessState.ExitCode()
}

func (s *step) exit() ending {
	s.t.Helper()
	var e ending
	text, err := os.ReadFile(filepath.Join(s.barrier, "exit.json"))
	if err != nil {
		s.t.Fatal(err)
	}
	if err := json.Unmarshal(text, &e); err != nil {
		s.t.Fatal(err)
	}
	return e
}

func a(t *testing.T) *step { t.Helper(); return &step{t: t, barrier: t.TempDir()} }

func launch(t *testing.T, arguments ...string) *step { t.Helper(); return a(t).begin(arguments...) }

// role has the launcher start this test binary as one of the helper's roles.
func role(t *testing.T, name string) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return []string{"--", "/usr/bin/env", "LAUNCHER_TEST_ROLE=" + name, self}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); time.Now().Before(limit); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func (s *step) started() bool {
	_, err := os.Stat(filepath.Join(s.barrier, "started"))
	return err == nil
}

func alive(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(text), ") Z ")
}

func TestTheExitCodeIsTheApplications(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "not-executable")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	lost := filepath.Join(t.TempDir(), "lost-interpreter")
	if err := os.WriteFile(lost, []byte("#!/no/such/interpreter\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct {
		arguments    []string
		code, signal int
		words        string
	}{
		"0 stays 0":                               {arguments: []string{"--", "true"}},
		"7 stays 7":                               {arguments: []string{"--", "sh", "-c", "exit 7"}, code: 7},
		"255 stays 255":                           {arguments: []string{"--", "sh", "-c", "exit 255"}, code: 255},
		"a killed application has 128+9":          {arguments: []string{"--", "sh", "-c", "kill -9 $$"}, code: 137, signal: 9},
		"a segfault has 128+11":                   {arguments: []string{"--", "sh", "-c", "kill -11 $$"}, code: 139, signal: 11},
		"what is not there has 127":               {arguments: []string{"--", "no-such-program"}, code: 127, words: "no-such-program is not in the image"},
		"a path that is not there has 127":        {arguments: []string{"--", "/no/such/program"}, code: 127, words: "/no/such/program is not in the image"},
		"a script without interpreter: 127":       {arguments: []string{"--", lost}, code: 127, words: "the interpreter or loader of"},
		"what cannot be executed has 126":         {arguments: []string{"--", file}, code: 126, words: "cannot be executed"},
		"a folder cannot be executed either":      {arguments: []string{"--", "/"}, code: 126, words: "cannot be executed"},
		"arguments arrive as they are":            {arguments: []string{"--", "sh", "-c", `test "$1" = "--barrier" && test "$2" = "a b"`, "sh", "--barrier", "a b"}},
		"a deadline that is kept changes nothing": {arguments: []string{"--timeout", "60s", "--", "sh", "-c", "exit 3"}, code: 3},
	}
	for name, want := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := launch(t, want.arguments...)
			if code := s.code(); code != want.code {
				t.Fatalf("exit code %d, want %d: %s", code, want.code, s.out.String())
			}
			e := s.exit()
			if e.Code != want.code || e.Signal != want.signal || e.TimedOut || !strings.Contains(e.Launcher, want.words) || (want.words == "") != (e.Launcher == "") {
				t.Fatalf("exit.json %+v", e)
			}
			if _, err := time.Parse(time.RFC3339, e.StartTime); err != nil || e.Seconds < 0 {
				t.Fatal(e)
			}
			if _, err := os.Stat(filepath.Join(s.barrier, "exit.json.part")); err == nil {
				t.Fatal("a half-written exit.json is left")
			}
		})
	}
}

func TestAWrongCommandLineHas125(t *testing.T) {
	t.Parallel()
	for name, arguments := range map[string][]string{
		"nothing":           nil,
		"no application":    {"--barrier", t.TempDir()},
		"no barrier":        {"--", "true"},
		"unknown option":    {"--barrier", t.TempDir(), "--colour", "--", "true"},
		"timeout no time":   {"--barrier", t.TempDir(), "--timeout", "soon", "--", "true"},
		"timeout negative":  {"--barrier", t.TempDir(), "--timeout", "-3s", "--", "true"},
		"barrier not there": {"--barrier", "/no/such/folder", "--", "true"},
	} {
		if out, err := exec.Command(launcher, arguments...).CombinedOutput(); err == nil || err.(*exec.ExitError).ExitCode() != 125 || len(out) == 0 {
			t.Errorf("%s: %v %s", name, err, out)
		}
	}
}

func TestTheRecordTellsTimeAndMemory(t *testing.T) {
	t.Parallel()
	s := launch(t, role(t, "use-memory")...)
	if code := s.code(); code != 0 {
		t.Fatal(code, s.out.String())
	}
	if e := s.exit(); e.MaxRSS < 64<<20 || e.Seconds < 0.2 || e.Seconds > 60 {
		t.Fatalf("exit.json %+v", e)
	}
}

func TestADeadlineEndsWithTerm(t *testing.T) {
	t.Parallel()
	s := launch(t, "--timeout", "300ms", "--", "sh", "-c", `trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done`)
	if code := s.code(); code != 124 {
		t.Fatal(code, s.out.String())
	}
	e := s.exit()
	if !e.TimedOut || e.Code != 124 || e.Signal != 0 || e.Seconds > 4 || !strings.Contains(e.Launcher, "longer than 300ms") || !strings.Contains(s.out.String(), "bye") {
		t.Fatalf("%+v %s", e, s.out.String())
	}
}

func TestADeadlineKillsWhatIgnoresTermAndItsChildren(t *testing.T) {
	t.Parallel()
	pids := filepath.Join(t.TempDir(), "pids")
	// The child leaves the process group by setsid, the grandchild is orphaned: both ignore TERM.
	script := `trap "" TERM; setsid sh -c 'trap "" TERM; echo $$ >>"$0"; (sleep 300 & echo $! >>"$0"); sleep 300' "$0" & echo $$ >>"$0"; while :; do sleep 1; done`
	s := launch(t, "--timeout", "500ms", "--", "sh", "-c", script, pids)
	if code := s.code(); code != 124 {
		t.Fatal(code, s.out.String())
	}
	if e := s.exit(); !e.TimedOut || e.Signal != 9 || e.Seconds < 5 {
		t.Fatalf("%+v", e)
	}
	text, _ := os.ReadFile(pids)
	if found := strings.Fields(string(text)); len(found) != 3 {
		t.Fatal("the test's processes did not all start:", found)
	}
	for _, field := range strings.Fields(string(text)) {
		var pid int
		fmt.Sscan(field, &pid)
		if alive(pid) {
			t.Errorf("process %d is still there", pid)
		}
	}
}

func TestNothingTheApplicationStartedOutlivesIt(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pid")
	s := launch(t, "--", "sh", "-c", `setsid sh -c 'echo $$ >"$0"; exec sleep 300' "$0" & until test -s "$0"; do sleep 0.01; done; exit 5`, file)
	if code := s.code(); code != 5 {
		t.Fatal(code, s.out.String())
	}
	text, _ := os.ReadFile(file)
	var pid int
	if fmt.Sscan(string(text), &pid); pid == 0 || alive(pid) {
		t.Fatalf("process %d is still there", pid)
	}
}

func TestSignalsReachTheApplication(t *testing.T) {
	t.Parallel()
	ready := filepath.Join(t.TempDir(), "ready")
	s := launch(t, "--", "sh", "-c", `trap 'exit 42' TERM; : >"$0"; while :; do sleep 0.05; done`, ready)
	eventually(t, "the application is ready", func() bool { _, err := os.Stat(ready); return err == nil })
	_ = s.cmd.Process.Signal(unix.SIGTERM)
	if code := s.code(); code != 42 {
		t.Fatal(code, s.out.String())
	}
	if e := s.exit(); e.Code != 42 || e.TimedOut {
		t.Fatalf("%+v", e)
	}
}

func TestStepsRunInOrder(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	first, second := a(t), a(t)
	second.begin("--before", first.barrier, "--", "sh", "-c", `echo second >>"$0"`, log)
	eventually(t, "the second step waits", second.started)
	first.begin("--", "sh", "-c", `sleep 0.3; echo first >>"$0"`, log)
	if one, two := first.code(), second.code(); one != 0 || two != 0 {
		t.Fatal(one, two, first.out.String(), second.out.String())
	}
	if text, _ := os.ReadFile(log); string(text) != "first\nsecond\n" {
		t.Fatalf("%s", text)
	}
}

func TestAStepDoesNotRunAfterAFailedOne(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		script, words string
		kill          bool // the launcher, as the kernel does at the container's memory limit
	}{
		"exit code":        {script: "exit 7", words: "ended with code 7"},
		"killed":           {script: "kill -9 $$", words: "ended with code 137"},
		"killed as whole":  {script: `touch "$BARRIER/now"; sleep 30`, kill: true, words: "killed: it left no exit.json"},
		"forged exit.json": {script: `echo '{"co' >"$BARRIER/exit.json"; touch "$BARRIER/now"; sleep 30`, kill: true, words: "ended with code -1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := a(t), a(t)
			second.begin("--before", first.barrier, "--", "sh", "-c", "echo ran")
			first.begin("--", "env", "BARRIER="+first.barrier, "sh", "-c", want.script)
			if want.kill {
				eventually(t, "the first step is at it", func() bool { _, err := os.Stat(filepath.Join(first.barrier, "now")); return err == nil })
				_ = first.cmd.Process.Kill()
			}
			_ = first.cmd.Wait()
			if code := second.code(); code != 123 {
				t.Fatal(code, second.out.String())
			}
			if e := second.exit(); e.Code != 123 || !strings.Contains(e.Launcher, want.words) || strings.Contains(second.out.String(), "ran") {
				t.Fatalf("%+v %s", e, second.out.String())
			}
		})
	}
}

func TestAStepThatWaitsCanBeEnded(t *testing.T) {
	t.Parallel()
	s := launch(t, "--before", t.TempDir(), "--", "true")
	eventually(t, "it waits", s.started)
	_ = s.cmd.Process.Signal(unix.SIGTERM)
	if code := s.code(); code != 143 {
		t.Fatal(code, s.out.String())
	}
	if e := s.exit(); e.Signal != 15 || !strings.Contains(e.Launcher, "while an earlier step was running") {
		t.Fatalf("%+v", e)
	}
}

func TestTheLockFallsWhenTheLauncherIsKilled(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "pid")
	s := launch(t, "--", "sh", "-c", `echo $$ >"$0"; exec sleep 300`, file)
	eventually(t, "the application runs", func() bool { text, _ := os.ReadFile(file); return strings.HasSuffix(string(text), "\n") })
	if released(s.barrier) {
		t.Fatal("the lock is free while the application runs")
	}
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
	eventually(t, "the lock is free", func() bool { return released(s.barrier) })
	if _, err := os.Stat(filepath.Join(s.barrier, "exit.json")); err == nil {
		t.Fatal("a killed launcher left an exit.json")
	}
	text, _ := os.ReadFile(file)
	var pid int
	fmt.Sscan(string(text), &pid)
	eventually(t, "the application dies with its launcher", func() bool { return !alive(pid) })
}

func TestEveryFileIsReadableForPublish(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	s := launch(t, "--", "true")
	s.code()
	for _, name := range []string{"lock", "started", "exit.json"} {
		info, err := os.Stat(filepath.Join(s.barrier, name))
		if err != nil || info.Mode().Perm() != 0o644 {
			t.Error(name, info, err)
		}
	}
}

func TestTheFence(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		role    string
		network bool
	}{
		"network sockets are refused, local ones are not":          {role: "sockets"},
		"allowed network leaves the sockets":                       {role: "sockets-allowed", network: true},
		"other processes and io_uring are out of reach":            {role: "refused"},
		"the same with allowed network":                            {role: "refused", network: true},
		"no new privileges":                                        {role: "no-new-privileges"},
		"a child of the application is behind the same fence":      {role: "sockets-of-child"},
		"a thread of the application is behind the same fence too": {role: "sockets-of-thread"},
		"x32 calls do not exist":                                   {role: "x32"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arguments := role(t, want.role)
			if want.network {
				arguments = append([]string{"--allow-network"}, arguments...)
			}
			s := launch(t, arguments...)
			if code := s.code(); code != 0 {
				t.Fatal(code, s.out.String())
			}
		})
	}
}

// The application runs as the launcher's own user, which is never root in a pod.
func TestTheLauncherIsClosedToItsApplication(t *testing.T) {
	t.Parallel()
	folder, err := os.MkdirTemp("", "closed")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	s := &step{t: t, barrier: filepath.Join(folder, "barrier")}
	self, _ := os.Executable()
	for name, from := range map[string]string{"launcher": launcher, "application": self} {
		content, _ := os.ReadFile(from)
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(s.barrier, 0o755), os.Chmod(folder, 0o755)); err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(filepath.Join(folder, "launcher"), "--barrier", s.barrier, "--", filepath.Join(folder, "application"))
	s.cmd.Env = append(os.Environ(), "LAUNCHER_TEST_ROLE=launcher-closed")
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if os.Getuid() == 0 {
		const nobody = 65534
		if err := os.Chown(s.barrier, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if code := s.code(); code != 0 {
		t.Fatal(code, s.out.String())
	}
}

// A 32-bit program has socketcall(2), which the filter's numbers do not mean.
func TestAForeignArchitectureIsKilled(t *testing.T) {
	t.Parallel()
	foreign := map[string]string{"amd64": "386", "arm64": "arm"}[goarch]
	folder := t.TempDir()
	source, program := filepath.Join(folder, "main.go"), filepath.Join(folder, "program")
	if err := os.WriteFile(source, []byte("package main\nfunc main() {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", program, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+foreign)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s%v", out, err)
	}
	if err := exec.Command(program).Run(); err != nil {
		t.Skip("this kernel runs no 32-bit program:", err)
	}
	s := launch(t, "--", program)
	if code := s.code(); code != 128+int(unix.SIGSYS) {
		t.Fatal(code, s.out.String())
	}
}

func TestAsProcessOneItReapsOrphansAndPassesSignals(t *testing.T) {
	t.Parallel()
	s := a(t)
	ready := filepath.Join(t.TempDir(), "ready")
	// 50 orphans that end at once: none may stay as a zombie in this process namespace.
	script := `i=0; while test $i -lt 50; do (setsid true &); i=$((i+1)); done
	  trap 'sleep 0.2; echo zombies: $(cat /proc/[0-9]*/stat 2>/dev/null | grep -c ") Z "); exit 9' TERM
	  : >"$0"; while :; do sleep 0.05; done`
	s.cmd = exec.Command("unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc", launcher, "--barrier", s.barrier, "--", "sh", "-c", script, ready)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if exec.Command("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc", "true").Run() != nil {
		t.Skip("no user namespaces here")
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.cmd.Process.Kill() })
	eventually(t, "the application is ready", func() bool { _, err := os.Stat(ready); return err == nil })
	one := descendants(s.cmd.Process.Pid)
	if len(one) == 0 {
		t.Fatal("no launcher")
	}
	_ = unix.Kill(one[0], unix.SIGTERM)
	if code := s.code(); code != 9 || !strings.Contains(s.out.String(), "zombies: 0") {
		t.Fatal(code, s.out.String())
	}
	if e := s.exit(); e.Code != 9 {
		t.Fatalf("%+v", e)
	}
}
