# shellcheck shell=bash
# Names, addresses and folders of the one-node cluster; sourced by every script here.
# GANTRY_STATE chooses another state folder (cluster/sandbox does), GANTRY_NET another /16 when the default is taken.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
SCRIPTS=$ROOT/cluster
BUILD=$ROOT/build
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/gantry
STATE=${GANTRY_STATE:-$BUILD/cluster}
PKI=$STATE/pki LOGS=$STATE/logs PIDS=$STATE/pids
CONFIG=$STATE/config # rendered from cluster/conf
# Unix socket paths are limited to 107 bytes, and a checkout's path may be long: sockets live here.
SHORT=/run/gantry-$(printf %s "$STATE" | sha256sum | cut -c1-8)
CRI=$SHORT/containerd.sock
CGROUP=${SHORT#/run/} # the pods' cgroups have a root of their own: two kubelets would end each other's pods
REGISTRY_STORE=$BUILD/registry
if [ "$STATE" = "$BUILD/cluster" ]; then KUBECONFIG_FILE=$BUILD/kubeconfig; else KUBECONFIG_FILE=$STATE/kubeconfig; fi

NET=${GANTRY_NET:-10.203} # the first two numbers of everything the cluster uses
BRIDGE=gantry0
NODE_NAME=gantry-node
NODE_IP=$NET.0.1 # on a bridge of our own: nothing listens on the machine's real interfaces
POD_CIDR=$NET.0.0/24
SERVICE_CIDR=$NET.128.0/17
API_SERVICE_IP=$NET.128.1
DNS_IP=$NET.128.10
LOCAL_IP=127.203.0.1 # etcd and health ports: a loopback address that nobody else binds
API=https://$NODE_IP:6443
REGISTRY_ADDRESS=$NODE_IP:5000
GPUS=${GPUS:-4}
CLAIM_GPUS=${CLAIM_GPUS:-2} # offered to resource claims, beside those
case ${GANTRY_CONTAINERD:-} in # the distribution's, or 2: a newer one of Go modules (cluster/tools containerd)
  "") RUNTIME_CONFIG=containerd.toml RUNTIME_ROOT=$STATE/containerd GATES="" ;;
  2) RUNTIME_CONFIG=containerd2.toml RUNTIME_ROOT=$STATE/containerd2 GATES=ImageVolume=true ;;
  *) echo "error: GANTRY_CONTAINERD=$GANTRY_CONTAINERD is neither empty nor 2" >&2; exit 1 ;;
esac

started=${EPOCHREALTIME/[.,]/}
# say WORDS: a line of progress with the seconds since the script began
say() {
  local took=$((${EPOCHREALTIME/[.,]/} - started))
  printf '%4d.%02d s  %s\n' $((took / 1000000)) $((took % 1000000 / 10000)) "$*" >&2
}
# die WORDS: what is wrong and what to do about it
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

need_root() {
  [ "$(uname -s)" = Linux ] || die "the one-node cluster needs Linux; use kind (CLUSTER=kind) or your own cluster (CONTEXT=name)"
  [ "$(id -u)" = 0 ] || die "the one-node cluster makes a bridge, mounts and cgroups and needs root: sudo $0 (or CLUSTER=kind, or CONTEXT=name)"
}
need_disk() { # GIGABYTES FOLDER
  local folder=$2 free
  while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
  free=$(df --output=avail -BG "$folder" | tail -1 | tr -dc 0-9)
  [ "$free" -ge "$1" ] || die "$1 GB free are needed in $folder, there are $free GB"
}
