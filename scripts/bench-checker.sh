#!/usr/bin/env bash
# How fast the judge is, held against its bars. Prints every figure; exit 1 if a bar does not hold.
#
# Usage: scripts/bench-checker.sh [HISTORIES]
#   a folder of recorded histories; default SPLITBRAIN_HISTORIES, without which the corpus is not measured
#
# Histories are made in this process by a right register under busy clients (one hot key): half
# reads, a tenth compare-and-sets, the rest writes of values that are each written once. One thread;
# rates are by the time that it was on a core.
#
#   memory    1 M and 10 M operations in memory, 5 to 50 clients, 0 to 5 % never answered: 15 M/s
#   watch     1 M operations event by event through the watch of a run: at least 1 M/s, twenty times
#             what the clients of a run have been seen to do
#   file      1 M from JSON lines to the verdict: at most 1.5 times a bare typed parse of the file
#   stream    100 M operations, none of which is kept: at most 8 GB
#   porcupine a port of Porcupine to Rust (porcupine-rs) on the same small histories, for the ratio
#   corpus    the folder's porcupine/jepsen-etcd within 5 ms, its knossos within 100 ms
#
# With less memory or time: STREAM=10000000 scripts/bench-checker.sh
set -eu
cd "$(dirname "$0")/.."
CARGO_TARGET_DIR=$PWD/target/bench cargo build --release --quiet --locked --manifest-path scripts/bench-checker/Cargo.toml
bench=$PWD/target/bench/release/splitbrain-bench-checker
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
missed=0
bar() { # figure comparison limit name
  if awk -v x="$1" -v y="$3" "BEGIN { exit !(x $2 y) }"; then return; fi
  echo "MISSED: $4 is $1, expected $2 $3"
  missed=1
}

echo 'memory      ops  clients  unanswered_%  M_ops/s  verdict'
for ops in 1000000 10000000; do
  for cell in '5 0' '20 1' '50 5'; do
    read -r clients unanswered <<<"$cell"
    read -r _ rate verdict < <("$bench" memory --ops $ops --clients "$clients" --indeterminate "$unanswered")
    printf 'memory %8s  %7s  %12s  %7s  %s\n' $ops "$clients" "$unanswered" "$rate" "$verdict"
    bar "$rate" '>=' 15 "the rate of $ops operations of $clients clients"
    [ "$verdict" = pass ] || { echo "MISSED: judged $verdict"; missed=1; }
  done
done
read -r _ rate verdict < <("$bench" memory --stale --rounds 1)
printf 'memory %8s  %7s  %12s  %7s  %s   (one stale read)\n' 1000000 20 1 "$rate" "$verdict"
[ "$verdict" = fail ] || { echo "MISSED: judged $verdict"; missed=1; }

for cell in '5 0' '50 5'; do
  read -r clients unanswered <<<"$cell"
  read -r rate peak saw < <("$bench" watch --ops 1000000 --clients "$clients" --indeterminate "$unanswered")
  echo "watch     1 M operations of $clients clients, $unanswered % unanswered: $rate M/s, peak $peak MB, saw $saw"
  bar "$rate" '>=' 1 "the rate of the watch with $clients clients"
  [ "$saw" = nothing ] || { echo "MISSED: saw a $saw"; missed=1; }
done
read -r rate peak saw < <("$bench" watch --stale --rounds 1)
[ "$saw" = violation ] || { echo "MISSED: the watch saw nothing of a stale read"; missed=1; }

read -r ours parse ratio < <("$bench" file --path "$out/history.jsonl")
echo "file      1 M operations: to the verdict $ours ms, bare typed parse $parse ms, ratio $ratio"
bar "$ratio" '<=' 1.5 'the ratio to a bare typed parse'

stream=${STREAM:-100000000}
read -r both alone peak verdict < <("$bench" stream --ops "$stream" --clients 50)
echo "stream    $stream operations: $both s, of which $alone s make them; peak $peak MB; $verdict"
bar "$peak" '<=' 8192 'the peak of memory in MB'
[ "$verdict" = pass ] || { echo "MISSED: judged $verdict"; missed=1; }

for cell in '1000 5' '10000 5' '1000 10' '10000 10' '1000 20'; do
  read -r ops clients <<<"$cell"
  read -r ours its verdict < <("$bench" porcupine --ops "$ops" --clients "$clients")
  awk -v o="$ours" -v i="$its" -v n="$ops" -v c="$clients" -v v="$verdict" 'BEGIN {
    printf "porcupine %6d operations, %2d clients: ours %.3f ms, its %.1f ms (%s), ratio %.0f\n",
      n, c, o, i, v, i / o }'
done

histories=${1:-${SPLITBRAIN_HISTORIES:-}}
if [ -z "$histories" ]; then
  echo 'corpus    not measured: no folder of recorded histories was given'
else
  read -r count all longest name < <("$bench" corpus "$histories/porcupine/jepsen-etcd")
  echo "corpus    $count etcd logs in $all ms, the longest $longest ms"
  bar "$all" '<=' 5 'the time of the etcd logs in ms'
  read -r count all longest name < <(find "$histories/knossos" -type f -exec "$bench" corpus {} +)
  echo "corpus    $count knossos histories in $all ms, the longest $longest ms (${name##*/})"
  bar "$all" '<=' 100 'the time of the knossos histories in ms'
  read -r count all longest name < <("$bench" corpus "$histories/porcupine/kv")
  echo "corpus    $count maps of strings in $all ms, the longest $longest ms (${name##*/})"
fi
exit $missed
