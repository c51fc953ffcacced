# shellcheck shell=bash
# One certificate authority for the cluster; client identities are CN (user) and O (group). Made once for each cluster.

cert() { # NAME SUBJECT [SUBJECT-ALT-NAMES]
  local name=$1 subject=$2 names=${3:-}
  [ ! -s "$PKI/$name.crt" ] || return 0
  openssl ecparam -name prime256v1 -genkey -noout -out "$PKI/$name.key"
  openssl req -new -key "$PKI/$name.key" -subj "$subject" -out "$PKI/$name.csr"
  printf 'extendedKeyUsage=clientAuth,serverAuth\n%s' "${names:+subjectAltName=$names}" >"$PKI/$name.ext"
  openssl x509 -req -in "$PKI/$name.csr" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -CAcreateserial \
    -days 3650 -extfile "$PKI/$name.ext" -out "$PKI/$name.crt" 2>/dev/null
  rm "$PKI/$name.csr" "$PKI/$name.ext"
}

kubeconfig() { # FILE CERTIFICATE
  [ ! -s "$1" ] || return 0
  (umask 077 && cat >"$1.new") <<EOC
apiVersion: v1
kind: Config
current-context: gantry
clusters: [{name: gantry, cluster: {server: "$API", certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")}}]
users: [{name: $2, user: {client-certificate-data: $(base64 -w0 "$PKI/$2.crt"), client-key-data: $(base64 -w0 "$PKI/$2.key")}}]
contexts: [{name: gantry, context: {cluster: gantry, user: $2}}]
EOC
  mv "$1.new" "$1"
}

certificates() {
  local service=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local
  local who
  (
    umask 077
    mkdir -p "$PKI"
    if [ ! -s "$PKI/ca.crt" ]; then
      openssl ecparam -name prime256v1 -genkey -noout -out "$PKI/ca.key"
      openssl req -x509 -new -key "$PKI/ca.key" -subj /CN=gantry-cluster -days 3650 -out "$PKI/ca.crt" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature
      openssl genrsa -out "$PKI/sa.key" 2048 2>/dev/null
      openssl rsa -in "$PKI/sa.key" -pubout -out "$PKI/sa.pub" 2>/dev/null
    fi
    cert apiserver /CN=kube-apiserver "$service,DNS:localhost,IP:127.0.0.1,IP:$NODE_IP,IP:$API_SERVICE_IP"
    cert admin /O=system:masters/CN=admin
    cert apiserver-kubelet /O=system:masters/CN=kube-apiserver-kubelet-client
    cert controller-manager /CN=system:kube-controller-manager
    cert scheduler /CN=system:kube-scheduler
    cert kubelet "/O=system:nodes/CN=system:node:$NODE_NAME" "DNS:$NODE_NAME,IP:$NODE_IP"
    cert kube-proxy /CN=system:kube-proxy
  )
  for who in controller-manager scheduler kubelet kube-proxy; do kubeconfig "$CONFIG/$who.kubeconfig" "$who"; done
  kubeconfig "$KUBECONFIG_FILE" admin
}
