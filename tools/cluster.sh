#!/usr/bin/env bash
# tools/cluster.sh: runs the three brokers of config/cluster in the foreground, until Ctrl-C or SIGTERM ends them all.
#
# DATA is where they keep everything: directories, logs, the secret, and the settings they were started with (millrace-cluster).
# Each directory is formatted once, all with one cluster id; what is gone afterwards is not formatted again, the broker refuses it.
# MILLRACE names the broker's program; the tools are beside it.
set -euo pipefail
cd "$(dirname "$0")/.."

DATA=${DATA:-$PWD/millrace-cluster}
MILLRACE=${MILLRACE:-${CARGO_TARGET_DIR:-$PWD/target}/release/millrace}
NODES=(1 2 3)
declare -A broker_of=()

fail() {
    echo "cluster: $*" >&2
    exit 1
}

# --- what is there before they start -------------------------------------------------------------------------------

tool() {
    "$(dirname "$MILLRACE")/millrace-tools" "$@"
}

# Others shall not read it, not even for a moment; and it is there whole or not at all.
make_secret() {
    [[ -s $DATA/peer.secret ]] && return
    (umask 077 && head -c 32 /dev/urandom | base64 >"$DATA/peer.secret.tmp")
    mv "$DATA/peer.secret.tmp" "$DATA/peer.secret"
}

cluster_id() {
    if [[ ! -s $DATA/cluster.id ]]; then
        tool kafka-storage random-uuid >"$DATA/cluster.id.tmp"
        mv "$DATA/cluster.id.tmp" "$DATA/cluster.id"
    fi
    cat "$DATA/cluster.id"
}

setting() { # node name
    sed -n "s/^$2=//p" "$DATA/$1.properties"
}

format() { # node
    [[ -e $DATA/$1.formatted ]] && return
    tool kafka-storage format --ignore-formatted -t "$(cluster_id)" -c "$DATA/$1.properties"
    : >"$DATA/$1.formatted"
}

prepare() {
    mkdir -p "$DATA"
    DATA=$(cd "$DATA" && pwd)
    [[ $DATA != *[\|\&\\,]* ]] || fail "the path $DATA holds one of |, &, \\ and the comma: choose another DATA"
    make_secret
    local node
    for node in "${NODES[@]}"; do
        sed "s|=millrace-cluster/|=$DATA/|" "config/cluster/$node.properties" >"$DATA/$node.properties"
        format "$node"
    done
}

# --- their life ----------------------------------------------------------------------------------------------------

start() { # node
    local log=$DATA/$1.log
    # A session of its own: Ctrl-C reaches this script, which ends all of them once.
    setsid "$MILLRACE" server "$DATA/$1.properties" </dev/null >>"$log" 2>&1 &
    broker_of[$!]=$1
    echo "broker $1: process $!, $(setting "$1" listeners), log $log"
}

stop_all() {
    trap '' INT TERM
    local id
    for id in "${!broker_of[@]}"; do
        kill -TERM "$id" 2>/dev/null || true
    done
    for id in "${!broker_of[@]}"; do
        wait "$id" || true
    done
}

[[ -x $MILLRACE ]] || fail "$MILLRACE is missing: run make build, or name the program in MILLRACE"
prepare
trap 'stop_all; exit 0' INT TERM
trap stop_all EXIT
for node in "${NODES[@]}"; do
    start "$node"
done
echo "clients: --bootstrap-server 127.0.0.1:19092,127.0.0.1:19192,127.0.0.1:19292; Ctrl-C ends all three"

# The others go on when one ends: that is what a cluster is for.
while ((${#broker_of[@]} > 0)); do
    code=0
    wait -n -p ended "${!broker_of[@]}" || code=$?
    [[ -n ${ended-} ]] || continue
    node=${broker_of[$ended]}
    unset "broker_of[$ended]"
    echo "cluster: broker $node (process $ended) ended with code $code; the end of its log:" >&2
    tail -n 3 "$DATA/$node.log" >&2
done
fail "no broker is left"
