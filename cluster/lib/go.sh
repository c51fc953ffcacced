# shellcheck shell=bash
# Go for the scripts that build from modules. GOFLAGS, GOPROXY and the rest of the environment are the user's own.

GO_NEEDED=1.24 # the oldest go directive that serves all modules built here but Kueue
GO_FETCHES=1.21 # the first that fetches another toolchain, as it fetches modules: https://go.dev/doc/toolchain
GO_FETCHED=go1.27.3

go_is_at_least() { # VERSION COMMAND
  local have
  have=$("$2" env GOVERSION 2>/dev/null) || return 1
  have=${have#go}
  [ "$(printf '%s\n%s\n' "$1" "${have%%[-+ ]*}" | sort -V | head -1)" = "$1" ]
}

# need_go [VERSION]: leaves a new enough `go` first on PATH. Debian installs versioned toolchains beside each other under /usr/lib, and tells
# them not to fetch newer ones; here one that is too old is told to.
need_go() {
  local needed=${1:-$GO_NEEDED} wanted folder
  for wanted in "$needed" "$GO_FETCHES"; do
    for folder in "$(dirname "$(command -v go || echo /nowhere/go)")" $(printf '%s\n' /usr/local/go/bin /usr/lib/go-*/bin | sort -rV); do
      { [ -x "$folder/go" ] && go_is_at_least "$wanted" "$folder/go"; } || continue
      [[ ":$PATH" == ":$folder:"* ]] || PATH=$folder:$PATH
      [ "$wanted" = "$needed" ] || export GOTOOLCHAIN=$GO_FETCHED
      return
    done
  done
  echo "Go $GO_FETCHES or newer is needed (found: $(go env GOVERSION 2>/dev/null || echo none)): run cluster/prepare as root, or install it from https://go.dev/dl/ and put it on PATH" >&2
  return 1
}

# less_words COMMAND...: without the line that Go prints for each of hundreds of modules; everything else stays
less_words() { "$@" 2> >(grep --line-buffered -v '^go: downloading ' >&2); }
