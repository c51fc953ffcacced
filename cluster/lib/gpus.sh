# shellcheck shell=bash
# GPUs that do not exist, for clusters that are not ours to the last part: the capacity of a node is an ordinary field
# of its status, which nobody overwrites unless a device plugin for the resource runs.
# https://kubernetes.io/docs/tasks/administer-cluster/extended-resource-node/

pretend_gpus() { # COUNT
  local node
  [ "$1" -gt 0 ] || return 0
  for node in $(kubectl get nodes -o name); do
    if [ -z "$(kubectl get "$node" -o 'jsonpath={.status.capacity.nvidia\.com/gpu}')" ]; then
      kubectl patch "$node" --subresource=status --type=json \
        -p "[{\"op\": \"add\", \"path\": \"/status/capacity/nvidia.com~1gpu\", \"value\": \"$1\"}]" >/dev/null
    fi
  done
}
