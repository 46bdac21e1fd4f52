#!/usr/bin/env bash
# Makes target/image, the whole file system of the image: what `make build` left (in target/release, or the folder that
# MILLRACE_RELEASE names) without its debug information, the libraries it is linked with, the tools as links, the settings.
set -euo pipefail
cd "$(dirname "$0")/.."

release=${MILLRACE_RELEASE:-${CARGO_TARGET_DIR:-target}/release}
root=target/image
for program in millrace millrace-tools; do
    if [[ ! -x $release/$program ]]; then
        echo "image: $release/$program is missing: run make build" >&2
        exit 1
    fi
done

rm -rf "$root"
bin=$root/opt/millrace/bin
mkdir -p "$bin" "$root/etc/millrace" "$root/var/lib/millrace"
for program in millrace millrace-tools; do
    strip -o "$bin/$program" "$release/$program"
    # Each library, and the loader, where the program looks for it. What has no path is the kernel's.
    ldd "$release/$program" | grep -o '/[^ ]*' | while read -r library; do
        install -D -m 755 "$(readlink -f "$library")" "$root$library"
    done
done
# The tools go by the name they are called by; bin/run-tool would need a shell.
for tool in bin/*.sh; do
    ln -s millrace-tools "$bin/$(basename "$tool")"
done
cp config/image/server.properties "$root/etc/millrace/server.properties"
echo 'millrace:x:10001:10001::/var/lib/millrace:/nonexistent' >"$root/etc/passwd"
echo 'millrace:x:10001:' >"$root/etc/group"
echo "$root: $(du -sm "$root" | cut -f 1) MB"
