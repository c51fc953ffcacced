# shellcheck shell=bash
# The bridge that carries node address, pods and services; and what the kernel must be told for it.

# Read before and put back by cluster/down: kubelet, kube-proxy and network_up change them.
SYSCTLS="net.ipv4.ip_forward net.ipv4.conf.all.route_localnet net.bridge.bridge-nf-call-iptables
  vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops"

remember_sysctls() {
  [ ! -e "$STATE/sysctls" ] || return 0
  # shellcheck disable=SC2086
  sysctl -e $SYSCTLS >"$STATE/sysctls" 2>/dev/null || true
}

# The bridge says by its alias whose it is. Asked by netlink: in cluster/sandbox, /sys shows the links outside.
bridge_owner() { ip -o link show dev "$BRIDGE" 2>/dev/null | sed -n 's/.*\\ *alias //p'; }
bridge_is_there() { ip link show dev "$BRIDGE" >/dev/null 2>&1; }

refuse_strangers() {
  local owner route
  if bridge_is_there; then
    owner=$(bridge_owner)
    if [ "$owner" = "$STATE" ]; then return; fi
    [ -n "$owner" ] || die "there is a link $BRIDGE that no cluster of Gantry made; remove it (ip link del $BRIDGE) if it is nobody's"
    die "another checkout's cluster is up, with its state in $owner; take it down first: ${owner%/build/*}/cluster/down"
  fi
  route=$(ip -o route show to match "$NODE_IP" | grep -v '^default' || true)
  [ -z "$route" ] || die "$NET.0.0/16 is in use on this machine ($route); choose another range, for example GANTRY_NET=10.213"
  if [ -S /var/lib/kubelet/device-plugins/kubelet.sock ] && pgrep -x kubelet >/dev/null; then
    die "another kubelet runs on this machine and owns /var/lib/kubelet/device-plugins; use it (CONTEXT=name), or cluster/sandbox"
  fi
}

network_up() {
  modprobe -qa br_netfilter overlay 2>/dev/null || true # built in where there are no modules
  if ! bridge_is_there; then
    ip link add "$BRIDGE" type bridge
    ip link set "$BRIDGE" alias "$STATE" up
    ip addr add "$NODE_IP/24" dev "$BRIDGE"
    # A service address that has no rule yet ends on the bridge, never on the default route.
    ip route add "$SERVICE_CIDR" dev "$BRIDGE" src "$NODE_IP"
  fi
  sysctl -qw net.ipv4.ip_forward=1
  sysctl -qw net.bridge.bridge-nf-call-iptables=1 || die "the kernel lacks br_netfilter, without which services do not work"
}

# Ports nobody else may hold; a process that listens on all addresses would take them.
free_ports() {
  local taken
  taken=$(ss -Hltn "( sport = :6443 or sport = :5000 or sport = :10250 or sport = :2379 )" |
    awk '{print $4}' | grep -E "^(0\.0\.0\.0|\*|\[::\]|$NODE_IP|$LOCAL_IP):" || true)
  [ -z "$taken" ] || die "another program listens on ${taken//$'\n'/ and }; the cluster needs 2379, 5000, 6443 and 10250 on its own addresses"
}

network_down() {
  ip link del "$BRIDGE" 2>/dev/null
  nft delete table ip gantry_netpol 2>/dev/null
  # Chains of kube-proxy, the kubelet and the portmap plugin.
  local table command
  for command in iptables ip6tables; do
    for table in filter nat mangle raw; do
      drop_chains "$command" "$table" 'KUBE-|CNI-'
    done
  done
  if [ -s "$STATE/sysctls" ]; then sysctl -qp "$STATE/sysctls" >/dev/null 2>&1; fi
  rm -f "$STATE/sysctls"
}

drop_chains() { # COMMAND TABLE PATTERN: rules first, then chains; a table that this leaves empty goes as well
  local command=$1 table=$2 pattern=$3 saved
  saved=$("$command-save" -t "$table" 2>/dev/null)
  if ! grep -qE "$pattern" <<<"$saved"; then return; fi
  grep -vE "$pattern" <<<"$saved" | "$command-restore" -T "$table"
  # What remains is a stranger's when it holds a rule, a chain of its own or a policy other than ACCEPT.
  if ! grep -vE "$pattern" <<<"$saved" | grep -qE '^-A|^:[^ ]+ (-|DROP)'; then
    nft delete table "$([ "$command" = iptables ] && echo ip || echo ip6)" "$table" 2>/dev/null
  fi
}
