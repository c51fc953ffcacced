# shellcheck shell=bash
# One function for each image: works out its key, stops there when nothing changed, else builds and publishes it.

PIP_VERSION=25.3

recipe_pause() {
  local key
  key=$(hash_files cluster/pause)
  up_to_date pause "$key" && return
  need_go
  mkdir -p "$work/pause"
  (cd "$SCRIPTS/pause" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$work/pause/pause" .)
  from_folder "localhost/gantry/pause:$key" "$work/pause" --entrypoint '["/pause"]' --user 65534:65534
  publish pause "$key" "localhost/gantry/pause:$key"
}

recipe_coredns() {
  local key folder
  folder=$("$SCRIPTS/tools" coredns)
  key=$(basename "$folder")
  up_to_date coredns "$key" && return
  mkdir -p "$work/coredns"
  cp "$folder/coredns" "$work/coredns/"
  from_folder "localhost/gantry/coredns:$key" "$work/coredns" --entrypoint '["/coredns"]'
  publish coredns "$key" "localhost/gantry/coredns:$key"
}

recipe_kueue() { # as its own Dockerfile has it; only tests use it
  local key folder
  folder=$("$SCRIPTS/tools" kueue)
  key=$(basename "$folder")
  up_to_date kueue "$key" && return
  mkdir -p "$work/kueue"
  cp "$folder/kueue" "$work/kueue/manager"
  from_folder "localhost/gantry/kueue:$key" "$work/kueue" --entrypoint '["/manager"]' --user 65532:65532
  publish kueue "$key" "localhost/gantry/kueue:$key"
}

# The Python base: the distribution's own CPython, in the place that python:3.12-slim has for people with Docker.
python_base() { # leaves the image's name in BASE
  local packages="python3 libstdc++6 media-types tzdata ca-certificates netbase base-files busybox-static" key root version
  # shellcheck disable=SC2086
  key=$( (closure $packages; declare -f unpack_closure busybox_names accounts python_base; echo $PIP_VERSION) | hash_of)
  BASE=localhost/gantry/python:$key
  if have_image "$BASE"; then return; fi
  say "building the Python base from the distribution's packages"
  root=$work/python
  # shellcheck disable=SC2086
  unpack_closure "$root" $packages
  version=$(basename "$root"/usr/lib/python3.*)
  ln -sf "$version" "$root/usr/bin/python3"
  ln -sf "$version" "$root/usr/bin/python"
  rm -rf "$root/usr/lib/$version"/{test,idlelib,tkinter,turtledemo,ensurepip,lib2to3,pydoc_data,EXTERNALLY-MANAGED}
  # pip from PyPI, for Dockerfiles that install packages.
  python3 -m zipfile -e "$(pip_wheel)" "$root/usr/lib/python3/dist-packages"
  printf '#!/usr/bin/python3\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n' >"$root/usr/bin/pip"
  chmod 755 "$root/usr/bin/pip"
  /usr/bin/python3 -m compileall -q -s "$root" -p / --invalidation-mode unchecked-hash "$root/usr/lib/$version" || true
  from_folder "$BASE" "$root" --cmd python3 --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin --env LANG=C.UTF-8
}

# wheels FILE...: the wheels that requirements name, downloaded by the ordinary pip of this machine into the cache.
# A build sees them through a pip.conf, so that a Dockerfile says `pip install -r` and nothing else.
wheels() { # leaves the folder in WHEELS
  local key file new
  key=$( (/usr/bin/python3 -V; cat "$@") | hash_of)
  WHEELS=$CACHE/wheels/$key
  if [ -d "$WHEELS" ]; then return; fi
  new=$WHEELS.new.$$
  mkdir -p "$new"
  for file in "$@"; do
    # The interpreter of the image, which is this distribution's, decides which wheels fit; not a Python first on PATH.
    PYTHONPATH=$(pip_wheel) /usr/bin/python3 -m pip download -q --disable-pip-version-check --only-binary=:all: -d "$new" -r "$file" >&2 || {
      rm -rf "$new"
      die "pip cannot download the wheels that $file names"
    }
  done
  mv -T "$new" "$WHEELS" 2>/dev/null || rm -rf "$new"
}
pip_wheel() { # pip as a wheel runs from where it is. A fresh Debian has no pip: the repository's virtual environment has
  local folder=$CACHE/pip-$PIP_VERSION python=$ROOT/.venv/bin/python
  if [ ! -d "$folder" ]; then
    if ! "$python" -m pip --version >/dev/null 2>&1; then
      python=$work/venv/bin/python
      "$SCRIPTS/python-venv" /usr/bin/python3 "$work/venv" >&2
    fi
    "$python" -m pip download -q --disable-pip-version-check --no-deps -d "$folder.new.$$" "pip==$PIP_VERSION" >&2
    mv -T "$folder.new.$$" "$folder" 2>/dev/null || rm -rf "$folder.new.$$"
  fi
  echo "$folder"/pip-*.whl
}

# build CONTEXT TAG WHEELS ARGUMENTS...: buildah as if it were docker build. The layers are cached by their inputs.
build() {
  local context=$1 tag=$2 wheels=$3 offline=()
  shift 3
  printf '[global]\nno-index = true\nfind-links = /wheels\nroot-user-action = ignore\ndisable-pip-version-check = true\n' >"$work/pip.conf"
  if [ -n "$wheels" ]; then offline=(--volume "$wheels:/wheels:ro" --volume "$work/pip.conf:/etc/pip.conf:ro"); fi
  build_tool bud --isolation chroot --layers --pull-never --timestamp 0 --quiet -t "$tag" --build-arg BASE="$BASE" "${offline[@]}" "$@" "$context" >"$work/build.log" 2>&1 || {
    tail -40 "$work/build.log" >&2
    die "building $tag failed"
  }
}

recipe_operator() { ours operator; }
recipe_worker() {
  need_go
  local go_root go_cache modules
  go_root=$(go env GOROOT) go_cache=$(go env GOCACHE) modules=$(go env GOMODCACHE)
  mkdir -p "$go_cache" "$modules"
  (cd "$ROOT/launcher" && go mod download)
  # The host's Go where the golang image has its own, its caches and its modules: the Dockerfile sees no difference.
  ours worker --build-arg GO="$BASE" --volume "$go_root:/usr/local/go:ro" --volume "$modules:/go/pkg/mod:ro" --volume "$go_cache:/go/cache"
}
ours() { # TARGET ARGUMENTS...
  local target=$1 key made_of=(operator/Dockerfile operator/gantry "requirements/$1.lock")
  shift
  if [ "$target" = worker ]; then made_of+=(launcher); fi
  key=$( (echo "$BASE"; hash_files "${made_of[@]}") | hash_of)
  up_to_date "gantry/$target" "$key" && return
  wheels "$ROOT/requirements/$target.lock"
  build "$ROOT" "localhost/gantry/$target:$key" "$WHEELS" -f "$ROOT/operator/Dockerfile" --target "$target" "$@"
  publish "gantry/$target" "$key" "localhost/gantry/$target:$key"
}

recipe_algorithm() { # FOLDER of examples/algorithms
  local name=$1 folder=$ROOT/examples/algorithms/$1 key files
  key=$( (echo "$BASE"; hash_files "examples/algorithms/$name") | hash_of)
  up_to_date "gantry/$name" "$key" && return
  WHEELS=""
  files=$(find "$folder" -maxdepth 1 -name 'requirements*.txt' -o -maxdepth 1 -name 'requirements*.lock' -o -maxdepth 1 -name '*.lock')
  # shellcheck disable=SC2086
  if [ -n "$files" ]; then wheels $files; fi
  build "$folder" "localhost/gantry/$name:$key" "$WHEELS"
  publish "gantry/$name" "$key" "localhost/gantry/$name:$key"
}

# Packages as vendors make them, for tests; a wheel's dependencies stay away, for the packagers' code alone is used.
recipe_package() { # FOLDER of tests/packages
  local name=$1 folder=$ROOT/tests/packages key shell=()
  key=$( (echo "$BASE"; declare -f recipe_package; hash_files "tests/packages/$name" tests/packages/*.py tests/packages/requirements.txt) | hash_of)
  up_to_date "test/$name" "$key" && return
  PIP_NO_DEPS=1 wheels "$folder/requirements.txt"
  if [ "$name" = map-1.0 ]; then # bash and jq for the entrypoint
    unpack_closure "$work/shell" bash jq
    mkdir -p "$work/shell/only"
    cp -L "$work"/shell/usr/bin/{bash,jq} "$work"/shell/usr/lib/*/lib{tinfo.so.6,jq.so.1,onig.so.5} "$work/shell/only/"
    shell=(--volume "$work/shell/only:/shell:ro")
  fi
  build "$folder" "localhost/test/$name:$key" "$WHEELS" -f "$folder/$name/Dockerfile" "${shell[@]}"
  publish "test/$name" "$key" "localhost/test/$name:$key"
}

recipe_orthanc() {
  local packages="orthanc orthanc-dicomweb media-types tzdata ca-certificates base-files busybox-static" key root
  # shellcheck disable=SC2086
  key=$( (closure $packages; declare -f unpack_closure busybox_names accounts recipe_orthanc; hash_files cluster/orthanc/start cluster/orthanc/orthanc.json) | hash_of)
  up_to_date gantry/orthanc "$key" && return
  if ! have_image "localhost/gantry/orthanc:$key"; then
    say "building Orthanc from the distribution's packages"
    root=$work/orthanc
    # shellcheck disable=SC2086
    unpack_closure "$root" $packages
    rm -rf "$root"/etc/orthanc "$root"/etc/init.d
    mkdir -p "$root/etc/orthanc" "$root/var/lib/orthanc/db"
    cp "$SCRIPTS/orthanc/orthanc.json" "$root/etc/orthanc/"
    install -m 755 "$SCRIPTS/orthanc/start" "$root/usr/local/bin/start-orthanc" -D
    chown -R 1000:1000 "$root/var/lib/orthanc"
    from_folder "localhost/gantry/orthanc:$key" "$root" --entrypoint '["/usr/local/bin/start-orthanc"]' --user 1000:1000 \
      --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin --env LANG=C.UTF-8 --env TCP_NODELAY=1 --port 8042 --port 4242
  fi
  publish gantry/orthanc "$key" "localhost/gantry/orthanc:$key"
}
