#!/usr/bin/env bash
# run.sh PEER [--kafka ADDRESS] [--bootstrap ADDRESS] [differential.py's options]
#
# Sends the same raw requests to Apache Kafka and to PEER and compares the answers. PEER is millrace, or kafka for a second Apache Kafka,
# which shows that the comparison itself is sound. Both are started; --kafka names an Apache Kafka that runs already, --bootstrap a PEER.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$HERE/../peers/peers.sh"

usage() {
    sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

peer=${1-}
[[ -n $peer && $peer != -* ]] || usage
shift
kafka= bootstrap= options=()
while (($#)); do
    case $1 in
    --kafka) kafka=${2:?"--kafka needs an address"} && shift 2 ;;
    --bootstrap) bootstrap=${2:?"--bootstrap needs an address"} && shift 2 ;;
    --only) options+=("$1" "${2:?"--only needs a group"}") && shift 2 ;;
    --verbose) options+=("$1") && shift ;;
    *) usage ;;
    esac
done

scratch=$(mktemp -d "${TMPDIR:-/tmp}/millrace-differential.XXXXXX")
kafka_pid= comparison=
cleanup() {
    [[ -z $comparison ]] || kill "$comparison" 2>/dev/null || true
    stop_peer
    PEER_PID=$kafka_pid
    stop_peer
    if [[ -n ${KEEP-} ]]; then echo "kept: $scratch"; else rm -rf "$scratch"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# What Millrace does otherwise, and why. Two Apache Kafkas need no explanation.
[[ $peer != millrace ]] || options+=(--explained "$HERE/explained.toml")

kafka_jars
if [[ -z $kafka ]]; then
    start_peer kafka "$scratch/kafka"
    kafka=$PEER_ADDRESS kafka_pid=$PEER_PID
    PEER_PID=
fi
if [[ -z $bootstrap ]]; then
    start_peer "$peer" "$scratch/$peer-other"
    bootstrap=$PEER_ADDRESS
fi
code=0
PYTHONDONTWRITEBYTECODE=1 timeout -k 10 "${DIFFERENTIAL_SECONDS:-900}" python3 "$HERE/differential.py" \
    --jar "$KAFKA_JARS/kafka-clients-$KAFKA_VERSION.jar" "${options[@]}" "$kafka" "$bootstrap" &
comparison=$!
wait "$comparison" || code=$?
comparison=
exit "$code"
