#!/usr/bin/env bash
# What each acknowledgement costs when every link between nodes takes 2 ms: the ladder from async to
# sync with level=applied, one client at the leader, by turns.
#
# Usage: scripts/bench-ladder.sh [ROUNDS] [SECONDS]      (5 rounds of 3 s)
#
# The clusters are those of workloads/suites/ladder.yaml, started by `splitbrain cluster up` behind
# its proxies, so the client passes one proxy too. Prints every cell, and each step's median p50 over
# the rounds, with whether it is dearer than the step before it or level with it; exit 1 when the
# ladder async < semi-sync received <= quorum <= sync durable < sync applied does not hold. A cell in which other programs
# took more than 10 % of the machine is void; with fewer than three that count there is no result:
# exit 3.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-5} seconds=${2:-3}
steps=(async semi-sync-received quorum sync-durable sync-applied)
cargo build --release --quiet
CARGO_TARGET_DIR=$PWD/target/bench cargo build --release --quiet --locked --manifest-path scripts/bench/Cargo.toml
splitbrain=$PWD/target/release/splitbrain load=$PWD/target/bench/release/splitbrain-bench
out=$(mktemp -d) cluster=
stop() {
  [ -z "$cluster" ] || { kill -INT "$cluster" 2>/dev/null || true; wait "$cluster" || true; }
  cluster=
}
trap 'stop; rm -rf "$out"' EXIT

printf '%-6s %-19s %10s %9s %9s %9s\n' round step per_s p50_ms p99_ms others_%
: >"$out/cells"
for round in $(seq "$rounds"); do
  for step in "${steps[@]}"; do
    : >"$out/doors"
    "$splitbrain" cluster up workloads/suites/ladder.yaml --only "$step" --out "$out/runs" \
      >"$out/doors" 2>"$out/log" &
    cluster=$!
    until [ "$(wc -l <"$out/doors")" = 3 ]; do
      kill -0 "$cluster" 2>/dev/null || { cat "$out/log" >&2; exit 1; }
      sleep 0.05
    done
    # The delay takes hold when the first node's links are shaped; a second of warming up covers it.
    address=$(sed -n 's|.*http://\(.*\)  leader|\1|p' "$out/doors")
    pids=$(pgrep -P "$cluster" || true)
    pids="$pids $(for pid in $pids; do pgrep -P "$pid" || true; done)"
    arguments=(--pid "$cluster")
    for pid in $pids; do arguments+=(--pid "$pid"); done
    read -r rate p50 p99 foreign <<<"$("$load" load --target store --address "$address" --operation put \
      --clients 1 --seconds "$seconds" "${arguments[@]}")"
    printf '%-6s %-19s %10s %9s %9s %9s\n' "$round" "$step" "$rate" "$p50" "$p99" "$foreign"
    echo "$step $p50 $foreign" >>"$out/cells"
    stop
    rm -rf "$out/runs"
  done
done

# Two steps are told apart when no cell of one lies among the cells of the other; else they are level.
code=0 cheapest_before=0 dearest_before=0
for step in "${steps[@]}"; do
  counted=$(awk -v step="$step" '$1 == step && $3 <= 10 { print $2 }' "$out/cells" | sort -n)
  count=$(printf '%s' "$counted" | grep -c . || true)
  if [ "$count" -lt 3 ]; then
    printf '%-19s no result: %s of at least 3 cells count\n' "$step" "$count"
    code=3
    continue
  fi
  median=$(sed -n "$(((count + 1) / 2))p" <<<"$counted")
  cheapest=$(head -n 1 <<<"$counted") dearest=$(tail -n 1 <<<"$counted")
  word=$(awk "BEGIN {
    if ($cheapest > $dearest_before) print \"dearer\"
    else if ($dearest < $cheapest_before) print \"CHEAPER\"
    else print \"level\"
  }")
  # Only the steps that the ladder has as "at most" may be level: what a majority needs and what
  # all need is one round trip each.
  case $step-$word in
    async-* | *-dearer) ;;
    quorum-level | sync-durable-level) ;;
    *) [ $code != 0 ] || code=1 ;;
  esac
  printf '%-19s p50 %6s ms (%s to %s over %s cells)  %s\n' "$step" "$median" "$cheapest" "$dearest" \
    "$count" "$([ "$step" = async ] || echo "$word")"
  cheapest_before=$cheapest dearest_before=$dearest
done
exit $code
