#!/bin/sh
# Measures what the proxies between the nodes cost: a direct connection, a plain copy loop and our
# proxy by turns in one run, and how exact short delays are. Takes about a minute once built.
set -eu
cd "$(dirname "$0")/.."
exec cargo run --quiet --release -p splitbrain --example bench_proxy
