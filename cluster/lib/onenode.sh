# shellcheck shell=bash
# The parts of the one-node cluster, in the order in which they come up. Every function is idempotent: what runs is left
# alone, so that `cluster/up` also mends a cluster of which a part was killed.

# render TEMPLATE TARGET: fills the @NAMES@ in. Touches the target only when it changes, and in one move: kube-proxy
# ends itself when its file is written, containerd reads a CNI file that is half there.
render() {
  sed "s|@STATE@|$STATE|g; s|@SHORT@|$SHORT|g; s|@RUNTIME_ROOT@|$RUNTIME_ROOT|g; s|@PKI@|$PKI|g; s|@CONFIG@|$CONFIG|g; s|@CRI@|$CRI|g; s|@CGROUP@|$CGROUP|g
       s|@NODE_IP@|$NODE_IP|g; s|@NODE_NAME@|$NODE_NAME|g; s|@DNS_IP@|$DNS_IP|g; s|@LOCAL_IP@|$LOCAL_IP|g
       s|@POD_CIDR@|$POD_CIDR|g; s|@BRIDGE@|$BRIDGE|g; s|@REGISTRY_ADDRESS@|$REGISTRY_ADDRESS|g; s|@REGISTRY_STORE@|$REGISTRY_STORE|g
       s|@IMAGE_PAUSE@|${IMAGE_PAUSE:-}|g; s|@IMAGE_COREDNS@|${IMAGE_COREDNS:-}|g" "$SCRIPTS/conf/$1" >"$2.new"
  if cmp -s "$2.new" "$2"; then rm "$2.new"; else mv "$2.new" "$2"; fi
}

# clear_state: a cluster begins with nothing but pulled images
clear_state() {
  rm -rf "$SHORT" "$PKI" "$PIDS" "$CONFIG" "$STATE/kind" "$KUBECONFIG_FILE"
  rm -rf --one-file-system "$STATE"/{etcd,kubelet,podlogs}
}

control_plane() {
  start etcd etcd --data-dir "$STATE/etcd" --unsafe-no-fsync --log-level warn \
    --listen-client-urls "http://$LOCAL_IP:2379" --advertise-client-urls "http://$LOCAL_IP:2379" \
    --listen-peer-urls "http://$LOCAL_IP:2380" --initial-advertise-peer-urls "http://$LOCAL_IP:2380" \
    --initial-cluster "default=http://$LOCAL_IP:2380"
  start kube-apiserver kube-apiserver --etcd-servers "http://$LOCAL_IP:2379" \
    --bind-address "$NODE_IP" --advertise-address "$NODE_IP" --secure-port 6443 \
    --tls-cert-file "$PKI/apiserver.crt" --tls-private-key-file "$PKI/apiserver.key" --client-ca-file "$PKI/ca.crt" \
    --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction --allow-privileged=true \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --service-account-key-file "$PKI/sa.pub" --service-account-signing-key-file "$PKI/sa.key" \
    --service-cluster-ip-range "$SERVICE_CIDR" \
    --kubelet-client-certificate "$PKI/apiserver-kubelet.crt" --kubelet-client-key "$PKI/apiserver-kubelet.key" \
    --kubelet-certificate-authority "$PKI/ca.crt" \
    --feature-gates "$GATES" \
    --kubelet-preferred-address-types InternalIP # `kubectl logs` would look the host's name up otherwise
}

# containerd has a root and a socket of its own and never meets the machine's; images come from the registry below.
runtime() {
  mkdir -p "$RUNTIME_ROOT" "$CONFIG"/{cni,cni-plugins} "$CONFIG/certs.d/$REGISTRY_ADDRESS"
  ln -sf /usr/lib/cni/* "$CONFIG/cni-plugins/"
  ln -sf "$SCRIPTS/netpol/cni.py" "$CONFIG/cni-plugins/gantry-netpol"
  render "$RUNTIME_CONFIG" "$CONFIG/containerd.toml"
  render hosts.toml "$CONFIG/certs.d/$REGISTRY_ADDRESS/hosts.toml"
  render cni.conflist "$CONFIG/cni/10-gantry.conflist"
  start containerd containerd --config "$CONFIG/containerd.toml"
  until_ok 30 containerd containerd ctr -a "$CRI" version
  # Containers of a cluster that was killed: no kubelet knows them.
  if [ ! -d "$STATE/podlogs" ] && [ -n "$(ctr -a "$CRI" -n k8s.io container ls -q)" ]; then
    # shellcheck disable=SC2046
    ctr -a "$CRI" -n k8s.io container rm $(ctr -a "$CRI" -n k8s.io container ls -q) >/dev/null
    stop containerd
    start containerd containerd --config "$CONFIG/containerd.toml"
  fi
}

registry() {
  mkdir -p "$REGISTRY_STORE"
  render registry.yaml "$CONFIG/registry.yaml"
  start registry docker-registry serve "$CONFIG/registry.yaml"
}

controllers() {
  # The client limits: at its defaults it throttles itself, and pods are refused for 5 s after the node is Ready
  # ("serviceaccount default not found").
  start kube-controller-manager kube-controller-manager --kubeconfig "$CONFIG/controller-manager.kubeconfig" \
    --leader-elect=false --bind-address "$LOCAL_IP" --use-service-account-credentials=true \
    --kube-api-qps 500 --kube-api-burst 1000 \
    --service-account-private-key-file "$PKI/sa.key" --root-ca-file "$PKI/ca.crt" \
    --cluster-signing-cert-file "$PKI/ca.crt" --cluster-signing-key-file "$PKI/ca.key"
  start kube-scheduler kube-scheduler --kubeconfig "$CONFIG/scheduler.kubeconfig" --leader-elect=false --bind-address "$LOCAL_IP"
}

# The pods' own cgroup root, in every hierarchy of cgroup v1 or in the one of v2.
cgroup_up() {
  local hierarchy
  if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p "/sys/fs/cgroup/$CGROUP"
    # The kubelet refuses a root that lacks a controller which the machine has.
    for hierarchy in cpu cpuset memory hugetlb pids; do
      echo "+$hierarchy" >/sys/fs/cgroup/cgroup.subtree_control || true
    done 2>/dev/null
  else
    for hierarchy in /sys/fs/cgroup/*/; do mkdir -p "$hierarchy$CGROUP" 2>/dev/null || true; done
    # An empty cpuset takes no process.
    for hierarchy in cpus mems; do
      cat /sys/fs/cgroup/cpuset/cpuset.$hierarchy >"/sys/fs/cgroup/cpuset/$CGROUP/cpuset.$hierarchy" 2>/dev/null || true
    done
  fi
}
cgroup_down() {
  local folder
  for folder in /sys/fs/cgroup/*/"$CGROUP" "/sys/fs/cgroup/$CGROUP"; do
    if [ -d "$folder" ]; then find "$folder" -depth -type d -exec rmdir {} + 2>/dev/null; fi
  done
}

# The kubelet's folder must be a short path (it makes sockets there) and a real disk (pods' emptyDirs): a mount of its
# own, private first, so that the pods' mounts below it do not appear twice.
kubelet_folder() {
  if mountpoint -q "$SHORT/kubelet"; then return; fi
  mkdir -p "$STATE/kubelet" "$SHORT/kubelet"
  mount --bind "$STATE/kubelet" "$SHORT/kubelet"
  mount --make-private "$SHORT/kubelet"
  mount --make-shared "$SHORT/kubelet"
}

node() {
  kubelet_folder
  cgroup_up
  mkdir -p "$STATE/podlogs"
  render kubelet.yaml "$CONFIG/kubelet.yaml"
  render kube-proxy.yaml "$CONFIG/kube-proxy.yaml"
  render resolv.conf "$CONFIG/resolv.conf"
  until_ok 30 containerd containerd ctr -a "$CRI" version
  start kubelet kubelet --config "$CONFIG/kubelet.yaml" --kubeconfig "$CONFIG/kubelet.kubeconfig" \
    --hostname-override "$NODE_NAME" --node-ip "$NODE_IP" --root-dir "$SHORT/kubelet" --feature-gates "$GATES" --v 1
  until_ok 60 "the node object" kubelet kubectl get node "$NODE_NAME"
  # After the node exists: kube-proxy looks its node up and backs off for up to 30 s if there is none.
  start kube-proxy kube-proxy --config "$CONFIG/kube-proxy.yaml"
  if [ "$GPUS" -gt 0 ]; then start fake-gpu-plugin fake-gpu-plugin --count "$GPUS"; fi
  if [ "$CLAIM_GPUS" -gt 0 ]; then
    start fake-claim-driver fake-claim-driver --count "$CLAIM_GPUS" --node "$NODE_NAME" --kubeconfig "$CONFIG/kubelet.kubeconfig" --root-dir "$SHORT/kubelet"
  fi
}

# Before the kubelet: no pod starts without its rules.
network_policies() {
  GANTRY_API=$API GANTRY_PKI=$PKI GANTRY_SOCKET=$SHORT/netpol.sock PYTHONPATH=$SCRIPTS PYTHONDONTWRITEBYTECODE=1 \
    start netpol /usr/bin/python3 -m netpol
  until_ok 30 "the enforcer of network policies" netpol test -S "$SHORT/netpol.sock"
}

dns() {
  render coredns.yaml "$CONFIG/coredns.yaml"
  kubectl apply --server-side -f "$CONFIG/coredns.yaml" >/dev/null
}

gpus_are_offered() {
  [ "$(kubectl get node "$NODE_NAME" -o 'jsonpath={.status.allocatable.nvidia\.com/gpu}')" = "$GPUS" ]
}

claims_are_offered() {
  [ "$(kubectl get resourceslices -o 'jsonpath={.items[*].spec.driver}')" = gpu.example.com ]
}

node_ready() {
  kubectl wait --for=condition=Ready "node/$NODE_NAME" --timeout=60s >/dev/null || die "the node is not Ready; see $LOGS/kubelet.log"
  # Pods are refused until their namespace has its service account, which the controller manager makes last of all.
  until_ok 30 "the default service account" kube-controller-manager kubectl get serviceaccount default
  if [ "$GPUS" -gt 0 ]; then until_ok 30 "the fake GPUs" fake-gpu-plugin gpus_are_offered; fi
  if [ "$CLAIM_GPUS" -gt 0 ]; then until_ok 30 "the fake GPUs of resource claims" fake-claim-driver claims_are_offered; fi
}
