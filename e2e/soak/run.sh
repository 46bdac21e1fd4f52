#!/usr/bin/env bash
# run.sh [SECONDS]
#
# A soak: one broker under mixed load by real clients for SECONDS (3600), at half of what it can take. Is memory flat, is nothing lost, and is
# every warning explained? Starts target/release/millrace (make build), or the program that MILLRACE names. Prints `ok STATEMENT` and
# `FAIL STATEMENT: why`; exits non-zero when one fails. KEEP=1 keeps the broker's data; RESULTS names a folder for samples.csv, the broker's
# and the clients' logs, otherwise it is a new one, which is removed when all holds.
set -euo pipefail

SOAK_HOME=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$SOAK_HOME/../peers/peers.sh"
. "$SOAK_HOME/../clients/install.sh"
duration=${1:-3600}
[[ $duration =~ ^[1-9][0-9]*$ ]] || die "SECONDS is a whole number, not $duration"

# Retention, compaction and expiry have their turn every few seconds, a dead member is missed soon, and the log is small enough that what is
# compacted leaves it within seconds.
eval "shared_$(declare -f settings)"
settings() {
    shared_settings "$@"
    cat <<P
log.retention.check.interval.ms=5000
log.cleaner.backoff.ms=5000
producer.id.expiration.ms=120000
producer.id.expiration.check.interval.ms=30000
group.consumer.heartbeat.interval.ms=1000
group.consumer.min.heartbeat.interval.ms=1000
group.consumer.session.timeout.ms=6000
group.consumer.min.session.timeout.ms=6000
millrace.log.budget.bytes=$((256 << 20))
millrace.log.limit.bytes=$((512 << 20))
P
}

kept_results=${RESULTS-}
results=${RESULTS:-$(mktemp -d "${TMPDIR:-/tmp}/millrace-soak-results.XXXXXX")}
scratch=$(mktemp -d "${TMPDIR:-/tmp}/millrace-soak.XXXXXX")
mkdir -p "$results"
running= holds=
cleanup() {
    if [[ -n $running ]]; then
        kill "$running" 2>/dev/null || true
        wait "$running" 2>/dev/null || true
    fi
    stop_peer
    cp "$scratch/server.log" "$results/" 2>/dev/null || true
    if [[ -n ${KEEP-} ]]; then echo "kept: $scratch"; else rm -rf "$scratch"; fi
    if [[ -z $holds || -n $kept_results ]]; then echo "results: $results"; else rm -rf "$results"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

kafka_jars
python=$(python_environment "$SOAK_HOME/../clients/librdkafka")/bin/python
read -r metrics_port < <(free_ports 1)
export METRICS_LISTENER=127.0.0.1:$metrics_port
start_peer millrace "$scratch"
echo "# broker $PEER_PID at $PEER_ADDRESS, metrics at $METRICS_LISTENER, results in $results"

failed=
"$python" "$SOAK_HOME/soak.py" --bootstrap "$PEER_ADDRESS" --process "$PEER_PID" --metrics "$METRICS_LISTENER" --data "$scratch/data" \
    --results "$results" --seconds "$duration" -- java -Xmx64M -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
    -Dlog4j2.configurationFile="$PEERS_HOME/log4j2-tools.yaml" -cp "$KAFKA_JARS/*" org.apache.kafka.tools.ProducerPerformance </dev/null &
running=$!
wait "$running" || failed=1
running=

# Not by stop_peer: whether it ends by itself, and how, is a statement.
kill "$PEER_PID"
for _ in $(seq 150); do
    [[ $(ps -o stat= -p "$PEER_PID") == [!Z]* ]] || break
    sleep 0.2
done
if [[ $(ps -o stat= -p "$PEER_PID") == [!Z]* ]]; then
    echo "FAIL the broker stops cleanly on SIGTERM: not within 30 s"
    failed=1
else
    code=0
    wait "$PEER_PID" || code=$?
    PEER_PID=
    if ((code)); then echo "FAIL the broker stops cleanly on SIGTERM: it ended with $code" && failed=1; else echo "ok the broker stops cleanly on SIGTERM"; fi
fi
"$python" "$SOAK_HOME/log_lines.py" "$scratch/server.log" "$SOAK_HOME/explained.txt" || failed=1
[[ -z $failed ]] || exit 1
holds=1
