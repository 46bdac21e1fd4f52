#!/usr/bin/env bash
# run.sh PEER [--bootstrap ADDRESS] [--only CLIENT[,CLIENT...]]
#
# Runs the client programs against one broker: what each states, it states of Kafka.
# PEER is kafka (Apache Kafka from Maven is started) or millrace (target/release/millrace, or the program MILLRACE names, is started);
# with --bootstrap nothing is started, and PEER is only a name; install only installs what the clients need, and fails where that cannot
# be had. CLIENTs: java, librdkafka, kcat, kafka-python, tools; and, only when named, aiokafka, kafkajs, platformatic, franz-go, sarama,
# kafka-go, rdkafka, c, streams, connect; groups (the tools that read in a group), cluster-tools; newer-java, newer-librdkafka, newer-tools (with
# group.protocol=consumer; `newer` is all three) and members (clients of several families in one group, with a broker of its own).
# `all` is every client but members. Exits non-zero when a statement fails that gaps.txt does not list, when a client does not end within
# CLIENT_SECONDS (members: MEMBERS_SECONDS), or when there was nothing to run. KEEP=1 keeps the broker's data and the clients' output;
# RESULTS names a file that gets a line for each client (see matrix.py).
set -euo pipefail

CLIENTS_HOME=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$CLIENTS_HOME/../peers/peers.sh"
. "$CLIENTS_HOME/install.sh"
CLIENT_SECONDS=${CLIENT_SECONDS:-900}
CLIENTS=java,librdkafka,kcat,kafka-python,tools
MEMBERS_SECONDS=${MEMBERS_SECONDS:-3600}
NEWER=newer-java,newer-librdkafka,newer-tools
LIBRARIES=aiokafka,kafkajs,platformatic,franz-go,sarama,kafka-go,rdkafka,c
FRAMEWORKS=streams,connect
LATER=$LIBRARIES,$FRAMEWORKS,groups,cluster-tools,$NEWER

# The broker's time-outs of the newer protocol, which members cannot choose: a heartbeat every 5 seconds would make every step as long.
eval "shared_$(declare -f settings)"
settings() {
    shared_settings "$@"
    printf '%s\n' group.consumer.heartbeat.interval.ms=500 group.consumer.min.heartbeat.interval.ms=500
}

usage() {
    sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
}

peer=${1-}
[[ -n $peer && $peer != -* ]] || usage
shift
bootstrap= only=$CLIENTS
while (($#)); do
    case $1 in
    --bootstrap) bootstrap=${2:?"--bootstrap needs an address"} && shift 2 ;;
    --only) only=${2:?"--only needs a list of clients"} && shift 2 ;;
    *) usage ;;
    esac
done
only=,$only,
only=${only//,newer,/,$NEWER,}
only=${only//,all,/,$CLIENTS,$LATER,}
only=${only#,} only=${only%,}
for client in ${only//,/ }; do
    [[ ,$CLIENTS,$LATER,members, == *,$client,* ]] || die "unknown client $client: there are $CLIENTS,$LATER,members"
done

scratch=$(mktemp -d "${TMPDIR:-/tmp}/millrace-clients.XXXXXX")
running=
cleanup() {
    [[ -z $running ]] || kill "$running" 2>/dev/null || true
    stop_peer
    if [[ -n ${KEEP-} ]]; then echo "kept: $scratch"; else rm -rf "$scratch"; fi
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# What is missing is said by who misses it, and ends this script: a substitution inside a command's words would not.
prepare() {
    kafka_jars
    for name in ${only//,/ }; do
        case $name in
        java | newer-java | members) java_classes >/dev/null || exit ;;
        librdkafka | kafka-python | aiokafka) python_environment "$CLIENTS_HOME/$name" >/dev/null || exit ;;
        newer-librdkafka) python_environment "$CLIENTS_HOME/librdkafka" >/dev/null || exit ;;
        kafkajs | platformatic) node_command "$(node_programs)" >/dev/null || exit ;;
        franz-go | sarama | kafka-go) go_program "$name" >/dev/null || exit ;;
        rdkafka) rdkafka_program >/dev/null || exit ;;
        streams | connect) framework_classes >/dev/null || exit ;;
        esac
    done
}

prepare
if [[ $peer == install ]]; then
    exit
fi

failed=() statements=0
client() { # name command...
    local name=$1 code=0 start=$SECONDS bound=$CLIENT_SECONDS
    [[ $name != members ]] || bound=$MEMBERS_SECONDS
    shift
    echo "== $name against $peer"
    # In the background, so that a signal to this script is heard at once.
    timeout -k 10 "$bound" "$@" >"$scratch/$name.out" 2>"$scratch/$name.err" </dev/null &
    running=$!
    wait "$running" || code=$?
    running=
    cat "$scratch/$name.out"
    local held gaps=0
    held=$(grep -c '^ok ' "$scratch/$name.out" || true)
    statements=$((statements + held))
    if [[ $peer == millrace ]]; then
        gaps=$(known_gaps "$name" "$scratch/$name.out") || code=$?
        # All that failed is known: it ended as its list says it must.
        ((code != 1 || gaps == 0 || gaps != $(grep -c '^FAIL ' "$scratch/$name.out"))) || code=0
    fi
    if ((code == 124 || code == 137)); then
        echo "FAIL $name: it did not end within $bound seconds"
    fi
    if ((code == 0 && held == 0)); then
        echo "FAIL $name: it stated nothing"
        code=1
    fi
    if ((code != 0)); then
        failed+=("$name")
        [[ -s $scratch/$name.err ]] && echo "-- the end of what $name wrote to stderr:" && tail -n 20 "$scratch/$name.err" | cut -c 1-300
    fi
    echo "== $name: $held statements hold, $gaps known gaps, $((SECONDS - start)) s"
    # What it is, by its own word: `# name version against peer`.
    [[ -z ${RESULTS-} ]] || printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$name" "$peer" \
        "$(sed -n 's/^# \(.*\) against .*/\1/p' "$scratch/$name.out" | head -n 1)" "$held" "$gaps" "$code" >>"$RESULTS"
}

# How many statements failed that gaps.txt lists for this client. One that holds meanwhile must leave the list.
known_gaps() { # name output
    local client statement reason known=0 code=0
    while IFS='|' read -r client statement reason; do
        [[ $client == "$1" ]] || continue
        if grep -qxF "ok $statement" "$2"; then
            echo "FAIL gaps.txt: it holds, and is no gap any more: $statement" >&2
            code=3
        elif grep -F "FAIL $statement: " "$2" | grep -q '^FAIL '; then
            echo "known gap: $statement: $reason" >&2
            known=$((known + 1))
        fi
    done < <(grep -v '^#' "$CLIENTS_HOME/gaps.txt" | sed 's/ *| */|/g')
    echo "$known"
    return "$code"
}

given=$bootstrap
if [[ -z $bootstrap && $only != members ]]; then
    start_peer "$peer" "$scratch/$peer"
    bootstrap=$PEER_ADDRESS
fi
for name in ${only//,/ }; do
    case $name in
    java | newer-java)
        if [[ $name == java ]]; then class=Clients; else class=NewerClients; fi
        client "$name" java -Xmx256M -XX:+UseSerialGC -Dlog4j2.configurationFile="$PEERS_HOME/log4j2-tools.yaml" \
            -cp "$(java_classes):$KAFKA_JARS/*" "$class" "$bootstrap" "$peer"
        ;;
    kcat)
        kcat=$(kcat_command)
        if [[ -z $kcat ]]; then
            # Said, not passed over in silence: --only kcat then fails.
            echo "== kcat: not here, and not in a Debian archive; left out"
            [[ $only != kcat ]] || failed+=(kcat)
        else
            client kcat env KCAT="$kcat" "$CLIENTS_HOME/librdkafka/kcat.sh" "$bootstrap" "$peer"
        fi
        ;;
    librdkafka | kafka-python | aiokafka)
        client "$name" "$(python_environment "$CLIENTS_HOME/$name")/bin/python" "$CLIENTS_HOME/$name/clients.py" "$bootstrap" "$peer"
        ;;
    kafkajs | platformatic)
        programs=$(node_programs)
        client "$name" "$(node_command "$programs")" "$programs/$name/clients.mjs" "$bootstrap" "$peer"
        ;;
    franz-go | sarama | kafka-go) client "$name" "$(go_program "$name")" "$bootstrap" "$peer" ;;
    rdkafka) client rdkafka "$(rdkafka_program)" "$bootstrap" "$peer" ;;
    c)
        program=$(c_program)
        if [[ -z $program ]]; then
            echo "== c: no C compiler here, or no librdkafka with headers in a Debian archive; left out"
            [[ $only != c ]] || failed+=(c)
        else
            # shellcheck disable=SC2086 # a command and its arguments
            client c $program "$bootstrap" "$peer"
        fi
        ;;
    streams | connect)
        if [[ $name == streams ]]; then class=WordCount; else class=FileConnectors; fi
        client "$name" java -Xmx512M -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile="$PEERS_HOME/log4j2-tools.yaml" \
            -cp "$(framework_classes):$(framework_jars)/*" "$class" "$bootstrap" "$peer" "$scratch"
        ;;
    newer-librdkafka)
        client "$name" "$(python_environment "$CLIENTS_HOME/librdkafka")/bin/python" "$CLIENTS_HOME/librdkafka/newer.py" "$bootstrap" "$peer"
        ;;
    members)
        tools_java="java -Xmx128M -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j2.configurationFile=$PEERS_HOME/log4j2-tools.yaml -cp $(java_classes):$KAFKA_JARS/*"
        members=("administrator=$tools_java Administrator" "java=$tools_java GroupMember")
        for family in librdkafka kafka-python; do
            members+=("$family=$(python_environment "$CLIENTS_HOME/$family")/bin/python $CLIENTS_HOME/$family/member.py")
        done
        franz_go=$(franz_go_member) kafkajs=$(kafkajs_member)
        # Said, not passed over in silence.
        if [[ -n $franz_go ]]; then members+=("franz-go=$franz_go"); else echo "== members: no go here; franz-go is left out"; fi
        if [[ -n $kafkajs ]]; then members+=("kafkajs=node $kafkajs/member.js"); else echo "== members: no npm here; KafkaJS is left out"; fi
        mkdir -p "$scratch/members"
        client members "$(python_environment "$CLIENTS_HOME/groups")/bin/python" "$CLIENTS_HOME/groups/members.py" \
            "$peer" "$scratch/members" ${given:+"$given"} -- "${members[@]}"
        ;;
    tools | groups | cluster-tools | newer-tools) client "$name" "$CLIENTS_HOME/tools/$name.sh" "$bootstrap" "$peer" ;;
    esac
done

if ((${#failed[@]})); then
    echo "$peer: $statements statements hold; failed: ${failed[*]}"
    exit 1
fi
echo "$peer: all $statements statements hold"
