package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// manifested writes app.json and names it, behind one that is not there, as the pod does.
func manifested(t *testing.T, content string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.json")
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return []string{"--manifest", "/no/such/app.json", "--manifest", path}
}

func quoted(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestAManifestTellsTheApplication(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	script := func(words string) string { return quoted(t, quoted(t, []string{"sh", "-c", words})) }
	cases := map[string]struct {
		manifest string
		more     []string
		code     int
		out      string
	}{
		"a list within a string, as MAP 1.0 has it": {manifest: `{"command": ` + script("exit 7") + `, "version": 1.0}`, code: 7},
		"a list": {manifest: `{"command": ["sh", "-c", "exit 8"]}`, code: 8},
		"a line for the shell, as MAP 0.x has it": {manifest: `{"command": "echo two  words; exit 9"}`, code: 9, out: "two words"},
		"its environment is added":                {manifest: `{"command": ` + script("echo $A-$B") + `, "environment": {"A": "x", "B": 5}}`, out: "x-5"},
		"but not what the pod keeps": {
			manifest: `{"command": ` + script("echo \"<$LANG_OF_POD>$A\"") + `, "environment": {"LANG_OF_POD": "input/", "A": "x"}}`,
			more:     []string{"--keep", "LANG_OF_POD"}, out: "<>x",
		},
		"it changes a variable of the image":        {manifest: `{"command": ` + script("echo $HOME") + `, "environment": {"HOME": "/changed"}}`, out: "/changed"},
		"its working directory, of MAP 1.0":         {manifest: `{"command": ["pwd"], "workingDirectory": ` + quoted(t, folder) + `}`, out: folder},
		"its working directory, of MAP 0.x":         {manifest: `{"command": "pwd", "working-directory": ` + quoted(t, folder) + `}`, out: folder},
		"a command behind -- is taken in its place": {manifest: `{"command": "exit 9"}`, more: []string{"--", "sh", "-c", "exit 3"}, code: 3},
		"a timeout of 0 is none":                    {manifest: `{"command": ["true"], "timeout": 0}`},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := launch(t, append(manifested(t, c.manifest), c.more...)...)
			if code := s.code(); code != c.code || s.exit().Code != c.code {
				t.Errorf("code %d, exit.json %+v, want %d: %s", code, s.exit(), c.code, s.out.String())
			}
			if !strings.Contains(s.out.String(), c.out) {
				t.Errorf("it said %q, want %q", s.out.String(), c.out)
			}
		})
	}
}

func TestTheShorterTimeoutCounts(t *testing.T) {
	t.Parallel()
	cases := map[string][]string{
		"the manifest's": append(manifested(t, `{"command": ["sleep", "60"], "timeout": 0.2}`), "--timeout", "50s"),
		"the pipeline's": append(manifested(t, `{"command": ["sleep", "60"], "timeout": 50}`), "--timeout", "200ms"),
	}
	for name, arguments := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := launch(t, arguments...)
			if code, end := s.code(), s.exit(); code != 124 || !end.TimedOut || !strings.Contains(end.Launcher, "200ms") {
				t.Errorf("code %d, %+v", code, end)
			}
		})
	}
}

func TestAManifestThatIsNoneIsSaid(t *testing.T) {
	t.Parallel()
	huge := `{"command": "` + strings.Repeat("x", manifestLimit) + `"}`
	cases := map[string]struct{ manifest, words string }{
		"not JSON":                              {"command: x", "is not a manifest"},
		"another type":                          {`["sh"]`, "is not a manifest"},
		"no command":                            {`{"version": 1.0}`, "command is missing or empty"},
		"an empty command":                      {`{"command": " "}`, "command is missing or empty"},
		"an empty list":                         {`{"command": "[]"}`, "command is missing or empty"},
		"a broken list in a string":             {`{"command": "[\"sh\", "}`, "command begins with [ and is not a list of strings"},
		"a number as command":                   {`{"command": 5}`, "command is neither a string nor a list of strings"},
		"a relative working directory":          {`{"command": "true", "workingDirectory": "app"}`, "the working directory is not absolute"},
		"a working directory that is not there": {`{"command": "true", "workingDirectory": "/no/such/folder"}`, "no such file"},
		"a negative timeout":                    {`{"command": "true", "timeout": -1}`, "the timeout is not a number of seconds"},
		"more than a manifest has":              {huge, "has more than"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := launch(t, manifested(t, c.manifest)...)
			want := exitNoManifest
			if strings.Contains(name, "not there") {
				want = exitNotSetUp
			}
			if code, end := s.code(), s.exit(); code != want || !strings.Contains(end.Launcher, c.words) {
				t.Errorf("code %d, %+v, want %d and %q", code, end, want, c.words)
			}
		})
	}
	t.Run("no manifest at all", func(t *testing.T) {
		t.Parallel()
		s := launch(t, "--manifest", "/no/such/app.json", "--manifest", "/nor/this.json")
		if code, end := s.code(), s.exit(); code != exitNoManifest || end.Launcher != "the image has no manifest (/no/such/app.json, /nor/this.json): it is not a MAP" {
			t.Errorf("code %d, %+v", code, end)
		}
	})
}
