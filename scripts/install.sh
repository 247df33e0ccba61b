#!/usr/bin/env bash
# Installs every Debian package that building, running and testing Knarr needs. Both `make up` and
# `make test` call it; it is the only place where packages are named, and does nothing when all are there.
set -euo pipefail

# Building: a C compiler for ring and libseccomp's headers for the container runtime.
packages=(gcc libc6-dev make pkg-config libseccomp-dev ca-certificates)
# Running: nft programs Services; the example image is made from busybox.
packages+=(nftables iproute2 busybox-static bc)
# Testing: Python replays recorded API requests; a registry to pull from; curl for the showcase; procps for `ps`.
packages+=(python3 curl procps docker-registry apache2-utils openssl util-linux conntrack)
# Tests kill at chosen system calls.
packages+=(strace)
# The other datastore; tests start members of their own.
packages+=(etcd-server)
# kubectl: any version from 1.27 on serves; Debian's is the fallback where there is none.
command -v kubectl >/dev/null || packages+=(kubernetes-client)

missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
[ ${#missing[@]} -eq 0 ] && exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "install.sh: run as root: apt-get install ${missing[*]}" >&2; exit 1; }
  sudo=(sudo)
fi
echo "installing: ${missing[*]}"
# Some of these bring a service. None is to run because of us, neither now nor after the next boot.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap '"${sudo[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
  "${sudo[@]}" chmod 755 "$policy"
fi
"${sudo[@]}" apt-get update -qq
DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
for package in "${missing[@]}"; do
  case $package in
    etcd-server) service=etcd ;;
    docker-registry) service=docker-registry ;;
    *) continue ;;
  esac
  [ ! -d /run/systemd/system ] || "${sudo[@]}" systemctl disable --quiet "$service"
done
