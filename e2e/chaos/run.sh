#!/usr/bin/env bash
# run.sh kafka|millrace [--seconds N] [--nodes N] [--seed S] [--faults NAME=WEIGHT,...] [--only NAME,...] [--majority P] [--crowd N]
#        [--override NAME=VALUE]
#
# Chaos: three or more nodes on this machine, clients of several libraries that work with them, and a nemesis that kills, stops, cuts off, fills,
# wipes and moves, for N seconds (300). What the clients saw is judged at the end: was anything lost, doubled, reordered, skipped, or read that
# was not committed? The seed says which faults come in which order. Ends with 0 when all holds, 1 when something does not, 2 when it could not run.
#
# millrace is target/release/millrace and millrace-tools (make build), or what MILLRACE and TOOLS name. RESULTS names a folder for the report,
# the history and all logs, otherwise it is a new one, which is removed when all holds; KEEP=1 keeps the nodes' data in it.
set -euo pipefail

CHAOS_HOME=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$CHAOS_HOME/../peers/peers.sh"
. "$CHAOS_HOME/../clients/install.sh"
. "$CHAOS_HOME/namespaces.sh"
system=${1-}
[[ $system == kafka || $system == millrace ]] || die "usage: run.sh kafka|millrace [--seconds N] [--nodes N] [--seed S] ..."
export_system "$system"

kept=${RESULTS-}
results=$(realpath -m "${RESULTS:-$(mktemp -d "${TMPDIR:-/tmp}/millrace-chaos.XXXXXX")}")
[[ ! -e $results/history ]] || die "$results holds another run's results: name a new folder in RESULTS"
running= holds=
cleanup() {
    end_running
    if [[ -n $holds && -z $kept ]]; then
        rm -rf "$results"
    else
        [[ -n ${KEEP-} ]] || rm -rf "$results"/nodes/*/volume "$results"/nodes/*/volume.img
        echo "results: $results"
    fi
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

export_clients
# A judge that finds nothing would find nothing.
tried=$(cd "$CHAOS_HOME" && python3 -m unittest -q test_checker test_availability 2>&1) || die "what judges the history is broken: $tried"
in_namespaces "$PYTHON_LIBRDKAFKA" "$CHAOS_HOME/chaos.py" "$@" --results "$results" &
running=$!
code=0
wait "$running" || code=$?
running=
((code)) || holds=1
exit "$code"
