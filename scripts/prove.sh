#!/usr/bin/env bash
# Long proofs in batches of at most ten minutes each, resumable: what is done stands in a file, one
# line per batch, and is not done again. The docs quote that file.
#
# Usage: scripts/prove.sh [--file FILE] [--list] [BATCH...]
#   BATCH is a name or a pattern such as 'simulation-*'; without one, everything that is missing.
#   The file is docs/proofs.tsv by default: date, commit, batch, result, seconds, figure.
# Exit 0 when every batch asked for is proven, 1 when one failed: its output stands beside the file.
set -eu
cd "$(dirname "$0")/.."
file=docs/proofs.tsv list=
while [ $# -gt 0 ]; do
  case $1 in
    --file) file=$2; shift 2 ;;
    --list) list=1; shift ;;
    *) break ;;
  esac
done

# One line a batch: its name, then the command. The last line that a command prints is its figure.
# A new kind of proof is a new line here.
batches() {
  # Ten thousand schedules of the simulation a batch, against the invariants of the Raft paper.
  for part in $(seq 1 10); do
    printf 'simulation-raft-%02d\tsimulate raft %d %d\n' "$part" $((part * 10000)) 10000
  done
  for switches in snapshot-entries=7 election=bully election=ring election=seniority \
    election=most-recent reads=lease replication=sync; do
    printf 'simulation-%s\tsimulate raft,%s 0 5000\n' "$switches" "$switches"
  done
  # The same while an operator changes the members and disks are lost, or their syncs fail.
  for part in $(seq 1 4); do
    printf 'simulation-members-wipes-%02d\tsimulate raft %d 5000 members wipes\n' "$part" $((part * 5000))
  done
  printf 'simulation-members-failing-syncs\tsimulate raft,snapshot-entries=20 0 5000 members failing-syncs\n'
  # Every order of events in small clusters: nodes, disks, and how much of what may happen.
  for cluster in '2 slow suspicions=3 heartbeats=1 writes=1 crashes=1' \
    '2 slow suspicions=2 writes=2 crashes=2 losses=1' \
    '3 prompt suspicions=2 writes=1' '3 prompt suspicions=2 crashes=1' \
    '3 prompt suspicions=2 heartbeats=1' '3 prompt suspicions=2 losses=1' \
    '3 prompt suspicions=2 overtakes=1' '3 slow suspicions=2' \
    '3 prompt suspicions=2 removals=1' '2 slow suspicions=2 removals=1 crashes=1' \
    '1 slow suspicions=2 heartbeats=2 adds=1 crashes=1' '1 prompt suspicions=3 heartbeats=4 adds=2' \
    '2 prompt suspicions=2 heartbeats=2 adds=1 crashes=1' '2 prompt suspicions=3 heartbeats=2 adds=1'; do
    printf 'model-%s\tmodel %s\n' "${cluster// /-}" "$cluster"
  done
  # Every planted bug of the core and of the log.
  printf 'plants-core\tnode_tests plant\n'
  # The checkers against judges that try every order: ten million small histories of each model, of
  # which at least a third are impossible, a million a batch with a seed of its own.
  for part in $(seq 1 10); do
    for model in register set repeats residue list transactions idempotent-retry counter queue unique-ids bank \
      sessions old-reads key-value multi-register mutex sums fifo-queue unordered-queue \
      set-with-remove lock; do
      printf 'fuzz-%s-%02d\tfuzz %s %d 1000000\n' "$model" "$part" "$model" "$part"
    done
  done
  # An hour of damaged files for the readers: three million take a processor 45 s.
  for part in $(seq 1 80); do
    printf 'fuzz-parsers-%02d\tfuzz parsers %d 3000000\n' "$part" "$part"
  done
  # Three gigabytes of events that nobody did, through every reader that takes them.
  printf 'garbage\tgarbage\n'
  # Planted bugs and unsafe profiles on live clusters, twenty runs of each.
  for part in acknowledge-before-replication elect-by-half accept-lower-epoch \
    definite-when-unknown snapshot-without-last-entry apply-twice snapshot-without-keys \
    change-twice-at-once skip-checksum commit-older-epoch \
    vote-not-on-disk fencing-off logs-not-compared older-epoch-counted \
    redis-sentinel mysql-async mysql-semi-sync async; do
    printf 'selftest-%s\tselftest %s\n' "$part" "$part"
  done
  # The raft profile under faults by chance, two hundred plans, each another.
  for part in $(seq 0 4); do printf 'by-chance-%d\tby_chance %d 40\n' "$part" $((7000 + part)); done
  # The harness is killed in every phase, sixty times a batch; batches may run side by side.
  for part in $(seq 0 19); do
    printf 'killed-%02d\tscripts/prove-clean.sh 60 %d\n' "$part" $((part * 60))
  done
  # The release gate whole, fifty seeds.
  for part in $(seq 0 9); do printf 'gate-%02d\tscripts/soak.sh 5 %d\n' "$part" $((1 + part * 5)); done
}

simulate() { # SETTINGS FIRST COUNT [members] [wipes] [failing-syncs]
  SPLITBRAIN_SETTINGS=$1 SPLITBRAIN_SEEDS=$2..$(($2 + $3)) SPLITBRAIN_SHAPE="${*:4}" cargo test --release -q \
    -p splitbrain-node --lib protocol::simulation::a_soak_of_given_seeds -- --ignored --nocapture --exact |
    grep -a 'schedules'
}
model() { # NODES prompt|slow KIND=COUNT...
  SPLITBRAIN_MODEL="$*" cargo test --release -q -p splitbrain-node --lib \
    protocol::model_check::checks::a_check_of_a_given_cluster -- --ignored --nocapture --exact |
    grep -a 'states of the cluster'
}
fuzz() { # MODEL SEED COUNT
  local tests record=target/proofs/fuzz-$1-$2.txt
  tests=$(judge_tests)
  : >"$record"
  SPLITBRAIN_FUZZ="$1 $2 $3" SPLITBRAIN_FUZZ_RECORD=$record "$tests" --ignored --exact --nocapture \
    checker::fuzz::a_batch_of_random_histories_is_judged_as_every_order_judges_it >&2
  awk '$1 == "parsers" { printf "%d damaged files, seed %d, %d refused, each with a line, no panic\n", $3, $2, $4; next }
    { printf "%d histories of %s, seed %d, %d impossible, no disagreement\n", $3, $1, $2, $4 }' "$record"
}
garbage() {
  "$(judge_tests)" --ignored --exact --nocapture \
    history::flood::gigabytes_of_what_nobody_did_are_read_in_little_memory 2>&1 | grep -a 'were read'
}
judge_tests() { # The test binary of the judge, built once.
  cargo test --release -q -p splitbrain-workloads --lib --no-run --message-format json |
    sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1
}
node_tests() { cargo test -q -p splitbrain-node --lib "$1" | grep -a 'test result'; }
by_chance() { # SEED TIMES
  cargo build --release -q
  ./target/release/splitbrain run --only by-chance --seed "$1" --repeat "$2" --quiet \
    --out target/proofs/by-chance-"$1" | grep -a 'kept every promise'
}
selftest() {
  cargo build --release -q
  ./target/release/splitbrain selftest --only "$1" --runs 20 -j 2 --quiet --out target/proofs |
    grep -a ' of 20'
}

mkdir -p target/proofs "$(dirname "$file")"
[ -n "$list" ] || [ -f "$file" ] || printf 'date\tcommit\tbatch\tresult\tseconds\tfigure\n' >"$file"
failed=0
while IFS=$'\t' read -r name command; do
  wanted=${1:+0}
  for pattern in "$@"; do
    # shellcheck disable=SC2254
    case $name in $pattern) wanted=1 ;; esac
  done
  [ "${wanted:-1}" = 1 ] || continue
  proven=$(cut -f 3,4 "$file" 2>/dev/null | grep -Fx "$name"$'\t'"proven" || true)
  if [ -n "$list" ]; then
    printf '%-40s %s\n' "$name" "${proven:+proven}"
    continue
  fi
  [ -z "$proven" ] || continue
  began=$SECONDS log=target/proofs/$name.log result=proven
  # shellcheck disable=SC2086
  export -f simulate model node_tests by_chance selftest fuzz garbage judge_tests
  timeout 600 bash -c "set -euo pipefail; $command" >"$log" 2>&1 </dev/null || result=failed
  [ "$result" = proven ] || failed=1
  figure=$(tail -n 1 "$log" | tr '\t' ' ' | sed 's/^ *//')
  printf '%s\t%s\t%s\t%s\t%d\t%s\n' "$(date -u +%F)" "$(git rev-parse --short HEAD)" "$name" \
    "$result" $((SECONDS - began)) "$figure" | tee -a "$file"
done < <(batches)
exit "$failed"
