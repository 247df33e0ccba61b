#!/usr/bin/env bash
# Installs what is missing, builds, starts a single-node cluster in the background, runs examples/hello.yaml on it and
# shows the answers. KNARR_DATA_DIR chooses the data folder.
set -euo pipefail
cd "$(dirname "$0")/.."

data=${KNARR_DATA_DIR:-/var/lib/knarr}
log=$data/knarr.log
[ "$(id -u)" -eq 0 ] || exec sudo --preserve-env=PATH,HOME,KNARR_DATA_DIR,CARGO_TARGET_DIR "$0" "$@"

began=$(date +%s.%N)
step_began=$began
times=()
step_done() {
  local now
  now=$(date +%s.%N)
  times+=("$(printf '%-34s %6.1f s' "$1" "$(echo "$now - $step_began" | bc)")")
  step_began=$now
}

scripts/install.sh
step_done "packages"
cargo build --release --quiet --package knarr
knarr=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/knarr
step_done "build"

export KUBECONFIG=$data/admin.kubeconfig
if ! kubectl get --raw /readyz >/dev/null 2>&1; then
  mkdir -p "$data"
  chmod 700 "$data"
  setsid nohup "$knarr" server --data-dir "$data" >>"$log" 2>&1 </dev/null &
  daemon=$!
  until kubectl get --raw /readyz >/dev/null 2>&1; do
    kill -0 "$daemon" 2>/dev/null || { echo "the daemon ended; the end of $log:" >&2; tail -n 5 "$log" >&2; exit 1; }
    sleep 0.05
  done
fi
kubectl wait --for=condition=Ready node --all --timeout=60s >/dev/null
step_done "cluster ready"

image=$(mktemp --suffix=.tar)
trap 'rm -f "$image"' EXIT
examples/image.sh "$image" >/dev/null
"$knarr" image import --data-dir "$data" "$image" >/dev/null
step_done "example image"

kubectl apply -f examples/hello.yaml
kubectl rollout status deployment/hello --timeout=60s
step_done "examples/hello.yaml running"

echo
kubectl get nodes,deploy,pods,svc -o wide
port=$(kubectl get service hello -o jsonpath='{.spec.ports[0].nodePort}')
echo
echo "curl http://127.0.0.1:$port/"
for _ in 1 2 3 4 5 6; do curl --silent --show-error --fail --max-time 5 "http://127.0.0.1:$port/"; done
step_done "answers"

echo
printf '%s\n' "${times[@]}"
printf '%-34s %6.1f s\n' "all" "$(echo "$(date +%s.%N) - $began" | bc)"
cat <<TEXT

The cluster is up. To use it:
  export KUBECONFIG=$KUBECONFIG
Then try
  kubectl scale deployment hello --replicas=5
  kubectl exec -it deploy/hello -- sh
  kubectl logs -f deploy/hello
  kubectl delete pod -l app=hello --wait=false; kubectl get pods -w
The daemon's log is $log. End everything with: make down
TEXT
