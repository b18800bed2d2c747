#!/usr/bin/env bash
# What a node of the built-in store takes: resident memory and the time to start.
#
# Usage: scripts/bench-footprint.sh [ROUNDS]      (5 rounds)
#
# Three nodes, profile raft, on this machine. Each round prints, for the greatest of the three nodes:
#   idle_MiB    resident memory of a new cluster that has elected a leader
#   loaded_MiB  the same after 10 000 keys of 256 bytes were written, once each, by 64 clients
#   start_ms    from starting a process on a data directory whose log holds 100 000 entries (no
#               snapshot: all are read and checked) to its first answer to GET /status
# and the medians. Memory hardly depends on what else runs; start_ms does.
set -eu
cd "$(dirname "$0")/.."
rounds=${1:-5}
command -v curl >/dev/null || { echo "curl: not found on PATH" >&2; exit 2; }
. scripts/bench/cluster.sh

# The resident memory of the node that takes most, in MiB.
resident() {
  local pid
  for pid in "${pids[@]}"; do awk '/^VmRSS/ { print $2 / 1024 }' "/proc/$pid/status"; done | sort -n | tail -n 1
}
fill() { "$load" load --target store --address "$ip:2100$(leader_of store)" --operation put --clients 64 --count "$1"; }
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

printf '%-6s %9s %11s %9s\n' round idle_MiB loaded_MiB start_ms
for round in $(seq "$rounds"); do
  start_store --set snapshot-entries=1000000
  leader_of store >/dev/null
  idle=$(resident)
  fill 10000
  loaded=$(resident)
  fill 90000
  stop
  # A node alone finds no majority, so that nothing but its start is measured.
  began=$(date +%s%N)
  start_node 1 --set snapshot-entries=1000000
  until curl -sf -o "$out/status" "http://$ip:21001/status"; do sleep 0.005; done
  took=$((($(date +%s%N) - began) / 1000000))
  received=$(sed -n 's/.*"received":\([0-9]*\).*/\1/p' "$out/status")
  if [ "${received:-0}" -lt 100000 ]; then
    echo "n1 remembers ${received:-no} entries, expected 100000: $(cat "$out/status")" >&2
    exit 1
  fi
  stop
  clear_data
  printf '%-6s %9.1f %11.1f %9s\n' "$round" "$idle" "$loaded" "$took"
  echo "$idle" >>"$out/idle"; echo "$loaded" >>"$out/loaded"; echo "$took" >>"$out/took"
done
printf '%-6s %9.1f %11.1f %9s\n' median "$(median <"$out/idle")" "$(median <"$out/loaded")" "$(median <"$out/took")"
