// A small static program for packages in tests: what a vendor's application does and does wrong, by its arguments.
// Several commands are separated by "then".
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

func main() {
	begin := 1
	for place := 1; place <= len(os.Args); place++ {
		if place == len(os.Args) || os.Args[place] == "then" {
			if err := do(os.Args[begin:place]); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			begin = place + 1
		}
	}
}

// do: paths may name variables.
func do(words []string) error {
	for place := range words {
		words[place] = os.ExpandEnv(words[place])
	}
	switch words[0] {
	case "copy":
		return copyFile(words[1], words[2])
	case "write":
		return os.WriteFile(words[1], []byte(words[2]), 0o644)
	case "exit":
		code, err := strconv.Atoi(words[1])
		if err == nil {
			os.Exit(code)
		}
		return err
	case "count": // files that match, at least so many
		found, err := filepath.Glob(words[1])
		if want, _ := strconv.Atoi(words[2]); err == nil && len(found) < want {
			return fmt.Errorf("%d files match %s", len(found), words[1])
		}
		return err
	case "user":
		if got := strconv.Itoa(os.Getuid()); got != words[1] {
			return fmt.Errorf("user %s", got)
		}
	case "network":
		_, err := net.DialTimeout("tcp", "127.0.0.1:9", time.Second)
		return err
	case "sleep":
		time.Sleep(time.Hour)
	}
	return nil
}

func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	target, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return err
}
