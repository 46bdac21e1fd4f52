# Sourced by run.sh and bench/failover/run.sh, after peers.sh and install.sh.
#
#   export_system kafka|millrace   KAFKA_JARS, and MILLRACE and TOOLS where they are needed
#   export_clients                 the Python of each client library, and the Java clients' classes
#   in_namespaces COMMAND...       runs it in network, mount and process namespaces of its own, where that is allowed
#   end_running                    ends what in_namespaces has started, as process $running, and everything in it

export_system() {
    kafka_jars
    export KAFKA_JARS KAFKA_HEAP
    [[ $1 == millrace ]] || return 0
    local release=${CARGO_TARGET_DIR:-$REPOSITORY/target}/release
    export MILLRACE=${MILLRACE:-$release/millrace}
    export TOOLS=${TOOLS:-$(dirname "$MILLRACE")/millrace-tools}
    [[ -x $MILLRACE && -x $TOOLS ]] || die "$MILLRACE or $TOOLS is missing: run make build, or name the programs in MILLRACE and TOOLS"
    MILLRACE=$(realpath "$MILLRACE") TOOLS=$(realpath "$TOOLS")
}

export_clients() {
    local clients=$CHAOS_HOME/../clients
    PYTHON_LIBRDKAFKA=$(python_environment "$clients/librdkafka")/bin/python
    PYTHON_KAFKA_PYTHON=$(python_environment "$clients/kafka-python")/bin/python
    PYTHON_AIOKAFKA=$(python_environment "$clients/aiokafka")/bin/python
    CHAOS_CLASSES=$(chaos_classes)
    export PYTHON_LIBRDKAFKA PYTHON_KAFKA_PYTHON PYTHON_AIOKAFKA CHAOS_CLASSES
}

chaos_classes() {
    local sources=$CHAOS_HOME/clients/java classes staged
    classes=$E2E_CACHE/chaos-classes-$KAFKA_VERSION-$(cat "$sources"/*.java | sha256sum | cut -c 1-12)
    if [[ ! -d $classes ]]; then
        command -v javac >/dev/null || die "javac (17 or newer) is needed: apt-get install default-jdk-headless"
        staged=$(mktemp -d "$E2E_CACHE/.classes.XXXXXX")
        javac -d "$staged" -cp "$KAFKA_JARS/kafka-clients-$KAFKA_VERSION.jar" "$sources"/*.java >&2 || die "the Java producer does not compile"
        mv -T "$staged" "$classes" 2>/dev/null || rm -rf "$staged" # another run was faster
    fi
    echo "$classes"
}

# Their end is the end of everything in them: processes are killed, mounts and networks are gone, whatever ended the command. Nice, for the
# machine may have other work (NICE=0: it has not); all in it alike.
in_namespaces() {
    if [[ -z ${LOOPBACK-} ]] && (($(id -u) == 0)) && unshare --net --mount --pid --fork ip link set lo up 2>/dev/null; then
        CHAOS_NAMESPACES=1 exec nice -n "${NICE:-10}" unshare --net --mount --propagation private --pid --mount-proc --fork --kill-child "$@"
    fi
    echo "no network namespaces (they need root, and no LOOPBACK=1): the nodes share the loopback, and nothing can be cut off" >&2
    exec nice -n "${NICE:-10}" "$@"
}

# The command first, so that it can say how far it came; then its namespaces.
end_running() {
    [[ -n $running ]] || return 0
    local command=$running
    if [[ $(readlink "/proc/$running/exe") == */unshare ]]; then
        command=$(tr -d ' ' <"/proc/$running/task/$running/children")
    fi
    [[ -z $command ]] || kill -TERM "$command" 2>/dev/null || true
    local _
    for _ in $(seq 100); do
        kill -0 "$running" 2>/dev/null || break
        sleep 0.1
    done
    kill -9 "$running" 2>/dev/null || true
    wait "$running" 2>/dev/null || true
    running=
}
