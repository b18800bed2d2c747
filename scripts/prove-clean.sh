#!/usr/bin/env bash
# Kills the harness with SIGKILL again and again, at moments spread over the start, the run with its
# node restarts and the heal, and looks one second later for anything it started.
# Usage: scripts/prove-clean.sh [TIMES]      (50 times)
# A process belongs to a run when its working directory lies in the run's folder. Exit 1 when one is
# left; it is named.
set -eu
cd "$(dirname "$0")/.."
times=${1:-50}
cargo build --release --quiet
splitbrain=$PWD/target/release/splitbrain
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/busy.yaml" <<'SUITE'
suite: busy
target: store
runs:
  - name: busy
    workload: set
    duration: 5s
    faults:
      - kill: { node: follower, every: 700ms, for: 300ms }
      - partition: { isolate: leader, at: 1500ms, for: 2s }
SUITE

left() { # prints the pids whose working directory lies in the folder
  for process in /proc/[0-9]*; do
    case $(readlink "$process/cwd" 2>/dev/null || true) in
      "$folder"*) grep -q '^State:.[ZX]' "$process/status" 2>/dev/null || echo "${process#/proc/}" ;;
    esac
  done
}

cd "$folder"
for round in $(seq "$times"); do
  # From 20 ms to 8 s: beyond the end of the load, into heal, final reads and report.
  moment=$((20 + (round - 1) * 7980 / times))
  "$splitbrain" run busy.yaml --quiet >/dev/null 2>&1 &
  harness=$!
  sleep "$(printf '%d.%03d' $((moment / 1000)) $((moment % 1000)))"
  before=$(cd / && left | wc -l)
  kill -9 "$harness" 2>/dev/null || true
  wait "$harness" 2>/dev/null || true
  sleep 1
  after=$(cd / && left | grep -vx $$ || true)
  printf 'round %3d  killed after %4d ms  %2d processes before, %d after\n' \
    "$round" "$moment" "$before" "$(printf '%s' "$after" | grep -c . || true)"
  if [ -n "$after" ]; then
    ps -o pid,ppid,stat,args -p "$(printf '%s' "$after" | paste -sd,)" || true
    exit 1
  fi
  rm -rf runs
done
printf '%s of %s times nothing was left\n' "$times" "$times"
