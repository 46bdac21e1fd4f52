#!/usr/bin/env bash
# matrix.sh: every client (`--only all`) against Apache Kafka and against Millrace in one run, and the table of docs/clients.md.
#
# Takes about 40 minutes on two cores. RESULTS names the file with what was told of each client; it is begun anew, but where ONLY names
# clients: then only these are run, and the rest of the table is as the file has it. For the program of Millrace see run.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
export RESULTS=${RESULTS:-$(mktemp "${TMPDIR:-/tmp}/millrace-matrix.XXXXXX")}
[[ -n ${ONLY-} ]] || : >"$RESULTS"
code=0
for peer in kafka millrace; do
    ./run.sh "$peer" --only "${ONLY:-all}" || code=1
done
((code == 0)) || { echo "matrix: a client failed; docs/clients.md is as it was (results: $RESULTS)" >&2 && exit 1; }
python3 matrix.py "$RESULTS" ../../docs/clients.md
echo "docs/clients.md is written (results: $RESULTS)"
