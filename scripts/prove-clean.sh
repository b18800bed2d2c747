#!/usr/bin/env bash
# Kills the harness with SIGKILL again and again, in every phase of a run, and looks one second later
# for anything it started. Every third time two clusters run side by side.
# Usage: scripts/prove-clean.sh [TIMES] [FROM]      (60 times, the rounds from number 0)
# A round is a kill that was one: a harness that had ended before is not counted. Phases are read from
# the run's own events: start, probes before it is ready, load (with its restarts, cuts and heals),
# heal, quiesce, final reads, and what comes behind them: checking, report. The last line says how
# many of each there were. Processes are those whose working directory lies in this proof's own
# folder, so several proofs run beside each other. Exit 1 when one is left; it is named.
# SPLITBRAIN=FILE takes that program instead of building one.
set -eu
cd "$(dirname "$0")/.."
times=${1:-60} from=${2:-0}
left_in=$PWD/scripts/left-in.sh
if [ -z "${SPLITBRAIN:-}" ]; then cargo build --release --quiet; fi
splitbrain=$(realpath "${SPLITBRAIN:-target/release/splitbrain}")
folder=$(realpath "$(mktemp -d)")
harness=
trap '[ -z "$harness" ] || kill -9 "$harness" 2>/dev/null || true; rm -rf "$folder"' EXIT
mkdir "$folder/work"
cd "$folder/work"
cat >busy.yaml <<'SUITE'
suite: busy
target: store
runs:
  - name: busy
    workload: set
    duration: 3s
    faults:
      - kill: { node: follower, every: 700ms, for: 300ms }
      - partition: { isolate: leader, at: 1300ms, for: 1500ms }
      # Still in force when the load ends, so that the heal has something to do.
      - kill: { node: n1, at: 2500ms, for: 3s }
SUITE
# What two clusters at a time are made of.
"$splitbrain" run busy.yaml --quiet --out recorded >/dev/null 2>&1 || true

# The phases, and how far into each the kill may come (ms). The load is the longest by far.
phases=(spawn start load load heal quiesce final-reads stopped load)
reach=(40 500 2900 2900 40 300 25 60 2900)

# The last phase that the run has reached, by its own events.
reached() { sed -n 's/.*"event":{"phase":"\([a-z-]*\)"}}.*/\1/p' "$events" 2>/dev/null | tail -n 1; }

declare -A count
done_=0 round=$from
while [ "$done_" -lt "$times" ]; do
  phase=${phases[round % ${#phases[@]}]}
  # Spread evenly over the phase, in an order that repeats with no other period of this script.
  offset=$((round * 617 % reach[round % ${#phases[@]}]))
  if [ $((round % 3)) = 2 ]; then
    "$splitbrain" repro recorded/latest -n 2 -j 2 --quiet --out runs >/dev/null 2>&1 &
    events=runs/latest/busy-1/events.jsonl
  else
    "$splitbrain" run busy.yaml --quiet --out runs >/dev/null 2>&1 &
    events=runs/latest/busy/events.jsonl
  fi
  harness=$!
  if [ "$phase" != spawn ]; then
    until grep -qs "\"phase\":\"$phase\"" "$events" || ! kill -0 "$harness" 2>/dev/null; do
      sleep 0.003
    done
  fi
  sleep "$(printf '%d.%03d' $((offset / 1000)) $((offset % 1000)))"
  before=$("$left_in" "$folder" | wc -l)
  kill -9 "$harness" 2>/dev/null || true
  code=0
  wait "$harness" 2>/dev/null || code=$?
  harness=
  sleep 1
  after=$("$left_in" "$folder" | grep -vxE "$$|$BASHPID" || true)
  if [ -n "$after" ]; then
    printf 'round %4d  killed in %s, %d ms after %s: left behind\n' "$round" "$(reached)" "$offset" "$phase"
    ps -o pid,ppid,stat,args -p "$(printf '%s' "$after" | paste -sd,)" || true
    exit 1
  fi
  if [ "$code" = 137 ]; then
    was=$(reached)
    count[${was:-spawn}]=$((${count[${was:-spawn}]:-0} + 1))
    done_=$((done_ + 1))
    printf 'round %4d  killed in %-12s  %2d processes before, none after\n' "$round" "${was:-spawn}" "$before"
  fi
  round=$((round + 1))
  rm -rf runs
done
printf '%d kills, nothing left:' "$times"
for phase in spawn start ready load close-clients heal quiesce final-reads stopped; do
  printf ' %s %d' "$phase" "${count[$phase]:-0}"
done
printf '\n'
