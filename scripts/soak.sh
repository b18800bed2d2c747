#!/usr/bin/env bash
# Runs the built-in release gate again and again with different seeds and counts what came of it.
# Usage: scripts/soak.sh [TIMES] [FIRST_SEED]      (20 times, from seed 1)
# SPLITBRAIN=FILE takes that program instead of building one.
# Prints one line a gate and a total; exit 1 when any gate did not come out met.
set -eu
cd "$(dirname "$0")/.."
times=${1:-20} first=${2:-1}
if [ -z "${SPLITBRAIN:-}" ]; then cargo build --release --quiet; fi
splitbrain=$(realpath "${SPLITBRAIN:-target/release/splitbrain}")
out=$(realpath "$(mktemp -d)")
trap 'rm -rf "$out"' EXIT
met=0
for seed in $(seq "$first" $((first + times - 1))); do
  began=$SECONDS code=0
  "$splitbrain" run --seed "$seed" --out "$out" >"$out/report" 2>"$out/log" || code=$?
  printf 'seed %-6s exit %-3s %3s s  %s\n' "$seed" "$code" $((SECONDS - began)) "$(head -n 1 "$out/report")"
  if [ "$code" = 0 ]; then met=$((met + 1)); else cp "$out/report" "soak-$seed.txt"; fi
  left=$(scripts/left-in.sh "$out" | wc -l)
  [ "$left" = 0 ] || { printf '%s processes are left behind\n' "$left"; exit 1; }
done
printf '%s of %s gates met\n' "$met" "$times"
[ "$met" = "$times" ]
