#!/usr/bin/env bash
# Compares the built-in store with etcd: three nodes each on this machine, in turn, A/B/A/B.
#
# Usage: scripts/bench-store.sh [ROUNDS] [SECONDS]      (5 rounds of 3 s a cell)
#
# Store: profile raft, everything on, fsync on every node, HTTP/JSON. etcd: the one on PATH with its
# defaults, fsync on every node, gRPC. Both: 10 000 keys, 256-byte values, one connection a client,
# all requests to the leader, one second of warming up. Prints every cell, and for each kind of load
# the median over the rounds of the ratio store : etcd within a round.
#
# A cell in which other programs took more than 10 % of the machine is void, and so is its ratio.
# With fewer than five ratios for a kind of load there is no result: exit 3.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-5} seconds=${2:-3}
loads=('put 1' 'put 64' 'get 64')
foreign_max=10
command -v etcd >/dev/null || { echo "etcd: not found on PATH; help: install etcd-server" >&2; exit 2; }
command -v curl >/dev/null || { echo "curl: not found on PATH" >&2; exit 2; }

cargo build --release --quiet -p splitbrain-node
CARGO_TARGET_DIR=$PWD/target/bench cargo build --release --quiet --locked --manifest-path scripts/bench/Cargo.toml
node=$PWD/target/release/splitbrain-node load=$PWD/target/bench/release/splitbrain-bench

out=$(mktemp -d)
pids=()
stop() {
  for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  pids=()
  rm -rf "$out"/n[123]
}
trap 'stop; rm -rf "$out"' EXIT

# An address of its own, so that two benchmarks on one machine do not meet.
ip=127.$((RANDOM % 200 + 20)).$((RANDOM % 256)).$((RANDOM % 200 + 20))

start_store() {
  local n m peers
  for n in 1 2 3; do
    peers=()
    for m in 1 2 3; do [ $m = $n ] || peers+=(--peer "n$m=$ip:2200$m"); done
    "$node" --id n$n --cluster bench --data-dir "$out/n$n" --client-listen $ip:2100$n \
      --peer-listen $ip:2200$n "${peers[@]}" --profile raft 2>"$out/n$n.log" &
    pids+=($!)
  done
}

start_etcd() {
  local n cluster="n1=http://$ip:22001,n2=http://$ip:22002,n3=http://$ip:22003"
  for n in 1 2 3; do
    etcd --name n$n --data-dir "$out/n$n" --initial-cluster "$cluster" --logger zap \
      --listen-client-urls http://$ip:2100$n --advertise-client-urls http://$ip:2100$n \
      --listen-peer-urls http://$ip:2200$n --initial-advertise-peer-urls http://$ip:2200$n \
      >"$out/n$n.log" 2>&1 &
    pids+=($!)
  done
}

# The number of the node that leads, or nothing.
leads_store() {
  curl -sf "http://$ip:2100$1/status" | grep -q '"role":"leader"'
}
leads_etcd() {
  local status
  status=$(curl -sf "http://$ip:2100$1/v3/maintenance/status" -d '{}') || return 1
  [ "$(sed -n 's/.*"member_id":"\([0-9]*\)".*/\1/p' <<<"$status")" = \
    "$(sed -n 's/.*"leader":"\([0-9]*\)".*/\1/p' <<<"$status")" ]
}
leader_of() { # target
  local _ n
  for _ in $(seq 300); do
    for n in 1 2 3; do
      if "leads_$1" $n 2>/dev/null; then echo $n; return; fi
    done
    sleep 0.05
  done
  echo "$1: no leader within 15 s" >&2
  cat "$out"/n?.log >&2
  return 1
}

printf 'store  %s, profile raft, fdatasync on all nodes, HTTP/JSON\n' "$("$node" --version)"
printf 'etcd   %s, defaults, fsync on all nodes, gRPC\n' "$(etcd --version | head -n 1)"
printf 'The store has no revisions, watches, leases or authentication and keeps all keys in memory;\n'
printf 'etcd has no switches. Both have transactions; neither encrypts here.\n\n'
printf '%-6s %-8s %-7s %10s %9s %9s %9s\n' round load target per_s p50_ms p99_ms others_%
: >"$out/cells"
for round in $(seq "$rounds"); do
  for target in store etcd; do
    "start_$target"
    leader=$(leader_of $target)
    for kind in "${loads[@]}"; do
      read -r operation clients <<<"$kind"
      arguments=()
      for pid in "${pids[@]}"; do arguments+=(--pid "$pid"); done
      numbers=$("$load" --target $target --address $ip:2100"$leader" --operation "$operation" \
        --clients "$clients" --seconds "$seconds" "${arguments[@]}")
      read -r rate p50 p99 foreign <<<"$numbers"
      printf '%-6s %-8s %-7s %10s %9s %9s %9s\n' "$round" "$operation-$clients" $target \
        "$rate" "$p50" "$p99" "$foreign"
      echo "$round $operation-$clients $target $rate $p99 $foreign" >>"$out/cells"
    done
    stop
  done
done

# One ratio per round and load, from cells that other programs left alone.
awk -v most="$foreign_max" '
  $6 > most { void[$1, $2] = 1 }
  { rate[$1, $2, $3] = $4; p99[$1, $2, $3] = $5; rounds[$1]; loads[$2] }
  END {
    for (load in loads) {
      count = 0; slower = 0; voids = 0
      for (round in rounds) {
        if ((round, load) in void) { voids++; continue }
        ratio[++count] = rate[round, load, "store"] / rate[round, load, "etcd"]
        if (p99[round, load, "store"] > p99[round, load, "etcd"]) slower++
      }
      for (i = 2; i <= count; i++)
        for (j = i; j > 1 && ratio[j - 1] > ratio[j]; j--) {
          swap = ratio[j]; ratio[j] = ratio[j - 1]; ratio[j - 1] = swap
        }
      if (count < 5) {
        printf "%-8s no result: %d of at least 5 rounds count, %d are void\n", load, count, voids
        short = 1
        continue
      }
      median = count % 2 ? ratio[(count + 1) / 2] : (ratio[count / 2] + ratio[count / 2 + 1]) / 2
      printf "%-8s store : etcd %.2f (%.2f to %.2f over %d rounds, %d void); p99 worse in %d\n",
        load, median, ratio[1], ratio[count], count, voids, slower
    }
    exit short ? 3 : 0
  }' "$out/cells"
