#!/usr/bin/env bash
# Measures failovers of the built-in store: three nodes on this machine, the leader is struck, and
# clients that try the survivors wait for their next acknowledged write.
#
# Usage: scripts/bench-failover.sh [TRIALS]      (20 trials of each kind)
#
# Profile raft, everything on, fsync on every node. Four kinds of trials: SIGKILL, whose closed
# connection hastens suspicion, and SIGSTOP, of which only silence tells, each with the default
# time-outs and with fast ones (the flags below). A struck leader comes back after its trial, and the
# next trial begins when all three nodes have agreed on a leader.
#
# Prints every trial, and of each kind the median, least and most beside its target. A trial in which
# other programs took more than 10 % of the machine is void. With fewer than half of a kind's trials
# there is no result for it: exit 3. A median beyond its target: exit 1.
set -eu
cd "$(dirname "$0")/.."
trials=${1:-20}
foreign_max=10
default=()
fast=(--set heartbeat=15ms --set election-timeout=75ms)
# Time-outs, signal, target in milliseconds.
kinds=('default kill 150' 'default stop 500' 'fast kill 60' 'fast stop 150')
command -v curl >/dev/null || { echo "curl: not found on PATH" >&2; exit 2; }
. scripts/bench/cluster.sh

# The number of the node that leads, once it leads alone and all three are in one epoch.
agreed() {
  local _ n says epochs leads
  for _ in $(seq 600); do
    epochs=() leads=()
    for n in 1 2 3; do
      says=$(curl -sf -m 1 "http://$ip:2100$n/metrics") || continue
      epochs+=("$(awk '$1 == "splitbrain_epoch" { print $2 }' <<<"$says")")
      if grep -qx 'splitbrain_is_leader 1' <<<"$says"; then leads+=($n); fi
    done
    if [ "${#epochs[@]},${#leads[@]}" = 3,1 ] && [ "${epochs[0]},${epochs[1]}" = "${epochs[1]},${epochs[2]}" ]; then
      echo "${leads[0]}"
      return
    fi
    sleep 0.05
  done
  echo "the nodes do not agree on a leader within 30 s" >&2
  cat "$out"/n?.log >&2
  return 1
}

printf 'store  %s, profile raft, fdatasync on all nodes, three nodes\n' "$("$node" --version)"
printf 'fast   %s\n\n' "${fast[*]}"
printf '%-8s %-6s %-6s %9s %9s\n' timeouts signal trial ms others_%
: >"$out/trials"
for kind in "${kinds[@]}"; do
  read -r timeouts signal target <<<"$kind"
  declare -n flags=$timeouts
  start_store "${flags[@]}"
  for trial in $(seq "$trials"); do
    victim=$(agreed)
    arguments=(--victim "${pids[victim - 1]}" --signal "$signal")
    for n in 1 2 3; do
      [ $n = "$victim" ] || arguments+=(--survivor "$ip:2100$n" --pid "${pids[n - 1]}")
    done
    numbers=$("$load" failover "${arguments[@]}")
    read -r took foreign <<<"$numbers"
    printf '%-8s %-6s %-6s %9s %9s\n' "$timeouts" "$signal" "$trial" "$took" "$foreign"
    echo "$timeouts-$signal $target $took $foreign" >>"$out/trials"
    if [ "$signal" = kill ]; then
      wait "${pids[victim - 1]}" 2>/dev/null || true
      start_node "$victim" "${flags[@]}"
      # It takes the place of the one that is gone.
      pids[victim - 1]=${pids[-1]}
      unset 'pids[-1]'
    else
      kill -CONT "${pids[victim - 1]}"
    fi
  done
  stop
  clear_data
done

echo
sort -k1,1 -k3,3n "$out/trials" | awk -v most="$foreign_max" -v trials="$trials" '
  !($1 in target) { order[++kinds] = $1 }
  { target[$1] = $2 }
  $4 > most { void[$1]++; next }
  { took[$1, ++count[$1]] = $3 }
  END {
    for (i = 1; i <= kinds; i++) {
      kind = order[i]
      n = count[kind] + 0
      if (n * 2 < trials) {
        printf "%-13s no result: %d of %d trials count, %d are void\n", kind, n, trials, void[kind]
        short = 1
        continue
      }
      median = n % 2 ? took[kind, (n + 1) / 2] : (took[kind, n / 2] + took[kind, n / 2 + 1]) / 2
      met = median <= target[kind]
      printf "%-13s median %.0f ms (%.0f to %.0f over %d trials, %d void), target %d ms: %s\n",
        kind, median, took[kind, 1], took[kind, n], n, void[kind], target[kind],
        met ? "met" : "MISSED"
      if (!met) missed = 1
    }
    exit missed ? 1 : short ? 3 : 0
  }'
