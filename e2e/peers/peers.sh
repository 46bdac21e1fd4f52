# Sourced, not run: starts and stops one broker, Apache Kafka or Millrace, on loopback, with its data in a folder of its own.
# The jars come from Maven into the cache folder, once; nothing here is left running and no process is ended but by its id.
#
#   kafka_jars                       installs Apache Kafka's jars when they are missing; sets KAFKA_JARS
#   kafka_tool CLASS ARGUMENT...     runs a program of Kafka's by its main class
#   start_peer kafka|millrace DIR    sets PEER_PID and PEER_ADDRESS; the log is DIR/server.log; METRICS_LISTENER (none) is Millrace's
#   stop_peer                        ends it, politely first

PEERS_HOME=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
REPOSITORY=$(cd "$PEERS_HOME/../.." && pwd)
E2E_CACHE=$("$REPOSITORY/tools/cache-dir.sh")/e2e
KAFKA_VERSION=$(sed -n 's/.*<kafka>\(.*\)<\/kafka>.*/\1/p' "$PEERS_HOME/pom.xml")
KAFKA_JARS=$E2E_CACHE/kafka-$KAFKA_VERSION
# Enough for what the tests send; a machine with more to spare may say so.
KAFKA_HEAP=${KAFKA_HEAP:-512M}
START_SECONDS=${START_SECONDS:-120}
PEER_PID= PEER_ADDRESS=

die() {
    echo "$(basename "$0"): $*" >&2
    exit 2
}

kafka_jars() {
    [[ -d $KAFKA_JARS ]] && return
    command -v java >/dev/null && command -v mvn >/dev/null || die "java (17 or newer) and mvn are needed: apt-get install default-jdk-headless maven"
    echo "installing Apache Kafka $KAFKA_VERSION from Maven into $KAFKA_JARS"
    local staged
    mkdir -p "$E2E_CACHE"
    staged=$(mktemp -d "$E2E_CACHE/.kafka.XXXXXX")
    timeout 580 mvn -q -B -f "$PEERS_HOME/pom.xml" dependency:copy-dependencies -DoutputDirectory="$staged" -DincludeScope=runtime </dev/null ||
        die "mvn could not fetch Apache Kafka $KAFKA_VERSION"
    mv -T "$staged" "$KAFKA_JARS" 2>/dev/null || rm -rf "$staged" # another run was faster
}

# Tools are short: the simple collector and no second compiler start them sooner on a small machine.
kafka_tool() {
    java -Xmx256M -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$PEERS_HOME/log4j2-tools.yaml" -cp "$KAFKA_JARS/*" "$@"
}

free_ports() { # how many
    python3 - "$1" <<'P'
import socket, sys
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[1]))]
print(*[s.getsockname()[1] for s in held])
P
}

# The same settings for both. `message.max.bytes` and the rest stay at their defaults, for the clients state those.
settings() { # dir broker_port controller_port
    cat <<P
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$2,CONTROLLER://127.0.0.1:$3
advertised.listeners=PLAINTEXT://127.0.0.1:$2
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.quorum.voters=1@127.0.0.1:$3
log.dirs=$1/data
num.partitions=1
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
P
}

start_peer() {
    local peer=$1 dir=$2 ports
    mkdir -p "$dir"
    read -ra ports < <(free_ports 2)
    PEER_ADDRESS=127.0.0.1:${ports[0]}
    settings "$dir" "${ports[@]}" >"$dir/server.properties"
    case $peer in
    kafka)
        kafka_jars
        kafka_tool kafka.tools.StorageTool format -t "$(kafka_tool kafka.tools.StorageTool random-uuid)" -c "$dir/server.properties" \
            >"$dir/format.log" 2>&1 || die "formatting failed: $(cat "$dir/format.log")"
        # No shell between: PEER_PID must be java's own.
        (cd "$dir" && exec java "-Xmx$KAFKA_HEAP" "-Xms$KAFKA_HEAP" -XX:+UseG1GC -Djava.awt.headless=true \
            -Dlog4j2.configurationFile="$PEERS_HOME/log4j2-server.yaml" -cp "$KAFKA_JARS/*" \
            kafka.Kafka "$dir/server.properties") >"$dir/server.log" 2>&1 </dev/null &
        ;;
    millrace)
        local program=${MILLRACE:-${CARGO_TARGET_DIR:-$REPOSITORY/target}/release/millrace}
        [[ -x $program ]] || die "$program is missing: run make build, or name the program in MILLRACE"
        (cd "$dir" && exec "$program" server "$dir/server.properties" --override "millrace.metrics.listener=${METRICS_LISTENER-}" --override millrace.control.listener=) >"$dir/server.log" 2>&1 </dev/null &
        ;;
    *) die "unknown peer $peer: it is kafka or millrace" ;;
    esac
    PEER_PID=$!
    await_peer "$peer" "$dir"
}

# Up means that it answers ApiVersions, not that its socket is open.
await_peer() { # peer dir
    local deadline=$((SECONDS + START_SECONDS))
    until python3 "$PEERS_HOME/answers.py" "$PEER_ADDRESS"; do
        if ! kill -0 "$PEER_PID" 2>/dev/null; then
            local id=$PEER_PID
            PEER_PID=
            tail -n 20 "$2/server.log" >&2
            die "$1 (process $id) ended before it answered"
        fi
        if ((SECONDS > deadline)); then
            stop_peer
            tail -n 20 "$2/server.log" >&2
            die "$1 did not answer at $PEER_ADDRESS within $START_SECONDS seconds"
        fi
        sleep 0.3
    done
}

stop_peer() {
    [[ -n $PEER_PID ]] || return 0
    kill "$PEER_PID" 2>/dev/null || true
    local _
    for _ in $(seq 100); do
        kill -0 "$PEER_PID" 2>/dev/null || break
        sleep 0.2
    done
    kill -9 "$PEER_PID" 2>/dev/null && echo "peer $PEER_PID did not end within 20 seconds of SIGTERM and was killed" >&2
    wait "$PEER_PID" 2>/dev/null || true
    PEER_PID=
}
