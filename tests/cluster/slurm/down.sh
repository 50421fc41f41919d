#!/usr/bin/env bash
# down.sh DIR: stop what up.sh DIR started, each process by its own pid file, and remove DIR.
set -uo pipefail
DIR=$(cd "${1:?usage: down.sh DIR}" 2>/dev/null && pwd -P) || exit 0
export SLURM_CONF=$DIR/etc/slurm.conf

pids=()
for file in "$DIR"/run/*.pid; do
  [ -s "$file" ] || continue
  pid=$(cat "$file"); name=$(basename "$file" .pid)
  # An old pid file may name somebody else's process: look before killing.
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "${name%-n*}" ] && pids+=("$pid")
done

if [ -s "$DIR/run/slurmctld.pid" ] && kill -0 "$(cat "$DIR/run/slurmctld.pid")" 2>/dev/null; then
  for job in $(timeout 10 squeue -h -o '%A' 2>/dev/null); do timeout 10 scancel "$job"; done
  for _ in $(seq 1 100); do [ -z "$(timeout 10 squeue -h 2>/dev/null)" ] && break; sleep 0.1; done
fi
[ ${#pids[@]} = 0 ] || kill -TERM "${pids[@]}" 2>/dev/null
for pid in "${pids[@]}"; do
  for _ in $(seq 1 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  kill -KILL "$pid" 2>/dev/null && echo "down.sh: $pid ignored TERM and was killed" >&2
done
for file in slurm.conf gres.conf; do
  [ "$(readlink "/etc/slurm/$file" 2>/dev/null)" = "$DIR/etc/$file" ] && rm -f "/etc/slurm/$file"
done
rm -rf "$DIR"
