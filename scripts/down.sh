#!/usr/bin/env bash
# Ends the cluster that `make up` started and removes all it left: processes, mounts, namespaces, links, rules,
# cgroups, sockets, data. KNARR_KEEP_DATA=1 keeps the data folder: the next `make up` goes on where this one ended.
set -euo pipefail
cd "$(dirname "$0")/.."

data=${KNARR_DATA_DIR:-/var/lib/knarr}
[ "$(id -u)" -eq 0 ] || exec sudo --preserve-env=PATH,HOME,KNARR_DATA_DIR,KNARR_KEEP_DATA,CARGO_TARGET_DIR "$0" "$@"

knarr=$(cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/knarr
[ -x "$knarr" ] || { echo "down.sh: $knarr is not there; nothing was started with it" >&2; exit 1; }
delete=--delete-data
[ -n "${KNARR_KEEP_DATA:-}" ] && delete=
KNARR_LOG=warn "$knarr" down --data-dir "$data" $delete
