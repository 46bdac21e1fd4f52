#!/usr/bin/env bash
# Runs every fuzz target of fuzz/ for FUZZ_SECONDS (default 600) each; stops at the first that fails. `tools/fuzz.sh NAME...`
# runs only those named. What it found is kept in the cache, so that the next run starts from it.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${FUZZ_SECONDS:-600}
fuzz=$(tools/tool.sh cargo-fuzz)
corpora=$(tools/cache-dir.sh)/fuzz

if (($#)); then
    targets=("$@")
else
    mapfile -t targets < <("$fuzz" list --fuzz-dir fuzz)
fi
if ((${#targets[@]} == 0)); then
    echo "fuzz: fuzz/ has no targets" >&2
    exit 1
fi

# cargo-fuzz passes -Zsanitizer, which the pinned toolchain takes when told so: no nightly of unknown date is needed.
export RUSTC_BOOTSTRAP=1
for target in "${targets[@]}"; do
    mkdir -p "$corpora/$target"
    echo "fuzz: $target for $seconds s"
    "$fuzz" run --fuzz-dir fuzz "$target" "$corpora/$target" -- \
        -max_total_time="$seconds" -rss_limit_mb=2048 -timeout=10 -print_final_stats=1
done
echo "fuzz: ${#targets[@]} targets held for $seconds s each"
