# Sourced by tools.sh and groups.sh: Kafka's own programs, and statements about what they print.

. "$(dirname "${BASH_SOURCE[0]}")/../../peers/peers.sh"
bootstrap=$1 peer=$2
at=(--bootstrap-server "$bootstrap")
run=tools-$(date +%s%N)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
held=0 failed=0
TOOLS=org.apache.kafka.tools
TOOL_SECONDS=${TOOL_SECONDS:-120}

# What it prints on both channels is in $out, its exit code in $code. A shell of its own: timeout knows no functions.
tool() { # class argument...
    code=0
    out=$(timeout -k 5 "$TOOL_SECONDS" bash -c '. "$0"; kafka_tool "$@"' "$PEERS_HOME/peers.sh" "$@" 2>&1) || code=$?
}

judge() { # statement: holds when the last command did
    if (($? == 0)); then
        held=$((held + 1))
        echo "ok $1"
    else
        failed=$((failed + 1))
        echo "FAIL $1: exit code $code, printed $(tail -n 5 <<<"$out" | cut -c 1-300 | tr '\n\t' '| ')"
    fi
}

# A tool that ends well and prints a line for each of the patterns given before `--`.
prints() { # statement pattern... -- class argument...
    local statement=$1 patterns=() pattern ok=0
    shift
    while [[ $1 != -- ]]; do patterns+=("$1") && shift; done
    shift
    tool "$@" </dev/null
    ((code == 0)) || ok=1
    for pattern in "${patterns[@]}"; do grep -Eq -- "$pattern" <<<"$out" || ok=1; done
    (exit $ok)
    judge "$statement"
}

# A tool that fails and says why.
refuses() { # statement pattern class argument...
    local statement=$1 pattern=$2
    shift 2
    tool "$@" </dev/null
    ((code != 0)) && grep -Eq -- "$pattern" <<<"$out"
    judge "$statement"
}

equals() { # statement expected
    [[ $out == "$2" ]]
    judge "$1"
}

finish() {
    echo "$held statements hold, $failed do not"
    ((failed == 0 && held > 0))
}
