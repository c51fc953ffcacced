# shellcheck shell=bash
# Where images are kept and how they come into the registry.
#
# The user's cache holds buildah's own storage: base images and layers, for all checkouts. build/registry is the folder of
# this checkout's registry; pods pull from it. An image is known by the hash of what it is made of (its key), written
# down in build/images/NAME beside its digest; unchanged inputs cost one hash.

IMAGES=$BUILD/images # NAME: "key digest"
STORE=(--root "$CACHE/buildah" --runroot "/run/gantry-buildah-$(id -u)" --storage-driver overlay)

build_tool() { buildah "${STORE[@]}" "$@"; }

# leave_store: no container (of a build that failed) and no mount of the storage stays behind
leave_store() {
  [ -d "$CACHE/buildah" ] || return 0
  if grep -q " $CACHE/buildah/overlay/.*/merged " /proc/mounts; then build_tool rm --all >/dev/null 2>&1; fi
  awk -v under="$CACHE/buildah/" 'index($2, under) == 1 {print $2}' /proc/mounts | sort -r | while read -r mount; do umount -l "$mount"; done
  rm -rf "${STORE[3]}"
}

hash_of() { sha256sum | cut -c1-16; }
hash_files() { # FOLDER-OR-FILE...: names and contents, without what Python, Go and tests leave beside the sources
  (cd "$ROOT" && find "$@" -type f ! -path '*/__pycache__/*' ! -name '*.pyc' ! -path '*/.*_cache/*' -print0 | sort -z | xargs -0 sha256sum) | hash_of
}

up_to_date() { # NAME KEY
  local key digest
  read -r key digest 2>/dev/null <"$IMAGES/${1//\//_}" || return 1
  [ "$key" = "$2" ] && [ -e "$REGISTRY_STORE/docker/registry/v2/repositories/$1/_manifests/revisions/sha256/${digest#sha256:}/link" ]
}

# registry_here: a registry of this script's own, on loopback, over the same folder as the cluster's; so that images can
# be built before a cluster is up, and while one is.
registry_here() {
  [ -z "${HERE:-}" ] || return 0
  mkdir -p "$REGISTRY_STORE"
  local port
  # The same port each time, if it is free: buildah remembers by host and port which layers a registry has.
  for port in $((20000 + 0x$(printf %s "$REGISTRY_STORE" | sha256sum | cut -c1-4) % 10000)) $(shuf -i 20000-29999 -n 20); do
    printf 'version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: "%s"}}\nhttp: {addr: "127.0.0.1:%s"}\n' \
      "$REGISTRY_STORE" "$port" >"$work/registry.yaml"
    docker-registry serve "$work/registry.yaml" >"$work/registry.log" 2>&1 &
    registry_pid=$!
    for _ in $(seq 100); do
      if ! kill -0 $registry_pid 2>/dev/null; then break; fi
      if (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null; then HERE=127.0.0.1:$port; return; fi
      sleep 0.05
    done
    kill $registry_pid 2>/dev/null || true
  done
  cat "$work/registry.log" >&2
  die "the local registry does not start"
}

publish() { # NAME KEY IMAGE: pushes an image of buildah's storage and writes its digest down
  registry_here
  build_tool push -q --tls-verify=false --digestfile "$work/digest" "$3" "docker://$HERE/$1:latest" >/dev/null
  mkdir -p "$IMAGES"
  echo "$2 $(cat "$work/digest")" >"$IMAGES/${1//\//_}.new"
  mv "$IMAGES/${1//\//_}.new" "$IMAGES/${1//\//_}"
  write_images_json
  say "$1 is in the registry"
}

# from_folder TAG FOLDER CONFIG...: an image of one layer
from_folder() {
  local tag=$1 folder=$2 container
  shift 2
  container=$(build_tool from scratch)
  tar -c -C "$folder" --sort=name --mtime=@0 --numeric-owner . >"$work/layer.tar" # a tar keeps owners, a folder does not
  build_tool add -q "$container" "$work/layer.tar" / >/dev/null
  rm "$work/layer.tar"
  build_tool config "$@" "$container"
  # The time stamp makes the same content the same digest.
  build_tool commit -q --rm --timestamp 0 "$container" "$tag" >/dev/null
}

have_image() { build_tool inspect --type image "$1" >/dev/null 2>&1; }

write_images_json() {
  python3 - "$IMAGES" "$REGISTRY_ADDRESS" "$BUILD/images.json" <<'EOC'
import json, os, pathlib, sys
folder, registry, target = sys.argv[1:]
names = {}
for file in sorted(pathlib.Path(folder).iterdir()):
    if file.suffix != ".new":
        name = file.name.replace("_", "/")
        names[name] = f"{registry}/{name}@{file.read_text().split()[1]}"
new = pathlib.Path(target + ".new")
new.write_text(json.dumps(names, indent=2) + "\n")
os.replace(new, target)
EOC
}
