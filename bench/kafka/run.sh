#!/usr/bin/env bash
# Millrace beside Apache Kafka, in one run: the same clients, the same records, the brokers taking turns in every round.
#
#   bench/kafka/run.sh [ROUNDS]        5 rounds by default; the table goes to standard output, what happens to standard error
#
# What is compared, each pair in the same round:
#   durable    both sync before they acknowledge: Kafka with flush.messages=1 on the topic, Millrace as it is
#   defaults   each as it comes: Kafka does not sync, Millrace does
# Clients: Kafka's own ProducerPerformance (java) and our lean one (rust: millrace-tools kafka-producer-perf-test), because on
# few cores a Java client is often the limit. Consuming is done by the lean one: Kafka's ConsumerPerformance needs groups.
#
# Environment (defaults in brackets):
#   ROUNDS [5]           rounds; in each every broker starts anew, is warmed up, and runs every case once
#   MEGABYTES [1000]     of records per 1 KiB case; 100 B a third of it, durable ones a quarter to a twenty-fifth
#   CASES [all]          names of cases, with blanks between: see `cases` below
#   CLIENTS ["rust java"]  that produce
#   CONSUMERS [rust]     that consume; java, too, finds figures for a broker that serves groups
#   KAFKA_HEAP [1G]      Kafka's own default
#   MILLRACE, TOOLS [those of make build]  the programs millrace and millrace-tools
#   WORK [a new folder in the cache]  data and logs, on a disk and not in memory; removed at the end unless it was given
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export KAFKA_HEAP=${KAFKA_HEAP:-1G}
# shellcheck source=../../e2e/peers/peers.sh
. "$HERE/../../e2e/peers/peers.sh"

# How soon a broker takes a record is measured, so nobody else asks it before.
await_peer() { :; }

ROUNDS=${1:-${ROUNDS:-5}}
MEGABYTES=${MEGABYTES:-1000}
CLIENTS=${CLIENTS:-rust java}
CONSUMERS=${CONSUMERS:-rust}
CASES=${CASES:-}
RELEASE=${CARGO_TARGET_DIR:-$REPOSITORY/target}/release
export MILLRACE=${MILLRACE:-$RELEASE/millrace}
TOOLS=${TOOLS:-$RELEASE/millrace-tools}
[[ -x $MILLRACE && -x $TOOLS ]] || die "$MILLRACE or $TOOLS is missing: run make build"
kept=${WORK:-}
mkdir -p "$E2E_CACHE"
WORK=${WORK:-$(mktemp -d "$E2E_CACHE/bench.XXXXXX")}
mkdir -p "$WORK"
RESULTS=$WORK/results.tsv
: >"$RESULTS"

finish() {
    stop_peer
    [[ -n $kept ]] || rm -rf "$WORK"
}
trap finish EXIT

say() { echo "$(date +%T) $*" >&2; }

# A case a line: name, partitions, bytes a record, megabytes, durable or defaults, produce or consume.
cases() {
    local quarter=$((MEGABYTES / 4)) third=$((MEGABYTES / 3)) tenth=$((MEGABYTES / 10)) few=$((MEGABYTES / 25 + 1))
    cat <<C
produce-1KiB-1-durable 1 1024 $quarter durable produce
produce-1KiB-100-durable 100 1024 $tenth durable produce
produce-1KiB-1000-durable 1000 1024 $few durable produce
produce-100B-1-durable 1 100 $tenth durable produce
produce-1KiB-1-defaults 1 1024 $MEGABYTES defaults produce
produce-1KiB-100-defaults 100 1024 $MEGABYTES defaults produce
produce-1KiB-1000-defaults 1000 1024 $MEGABYTES defaults produce
produce-100B-1-defaults 1 100 $third defaults produce
consume-1KiB-1 1 1024 $MEGABYTES defaults consume
C
}

wanted() { [[ -z $CASES ]] || [[ " $CASES " == *" $1 "* ]]; }

cpu_ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$PEER_PID/stat"; }
rss_kib() { awk '/^VmRSS/ { print $2 }' "/proc/$PEER_PID/status"; }
load() { cut -d' ' -f1 /proc/loadavg; }
note() { # round peer case client measure value
    printf '%s\t' "$@" >>"$RESULTS"
    echo >>"$RESULTS"
}

make_topic() { # peer topic partitions durable|defaults
    local config=()
    if [[ $1 == kafka && $4 == durable ]]; then config=(--config flush.messages=1); fi
    "$TOOLS" kafka-topics --bootstrap-server "$PEER_ADDRESS" --create --topic "$2" --partitions "$3" "${config[@]}" >/dev/null
}

drop_topic() {
    "$TOOLS" kafka-topics --bootstrap-server "$PEER_ADDRESS" --delete --topic "$1" >/dev/null
}

# Prints the client's last line; all of them are in client.log.
produce() { # client topic records bytes
    local flags=(--topic "$2" --num-records "$3" --record-size "$4" --throughput -1)
    case $1 in
    rust) timeout 580 "$TOOLS" kafka-producer-perf-test --bootstrap-server "$PEER_ADDRESS" "${flags[@]}" ;;
    java)
        timeout 580 java -Xmx512M -Dlog4j2.configurationFile="$PEERS_HOME/log4j2-tools.yaml" -cp "$KAFKA_JARS/*" \
            org.apache.kafka.tools.ProducerPerformance --bootstrap-server "$PEER_ADDRESS" "${flags[@]}"
        ;;
    esac 2>&1 | tee -a "$WORK/client.log" | grep "^$3 records sent.*99.9th" | tail -n 1
}

# 12345 records sent, 678.9 records/sec (0.66 MB/sec), 1.2 ms avg latency, 3.00 ms max latency, 1 ms 50th, 2 ms 95th, 3 ms 99th, 4 ms 99.9th.
note_produced() { # round peer case client line
    local numbers
    numbers=$(sed -nE 's|^.* ([0-9.]+) records/sec \(([0-9.]+) MB/sec\).* ([0-9]+) ms 50th.* ([0-9]+) ms 99th, ([0-9]+) ms 99.9th.*|\1 \2 \3 \4 \5|p' <<<"$5")
    [[ -n $numbers ]] || return 0
    local rate mib p50 p99 p999
    read -r rate mib p50 p99 p999 <<<"$numbers"
    note "$1" "$2" "$3" "$4" rate "$rate"
    note "$1" "$2" "$3" "$4" mib "$mib"
    note "$1" "$2" "$3" "$4" p50 "$p50"
    note "$1" "$2" "$3" "$4" p99 "$p99"
    note "$1" "$2" "$3" "$4" p999 "$p999"
}

# Runs a measured thing and notes the broker's CPU seconds per GB beside its figures.
measured() { # round peer case client megabytes command...
    local round=$1 peer=$2 name=$3 client=$4 megabytes=$5 before after line
    shift 5
    note "$round" "$peer" "$name" "$client" load "$(load)"
    before=$(cpu_ticks)
    line=$("$@") || true
    after=$(cpu_ticks)
    say "round $round, $peer, $name, $client: ${line:-not all records arrived in time, see $WORK/client.log}"
    LINE=$line
    [[ -n $line ]] || return 0
    note "$round" "$peer" "$name" "$client" cpu \
        "$(awk -v t=$((after - before)) -v hz="$(getconf CLK_TCK)" -v mb="$megabytes" 'BEGIN { print t / hz / (mb / 1000) }')"
}

produce_case() { # round peer name partitions bytes megabytes durability
    local client records=$(($6 * 1000000 / $5)) topic
    for client in $CLIENTS; do
        topic=$3-$client-$1
        make_topic "$2" "$topic" "$4" "$7"
        measured "$1" "$2" "$3" "$client" "$6" produce "$client" "$topic" "$records" "$5"
        note_produced "$1" "$2" "$3" "$client" "$LINE"
        drop_topic "$topic"
    done
}

# Of its columns the sixth is records a second, the fourth MB a second.
consume() { # client topic records
    local flags=(--bootstrap-server "$PEER_ADDRESS" --topic "$2" --num-records "$3")
    case $1 in
    rust) timeout 580 "$TOOLS" kafka-consumer-perf-test "${flags[@]}" ;;
    java)
        timeout 580 java -Xmx512M -Dlog4j2.configurationFile="$PEERS_HOME/log4j2-tools.yaml" -cp "$KAFKA_JARS/*" \
            org.apache.kafka.tools.ConsumerPerformance "${flags[@]}" --timeout 20000
        ;;
    esac 2>&1 | tee -a "$WORK/client.log" | grep ", $3, " | tail -n 1
}

consume_case() { # round peer name partitions bytes megabytes
    local client records=$(($6 * 1000000 / $5)) topic=$3-$1 rate mib
    make_topic "$2" "$topic" "$4" defaults
    produce rust "$topic" "$records" "$5" >/dev/null || say "$2: the topic to consume was not filled"
    for client in $CONSUMERS; do
        measured "$1" "$2" "$3" "$client" "$6" consume "$client" "$topic" "$records"
        rate=$(awk -F', ' 'NF > 5 { print $6 }' <<<"$LINE")
        mib=$(awk -F', ' 'NF > 5 { print $4 }' <<<"$LINE")
        if [[ -n $rate ]]; then
            note "$1" "$2" "$3" "$client" rate "$rate"
            note "$1" "$2" "$3" "$client" mib "$mib"
        fi
    done
    drop_topic "$topic"
}

# From the start of the process on an empty directory to the first acknowledged produce. Kafka's directory is formatted before:
# that is another program of its.
start_case() { # round peer dir
    start_peer "$2" "$3"
    python3 "$HERE/first_produce.py" "$PEER_ADDRESS" "$START_SECONDS" "$PEER_PID" || die "$2 took no record: $(tail -n 5 "$3/server.log")"
    note "$1" "$2" start - ms "$(awk -v hz="$(getconf CLK_TCK)" '
        FNR == NR { now = $1; next }
        { sub(/.*\) /, ""); printf "%.0f", (now - $20 / hz) * 1000 }' /proc/uptime "/proc/$PEER_PID/stat")"
    sleep 2
    note "$1" "$2" rss-fresh - mib "$(($(rss_kib) / 1024))"
}

run_peer() { # round peer
    local round=$1 peer=$2 dir=$WORK/$1-$2 name partitions bytes megabytes durability kind
    start_case "$round" "$peer" "$dir"
    # A fresh JVM is another program than one that has compiled its loops.
    make_topic "$peer" warm-up 1 defaults
    produce rust warm-up $((MEGABYTES * 100)) 1024 >/dev/null || say "$peer: the warm-up failed"
    drop_topic warm-up
    while read -r name partitions bytes megabytes durability kind; do
        wanted "$name" || continue
        case $kind in
        produce) produce_case "$round" "$peer" "$name" "$partitions" "$bytes" "$megabytes" "$durability" ;;
        consume) consume_case "$round" "$peer" "$name" "$partitions" "$bytes" "$megabytes" ;;
        esac
    done < <(cases)
    note "$round" "$peer" rss-after - mib "$(($(rss_kib) / 1024))"
    stop_peer
    rm -rf "$dir"
}

kafka_jars >&2
say "$ROUNDS rounds in $WORK, Kafka's heap is $KAFKA_HEAP"
for round in $(seq "$ROUNDS"); do
    # Whoever goes first finds another machine than whoever goes second.
    if ((round % 2)); then order="kafka millrace"; else order="millrace kafka"; fi
    for peer in $order; do run_peer "$round" "$peer"; done
done
python3 "$HERE/table.py" "$RESULTS" "$ROUNDS" "$KAFKA_VERSION" "$KAFKA_HEAP"
