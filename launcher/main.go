// The launcher is a step's first process: it keeps the order of steps and the network shut, starts the application
// and leaves the truth about its end.
//
// It must not read the application's input or output, and knows nothing of Kubernetes. README.md has the contract;
// `gantry.runs` writes its command line, `gantry.worker` reads what it leaves.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"
)

// Exit codes of the launcher's own, below 128+n (death by signal) and above what applications commonly use.
const (
	exitNoInput       = 121 // what the earlier step left cannot be handed on
	exitNoManifest    = 122 // the image is not the package it should be
	exitEarlierStep   = 123 // an earlier step did not end with 0
	exitTimedOut      = 124 // as timeout(1)
	exitNotSetUp      = 125 // as timeout(1), docker(1), env(1): the launcher itself failed
	exitNotExecutable = 126 // as the shell: found, but cannot be executed
	exitNotFound      = 127 // as the shell
)

type options struct {
	barrier      string
	before       string
	timeout      time.Duration
	allowNetwork bool
	writable     []string
	writeImage   bool
	manifests    []string
	keep         []string
	copies       []copied
	command      []string
}

func parse(arguments []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("launcher", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&o.barrier, "barrier", "", "folder of this step's lock, started and exit.json")
	flags.StringVar(&o.before, "before", "", "barrier folder of the step that has to end first")
	flags.DurationVar(&o.timeout, "timeout", 0, "the application is ended after it; 0: never")
	flags.BoolVar(&o.allowNetwork, "allow-network", false, "let the application open network sockets")
	each(flags, "write", "a file or folder the application may change; given once, nothing else may be changed (Landlock)", &o.writable)
	flags.BoolVar(&o.writeImage, "write-image", false, "beside --write, let the application change its image, but not /gantry")
	each(flags, "manifest", "app.json of a MAP: the first that is there tells the application, if none stands after --", &o.manifests)
	each(flags, "keep", "a variable of the pod that the manifest does not change", &o.keep)
	flags.Func("copy", "FROM:TO, a file or folder that is copied before the application starts", func(value string) error {
		one, err := parseCopy(value)
		o.copies = append(o.copies, one)
		return err
	})
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	o.command = flags.Args()
	switch {
	case o.barrier == "":
		return o, errors.New("--barrier is missing")
	case len(o.command) == 0 && len(o.manifests) == 0:
		return o, errors.New("the application is missing: write it after --, or name a manifest")
	case o.writeImage && len(o.writable) == 0:
		return o, errors.New("--write-image says what may be changed beside --write")
	case o.timeout < 0:
		return o, errors.New("--timeout is negative")
	}
	return o, nil
}

// each is a flag that may be given several times.
func each(flags *flag.FlagSet, name, usage string, values *[]string) {
	flags.Func(name, usage, func(value string) error { *values = append(*values, value); return nil })
}

func main() {
	if code, done := prepull(os.Args[1:]); done {
		os.Exit(code)
	}
	o, err := parse(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "launcher:", err)
		os.Exit(exitNotSetUp)
	}
	end := run(o)
	if end.Launcher != "" {
		fmt.Fprintln(os.Stderr, "launcher:", end.Launcher)
	}
	if err := end.write(o.barrier); err != nil {
		fmt.Fprintln(os.Stderr, "launcher: exit.json cannot be written:", err)
		os.Exit(exitNotSetUp)
	}
	os.Exit(end.Code) // the kernel releases the lock: publish and the next step go on
}

// run does everything between the command line and exit.json.
func run(o options) ending {
	signals := catch()
	if err := take(o.barrier); err != nil {
		return failed(exitNotSetUp, "the barrier cannot be taken: %v", err)
	}
	if o.before != "" {
		if end, ready := await(o.before, signals); !ready {
			return end
		}
	}
	if err := handOver(o.copies); err != nil {
		return failed(exitNoInput, "what the earlier step left cannot be handed on: %v", err)
	}
	if err := confine(o.allowNetwork); err != nil {
		return failed(exitNotSetUp, "the kernel refuses the seccomp filter: %v", err)
	}
	app := application{command: o.command}
	if len(o.manifests) > 0 {
		told, err := fromManifest(o.manifests, o.keep)
		if err != nil {
			return failed(exitNoManifest, "%v", err)
		}
		if len(o.command) > 0 {
			told.command = o.command
		}
		app = told
	}
	if app.timeout == 0 || o.timeout > 0 && o.timeout < app.timeout {
		app.timeout = o.timeout
	}
	end := supervise(o, app, signals)
	end.Limit = app.timeout.Seconds()
	return end
}
