#!/usr/bin/env bash
# Prints the folder for what outlives a clone: RocksDB's archive and the tools. broker/build.rs chooses the same one.
set -euo pipefail

if [[ -n ${MILLRACE_CACHE_DIR-} ]]; then
    echo "$MILLRACE_CACHE_DIR"
elif [[ -n ${XDG_CACHE_HOME-} ]]; then
    echo "$XDG_CACHE_HOME/millrace"
else
    echo "${HOME:?set HOME or MILLRACE_CACHE_DIR}/.cache/millrace"
fi
