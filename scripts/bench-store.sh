#!/usr/bin/env bash
# Compares the built-in store with etcd: three nodes each on this machine, in turn, A/B/A/B.
#
# Usage: scripts/bench-store.sh [ROUNDS] [SECONDS] [LOAD]      (5 rounds of 3 s a cell)
#   LOAD, such as 'put 1', is the only one then, and async is left out.
#
# store: profile raft, everything on, HTTP/JSON. etcd: the one on PATH with its defaults, gRPC, its
# best interface; etcd-json: the same by its JSON gateway. async: the store with
# replication=async, what a majority costs. All: fsync on every node, 10 000 keys, 256-byte values,
# one connection a client, all requests to the leader, one second of warming up. Prints every cell,
# and for each kind of load the median over the rounds of the ratio within a round.
#
# A cell in which other programs took more than 10 % of the machine is void, and so is its ratio.
# With fewer than five ratios for a kind of load there is no result: exit 3.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-5} seconds=${2:-3} only=${3:-}
foreign_max=10
command -v etcd >/dev/null || { echo "etcd: not found on PATH; help: install etcd-server" >&2; exit 2; }
command -v curl >/dev/null || { echo "curl: not found on PATH" >&2; exit 2; }
. scripts/bench/cluster.sh

# What is asked of a target.
loads_of() {
  if [ -n "$only" ]; then
    printf '%s\n' "$only"
    return
  fi
  case $1 in
    async) echo 'put 64' ;;
    *) printf '%s\n' 'put 1' 'put 64' 'get 64' ;;
  esac
}
start() {
  case $1 in
    store) start_store ;;
    async) start_store --set replication=async ;;
    etcd | etcd-json) start_etcd ;;
  esac
}

printf 'store      %s, profile raft, fdatasync on all nodes, HTTP/JSON\n' "$("$node" --version)"
printf 'etcd       %s, defaults, fsync on all nodes, gRPC\n' "$(etcd --version | head -n 1)"
printf 'etcd-json  the same by its JSON gateway\n'
printf 'async      the store with replication=async\n'
printf 'The store has no revisions, watches or authentication and keeps all keys in memory;\n'
printf 'etcd has no switches. Both have transactions; neither encrypts here.\n\n'
printf '%-6s %-8s %-10s %10s %9s %9s %9s\n' round load target per_s p50_ms p99_ms others_%
: >"$out/cells"
for round in $(seq "$rounds"); do
  targets=(store etcd etcd-json)
  [ -n "$only" ] || targets+=(async)
  for target in "${targets[@]}"; do
    start $target
    case $target in etcd*) leader=$(leader_of etcd) ;; *) leader=$(leader_of store) ;; esac
    speaks=$target
    [ $target != async ] || speaks=store
    while read -r operation clients; do
      arguments=()
      for pid in "${pids[@]}"; do arguments+=(--pid "$pid"); done
      numbers=$("$load" load --target "$speaks" --address $ip:2100"$leader" --operation "$operation" \
        --clients "$clients" --seconds "$seconds" "${arguments[@]}")
      read -r rate p50 p99 foreign <<<"$numbers"
      printf '%-6s %-8s %-10s %10s %9s %9s %9s\n' "$round" "$operation-$clients" $target \
        "$rate" "$p50" "$p99" "$foreign"
      echo "$round $operation-$clients $target $rate $p99 $foreign" >>"$out/cells"
    done < <(loads_of $target)
    stop
    clear_data
  done
done

# One ratio per round, load and other target, from cells that other programs left alone.
awk -v most="$foreign_max" '
  $6 > most { void[$1, $2, $3] = 1 }
  { rate[$1, $2, $3] = $4; p99[$1, $2, $3] = $5; rounds[$1]; if ($3 != "store") pair[$2 " " $3] }
  END {
    for (both in pair) {
      split(both, names, " "); load = names[1]; other = names[2]
      count = 0; slower = 0; voids = 0; delete ratio
      for (round in rounds) {
        if ((round, load, "store") in void || (round, load, other) in void) { voids++; continue }
        ratio[++count] = rate[round, load, "store"] / rate[round, load, other]
        if (p99[round, load, "store"] > p99[round, load, other]) slower++
      }
      for (i = 2; i <= count; i++)
        for (j = i; j > 1 && ratio[j - 1] > ratio[j]; j--) {
          swap = ratio[j]; ratio[j] = ratio[j - 1]; ratio[j - 1] = swap
        }
      if (count < 5) {
        printf "%-8s store : %-10s no result: %d of at least 5 rounds count, %d are void\n",
          load, other, count, voids
        short = 1
        continue
      }
      median = count % 2 ? ratio[(count + 1) / 2] : (ratio[count / 2] + ratio[count / 2 + 1]) / 2
      printf "%-8s store : %-10s %.2f (%.2f to %.2f over %d rounds, %d void); p99 worse in %d\n",
        load, other, median, ratio[1], ratio[count], count, voids, slower
    }
    exit short ? 3 : 0
  }' "$out/cells"
