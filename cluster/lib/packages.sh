# shellcheck shell=bash
# The Debian or Ubuntu packages that the one-node cluster is made of; installed only when one is missing.

PACKAGES="containerd runc containernetworking-plugins iptables nftables conntrack ipset ebtables iproute2 socat openssl
  buildah skopeo docker-registry python3 ca-certificates util-linux procps"
TEST_PACKAGES="orthanc orthanc-dicomweb dcmtk dicom3tools docker-registry" # what component tests start or check with

missing_packages() { # PACKAGE...: those that are not installed
  local have
  have=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null | awk '$2 == "installed" {print $1}')
  printf '%s\n' "$@" | grep -vxF "$have" || true
}

# Packages start services on installation; this policy keeps them from doing so while we install.
without_services() {
  local policy=/usr/sbin/policy-rc.d made=""
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    made=yes
  fi
  local status=0
  DEBIAN_FRONTEND=noninteractive "$@" || status=$?
  if [ -n "$made" ]; then rm -f $policy; fi
  return $status
}

install_packages() { # PACKAGE...
  local missing
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  [ "$(id -u)" = 0 ] || die "these packages are missing: sudo apt-get install ${missing//$'\n'/ }"
  command -v apt-get >/dev/null || die "these are missing and there is no apt-get to install them: ${missing//$'\n'/ }"
  say "installing Debian packages: ${missing//$'\n'/ }"
  # shellcheck disable=SC2086
  if ! apt-get install -qq -y --no-install-recommends --dry-run $missing >/dev/null 2>&1; then apt-get update -qq >&2; fi
  # shellcheck disable=SC2086
  without_services apt-get install -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 $missing </dev/null >"$LOGS/packages.log" 2>&1 || {
    tail -5 "$LOGS/packages.log" >&2
    die "apt-get could not install these; the whole log: $LOGS/packages.log"
  }
}

# install_go (with lib/go.sh): a toolchain from the distribution, where it has one that is new enough under some name, else from its backports
install_go() {
  if (need_go) 2>/dev/null; then return; fi
  packaged_go || with_backports packaged_go || true
  need_go || die "this distribution has no Go $GO_FETCHES: unpack https://go.dev/dl/ to /usr/local/go"
}

# want_go: the same, but who cannot have it goes on: what is in the cache needs no Go, and what has to be built says that it does
want_go() {
  (need_go) 2>/dev/null || (install_go) || true
  need_go 2>/dev/null || true
}

packaged_go() {
  local candidate
  for candidate in golang-go $(apt-cache search --names-only '^golang-1\.[0-9]+-go$' | awk '{print $1}' | sort -rV); do
    case $(apt-cache policy "$candidate" | awk '/Candidate:/ {print $2}') in
      2:1.2[1-9]* | 1.2[1-9]* | 2:1.[3-9][0-9]* | 1.[3-9][0-9]*) install_packages "$candidate"; return ;;
    esac
  done
  return 1
}

with_backports() { # COMMAND...: with Debian's backports beside the machine's own sources, which stay as they are
  local ID="" VERSION_CODENAME="" folder mirror status=0
  # shellcheck disable=SC1091
  . /etc/os-release
  [ "$ID" = debian ] && [ "$(id -u)" = 0 ] || return 1
  # The machine's own mirror: a hospital's may be the only one it can reach.
  mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' | awk -v release="$VERSION_CODENAME" '$1 == release && !found {found = $2} END {print found}')
  [ -n "$mirror" ] || return 1
  folder=$(mktemp -d "${TMPDIR:-/tmp}/gantry-apt.XXXXXX")
  chmod 755 "$folder" # apt reads as a user of its own
  [ ! -e /etc/apt/sources.list ] || cat /etc/apt/sources.list >"$folder/sources.list"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $VERSION_CODENAME-backports main" >>"$folder/sources.list"
  printf 'Dir::Etc::sourcelist "%s";\n' "$folder/sources.list" >"$folder/apt.conf"
  say "looking for Go in $VERSION_CODENAME-backports"
  APT_CONFIG=$folder/apt.conf apt-get update -qq >&2 && APT_CONFIG=$folder/apt.conf "$@" || status=$?
  rm -rf "$folder"
  return $status
}
