package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// What is handed from one step to the next. A mercure module forwards every image it got, each with a text beside it. The volume that
// takes the copies has a limit of its own, which the kubelet looks at only now and then.
const (
	handoverEntries = 100_000
	handoverBytes   = 64 << 30
	handoverDepth   = 8
)

// amount is what was handed on so far.
type amount struct {
	entries int
	bytes   int64
}

// copied is one --copy FROM:TO.
type copied struct{ from, to string }

func parseCopy(value string) (copied, error) {
	from, to, both := strings.Cut(value, ":")
	if !both || !filepath.IsAbs(from) || !filepath.IsAbs(to) {
		return copied{}, fmt.Errorf("--copy %q is not FROM:TO, two absolute paths", value)
	}
	return copied{from, to}, nil
}

// handOver copies a file, or what is in a folder, so that the application may change it. The earlier step is over and cannot change what it
// left; still nothing but folders and regular files is taken, and no link is followed. Every user may write the copies, as mercure has it.
func handOver(all []copied) error {
	var sum amount
	for _, one := range all {
		info, err := os.Lstat(one.from)
		if err != nil {
			return told(err)
		}
		if info.IsDir() {
			err = copyFolder(one.from, one.to, 1, &sum)
		} else {
			err = copyFile(one.from, one.to, info, &sum)
		}
		if err != nil {
			return told(err)
		}
	}
	return nil
}

func copyFolder(from, to string, depth int, sum *amount) error {
	if depth > handoverDepth {
		return fmt.Errorf("folders lie more than %d deep", handoverDepth)
	}
	folder, err := os.Open(from)
	if err != nil {
		return err
	}
	defer folder.Close()
	for {
		some, err := folder.ReadDir(256)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, entry := range some {
			if sum.entries++; sum.entries > handoverEntries {
				return fmt.Errorf("more than %d files and folders", handoverEntries)
			}
			if err := copyEntry(filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name()), depth, sum); err != nil {
				return err
			}
		}
	}
}

func copyEntry(from, to string, depth int, sum *amount) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return copyFile(from, to, info, sum)
	}
	if err := os.Mkdir(to, 0o777); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	if err := os.Chmod(to, 0o777); err != nil {
		return err
	}
	return copyFolder(from, to, depth+1, sum)
}

func copyFile(from, to string, info os.FileInfo, sum *amount) error {
	if !info.Mode().IsRegular() {
		return errors.New("something that is neither file nor folder (a link, a pipe, a device) is among it")
	}
	if sum.bytes += info.Size(); sum.bytes > handoverBytes {
		return fmt.Errorf("more than %d GiB", handoverBytes>>30)
	}
	source, err := os.OpenFile(from, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer source.Close()
	// A file that lies there already (task.json of the step before) is replaced, whoever it belongs to.
	if err := os.Remove(to); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o666)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Chmod(0o666), target.Close())
}

// told leaves names of files out: an application chose them, and they may name a patient.
func told(err error) error {
	var number syscall.Errno
	if errors.As(err, &number) {
		return number
	}
	return err
}
