package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestWhatIsInstalledWaitsUntilItIsAskedToEnd(t *testing.T) {
	folder := t.TempDir()
	installed := filepath.Join(folder, "launcher")
	for range 2 { // a pod that is started again finds what was left
		if out, err := exec.Command(launcher, "--install", installed).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if names, _ := os.ReadDir(folder); len(names) != 1 {
		t.Fatalf("something was left beside it: %v", names)
	}
	waits := exec.Command(installed, "--wait")
	out, err := waits.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := waits.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = waits.Process.Kill() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, "the image is here") {
		t.Fatalf("%v: %q", err, line)
	}
	if err := waits.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := waits.Wait(); err != nil {
		t.Fatalf("it did not end with 0: %v", err)
	}
}

func TestAPlaceThatCannotBeWrittenIsSaid(t *testing.T) {
	out, err := exec.Command(launcher, "--install", filepath.Join(t.TempDir(), "missing", "launcher")).CombinedOutput()
	if code := err.(*exec.ExitError).ExitCode(); code != exitNotSetUp || !strings.Contains(string(out), "launcher: cannot be installed:") {
		t.Fatalf("%d: %s", code, out)
	}
}
