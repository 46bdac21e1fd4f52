#!/usr/bin/env bash
# Consumer groups of Millrace beside those of Apache Kafka, in one run: the same clients, the brokers taking turns in every round.
#
#   bench/kafka/groups.sh [ROUNDS]     3 rounds by default; the tables go to standard output, what happens to standard error
#
# What is compared:
#   rebalance  ten Java consumers in one process, one topic of 900 partitions: all start together, then one leaves, then one joins. The time
#              until each has its final share and all partitions have an owner. With the classic protocol and the assignors range and
#              cooperative-sticky, and with group.protocol=consumer; everything else at its default, on the brokers too
#   groups     10,000 groups of one member each, which only send heartbeats (many_groups.py): the broker's memory before and after, its
#              CPU while they do, how long joining takes. Both protocols
#
# Environment (defaults in brackets):
#   ROUNDS [3]           rounds; in each every broker starts anew, for `groups` once for each protocol
#   CASES [rebalance groups]
#   PROTOCOLS [range cooperative-sticky consumer classic]  those of rebalance are the first three, those of groups the last two
#   TIMES [3]            groups that are measured in a round of rebalance, after one that is not
#   MEMBERS [10], PARTITIONS [900]
#   GROUPS_COUNT [10000], CONNECTIONS [100], SECONDS_MEASURED [30]
#   KAFKA_HEAP [1G]      Kafka's own default
#   MILLRACE, TOOLS [those of make build]  the programs millrace and millrace-tools
#   WORK [a new folder in the cache]  data and logs, on a disk and not in memory; removed at the end unless it was given
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export KAFKA_HEAP=${KAFKA_HEAP:-1G}
# shellcheck source=../../e2e/peers/peers.sh
. "$HERE/../../e2e/peers/peers.sh"

# Where members start together a group's first rebalance waits for more of them, as it does by default. Where there is one it does not.
eval "shared_$(declare -f settings)"
settings() { shared_settings "$@" | sed "s/^group.initial.rebalance.delay.ms=.*/group.initial.rebalance.delay.ms=$initial_delay_ms/"; }

ROUNDS=${1:-${ROUNDS:-3}}
CASES=${CASES:-rebalance groups}
PROTOCOLS=${PROTOCOLS:-range cooperative-sticky consumer classic}
TIMES=${TIMES:-3} MEMBERS=${MEMBERS:-10} PARTITIONS=${PARTITIONS:-900}
GROUPS_COUNT=${GROUPS_COUNT:-10000} CONNECTIONS=${CONNECTIONS:-100} SECONDS_MEASURED=${SECONDS_MEASURED:-30}
# Longer than any of Kafka's defaults that a step may have to wait for.
STEP_SECONDS=90
WARM_SECONDS=10
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
wanted() { [[ " $CASES " == *" $1 "* && " $PROTOCOLS " == *" $2 "* ]]; }
note() { # round peer case protocol measure value
    printf '%s\t' "$@" >>"$RESULTS"
    echo >>"$RESULTS"
}

make_topic() { # topic partitions
    "$TOOLS" kafka-topics --bootstrap-server "$PEER_ADDRESS" --create --topic "$1" --partitions "$2" >/dev/null
}

rebalance() { # round peer
    local protocol dir=$WORK/$1-$2-rebalance step value initial_delay_ms=3000
    start_peer "$2" "$dir"
    make_topic many "$PARTITIONS"
    for protocol in range cooperative-sticky consumer; do
        wanted rebalance "$protocol" || continue
        note "$1" "$2" rebalance "$protocol" load "$(cut -d' ' -f1 /proc/loadavg)"
        while read -r step value; do
            say "round $1, $2, rebalance, $protocol: $step $value ms"
            [[ $value == late ]] || note "$1" "$2" rebalance "$protocol" "$step" "$value"
        done < <(timeout 580 java -Xmx512M -XX:+UseSerialGC -Dlog4j2.configurationFile="$PEERS_HOME/log4j2-tools.yaml" \
            -cp "$classes:$KAFKA_JARS/*" Rebalance "$PEER_ADDRESS" many "$PARTITIONS" "$MEMBERS" "$protocol" "$TIMES" "$STEP_SECONDS" 2>>"$WORK/client.log")
    done
    stop_peer
    rm -rf "$dir"
}

# What Kafka's heap holds when all garbage is collected, MiB: its RSS is what it once needed.
live_heap() {
    command -v jcmd >/dev/null || return 0
    jcmd "$PEER_PID" GC.run >/dev/null && sleep 1
    jcmd "$PEER_PID" GC.heap_info | sed -nE 's/.*total.* used ([0-9]+)K.*/\1/p' | awk 'NR == 1 { printf "%.1f", $1 / 1024 }'
}

many_groups() { # round peer protocol
    local dir=$WORK/$1-$2-groups-$3 measure value rest initial_delay_ms=0
    start_peer "$2" "$dir"
    make_topic one 1
    sleep 5
    [[ $2 != kafka ]] || note "$1" "$2" groups "$3" live-before "$(live_heap)"
    note "$1" "$2" groups "$3" load "$(cut -d' ' -f1 /proc/loadavg)"
    while read -r measure value rest; do
        say "round $1, $2, groups, $3: $measure $value $rest"
        note "$1" "$2" groups "$3" "$measure" "$value"
    done < <(timeout 580 python3 "$HERE/many_groups.py" "$PEER_ADDRESS" one "$3" "$GROUPS_COUNT" "$CONNECTIONS" "$WARM_SECONDS" "$SECONDS_MEASURED" "$PEER_PID" \
        2>>"$WORK/client.log")
    # The groups are still there: a member that says nothing stays for its session.
    [[ $2 != kafka ]] || note "$1" "$2" groups "$3" live-after "$(live_heap)"
    stop_peer
    rm -rf "$dir"
}

kafka_jars >&2
classes=$WORK/classes
javac -d "$classes" -cp "$KAFKA_JARS/kafka-clients-$KAFKA_VERSION.jar" "$HERE/Rebalance.java" >&2 || die "Rebalance.java does not compile"
say "$ROUNDS rounds in $WORK, Kafka's heap is $KAFKA_HEAP"
for round in $(seq "$ROUNDS"); do
    # Whoever goes first finds another machine than whoever goes second.
    if ((round % 2)); then order="kafka millrace"; else order="millrace kafka"; fi
    for peer in $order; do
        [[ " $CASES " != *" rebalance "* ]] || rebalance "$round" "$peer"
        for protocol in classic consumer; do
            if wanted groups "$protocol"; then many_groups "$round" "$peer" "$protocol"; fi
        done
    done
done
python3 "$HERE/groups_table.py" "$RESULTS" "$ROUNDS" "$KAFKA_VERSION" "$KAFKA_HEAP"
