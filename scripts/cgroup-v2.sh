#!/usr/bin/env bash
# Runs tests on a kernel with cgroup version 2, in a virtual machine that sees this machine's files read-only. Minutes,
# since the processor is emulated; so not part of `make test`.
#
#   apt-get install -y --no-install-recommends kmod cpio busybox-static qemu-system-x86 qemu-utils
#   apt-get download linux-image-6.1.0-56-cloud-amd64 && dpkg -x linux-image-*.deb /tmp/kernel
#   cargo test -p container-runtime -p knarr-tests --test it --no-run
#   scripts/cgroup-v2.sh /tmp/kernel target/debug/deps/it-... [argument of the tests...]
#
# The runtime's scenarios are in one of these binaries; in the other those of a whole node, for which KNARR_BIN names a
# release build. Exits as the tests do. MEMORY (MiB) and SECONDS_LIMIT may be set.
set -euo pipefail
kernel=$(realpath "$1") binary=$(realpath "$2"); shift 2
work=$(mktemp -d); out=$work/out; mkdir -p "$out"
daemons=()
finish() {
    for pid in "${daemons[@]}"; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap finish EXIT

modules="overlay veth bridge br_netfilter nf_tables nft_chain_nat nft_ct nft_nat nft_masq nft_fib_inet nft_fib_ipv4
 nft_hash nft_numgen nft_reject_inet nft_reject_ipv4 nf_conntrack_netlink"
version=$(basename "$kernel"/lib/modules/*)
root=$work/root; mkdir -p "$root"/{bin,proc,sys,dev}
cp /bin/busybox "$root/bin/"
for applet in $(/bin/busybox --list); do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
depmod -b "$kernel" "$version"
for module in virtio_pci virtiofs $modules; do
    modprobe -d "$kernel" -S "$version" --show-depends "$module" 2>/dev/null | awk '$1 == "insmod" { print $2 }'
done | sort -u | while read -r file; do
    mkdir -p "$root$(dirname "${file#"$kernel"}")" && cp "$file" "$root${file#"$kernel"}"
done
depmod -b "$root" "$version"
cat > "$root/init" <<INIT
#!/bin/sh
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
for module in virtio_pci virtiofs $(echo $modules); do modprobe \$module 2>/dev/null; done
mkdir -p /low /rw /new
mount -t virtiofs -o ro host /low || poweroff -f
mount -t tmpfs t /rw; mkdir /rw/upper /rw/work
mount -t overlay o -o lowerdir=/low,upperdir=/rw/upper,workdir=/rw/work /new || poweroff -f
mount -t proc p /new/proc; mount -t sysfs s /new/sys; mount -t devtmpfs d /new/dev
mkdir -p /new/dev/shm /new/dev/pts /new/dev/mqueue /new/out
mount -t tmpfs t /new/dev/shm; mount -t devpts d /new/dev/pts; mount -t mqueue m /new/dev/mqueue
for folder in run tmp var/tmp; do mount -t tmpfs t /new/\$folder; done
mount -t virtiofs out /new/out
group=/new/sys/fs/cgroup; mount -t cgroup2 -o nsdelegate cg \$group
mkdir \$group/init; echo 1 > \$group/init/cgroup.procs
for controller in \$(cat \$group/cgroup.controllers); do echo +\$controller > \$group/cgroup.subtree_control; done
ip link set lo up
# Not chroot: a command in a container joins its mount namespace, and comes out at that namespace's own root.
exec switch_root /new /bin/bash /out/start
INIT
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) > "$work/initrd"
cp "$binary" "$out/it"
cat > "$out/start" <<START
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root RUST_BACKTRACE=0
${KNARR_BIN:+export KNARR_BIN=$(realpath "$KNARR_BIN")}
/out/it $*
echo \$? > /out/code; sync; busybox poweroff -f
START

share() {
    /usr/lib/qemu/virtiofsd --socket-path="$1" -o "source=$2,cache=always,sandbox=chroot" >/dev/null 2>&1 &
    daemons+=($!)
    for _ in $(seq 100); do [ -S "$1" ] && return; sleep 0.1; done
    echo "virtiofsd does not start" >&2; exit 2
}
share "$work/host.sock" /
share "$work/out.sock" "$out"
memory=${MEMORY:-2048}
timeout "${SECONDS_LIMIT:-900}" qemu-system-x86_64 -M q35 -accel tcg,thread=multi -cpu max -smp 2 -m "$memory" \
    -object "memory-backend-memfd,id=mem,size=${memory}M,share=on" -numa node,memdev=mem \
    -chardev "socket,id=c0,path=$work/host.sock" -device vhost-user-fs-pci,chardev=c0,tag=host \
    -chardev "socket,id=c1,path=$work/out.sock" -device vhost-user-fs-pci,chardev=c1,tag=out \
    -kernel "$kernel"/boot/vmlinuz-* -initrd "$work/initrd" -nographic -no-reboot -nic none </dev/null \
    -append "console=ttyS0 mitigations=off cgroup_no_v1=all psi=1 quiet panic=-1"
exit "$(cat "$out/code" 2>/dev/null || echo 3)"
