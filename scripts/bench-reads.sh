#!/usr/bin/env bash
# Read throughput of the store against its number of nodes.
#
# Usage: scripts/bench-reads.sh [ROUNDS] [SECONDS]      (5 rounds of 3 s a cell)
#
# Clusters of 1, 3 and 5 nodes, profile raft, 64 clients, 10 000 keys, 256-byte values:
#   read-index  linearizable, all clients at the leader
#   lease       the same with reads=lease
#   local       consistency=local, clients spread over all nodes
#   any         reads=any, clients spread over all nodes
#
# All nodes and the clients share this machine, so more nodes answer more only while processors are
# free; the table says how many there are. Prints every cell and the medians. A cell in which other
# programs took more than 10 % of the machine is void; without three valid cells there is no median.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-5} seconds=${2:-3}
foreign_max=10 clients=64
command -v curl >/dev/null || { echo "curl: not found on PATH" >&2; exit 2; }
. scripts/bench/cluster.sh

# Starts so many nodes; what follows goes to each as flags.
start_nodes() {
  local count=$1 n m peers
  shift
  for n in $(seq "$count"); do
    peers=()
    for m in $(seq "$count"); do [ "$m" = "$n" ] || peers+=(--peer "n$m=$ip:2200$m"); done
    "$node" --id "n$n" --cluster bench --data-dir "$out/n$n" --client-listen "$ip:2100$n" \
      --peer-listen "$ip:2200$n" "${peers[@]}" --profile raft "$@" 2>"$out/n$n.log" &
    pids+=($!)
  done
}

# The number of the one that leads so many nodes.
leader_among() {
  local n
  for _ in $(seq 300); do
    for n in $(seq "$1"); do
      if leads_store "$n" 2>/dev/null; then echo "$n"; return; fi
    done
    sleep 0.05
  done
  echo "no leader within 15 s" >&2
  cat "$out"/n?.log >&2
  return 1
}

printf '%s, %s processors for nodes and clients together\n\n' "$("$node" --version)" "$(nproc)"
printf '%-6s %-6s %-11s %10s %9s %9s %9s\n' round nodes reads per_s p50_ms p99_ms others_%
: >"$out/cells"
for round in $(seq "$rounds"); do
  for count in 1 3 5; do
    for reads in read-index lease local any; do
      flags=(--set reads="$reads") operation=get
      if [ $reads = local ]; then flags=() operation=get-local; fi
      start_nodes "$count" "${flags[@]}"
      leader=$(leader_among "$count")
      # The leader first: the keys are written there.
      addresses=(--address "$ip:2100$leader")
      case $reads in
        local | any)
          for n in $(seq "$count"); do
            [ "$n" = "$leader" ] || addresses+=(--address "$ip:2100$n")
          done
          ;;
      esac
      arguments=()
      for pid in "${pids[@]}"; do arguments+=(--pid "$pid"); done
      numbers=$("$load" load --target store "${addresses[@]}" --operation $operation \
        --clients $clients --seconds "$seconds" "${arguments[@]}")
      read -r rate p50 p99 foreign <<<"$numbers"
      printf '%-6s %-6s %-11s %10s %9s %9s %9s\n' "$round" "$count" $reads \
        "$rate" "$p50" "$p99" "$foreign"
      echo "$count $reads $rate $foreign" >>"$out/cells"
      stop
      rm -rf "$out"/n?
    done
  done
done

printf '\n%-6s %-11s %12s\n' nodes reads median_per_s
sort -k1,1n -k2,2 -k3,3n "$out/cells" | awk -v most="$foreign_max" '
  function tell() {
    if (!name) return
    if (count < 3) { printf "%-19s no result: %d of at least 3 cells count\n", name, count; short = 1 }
    else printf "%-19s %11.0f\n", name,
      count % 2 ? rate[(count + 1) / 2] : (rate[count / 2] + rate[count / 2 + 1]) / 2
  }
  { this = sprintf("%-6s %-11s", $1, $2) }
  this != name { tell(); name = this; count = 0 }
  $4 <= most { rate[++count] = $3 }
  END { tell(); exit short ? 3 : 0 }'
