# shellcheck shell=bash
# Images by an ordinary Docker engine, for kind and for a cluster of the user's own.

declare -A references=()

docker_images() { # [NAME...]
  local names=("$@") name id algorithm
  if [ ${#names[@]} -eq 0 ]; then
    rm -f "$BUILD/images.json" # a cluster of another kind may have left names of its own
    names=(orthanc operator worker)
    for algorithm in "$ROOT"/examples/algorithms/*/Dockerfile; do
      [ ! -e "$algorithm" ] || names+=("$(basename "$(dirname "$algorithm")")")
    done
  fi
  for name in "${names[@]}"; do
    case $name in
      pause | coredns) continue ;; # the cluster has its own
      orthanc) id=$(docker build -q "$SCRIPTS/orthanc") ;;
      operator | worker) id=$(docker build -q --target "$name" -f "$ROOT/operator/Dockerfile" "$ROOT") ;;
      test/*) id=$(docker build -q -f "$ROOT/tests/packages/${name#test/}/Dockerfile" "$ROOT/tests/packages") ;;
      *) id=$(docker build -q "$ROOT/examples/algorithms/$name") ;;
    esac
    case $name in test/*) ;; *) name=gantry/$name ;; esac
    references[$name]=${REGISTRY:+$REGISTRY/}$name:${id:7:12}
    docker tag "$id" "${references[$name]}"
    say "$name is built"
  done
}

# write_references: build/images.json, with the entries of earlier calls kept
write_references() {
  mkdir -p "$BUILD"
  local name
  for name in "${!references[@]}"; do printf '%s %s\n' "$name" "${references[$name]}"; done |
    python3 -c '
import json, os, pathlib, sys
target = pathlib.Path(sys.argv[1])
names = json.loads(target.read_text()) if target.exists() else {}
names.update(line.split() for line in sys.stdin)
new = target.with_suffix(".new")
new.write_text(json.dumps(names, indent=2, sort_keys=True) + "\n")
os.replace(new, target)' "$BUILD/images.json"
}
