#!/usr/bin/env bash
# Installs what a build needs and this machine lacks, and says what that was. Asks nothing; silent when nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "deps: $*" >&2
    exit 1
}

# --- what is there -------------------------------------------------------------------------------------------------

# RocksDB 11 is C++20.
has_cxx() {
    echo '#include <cstdint>' | ${CXX:-c++} -std=c++20 -x c++ -fsyntax-only - 2>/dev/null
}

has_linker() {
    command -v "${CC:-cc}" >/dev/null
}

# Where crate clang-sys looks, in its order: LIBCLANG_PATH alone if it is set, otherwise all the others.
libclang_folders() {
    if [[ -n ${LIBCLANG_PATH-} ]]; then
        # A folder, or the library itself.
        if [[ -d $LIBCLANG_PATH ]]; then echo "$LIBCLANG_PATH"; else dirname "$LIBCLANG_PATH"; fi
        return
    fi
    local config prefix
    config=${LLVM_CONFIG_PATH:-llvm-config}
    if prefix=$("$config" --prefix 2>/dev/null); then
        printf '%s\n' "$prefix/lib" "$prefix/lib64"
    fi
    tr ':' '\n' <<<"${LD_LIBRARY_PATH-}:${LIBRARY_PATH-}"
    compgen -G '/usr/local/llvm*/lib*' || true
    compgen -G '/usr/local/lib*/*/*' || true
    compgen -G '/usr/local/lib*/*' || true
    compgen -G '/usr/local/lib*' || true
    compgen -G '/usr/lib*/*/*' || true
    compgen -G '/usr/lib*/*' || true
    compgen -G '/usr/lib*' || true
    compgen -G '/usr/local/opt/llvm*/lib' || true
    compgen -G '/Library/Developer/CommandLineTools/usr/lib' || true
}

# The first libclang library, or nothing.
libclang() {
    local folder file
    while IFS= read -r folder; do
        [[ -n $folder && -d $folder ]] || continue
        for file in "$folder"/libclang.so "$folder"/libclang-*.so "$folder"/libclang.so.* "$folder"/libclang-*.so.* "$folder"/libclang.dylib; do
            if [[ -e $file && $file != *-cpp.* ]]; then
                echo "$file"
                return
            fi
        done
    done < <(libclang_folders)
}

# libclang brings stddef.h and its like in a package of its own, and looks for them relative to itself.
has_clang_headers() {
    local home
    home=$(dirname "$(readlink -f "$1")")
    compgen -G "$home/clang/*/include/stddef.h" >/dev/null ||
        compgen -G '/usr/lib/llvm-*/lib/clang/*/include/stddef.h' >/dev/null ||
        compgen -G '/usr/lib*/clang/*/include/stddef.h' >/dev/null ||
        [[ $(uname) == Darwin ]]
}

# --- what to do about it -------------------------------------------------------------------------------------------

as_root() {
    if [[ $(id -u) == 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "run this as root, or install sudo: $*"
    fi
}

install_packages() {
    echo "deps: installing $*"
    export DEBIAN_FRONTEND=noninteractive
    as_root apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null || fail "apt-get could not install $*"
}

# The libclang this Debian or Ubuntu calls its own (14 on Debian 12).
clang_version() {
    apt-cache depends libclang-dev 2>/dev/null | sed -n 's/.*Depends: libclang-\([0-9]\+\)-dev.*/\1/p' | head -n 1
}

install_system_packages() { # needs: cxx and/or clang
    if ! command -v apt-get >/dev/null; then
        fail "this machine lacks: $*. Without apt-get nothing is installed for you; install with your package manager:
  cxx    a C++20 compiler and linker (g++ 10 or clang++ 10, or newer), found as c++ and cc, or through CXX and CC
  clang  libclang 10 or newer with its headers (Fedora: clang-devel; Arch: clang; macOS: xcode-select --install),
         in a folder of the system's or in the one LIBCLANG_PATH names"
    fi
    as_root apt-get update -qq </dev/null >/dev/null || fail "apt-get update failed"
    local packages=() version need
    for need in "$@"; do
        case $need in
        cxx) packages+=(g++) ;;
        clang)
            version=$(clang_version)
            [[ -n $version ]] || fail "no package libclang-dev is known here: install libclang with its headers, and set LIBCLANG_PATH"
            packages+=("libclang1-$version" "libclang-common-$version-dev")
            ;;
        esac
    done
    install_packages "${packages[@]}"
}

ensure_system_packages() {
    local needs=() library
    if ! has_cxx && [[ -n ${CXX-} ]]; then
        fail "CXX=$CXX compiles no C++20: unset it, or name a compiler that does"
    fi
    has_cxx && has_linker || needs+=(cxx)
    library=$(libclang)
    if [[ -z $library && -n ${LIBCLANG_PATH-} ]]; then
        fail "LIBCLANG_PATH=$LIBCLANG_PATH holds no libclang library: unset it, or name the folder that does"
    fi
    [[ -n $library ]] && has_clang_headers "$library" || needs+=(clang)
    if ((${#needs[@]})); then
        install_system_packages "${needs[@]}"
        has_cxx && has_linker || fail "there is still no C++20 compiler and linker: c++ is $(c++ --version 2>/dev/null | head -n 1)"
        library=$(libclang)
        [[ -n $library ]] && has_clang_headers "$library" || fail "there is still no libclang with its headers"
    fi
}

ensure_rust() {
    local channel toolchain
    channel=$(sed -n 's/^channel *= *"\(.*\)"/\1/p' rust-toolchain.toml)
    if ! command -v rustup >/dev/null; then
        [[ $(rustc --version 2>/dev/null) == "rustc $channel "* ]] && command -v cargo-clippy >/dev/null && command -v rustfmt >/dev/null ||
            fail "Rust $channel with rustfmt and clippy is missing: install rustup (https://rustup.rs) and run this again"
        return
    fi
    toolchain=$(tools/toolchain.sh)
    [[ $toolchain == "$channel" ]] || return 0
    echo "deps: installing the Rust toolchain $channel"
    rustup toolchain install "$channel" --profile minimal --component rustfmt --component clippy --no-self-update ||
        fail "Rust $channel could not be installed, and no installed toolchain is of that version: $(rustup toolchain list | tr '\n' ' ')"
}

ensure_system_packages
ensure_rust
