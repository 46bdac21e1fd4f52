#!/usr/bin/env bash
# run.sh PEER [--bootstrap ADDRESS] [--only CLIENT[,CLIENT...]]
#
# Runs the client programs against one broker: what each states, it states of Kafka.
# PEER is kafka (Apache Kafka from Maven is started) or millrace (target/release/millrace, or the program MILLRACE names, is started);
# with --bootstrap nothing is started, and PEER is only a name; install only installs what the clients need, and fails where that cannot
# be had. CLIENTs: java, librdkafka, kcat, kafka-python, tools; and groups, which runs
# only when named, for it needs consumer groups. Exits non-zero when a statement fails, when a client does not end within CLIENT_SECONDS,
# or when there was nothing to run. KEEP=1 keeps the broker's data and the clients' output.
set -euo pipefail

CLIENTS_HOME=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$CLIENTS_HOME/../peers/peers.sh"
. "$CLIENTS_HOME/install.sh"
CLIENT_SECONDS=${CLIENT_SECONDS:-900}
CLIENTS=java,librdkafka,kcat,kafka-python,tools
LATER=groups

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
for client in ${only//,/ }; do
    [[ ,$CLIENTS,$LATER, == *,$client,* ]] || die "unknown client $client: there are $CLIENTS,$LATER"
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
        java) java_classes >/dev/null || exit ;;
        librdkafka | kafka-python) python_environment "$CLIENTS_HOME/$name" >/dev/null || exit ;;
        esac
    done
}

prepare
if [[ $peer == install ]]; then
    exit
fi

failed=() statements=0
client() { # name command...
    local name=$1 code=0 start=$SECONDS
    shift
    echo "== $name against $peer"
    # In the background, so that a signal to this script is heard at once.
    timeout -k 10 "$CLIENT_SECONDS" "$@" >"$scratch/$name.out" 2>"$scratch/$name.err" </dev/null &
    running=$!
    wait "$running" || code=$?
    running=
    cat "$scratch/$name.out"
    local held
    held=$(grep -c '^ok ' "$scratch/$name.out" || true)
    statements=$((statements + held))
    if ((code == 124 || code == 137)); then
        echo "FAIL $name: it did not end within $CLIENT_SECONDS seconds"
    fi
    if ((code == 0 && held == 0)); then
        echo "FAIL $name: it stated nothing"
        code=1
    fi
    if ((code != 0)); then
        failed+=("$name")
        [[ -s $scratch/$name.err ]] && echo "-- the end of what $name wrote to stderr:" && tail -n 20 "$scratch/$name.err" | cut -c 1-300
    fi
    echo "== $name: $held statements hold, $((SECONDS - start)) s"
}

if [[ -z $bootstrap ]]; then
    start_peer "$peer" "$scratch/$peer"
    bootstrap=$PEER_ADDRESS
fi
for name in ${only//,/ }; do
    case $name in
    java)
        client java java -Xmx256M -XX:+UseSerialGC -Dlog4j2.configurationFile="$PEERS_HOME/log4j2-tools.yaml" \
            -cp "$(java_classes):$KAFKA_JARS/*" Clients "$bootstrap" "$peer"
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
    librdkafka | kafka-python)
        client "$name" "$(python_environment "$CLIENTS_HOME/$name")/bin/python" "$CLIENTS_HOME/$name/clients.py" "$bootstrap" "$peer"
        ;;
    tools | groups) client "$name" "$CLIENTS_HOME/tools/$name.sh" "$bootstrap" "$peer" ;;
    esac
done

if ((${#failed[@]})); then
    echo "$peer: $statements statements hold; failed: ${failed[*]}"
    exit 1
fi
echo "$peer: all $statements statements hold"
