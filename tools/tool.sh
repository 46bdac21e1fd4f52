#!/usr/bin/env bash
# Prints the path of a cargo tool (`tools/tool.sh cargo-deny`), built first where it is missing.
# Tools live in the cache, one folder a version: no other project's tools are touched, and a clone finds them built.
set -euo pipefail
cd "$(dirname "$0")/.."

name=$1
case $name in
cargo-deny) version=0.20.2 ;;
cargo-fuzz) version=0.13.2 ;;
*)
    echo "tool: no version of $name is pinned in tools/tool.sh" >&2
    exit 1
    ;;
esac

root=$(tools/cache-dir.sh)/tools/$name-$version
if [[ ! -x $root/bin/$name ]]; then
    echo "tool: building $name $version into $root" >&2
    mkdir -p "$root"
    scratch=$(mktemp -d "$root/build.XXXXXX")
    trap 'rm -rf "$scratch"' EXIT
    # A tool that runs for a second does not repay an optimised build: without this cargo-deny takes minutes.
    export CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
    export CARGO_PROFILE_RELEASE_DEBUG=false CARGO_TARGET_DIR=$scratch
    log=$scratch/log
    cargo install --quiet --locked --root "$root" --version "=$version" "$name" </dev/null >"$log" 2>&1 || {
        cat "$log" >&2
        echo "tool: $name $version could not be built" >&2
        exit 1
    }
fi
echo "$root/bin/$name"
