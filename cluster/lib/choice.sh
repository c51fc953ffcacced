# shellcheck shell=bash
# Which of the three kinds of cluster: what runs already, else CLUSTER, else by what is there.

docker_answers() { command -v docker >/dev/null && timeout 10 docker info >/dev/null 2>&1; }

chosen_cluster() {
  if [ -n "${CLUSTER:-}" ]; then echo "$CLUSTER"; return; fi
  if [ -s "$STATE/kind" ]; then cat "$STATE/kind"; return; fi
  if [ -n "${CONTEXT:-}" ]; then echo context; return; fi
  if docker_answers; then echo kind; return; fi
  echo onenode
}

# image_reference NAME: what a pod writes to get it
image_reference() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$BUILD/images.json" "$1"; }
