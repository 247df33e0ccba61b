#!/usr/bin/env bash
# image.sh FILE [NAME:TAG]: packs Debian's static busybox and a small web server into one archive that is both an
# OCI image layout and a docker-archive, for machines that reach no image registry. `knarr image import FILE` takes it.
# The same input gives the same bytes: times and owners are fixed, names are sorted.
set -euo pipefail

out=${1:?usage: image.sh FILE [NAME:TAG]}
reference=${2:-localhost/hello:1}
busybox=/bin/busybox

[ -x "$busybox" ] || { echo "image.sh: $busybox is missing: apt-get install busybox-static" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root layout=$work/layout
mkdir -p "$root"/{bin,etc,proc,sys,dev,tmp,root} "$layout/blobs/sha256"
umask 022
chmod 755 "$root"/* && chmod 1777 "$root/tmp"

cp "$busybox" "$root/bin/busybox"
# The list names busybox itself, which must stay a file.
for applet in $("$busybox" --list); do
  [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
printf '%s\n' "${reference##*:}" >"$root/etc/hello-version"
cat >"$root/bin/hello" <<'HELLO'
#!/bin/sh
# Answers every request on port 8080 with the version of the image and the name of the pod.
# A process that is number 1 ends at SIGTERM only if it asks to.
trap 'exit 0' TERM
mkdir -p /tmp/www
echo "hello $(cat /etc/hello-version) from ${POD_NAME:-$(hostname)}" >/tmp/www/index.html
httpd -f -p 8080 -h /tmp/www &
wait
HELLO
chmod 755 "$root/bin/busybox" "$root/bin/hello"

pack() { tar --create --sort=name --format=gnu --mtime=@0 --owner=0 --group=0 --numeric-owner --directory "$1" "${@:2}"; }
digest() { sha256sum "$1" | cut -d' ' -f1; }
size() { stat --format=%s "$1"; }
# add FILE: moves it among the blobs and prints its digest.
add() { local sum; sum=$(digest "$1"); mv "$1" "$layout/blobs/sha256/$sum"; echo "$sum"; }

pack "$root" . >"$work/layer.tar"
diff_id=$(digest "$work/layer.tar")
gzip --no-name "$work/layer.tar"
layer_size=$(size "$work/layer.tar.gz")
layer=$(add "$work/layer.tar.gz")

machine=$(dpkg --print-architecture)
cat >"$work/config.json" <<CONFIG
{"created":"1970-01-01T00:00:00Z","architecture":"$machine","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["/bin/hello"],"ExposedPorts":{"8080/tcp":{}}},"rootfs":{"type":"layers","diff_ids":["sha256:$diff_id"]},"history":[{"created":"1970-01-01T00:00:00Z","created_by":"image.sh"}]}
CONFIG
config_size=$(size "$work/config.json")
config=$(add "$work/config.json")

cat >"$work/image.json" <<MANIFEST
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:$config","size":$config_size},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:$layer","size":$layer_size}]}
MANIFEST
image_size=$(size "$work/image.json")
image=$(add "$work/image.json")

cat >"$layout/index.json" <<INDEX
{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:$image","size":$image_size,"annotations":{"io.containerd.image.name":"$reference","org.opencontainers.image.ref.name":"${reference##*:}"}}]}
INDEX
printf '{"imageLayoutVersion":"1.0.0"}' >"$layout/oci-layout"
printf '[{"Config":"blobs/sha256/%s","RepoTags":["%s"],"Layers":["blobs/sha256/%s"]}]' \
  "$config" "$reference" "$layer" >"$layout/manifest.json"

mkdir -p "$(dirname "$out")"
pack "$layout" oci-layout index.json manifest.json blobs >"$out.part"
mv "$out.part" "$out"
echo "$out: $reference, sha256:${image:0:12}"
