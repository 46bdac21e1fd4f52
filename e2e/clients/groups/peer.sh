#!/usr/bin/env bash
# peer.sh PEER DIR: a broker that is ended and started again while its clients run. Prints the address when it answers; reads
# `stop` (politely) or `kill` (SIGKILL) and `start`, a line each, and prints `done` after each. Ends the broker when its input ends.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../peers/peers.sh"
peer=$1 dir=$2
# A topic that is deleted stays so, whoever asks for it. A member of the newer protocol has no session timeout of its own: that of the
# broker is as short as that of the others, and the heartbeats as frequent. And Kafka's controller notices late that a
# broker was killed: that leads again at once, is fenced when its old session ends, and leads once more. When it still reads its groups at that
# moment, Kafka 4.3.1 serves them from what it had read by then; it has more time than it needs.
eval "shared_$(declare -f settings)"
settings() {
    shared_settings "$@"
    cat <<P
auto.create.topics.enable=false
group.consumer.session.timeout.ms=15000
group.consumer.min.session.timeout.ms=6000
group.consumer.heartbeat.interval.ms=1000
group.consumer.min.heartbeat.interval.ms=1000
broker.session.timeout.ms=20000
P
}
trap stop_peer EXIT
trap 'exit 130' INT TERM
kafka_jars >&2
start_peer "$peer" "$dir" >&2
# Started again, it is the same program with the same arguments: the same folder, the same ports.
mapfile -d '' -t command <"/proc/$PEER_PID/cmdline"
echo "$PEER_ADDRESS"
while read -r word; do
    case $word in
    stop) stop_peer >&2 ;;
    kill)
        kill -9 "$PEER_PID"
        wait "$PEER_PID" 2>/dev/null || true
        PEER_PID=
        ;;
    start)
        (cd "$dir" && exec "${command[@]}") >>"$dir/server.log" 2>&1 </dev/null &
        PEER_PID=$!
        await_peer "$peer" "$dir" >&2
        ;;
    *) die "unknown word $word" ;;
    esac
    echo done
done
