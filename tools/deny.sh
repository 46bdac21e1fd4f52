#!/usr/bin/env bash
# Checks the dependencies by deny.toml: licences, sources and bans always; known vulnerabilities when their database, a git
# repository apart from the registry, can be fetched. Where it cannot, that check is left out and the output says so.
set -euo pipefail
cd "$(dirname "$0")/.."

deny=$(tools/tool.sh cargo-deny)
run=("$deny" --locked --workspace --all-features)

"${run[@]}" check --hide-inclusion-graph bans licenses sources

export GIT_TERMINAL_PROMPT=0
if why=$(timeout 120 "${run[@]}" fetch db 2>&1 </dev/null); then
    "${run[@]}" check --disable-fetch advisories
else
    echo "$why" | sed -n 's/^\(fatal\|error\): /advisories: /p' >&2
    echo "advisories: NOT CHECKED, their database cannot be fetched from here; run 'make test' where it can" >&2
fi
