package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func lay(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o444); err != nil {
		t.Fatal(err)
	}
}

func TestWhatAStepLeftIsCopiedForTheNext(t *testing.T) {
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	from, to, task := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "task.json")
	lay(t, filepath.Join(from, "1.2#3.dcm"), "image")
	lay(t, filepath.Join(from, "task.json"), "of the step before")
	lay(t, filepath.Join(from, "more", "note"), "deep")
	lay(t, task, "of this step")
	first, second := a(t), a(t)
	second.begin("--before", first.barrier, "--copy", from+":"+to, "--copy", task+":"+filepath.Join(to, "task.json"), "--",
		"sh", "-c", `cd "$0" && cat 1.2#3.dcm task.json more/note && echo changed >1.2#3.dcm`, to)
	eventually(t, "the second step waits", second.started)
	if _, err := os.Stat(filepath.Join(to, "1.2#3.dcm")); err == nil {
		t.Fatal("it was copied before the first step had ended")
	}
	first.begin("--", "true")
	if one, two := first.code(), second.code(); one != 0 || two != 0 || second.out.String() != "imageof this stepdeep" {
		t.Fatal(one, two, second.out.String())
	}
	if text, _ := os.ReadFile(filepath.Join(from, "1.2#3.dcm")); string(text) != "image" {
		t.Fatal("the application changed what the step before left")
	}
	for name, want := range map[string]os.FileMode{"1.2#3.dcm": 0o666, "more": 0o777, "more/note": 0o666} {
		if info, err := os.Stat(filepath.Join(to, name)); err != nil || info.Mode().Perm() != want {
			t.Error(name, info, err)
		}
	}
}

func TestWhatCannotBeHandedOn(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("d/", handoverDepth)
	for name, c := range map[string]struct {
		prepare func(folder string) error
		words   string
	}{
		"a link":             {func(f string) error { return os.Symlink("/etc/passwd", filepath.Join(f, "x")) }, "neither file nor folder"},
		"a pipe":             {func(f string) error { return unix.Mkfifo(filepath.Join(f, "x"), 0o600) }, "neither file nor folder"},
		"folders too deep":   {func(f string) error { return os.MkdirAll(filepath.Join(f, deep), 0o755) }, "more than 8 deep"},
		"a sparse mountain":  {func(f string) error { return sparse(filepath.Join(f, "x"), handoverBytes+1) }, "more than 64 GiB"},
		"nothing to be read": {os.Remove, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			from := filepath.Join(t.TempDir(), "from")
			if err := os.Mkdir(from, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := c.prepare(from); err != nil {
				t.Skip("cannot be made here:", err)
			}
			s := launch(t, "--copy", from+":"+t.TempDir(), "--", "echo", "ran")
			if code := s.code(); code != exitNoInput || strings.Contains(s.out.String(), "ran") {
				t.Fatal(code, s.out.String())
			}
			if words := s.exit().Launcher; !strings.Contains(words, c.words) || strings.Contains(words, from) {
				t.Fatal(words)
			}
		})
	}
}

func sparse(path string, size int64) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return file.Truncate(size)
}

func TestACopyNamesTwoPlaces(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"/a", "a:/b", "/a:b", ""} {
		if _, err := parse([]string{"--barrier", "/b", "--copy", value, "--", "true"}); err == nil {
			t.Error(value)
		}
	}
}
