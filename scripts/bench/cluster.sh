# Three nodes of a store on this machine, for the benchmarks that source this file.
#
# Sets: node, load (the programs), ip (an address of its own), out (a folder that goes at the end),
# pids (of the nodes that run). Ends what it started on every exit.
cargo build --release --quiet -p splitbrain-node
CARGO_TARGET_DIR=$PWD/target/bench cargo build --release --quiet --locked --manifest-path scripts/bench/Cargo.toml
node=$PWD/target/release/splitbrain-node load=$PWD/target/bench/release/splitbrain-bench

out=$(mktemp -d)
pids=()
stop() {
  for pid in "${pids[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  pids=()
}
clear_data() { rm -rf "$out"/n[123]; }
trap 'stop; rm -rf "$out"' EXIT

# An address of its own, so that two benchmarks on one machine do not meet.
ip=127.$((RANDOM % 200 + 20)).$((RANDOM % 256)).$((RANDOM % 200 + 20))

# Starts node $1 of three; what follows goes to it as flags, such as --set.
start_node() {
  local n=$1 m peers=()
  shift
  for m in 1 2 3; do [ $m = "$n" ] || peers+=(--peer "n$m=$ip:2200$m"); done
  "$node" --id "n$n" --cluster bench --data-dir "$out/n$n" --client-listen "$ip:2100$n" \
    --peer-listen "$ip:2200$n" "${peers[@]}" --profile raft "$@" 2>"$out/n$n.log" &
  pids+=($!)
}
start_store() {
  for n in 1 2 3; do start_node $n "$@"; done
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

leads_store() {
  curl -sf "http://$ip:2100$1/status" | grep -q '"role":"leader"'
}
leads_etcd() {
  local status
  status=$(curl -sf "http://$ip:2100$1/v3/maintenance/status" -d '{}') || return 1
  [ "$(sed -n 's/.*"member_id":"\([0-9]*\)".*/\1/p' <<<"$status")" = \
    "$(sed -n 's/.*"leader":"\([0-9]*\)".*/\1/p' <<<"$status")" ]
}
# The number of the node that leads the store or etcd ($1).
leader_of() {
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
