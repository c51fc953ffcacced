package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// manifestLimit bounds what is read of app.json; real ones have about 1 KiB.
const manifestLimit = 1 << 20

// application is what is started, and how.
type application struct {
	command     []string
	environment []string      // NAME=value, added to the image's and the pod's
	directory   string        // "": the image's
	timeout     time.Duration // the application's own; 0: none
}

// manifest is app.json of a MONAI application package: of MAP 1.0 in camelCase, of 0.x in kebab-case.
type manifest struct {
	Command      json.RawMessage `json:"command"`
	Environment  map[string]any  `json:"environment"`
	Directory    string          `json:"workingDirectory"`
	OldDirectory string          `json:"working-directory"`
	Timeout      float64         `json:"timeout"` // seconds; 0: none
}

// fromManifest reads the first of the manifests that is there. The entrypoint of a MAP 1.0 ends with 0 whatever the application did, so its
// command is started in its place. Variables named in keep are the pod's: the manifest's paths are relative where a MAP's are absolute.
func fromManifest(paths, keep []string) (application, error) {
	path, text, err := firstOf(paths)
	if err != nil {
		return application{}, err
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return application{}, fmt.Errorf("%s is not a manifest: %w", path, err)
	}
	app := application{directory: m.Directory + m.OldDirectory}
	if app.command, err = commandOf(m.Command); err != nil {
		return application{}, fmt.Errorf("%s: %w", path, err)
	}
	if app.directory != "" && !filepath.IsAbs(app.directory) {
		return application{}, fmt.Errorf("%s: the working directory is not absolute", path)
	}
	if m.Timeout < 0 || m.Timeout > 1e8 {
		return application{}, fmt.Errorf("%s: the timeout is not a number of seconds", path)
	}
	app.timeout = time.Duration(m.Timeout * float64(time.Second))
	for _, name := range slices.Sorted(maps.Keys(m.Environment)) {
		if value := m.Environment[name]; value != nil && !slices.Contains(keep, name) {
			app.environment = append(app.environment, fmt.Sprintf("%s=%v", name, value))
		}
	}
	return app, nil
}

// firstOf reads the first file that exists.
func firstOf(paths []string) (string, []byte, error) {
	for _, path := range paths {
		file, err := os.Open(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", nil, err
		}
		defer file.Close()
		text, err := io.ReadAll(io.LimitReader(file, manifestLimit+1))
		if err == nil && len(text) > manifestLimit {
			err = fmt.Errorf("%s has more than %d bytes", path, manifestLimit)
		}
		return path, text, err
	}
	return "", nil, fmt.Errorf("the image has no manifest (%s): it is not a MAP", strings.Join(paths, ", "))
}

// commandOf takes a JSON array, a JSON array within a string (as holoscan-cli writes it), or a line for a shell (MAP 0.x).
func commandOf(raw json.RawMessage) ([]string, error) {
	var words []string
	var line string
	switch {
	case len(raw) == 0:
	case json.Unmarshal(raw, &words) == nil:
	case json.Unmarshal(raw, &line) != nil:
		return nil, errors.New("command is neither a string nor a list of strings")
	case strings.HasPrefix(strings.TrimSpace(line), "["):
		if err := json.Unmarshal([]byte(line), &words); err != nil {
			return nil, errors.New("command begins with [ and is not a list of strings")
		}
	case strings.TrimSpace(line) != "":
		words = []string{shell(), "-c", line}
	}
	if len(words) == 0 || words[0] == "" {
		return nil, errors.New("command is missing or empty")
	}
	return words, nil
}

// shell is bash where it is, as the reference runner of MAP 0.x has it.
func shell() string {
	if _, err := os.Stat("/bin/bash"); err == nil {
		return "/bin/bash"
	}
	return "/bin/sh"
}
