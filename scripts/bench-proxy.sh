#!/bin/sh
# Measures what the proxies between the nodes cost: a direct connection, a plain copy loop and our
# proxy by turns in one run, and how exact short delays are. Takes two minutes once built. Exit 1
# when a bar is not met.
#
# First with everything on one processor, where a round trip shows what a proxy does and not how
# long it takes to wake another processor; then on all of them.
set -eu
cd "$(dirname "$0")/.."
cargo build --quiet --release -p splitbrain --example bench_proxy
bench=target/release/examples/bench_proxy
[ -x "$bench" ] || bench=${CARGO_TARGET_DIR:?}/release/examples/bench_proxy
missed=0
taskset -c 0 "$bench" || missed=1
echo
"$bench" || missed=1
exit "$missed"
