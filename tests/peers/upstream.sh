#!/bin/sh
# Builds upstream's kube-apiserver as a Go module, and runs it beside Knarr on one etcd. See README.md.
set -eu
V=${V:-1.36.3}
what=$1
mkdir -p "$2"
folder=$(realpath "$2")
export GOCACHE="$folder/cache" GOMODCACHE="$folder/mod" GOFLAGS=-mod=mod GOTOOLCHAIN=local CGO_ENABLED=0

build() {
    mkdir -p "$folder/module"
    cd "$folder/module"
    rm -f go.sum
    printf 'module peer\ngo 1.26\nrequire k8s.io/kubernetes v%s\n' "$V" >go.mod
    printf '//go:build tools\npackage peer\nimport _ "k8s.io/kubernetes/cmd/kube-apiserver/app"\n' >tools.go
    # The modules that are developed with it stand there as v0.0.0; they are published as v0.MINOR.PATCH.
    required=$(go mod download -json "k8s.io/kubernetes@v$V" | sed -n 's/.*"GoMod": "\(.*\)".*/\1/p')
    for module in $(sed -nE 's/^\s+(k8s\.io\/[a-z0-9-]+) v0\.0\.0\s*(\/\/.*)?$/\1/p' "$required"); do
        go mod edit -replace "$module=$module@v0.${V#1.}"
    done
    minor=${V#1.}
    version=k8s.io/component-base/version
    nice go build -p 2 -o "$folder/kube-apiserver" \
        -ldflags "-s -w -X $version.gitVersion=v$V -X $version.gitMajor=1 -X $version.gitMinor=${minor%.*}" \
        k8s.io/kubernetes/cmd/kube-apiserver
}

run() {
    knarr=$(realpath "$1")
    etcd=http://127.0.0.1:24790
    run="$folder/run"
    rm -rf "$run"
    mkdir -p "$run"
    cd "$run"
    started=
    trap 'kill $started; wait' EXIT
    etcd --data-dir etcd --listen-client-urls "$etcd" --advertise-client-urls "$etcd" \
        --listen-peer-urls http://127.0.0.1:24791 --logger zap --log-level warn >etcd.log 2>&1 &
    started=$!
    # Upstream has no key for what Knarr encrypts by default.
    (umask 077 && printf '{"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration", "resources": [{"resources": ["secrets"], "providers": [{"identity": {}}]}]}' >encryption.yaml)
    "$knarr" apiserver --data-dir ours --bind-address 127.0.0.1 --secure-port 26443 --datastore-endpoint "$etcd" \
        --encryption-provider-config encryption.yaml ${FLAGS:-} >ours.log 2>&1 &
    started="$started $!"
    until [ -s ours/admin.kubeconfig ]; do sleep 0.2; done
    # It reads public keys in this form only.
    openssl pkey -in ours/pki/sa.key -pubout -out sa.pub
    "$folder/kube-apiserver" --etcd-servers="$etcd" --bind-address=127.0.0.1 --secure-port=26444 --cert-dir=upstream \
        --client-ca-file=ours/pki/ca.crt --service-account-issuer=https://kubernetes.default.svc.cluster.local \
        --service-account-key-file=sa.pub --service-account-signing-key-file=ours/pki/sa.key \
        --service-cluster-ip-range=10.96.0.0/16 --authorization-mode=Node,RBAC --allow-privileged=true \
        --advertise-address=192.0.2.3 >upstream.log 2>&1 &
    started="$started $!"
    KUBECONFIG=ours/admin.kubeconfig kubectl config view --raw |
        sed -e 's#server: .*#server: https://127.0.0.1:26444#' -e 's#certificate-authority-data: .*#insecure-skip-tls-verify: true#' \
            >upstream.kubeconfig
    chmod 600 upstream.kubeconfig
    for config in ours/admin.kubeconfig upstream.kubeconfig; do
        until [ "$(kubectl --kubeconfig "$config" get --raw /readyz 2>/dev/null)" = ok ]; do sleep 0.5; done
    done
    echo "both are ready"
    wait
}

case $what in
build) build ;;
run) run "$3" ;;
*) echo "build or run" >&2 && exit 2 ;;
esac
