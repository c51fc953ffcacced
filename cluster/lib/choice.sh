# shellcheck shell=bash
# Which of the three kinds of cluster: what runs already, else CLUSTER, else by what is there.

docker_answers() { command -v docker >/dev/null && timeout 10 docker info >/dev/null 2>&1; }

chosen_cluster() {
  local wanted=${CLUSTER:-} present=""
  if [ -z "$wanted" ] && [ -n "${CONTEXT:-}" ]; then wanted=context; fi
  if [ -s "$STATE/kind" ]; then present=$(cat "$STATE/kind"); fi
  case $wanted in
    "" | onenode | kind | context) ;;
    *) die "CLUSTER=$wanted is none of onenode, kind and context" ;;
  esac
  if [ -n "$present" ]; then
    [ "${wanted:-$present}" = "$present" ] || die "this checkout's cluster is of kind $present; take it down first (cluster/down without CLUSTER and CONTEXT)"
    echo "$present"
  elif [ -n "$wanted" ]; then
    echo "$wanted"
  elif docker_answers; then
    echo kind
  else
    echo onenode
  fi
}

# image_reference NAME: what a pod writes to get it
image_reference() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$BUILD/images.json" "$1"; }
