#!/bin/sh
# Runs upstream's kube-apiserver beside Knarr on one etcd, until it is ended: upstream.sh FOLDER KUBE-APISERVER KNARR.
# See README.md.
set -eu
mkdir -p "$1"
folder=$(realpath "$1")
upstream=$(realpath "$2")
knarr=$(realpath "$3")
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
"$upstream" --etcd-servers="$etcd" --bind-address=127.0.0.1 --secure-port=26444 --cert-dir=upstream \
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
