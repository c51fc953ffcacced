package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	grace = 5 * time.Second // from TERM to KILL: a framework's clean shutdown; also the pod's termination grace period
	reap  = 5 * time.Second // for killed processes to vanish; longer only when stuck in the kernel (a dead file system)
)

// The main goroutine keeps the main thread, so that the thread which is fenced is never the one that stands for this process: the kernel asks it
// whether the application may send a signal here.
func init() { runtime.LockOSThread() }

// apart runs f on a thread of its own, which stays: the fence and the parent-death signal (prctl(2)) are bound to the thread that forks.
func apart(f func()) {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		f()
		close(done)
		select {}
	}()
	<-done
}

func catch() <-chan os.Signal {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	return signals
}

// supervise starts the application, passes signals on, ends it at its deadline, reaps every orphan and returns how it
// ended. Nothing the application started is left when it returns, so its output no longer changes.
func supervise(o options, app application, signals <-chan os.Signal) ending {
	// Orphans come to this process also where it is not process 1 (a pod that shares its process namespace, a test).
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return failed(exitNotSetUp, "orphans cannot be adopted: %v", err)
	}
	begin := time.Now()
	pid, end := start(o, app)
	if pid == 0 {
		return end
	}
	end.StartTime = begin.UTC().Format(milliseconds)
	deaths := make(chan death)
	go reapAll(deaths)
	var deadline, kill, patience <-chan time.Time
	if app.timeout > 0 {
		deadline = time.After(app.timeout)
	}
	for ended := false; ; {
		select {
		case d, more := <-deaths:
			if !more {
				return end
			}
			end.MaxRSS = max(end.MaxRSS, d.maxRSS)
			if d.pid != pid {
				continue
			}
			end.record(d.status, time.Since(begin))
			// What the application left running must not go on writing.
			ended, deadline, kill, patience = true, nil, time.After(0), time.After(reap)
		case s := <-signals:
			if !ended {
				everybody(pid, s.(unix.Signal))
			}
		case <-deadline:
			end.TimedOut = true
			end.Launcher = fmt.Sprintf("the application took longer than %s", app.timeout)
			everybody(pid, unix.SIGTERM)
			kill = time.After(grace)
		case <-kill:
			everybody(pid, unix.SIGKILL)
			kill = time.After(50 * time.Millisecond) // again, for what was forked meanwhile
		case <-patience:
			return end
		}
	}
}

// record fills in how the application ended.
func (e *ending) record(status unix.WaitStatus, took time.Duration) {
	e.Seconds = float64(took.Milliseconds()) / 1000
	e.Code = status.ExitStatus()
	if status.Signaled() {
		e.Signal = int(status.Signal())
		e.Code = 128 + e.Signal
	}
	if e.TimedOut {
		e.Code = exitTimedOut
	}
}

// start returns the application's process id, or 0 and the ending that tells why there is none.
func start(o options, app application) (int, ending) {
	name := app.command[0]
	if app.directory != "" { // before the lookup: a relative path is of the application's directory
		if err := os.Chdir(app.directory); err != nil {
			return 0, failed(exitNotSetUp, "the manifest's working directory: %v", err)
		}
	}
	path, err := exec.LookPath(name)
	if err != nil && !errors.Is(err, exec.ErrDot) { // "." in PATH is the image's own decision
		if errors.Is(err, exec.ErrNotFound) || errors.Is(err, os.ErrNotExist) {
			return 0, failed(exitNotFound, "%s is not in the image", name)
		}
		return 0, failed(exitNotExecutable, "%s cannot be executed: %v", name, err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, failed(exitNotSetUp, "%v", err)
	}
	defer null.Close()
	attributes := &syscall.ProcAttr{
		Env:   environment(app.environment),
		Files: []uintptr{null.Fd(), os.Stdout.Fd(), os.Stderr.Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: true, Pdeathsig: unix.SIGKILL},
	}
	// A core would hold the patient's images, and where it goes is the node's setting: to a file, or to a program outside the container.
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return 0, failed(exitNotSetUp, "core dumps cannot be switched off: %v", err)
	}
	var pid int
	var fences fenced
	var refusal error
	apart(func() {
		if fences, refusal = fence(o, app.directory); refusal == nil {
			pid, err = syscall.ForkExec(path, app.command, attributes)
		}
	})
	if refusal != nil {
		return 0, failed(exitNotSetUp, "the kernel refuses the Landlock rules: %v", refusal)
	}
	switch {
	case errors.Is(err, os.ErrNotExist): // it was there a moment ago
		return 0, failed(exitNotFound, "the interpreter or loader of %s is not in the image", name)
	case err != nil:
		return 0, failed(exitNotExecutable, "%s cannot be executed: %v", name, err)
	}
	return pid, ending{Landlock: fences.abi, Skipped: fences.skipped}
}

// environment is the launcher's own with more variables; each name stands once, or getenv(3) would find the first.
func environment(more []string) []string {
	return (&exec.Cmd{Env: append(os.Environ(), more...)}).Environ()
}

type death struct {
	pid    int
	status unix.WaitStatus
	maxRSS int64
}

// reapAll waits for children and orphans until there are none left, then closes the channel.
func reapAll(deaths chan<- death) {
	defer close(deaths)
	for {
		var status unix.WaitStatus
		var usage unix.Rusage
		pid, err := unix.Wait4(-1, &status, 0, &usage)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return // ECHILD
		default:
			deaths <- death{pid, status, usage.Maxrss * 1024}
		}
	}
}

// everybody signals the application and whatever descends from it, in whatever process group or session.
func everybody(pid int, s unix.Signal) {
	if os.Getpid() == 1 {
		_ = unix.Kill(-1, s) // all of this process namespace but this process; ESRCH: nobody left
		return
	}
	_ = unix.Kill(-pid, s)
	for _, other := range descendants(os.Getpid()) {
		if group, err := unix.Getpgid(other); err == nil && group != pid {
			_ = unix.Kill(other, s)
		}
	}
}

// descendants walks /proc: used only where this process is not process 1.
func descendants(root int) []int {
	children := map[int][]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // gone meanwhile
		}
		// "pid (name) state parent …": the name may hold anything, so look behind its last bracket (proc(5)).
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if len(fields) > 1 {
			parent, _ := strconv.Atoi(fields[1])
			children[parent] = append(children[parent], pid)
		}
	}
	var found []int
	for next := children[root]; len(next) > 0; {
		pid := next[0]
		next = append(next[1:], children[pid]...)
		found = append(found, pid)
	}
	return found
}
