#!/usr/bin/env bash
# tools/e2e.sh CLIENT[,CLIENT...]: real clients against Apache Kafka and against this broker (target/release/millrace).
#
# What they need is installed into the cache. Where that cannot be had, no network or no Java, the output says that they were not run, and
# nothing fails: E2E=required makes it fail.
set -euo pipefail
cd "$(dirname "$0")/.."

clients=$1
if ! e2e/clients/run.sh install --only "$clients"; then
    echo "e2e: NOT RUN: $clients could not be installed (java, javac, mvn, python3 with venv, and their registries are needed)" >&2
    [[ ${E2E-} != required ]]
    exit
fi
for peer in kafka millrace; do
    e2e/clients/run.sh "$peer" --only "$clients"
done
