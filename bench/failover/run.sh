#!/usr/bin/env bash
# Failover of Millrace beside that of Apache Kafka: three nodes each, the same client (librdkafka), the two systems taking turns.
#
#   bench/failover/run.sh     the table goes to standard output, what happens to standard error
#
# One record a partition every 20 ms with acks=all, to 30 partitions with three replicas, while another producer writes some MB/s; then
#   partitions  kill -9 of a node that leads a third of the partitions, and not the metadata
#   metadata    kill -9 of the node that leads the metadata as well
#   planned     SIGTERM to a node, each in turn
# A run's figure is the longest time any partition went without an acknowledgement, from the signal until all have them again. The nodes are in
# namespaces of their own where that is allowed (root); everything but what tests of a cluster need is at its default, on both sides.
#
# Environment (defaults in brackets):
#   RUNS [20]            of each case and system
#   ROUNDS [4]           in each of which both clusters start anew and do their part of the runs
#   SYSTEMS [kafka millrace], CASES [partitions metadata planned]
#   LOAD_MB [4]          MB a second of 1 KiB records, beside
#   KAFKA_HEAP [512M]
#   MILLRACE, TOOLS [those of make build]  the programs millrace and millrace-tools
#   WORK [a new folder in the cache]  data and logs, on a disk and not in memory; removed at the end unless it was given
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
CHAOS_HOME=$HERE/../../e2e/chaos
# shellcheck source=../../e2e/peers/peers.sh
. "$CHAOS_HOME/../peers/peers.sh"
. "$CHAOS_HOME/../clients/install.sh"
. "$CHAOS_HOME/namespaces.sh"

RUNS=${RUNS:-20} ROUNDS=${ROUNDS:-4}
SYSTEMS=${SYSTEMS:-kafka millrace} CASES=${CASES:-partitions metadata planned} LOAD_MB=${LOAD_MB:-4}
kept=${WORK:-}
mkdir -p "$E2E_CACHE"
WORK=$(realpath -m "${WORK:-$(mktemp -d "$E2E_CACHE/bench.XXXXXX")}")
mkdir -p "$WORK"
results=$WORK/results.tsv
: >"$results"
running=
finish() {
    end_running
    [[ -n $kept ]] || rm -rf "$WORK"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

for system in $SYSTEMS; do export_system "$system" >&2; done
export_clients
((ROUNDS <= RUNS)) || ROUNDS=$RUNS
for round in $(seq "$ROUNDS"); do
    # Whoever goes first finds another machine than whoever goes second.
    order=$SYSTEMS
    if ((round % 2 == 0)); then order=$(tac -s ' ' <<<"$SYSTEMS " | xargs); fi
    first=$(((round - 1) * RUNS / ROUNDS + 1)) last=$((round * RUNS / ROUNDS))
    for system in $order; do
        folder=$WORK/$round-$system
        # shellcheck disable=SC2086 # a word for each case
        in_namespaces "$PYTHON_LIBRDKAFKA" "$HERE/failover.py" "$system" "$folder" "$results" "$first" "$last" "$LOAD_MB" $CASES >&2 &
        running=$!
        wait "$running" || die "$system's round $round could not be run, see $folder"
        running=
        rm -rf "$folder"/nodes/*/volume "$folder"/nodes/*/volume.img
    done
done
python3 "$HERE/table.py" "$results" "$RUNS" "$LOAD_MB" "$KAFKA_VERSION" "$KAFKA_HEAP" "$SYSTEMS"
