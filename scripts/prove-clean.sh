#!/usr/bin/env bash
# Kills the harness with SIGKILL again and again, in every phase of a run, and looks one second later
# for anything it started. Every third time two clusters run side by side.
# Usage: scripts/prove-clean.sh [TIMES] [FROM]      (60 times, the rounds from number 0)
# A round is a kill that was one: a harness that had ended before is not counted. Phases are read from
# the run's own events: start, ready, load (with its restarts, cuts and heals), close-clients, heal,
# quiesce, final reads, and what comes behind them: checking, report. Two of them last less than a
# millisecond, so there the harness is run in slices (SIGSTOP, SIGCONT) until its event is there,
# and killed as it stands. The last line says how many of each there were. Processes are those whose
# working directory lies in this proof's own folder, so several proofs run beside each other. Exit 1 when one is left; it is named.
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
work=$folder/work
cat >"$work/busy.yaml" <<'SUITE'
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
(cd "$work" && "$splitbrain" run busy.yaml --quiet --out recorded >/dev/null 2>&1) || true

# The phases, and how far into each the kill may come (ms). The load is the longest by far.
phases=(spawn start load load heal quiesce final-reads stopped load ready close-clients)
reach=(40 500 2900 2900 40 300 25 60 2900 1 1)

# The last phase that the run has reached, by its own events.
reached() { sed -n 's/.*"event":{"phase":"\([a-z-]*\)"}}.*/\1/p' "$events" 2>/dev/null | tail -n 1; }

# Leaves the harness stopped in a phase. From the phase before on it runs in slices of some fifty
# microseconds, stopped in between and looked at, so that a phase that is longer is not missed.
stop_at() {
  perl -e '
    my ($pid, $before, $phase, $file) = @ARGV;
    my ($events, $seen, $until) = (undef, "", time + 60);
    my $reached = sub { index($seen, "\"phase\":\"$_[0]\"") >= 0 };
    until (open $events, "<", $file) { exit 1 if time > $until; select undef, undef, undef, 0.001; }
    while (time < $until) {
      my $sliced = $reached->($before);
      # Looked at only when it has come to a stop, so that nothing is written behind the look.
      kill "STOP", $pid if $sliced;
      select undef, undef, undef, $sliced ? 0.0001 : 0.0005;
      if (sysread $events, my $more, 65536) { $seen = substr($seen . $more, -70000); }
      exit 0 if $sliced && $reached->($phase);
      exit kill("CONT", $pid) if $reached->("stopped");
      # It runs while this counts: a sleep would last as long as others like.
      if ($sliced) { kill "CONT", $pid; for (1 .. 1500) { } }
    }
    exit 1' "$harness" "$1" "$2" "$events"
}

declare -A count
done_=0 round=$from tries=0
while [ "$done_" -lt "$times" ]; do
  phase=${phases[round % ${#phases[@]}]}
  # Spread evenly over the phase, in an order that repeats with no other period of this script.
  offset=$((round * 617 % reach[round % ${#phases[@]}]))
  if [ $((round % 3)) = 2 ]; then
    (cd "$work" && exec "$splitbrain" repro recorded/latest -n 2 -j 2 --quiet --out runs) >/dev/null 2>&1 &
    events=$work/runs/latest/busy-1/events.jsonl
  else
    (cd "$work" && exec "$splitbrain" run busy.yaml --quiet --out runs) >/dev/null 2>&1 &
    events=$work/runs/latest/busy/events.jsonl
  fi
  harness=$!
  if [ "$phase" = ready ]; then
    stop_at start ready || true
  elif [ "$phase" = close-clients ]; then
    stop_at load close-clients || true
  elif [ "$phase" != spawn ]; then
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
  # This script itself stays out of the folder, so whatever is in it belongs to a run.
  after=$("$left_in" "$folder")
  if [ -n "$after" ]; then
    printf 'round %4d  killed in %s, %d ms after %s: left behind\n' "$round" "$(reached)" "$offset" "$phase"
    ps -o pid,ppid,stat,args -p "$(printf '%s' "$after" | paste -sd,)" || true
    exit 1
  fi
  was=
  if [ "$code" = 137 ]; then
    was=$(reached)
    count[${was:-spawn}]=$((${count[${was:-spawn}]:-0} + 1))
    done_=$((done_ + 1))
    printf 'round %4d  killed in %-12s  %2d processes before, none after\n' "$round" "${was:-spawn}" "$before"
  fi
  rm -rf "$work/runs"
  # A phase of a few hundred microseconds may be over before the stop; it is tried again, not for ever.
  case $phase in
    ready | close-clients)
      if [ "${was:-}" != "$phase" ] && [ "$tries" -lt 20 ]; then tries=$((tries + 1)); continue; fi ;;
  esac
  round=$((round + 1)) tries=0
done
printf '%d kills, nothing left:' "$times"
for phase in spawn start ready load close-clients heal quiesce final-reads stopped; do
  printf ' %s %d' "$phase" "${count[$phase]:-0}"
done
printf '\n'
