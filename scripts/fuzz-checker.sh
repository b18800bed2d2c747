#!/usr/bin/env bash
# Fuzzes the checkers against judges that try every order, in batches that can be gone on with.
#
# Usage: scripts/fuzz-checker.sh [SECONDS] [MODEL]...      (60 s for each of all models)
#
# The model "parsers" is none: it reads damaged files with every reader, and its impossible ones are those
# that were refused.
#
# Every batch has a seed of its own, one above the last of its model, and leaves a line in the record:
# model, seed, histories, how many of them are impossible. A disagreement prints the history and ends
# with exit 1. The record is target/proofs/fuzz-checker.txt, or FUZZ_RECORD. Batches of BATCH=20000.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-60}
shift || true
models=("$@")
[ $# -gt 0 ] || models=(register set repeats residue list transactions idempotent-retry counter queue unique-ids bank sessions
  old-reads key-value multi-register mutex sums fifo-queue unordered-queue set-with-remove lock parsers)
record=${FUZZ_RECORD:-target/proofs/fuzz-checker.txt}
batch=${BATCH:-20000}
mkdir -p "$(dirname "$record")"
touch "$record"
tests=$(cargo test --release --quiet -p splitbrain-workloads --lib --no-run --message-format json |
  sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
name=checker::fuzz::a_batch_of_random_histories_is_judged_as_every_order_judges_it
for model in "${models[@]}"; do
  end=$((SECONDS + seconds))
  while [ $SECONDS -lt $end ]; do
    last=$(awk -v m="$model" '$1 == m && $2 > last { last = $2 } END { print last + 0 }' "$record")
    out=$(SPLITBRAIN_FUZZ="$model $((last + 1)) $batch" SPLITBRAIN_FUZZ_RECORD=$record "$tests" --ignored --exact --nocapture "$name" 2>&1) || {
      echo "$out"
      exit 1
    }
  done
  awk -v m="$model" '$1 == m { n += $3; bad += $4 }
    END { printf "%-15s %12d histories so far, %12d impossible (%.0f %%), no disagreement\n", m, n, bad, n ? 100 * bad / n : 0 }' "$record"
done
