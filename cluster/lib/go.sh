# shellcheck shell=bash
# Go for the scripts that build from modules. GOFLAGS, GOPROXY and the rest of the environment are the user's own.

GO_NEEDED=1.24 # the oldest go directive of the modules built here

go_is_new_enough() { # COMMAND
  local have
  have=$("$1" env GOVERSION 2>/dev/null) || return 1
  have=${have#go}
  [ "$(printf '%s\n%s\n' "$GO_NEEDED" "${have%%[-+ ]*}" | sort -V | head -1)" = "$GO_NEEDED" ]
}

# need_go: leaves a new enough `go` first on PATH. Debian installs versioned toolchains beside each other under /usr/lib.
need_go() {
  local folder
  if command -v go >/dev/null && go_is_new_enough go; then return; fi
  for folder in $(printf '%s\n' /usr/local/go/bin /usr/lib/go-*/bin | sort -rV); do
    if [ -x "$folder/go" ] && go_is_new_enough "$folder/go"; then PATH=$folder:$PATH; return; fi
  done
  echo "Go $GO_NEEDED or newer is needed (found: $(go env GOVERSION 2>/dev/null || echo none)): run cluster/prepare as root, or install it from https://go.dev/dl/ and put it on PATH" >&2
  return 1
}

# less_words COMMAND...: without the line that Go prints for each of hundreds of modules; everything else stays
less_words() { "$@" 2> >(grep --line-buffered -v '^go: downloading ' >&2); }
