#!/usr/bin/env bash
# Prints the processes whose working directory lies in a folder, one pid a line: those of the runs
# whose folders lie there, and nobody else's, so that several proofs can look at the same time.
# Usage: scripts/left-in.sh FOLDER      (an absolute path). Called by prove-clean.sh and soak.sh.
set -eu
# A folder that was removed meanwhile has " (deleted)" behind its name, which the pattern covers.
find /proc -mindepth 2 -maxdepth 2 -name cwd -lname "$1/*" 2>/dev/null | while IFS=/ read -r _ _ pid _; do
  # The dead hold nothing; one that ended since is no process.
  grep -qs '^State:.[^ZX]' "/proc/$pid/status" && echo "$pid"
done || true
