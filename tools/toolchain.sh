#!/usr/bin/env bash
# Prints the rustup toolchain to use: the one rust-toolchain.toml names, or, where only that is missing, an installed one
# of the same version (a fresh machine often has it as "stable"), so that nothing is downloaded twice.
# Without rustup it prints nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

channel=$(sed -n 's/^channel *= *"\(.*\)"/\1/p' rust-toolchain.toml)
command -v rustup >/dev/null || exit 0

serves() { # the toolchain's folder is complete: compiler of that version, rustfmt and clippy
    [[ -x $1/bin/rustfmt && -x $1/bin/cargo-clippy ]] && [[ $("$1/bin/rustc" --version 2>/dev/null) == "rustc $channel "* ]]
}

toolchains=${RUSTUP_HOME:-$HOME/.rustup}/toolchains
for folder in "$toolchains/$channel"-* "$toolchains"/stable-* "$toolchains"/*; do
    if serves "$folder"; then
        basename "$folder"
        exit 0
    fi
done
echo "$channel"
