package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ending is exit.json: how the application ended.
type ending struct {
	Code      int     `json:"code"`
	Signal    int     `json:"signal"`
	TimedOut  bool    `json:"timedOut"`
	StartTime string  `json:"startTime"`
	Seconds   float64 `json:"seconds"`
	MaxRSS    int64   `json:"maxRSSBytes"`
	Limit     float64 `json:"limitSeconds"` // the timeout that held; 0: none
	Launcher  string  `json:"launcher"`
	// Of the kernel's Landlock; 0: it has none, or the application was not started.
	Landlock int      `json:"landlock"`
	Skipped  []string `json:"skipped,omitempty"` // of --write, what is not there
}

const milliseconds = "2006-01-02T15:04:05.000Z07:00" // RFC 3339

func failed(code int, format string, values ...any) ending {
	return ending{Code: code, StartTime: time.Now().UTC().Format(milliseconds), Launcher: fmt.Sprintf(format, values...)}
}

// write leaves exit.json whole or not at all: whoever gets the lock never sees half of it.
func (e ending) write(barrier string) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	part := filepath.Join(barrier, "exit.json.part")
	if err := place(part, append(text, '\n')); err != nil {
		return err
	}
	return os.Rename(part, filepath.Join(barrier, "exit.json"))
}

// place writes a file that publish, another user, can read whatever the umask is.
func place(path string, content []byte) error {
	if err := os.WriteFile(path, content, 0o644); err != nil {
		return err
	}
	return os.Chmod(path, 0o644)
}

// lock stays open until the process ends; a garbage-collected os.File would release it.
var lock *os.File

// take locks the barrier for the life of this process, then says so. The order matters: whoever sees `started` and gets
// the lock knows that this process is gone, however it went.
func take(barrier string) error {
	var err error
	path := filepath.Join(barrier, "lock")
	// Close-on-exec (Go's default) keeps the lock out of the application, whose orphans would hold it.
	if lock, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return err
	}
	if err := lock.Chmod(0o644); err != nil {
		return err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return fmt.Errorf("%s is held by another launcher: %w", path, err)
	}
	return place(filepath.Join(barrier, "started"), nil)
}

// pollInterval bounds what a hand-over between steps costs; a stat of a tmpfs or disk cache takes microseconds.
const pollInterval = 20 * time.Millisecond

// await returns when the earlier step has ended: ready, if with 0, else the ending this step has because of it.
func await(before string, signals <-chan os.Signal) (ending, bool) {
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for !released(before) {
		select {
		case s := <-signals:
			number := int(s.(unix.Signal))
			end := failed(128+number, "ended by signal %d while an earlier step was running", number)
			end.Signal = number
			return end, false
		case <-tick.C:
		}
	}
	text, err := os.ReadFile(filepath.Join(before, "exit.json"))
	if err != nil {
		return failed(exitEarlierStep, "the earlier step was killed: it left no exit.json"), false
	}
	earlier := ending{Code: -1}
	if err := json.Unmarshal(text, &earlier); err != nil || earlier.Code != 0 {
		return failed(exitEarlierStep, "the earlier step ended with code %d", earlier.Code), false
	}
	return ending{}, true
}

// released says whether the launcher of a barrier has been there and is gone.
func released(barrier string) bool {
	if _, err := os.Lstat(filepath.Join(barrier, "started")); err != nil {
		return false
	}
	file, err := os.Open(filepath.Join(barrier, "lock"))
	if err != nil {
		return false
	}
	defer file.Close()
	return unix.Flock(int(file.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil
}
