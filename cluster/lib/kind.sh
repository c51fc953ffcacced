# shellcheck shell=bash
# The kind cluster named gantry.

kind_is_there() { kind get clusters 2>/dev/null | grep -qx gantry; }

# load_images: the images of build/images.json, if there is a cluster to load them into; what it has already is skipped
load_images() {
  local reference
  if [ ! -s "$BUILD/images.json" ] || ! kind_is_there; then return; fi
  for reference in $(python3 -c 'import json, sys; print(*json.load(open(sys.argv[1])).values())' "$BUILD/images.json"); do
    case $reference in
      *@sha256:*) ;; # of a registry, for a cluster of another kind
      *) kind load docker-image --name gantry "$reference" >&2 ;;
    esac
  done
}
