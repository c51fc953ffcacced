package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// prepull does what pods do that only pull images: in Gantry's own image `--install FILE` puts this program where others mount it, in an
// application's image `--wait` stays until it is asked to end. Images need neither shell nor any program for that, and nothing of theirs is started.
// Done is false when the command line is a step's.
func prepull(arguments []string) (code int, done bool) {
	switch {
	case len(arguments) == 2 && arguments[0] == "--install":
		if err := install(arguments[1]); err != nil {
			fmt.Fprintln(os.Stderr, "launcher: cannot be installed:", err)
			return exitNotSetUp, true
		}
		return 0, true
	case len(arguments) == 1 && arguments[0] == "--wait":
		signals := catch()
		fmt.Println("launcher: the image is here; this container keeps it on the node")
		<-signals
		return 0, true
	}
	return 0, false
}

// install copies this program to path, by rename: a pod that is started again may find what an earlier try left.
func install(path string) (err error) {
	own, err := os.Executable()
	if err != nil {
		return err
	}
	source, err := os.Open(own)
	if err != nil {
		return err
	}
	defer source.Close()
	aside, err := os.CreateTemp(filepath.Dir(path), ".launcher-")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(aside.Name()))
		}
	}()
	if _, err := io.Copy(aside, source); err != nil {
		return errors.Join(err, aside.Close())
	}
	if err := errors.Join(aside.Chmod(0o755), aside.Close()); err != nil {
		return err
	}
	return os.Rename(aside.Name(), path)
}
