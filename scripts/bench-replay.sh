#!/usr/bin/env bash
# Shows by how much replays miss the times of a recorded run: records a run with some thirty faults by
# chance, replays it TIMES times by role and as often by name, and prints order and times of each.
# Usage: scripts/bench-replay.sh [TIMES] [SEED]      (3 times, seed 1; about a minute and a half each)
# Exit 1 when an order differs or a fault misses by more than 50 ms. It wants a quiet machine.
# SPLITBRAIN=FILE takes that program instead of building one.
set -eu
cd "$(dirname "$0")/.."
times=${1:-3} seed=${2:-1}
if [ -z "${SPLITBRAIN:-}" ]; then cargo build --release --quiet; fi
splitbrain=$(realpath "${SPLITBRAIN:-target/release/splitbrain}")
folder=$(realpath "$(mktemp -d)")
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >many.yaml <<'SUITE'
suite: many
target: store
runs:
  - name: many
    workload: register
    rate: 200
    duration: 40s
    mix:
      pause: 300ms
      at_most: 30
      faults:
        - kill: { node: leader, for: 300ms, weight: 3 }
        - kill: { node: random, for: 200ms, weight: 2 }
        - stop: { node: follower, for: 300ms }
        - pause: { node: leader, for: 700ms, weight: 2 }
        - partition: { isolate: leader, for: 900ms, weight: 2 }
        - partition: { groups: random, for: 700ms }
        - delay: { node: all, by: 20ms, for: 500ms }
        - half-open: { node: leader, for: 600ms }
SUITE
"$splitbrain" run many.yaml --seed "$seed" --quiet --out first >/dev/null 2>&1 || true
missed=0
for way in '' --by-name; do
  for _ in $(seq "$times"); do
    # shellcheck disable=SC2086
    "$splitbrain" replay first/latest $way --quiet --out again >report 2>/dev/null || true
    printf '%s\n' "${way:---by-role}"
    sed -n '/^  order/,/^  victims/p' report
    grep -q '^  order *the same' report || missed=1
    # `30 of 30 faults began within 50 ms of ...`
    sed -n 's/^  times *\([0-9]*\) of \([0-9]*\) faults.*/\1 \2/p' report | {
      read -r kept all && [ "$kept" = "$all" ]
    } || missed=1
    rm -rf again
  done
done
[ "$missed" = 0 ] && echo 'every order the same, every fault within 50 ms' || echo 'MISSED'
exit "$missed"
