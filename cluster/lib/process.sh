# shellcheck shell=bash
# Background processes with a log and a pid file. A pid file holds "PID START-TIME", for a pid alone may by now be a
# stranger's (in a new PID namespace it soon is).

# start_time PID: nothing for no process and for a zombie, which kill -0 takes for alive (PID 1 may reap orphans late)
start_time() {
  local stat
  read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
  stat=${stat##*) } # a command's name may hold spaces and parentheses
  case $stat in Z* | X*) return 0 ;; esac
  # shellcheck disable=SC2086
  set -- $stat
  echo "${20}"
}
# running NAME: its pid, if that process is still there
running() {
  local pid when
  read -r pid when 2>/dev/null <"$PIDS/$1" || return 1
  [ -n "$when" ] && [ "$(start_time "$pid")" = "$when" ] && echo "$pid"
}
# start NAME COMMAND...: once, in a session of its own, so that a Ctrl-C of the caller does not end it
start() {
  local name=$1
  shift
  if running "$name" >/dev/null; then return; fi
  setsid "$@" </dev/null >>"$LOGS/$name.log" 2>&1 &
  echo "$! $(start_time $!)" >"$PIDS/$name"
}
# stop NAME...: TERM to all of them, up to 5 s, then KILL
stop() {
  local name pid
  for name in "$@"; do
    if pid=$(running "$name"); then kill "$pid" 2>/dev/null; fi
  done
  for name in "$@"; do
    for _ in $(seq 100); do
      running "$name" >/dev/null || break
      sleep 0.05
    done
    if pid=$(running "$name"); then kill -9 "$pid" 2>/dev/null; fi
    rm -f "$PIDS/$name"
  done
}
# until_ok SECONDS WHAT NAME COMMAND...: polls; when it gives up, or when process NAME has ended, shows the end of that log
until_ok() {
  local end=$((SECONDS + $1)) what=$2 name=$3
  shift 3
  until "$@" >/dev/null 2>&1; do
    if ! running "$name" >/dev/null; then
      tail -n 8 "$LOGS/$name.log" >&2
      die "$name ended while waiting for $what; its log: $LOGS/$name.log"
    fi
    if [ $SECONDS -ge "$end" ]; then
      tail -n 8 "$LOGS/$name.log" >&2
      die "gave up waiting for $what; see $LOGS/$name.log"
    fi
    sleep 0.1
  done
}
