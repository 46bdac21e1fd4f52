#!/usr/bin/env bash
# Builds the image out of what `make build` left and runs it as strictly as a cluster would: no root, nothing to write to but
# the volume, no capabilities. Checks size, user, produce and consume by the tools inside, settings by file and environment, that
# SIGTERM ends it cleanly, and that a restart keeps the data.
#
# Where no Docker daemon answers, root can run the same file system without Docker: own mounts, own process numbers, chroot.
# Where neither can be, the output says that it was not run, and nothing fails: IMAGE_TEST=required makes it fail.
# MILLRACE_RELEASE names another folder than target/release. WITHOUT_DOCKER=1 leaves Docker out.
set -euo pipefail
cd "$(dirname "$0")/../.."

IMAGE=millrace:test
LIMIT_MB=60
STOP_SECONDS=10
START_SECONDS=30

die() {
    echo "FAIL $*" >&2
    [[ ! -s ${scratch-}/log ]] || tail -n 20 "$scratch/log" >&2
    exit 1
}
ok() { echo "ok $*"; }

scratch=$(mktemp -d "${TMPDIR:-/tmp}/millrace-image.XXXXXX")
broker= container=
cleanup() {
    if [[ -n $container ]]; then docker rm -f "$container" >/dev/null 2>&1 || true; fi
    if [[ -n $broker ]]; then kill -9 "$broker" 2>/dev/null || true; fi
    rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

port=$(python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
address=127.0.0.1:$port
settings=(
    "MILLRACE_LISTENERS=PLAINTEXT://$address"
    "MILLRACE_ADVERTISED_LISTENERS=PLAINTEXT://$address"
    MILLRACE_METRICS_LISTENER= MILLRACE_CONTROL_LISTENER=
    MILLRACE_NUM_PARTITIONS=3
)
mkdir "$scratch/data" "$scratch/root"
chown 10001:10001 "$scratch/data" 2>/dev/null || chmod 777 "$scratch/data"

# ---- two ways to run it; each sets `broker`, the process as seen from here, and `code`, how it ended ----

start_docker() {
    local variables=() setting
    for setting in "${settings[@]}"; do variables+=(--env "$setting"); done
    container=$(docker run --detach --network host --read-only --user 10001:10001 --cap-drop ALL --security-opt no-new-privileges \
        --volume "$scratch/data:/var/lib/millrace" "${variables[@]}" "$IMAGE")
    broker=$(docker inspect --format '{{.State.Pid}}' "$container")
}
tool_docker() { # name argument...
    local name=$1
    shift
    docker run --rm --interactive --network host --read-only --user 10001:10001 --entrypoint "/opt/millrace/bin/$name" "$IMAGE" "$@"
}
stop_docker() {
    docker stop -t "$STOP_SECONDS" "$container" >/dev/null
    docker logs "$container" >"$scratch/log" 2>&1
    code=$(docker inspect --format '{{.State.ExitCode}}' "$container")
    docker rm "$container" >/dev/null
    container= broker=
}

start_chroot() {
    # The shell becomes the broker, so that it is process 1, as in a container.
    unshare --mount --pid --fork --propagation private sh -eu -c '
        scratch=$1
        shift
        mount --bind target/image "$scratch/root"
        mount --bind "$scratch/data" "$scratch/root/var/lib/millrace"
        mount -o remount,bind,ro "$scratch/root"
        exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@" chroot --userspec=10001:10001 --groups=10001 "$scratch/root" \
            /opt/millrace/bin/millrace server /etc/millrace/server.properties
    ' sh "$scratch" "${settings[@]}" >"$scratch/log" 2>&1 </dev/null &
    holder=$!
    local deadline=$((SECONDS + START_SECONDS))
    until broker=$(tr -d ' ' <"/proc/$holder/task/$holder/children") && [[ -n $broker ]]; do
        ((SECONDS < deadline)) || die "the process did not start within $START_SECONDS s"
        sleep 0.05
    done
}
tool_chroot() { # name argument...
    local name=$1
    shift
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot --userspec=10001:10001 --groups=10001 target/image "/opt/millrace/bin/$name" "$@"
}
stop_chroot() {
    code=0
    kill -TERM "$broker"
    local deadline=$((SECONDS + STOP_SECONDS))
    while kill -0 "$broker" 2>/dev/null; do
        ((SECONDS < deadline)) || kill -9 "$broker"
        sleep 0.05
    done
    wait "$holder" || code=$?
    broker=
}

# ---- what must hold ----

start() {
    "start_$way"
    local deadline=$((SECONDS + START_SECONDS))
    until tool kafka-broker-api-versions.sh --bootstrap-server "$address" >/dev/null 2>&1; do
        kill -0 "$broker" 2>/dev/null || die "the broker ended before it answered"
        ((SECONDS < deadline)) || die "the broker did not answer within $START_SECONDS s"
        sleep 0.1
    done
}
tool() { "tool_$way" "$@"; }
stop() {
    local began=$SECONDS
    "stop_$way"
    ((code == 0)) || die "it ended with exit code $code after SIGTERM"
    ok "SIGTERM ends it with exit code 0, $((SECONDS - began)) s"
}
of_process() { awk -v name="$1:" '$1 == name { $1 = ""; print substr($0, 2) }' "/proc/$broker/status"; }
records() { # how many
    tool kafka-console-consumer.sh --bootstrap-server "$address" --topic kept --from-beginning --max-messages "$1" --timeout-ms 20000 2>/dev/null | sort
}

tools/image-root.sh
if [[ -z ${WITHOUT_DOCKER-} ]] && command -v docker >/dev/null && docker info >/dev/null 2>&1; then
    way=docker
    docker build --quiet --tag "$IMAGE" . >/dev/null
    bytes=$(docker image inspect --format '{{.Size}}' "$IMAGE")
    [[ $(docker image inspect --format '{{.Config.User}}' "$IMAGE") == 10001:10001 ]] || die "the image's user is not 10001:10001"
elif (($(id -u) == 0)) && unshare --mount --pid --fork true 2>/dev/null; then
    way=chroot
    echo "no Docker daemon answers: the image's file system is run without it; the Dockerfile's own lines are not tried"
    bytes=$(du -sb target/image | cut -f 1)
else
    echo "image: NOT RUN: neither does a Docker daemon answer, nor may this user unshare and chroot: start Docker, or run it as root" >&2
    [[ ${IMAGE_TEST-} != required ]]
    exit
fi

((bytes < LIMIT_MB * 1000 * 1000)) || die "the image has $bytes bytes, more than $LIMIT_MB MB"
ok "the image has $((bytes / 1000 / 1000)) MB"

start
[[ $(of_process Uid) == "10001 10001 10001 10001" ]] || die "it runs as $(of_process Uid)"
[[ $(of_process CapEff) == 0000000000000000 ]] || die "it has capabilities: $(of_process CapEff)"
ok "it runs as 10001, without capabilities"
[[ $(of_process NSpid) == *1 ]] || die "it is process $(of_process NSpid), not the first of its own"
awk '$5 == "/" && $6 !~ /(^|,)ro(,|$)/ { exit 1 }' "/proc/$broker/mountinfo" || die "its root may be written to"
ok "it is process 1, and its root is read-only"

tool kafka-topics.sh --bootstrap-server "$address" --create --topic kept >/dev/null
tool kafka-topics.sh --bootstrap-server "$address" --describe --topic kept | grep -q 'PartitionCount: 3' || die "MILLRACE_NUM_PARTITIONS=3 does not hold"
ok "a setting of the environment holds"
seq 1 1000 | tool kafka-console-producer.sh --bootstrap-server "$address" --topic kept
[[ $(records 1000) == "$(seq 1 1000 | sort)" ]] || die "what was produced is not consumed"
ok "the tools inside produce and consume"
stop
start
[[ $(records 1000) == "$(seq 1 1000 | sort)" ]] || die "records are gone after a restart"
ok "a restart keeps the data"
stop
echo "image: all holds ($way)"
