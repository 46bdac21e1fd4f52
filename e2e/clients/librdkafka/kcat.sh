#!/usr/bin/env bash
# kcat.sh BOOTSTRAP PEER: what kcat expects of Kafka. KCAT says how to call it.
set -uo pipefail
bootstrap=$1 peer=$2
read -ra kcat <<<"${KCAT:-kcat}"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
held=0 failed=0
run=kcat-$(date +%s%N)

call() { timeout 60 "${kcat[@]}" -b "$bootstrap" "$@" 2>"$scratch/err"; }

states() { # statement expected actual
    if [[ $2 == "$3" ]]; then
        held=$((held + 1))
        echo "ok $1"
    else
        failed=$((failed + 1))
        echo "FAIL $1: expected $(head -c 200 <<<"$2" | tr '\n' '|'), got $(head -c 200 <<<"$3" | tr '\n' '|') $(tail -n 1 "$scratch/err" | cut -c 1-200)"
    fi
}

echo "# $("${kcat[@]}" -V 2>&1 | grep -o 'Version.*') against $peer"
for compression in none gzip snappy lz4 zstd; do
    topic=$run-$compression
    seq 1 500 | sed 's/.*/key&:value&/' >"$scratch/lines"
    call -P -t "$topic" -p 0 -K : -z "$compression" -H name=first -H name=second <"$scratch/lines"
    states "$compression: keys and values come back as sent, in order" "$(cat "$scratch/lines")" \
        "$(call -C -t "$topic" -p 0 -o beginning -e -q -f '%k:%s\n')"
    states "$compression: headers come back in order, the same name twice" "name=first,name=second" \
        "$(call -C -t "$topic" -p 0 -o beginning -c 1 -q -f '%h\n')"
done
topic=$run-none
states "offsets begin at 0 and are consecutive" "$(seq 0 499)" "$(call -C -t "$topic" -p 0 -o beginning -e -q -f '%o\n')"
states "the last five, from the end" "$(seq 496 500 | sed 's/^/value/')" "$(call -C -t "$topic" -p 0 -o -5 -e -q)"
states "from an offset, a count" "$(seq 101 110 | sed 's/^/value/')" "$(call -C -t "$topic" -p 0 -o 100 -c 10 -q)"
states "from a time, none is older" 500 "$(call -C -t "$topic" -p 0 -o s@1000 -e -q | wc -l)"
states "offsets by time are queried: the beginning, the end" "$topic [0] offset 0|$topic [0] offset 500" \
    "$(call -Q -t "$topic:0:-2" | tr -d '\n')|$(call -Q -t "$topic:0:-1" | tr -d '\n')"
states "null values come back as null" "2 -1" "$(printf 'k:\nk:v\n' | call -P -t "$run-null" -p 0 -K : -Z >/dev/null; call -C -t "$run-null" -p 0 -o beginning -e -q -f '%S ' | awk '{print NF, $1}')"
head -c 900000 /dev/urandom >"$scratch/large"
call -P -t "$run-large" -p 0 "$scratch/large"
call -C -t "$run-large" -p 0 -o beginning -c 1 -q -f '%s' >"$scratch/back"
states "a record of 900 kB comes back as sent" "$(cksum <"$scratch/large")" "$(cksum <"$scratch/back")"
states "metadata lists the broker and the topic with its partition" "1 1" \
    "$(call -L -t "$topic" | awk '/broker .* at /{b++} /partition 0, leader/{p++} END {print b+0, p+0}')"
printf 'x\n' | call -P -t "$run-idempotent" -p 0 -X enable.idempotence=true
states "an idempotent producer is served" x "$(call -C -t "$run-idempotent" -p 0 -o beginning -e -q)"

echo "$held statements hold, $failed do not"
((failed == 0 && held > 0))
