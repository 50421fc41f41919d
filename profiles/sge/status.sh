#!/usr/bin/env bash
# status.sh JOB: what Snakemake asks of a Grid Engine job: running, success or failed.
if ! jobs=$(qstat -u '*' 2> /dev/null); then
  echo running   # the master does not answer now
  exit
fi
case $(awk -v job="$1" '$1 == job {print $5}' <<< "$jobs") in
  "") ;;
  *E*) qdel "$1" > /dev/null; echo failed; exit ;;   # it cannot start, and would wait for an administrator
  *) echo running; exit ;;
esac
# A job leaves qstat before its line is in the accounting; of a job that ran again, the last line counts.
for _ in 1 2 3 4 5 6; do
  ended=$(qacct -j "$1" 2> /dev/null | awk '$1 == "failed" {f = $2} $1 == "exit_status" {e = $2} END {print f e}')
  case $ended in
    "") sleep 5 ;;
    00) echo success; exit ;;
    *) break ;;
  esac
done
echo failed
