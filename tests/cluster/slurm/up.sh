#!/usr/bin/env bash
# up.sh DIR: start a private Slurm under DIR, for tests: every daemon on 127.0.0.1, several virtual nodes,
# fake GPUs that set CUDA_VISIBLE_DEVICES, accounting. No systemd, no containers, no cgroups. Idempotent.
# Needs root and the packages slurmctld slurmd slurm-client slurmdbd mariadb-server munge. Stop it: down.sh DIR
#
#   SLURM_UP_NODES  virtual nodes n1, n2, ..., each its own slurmd (2)
#   SLURM_UP_GPUS   fake GPUs per node (2)
#   SLURM_UP_CPUS   CPUs per node; may exceed the real ones (8)
#   SLURM_UP_MEM    memory per node in MiB (16000)
#   SLURM_UP_PORT   first of the ports used (16817)
set -euo pipefail
shopt -s inherit_errexit

DIR=${1:?usage: up.sh DIR}
mkdir -p "$DIR"; DIR=$(cd "$DIR" && pwd -P)
NODES=${SLURM_UP_NODES:-2}; GPUS=${SLURM_UP_GPUS:-2}; CPUS=${SLURM_UP_CPUS:-8}
MEM=${SLURM_UP_MEM:-16000}; PORT=${SLURM_UP_PORT:-16817}
DBD_PORT=$((PORT + 1)); SQL_PORT=$((PORT + 2)); SRUN_PORT=$((PORT + 100))
CONF=$DIR/etc/slurm.conf; MUNGE_SOCK=$DIR/run/munge.sock; SQL_SOCK=$DIR/run/mysql.sock
HOST=$(hostname -s)
say() { echo "up.sh: $*" >&2; }
die() { say "$*"; exit 1; }
alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }   # pidfile
wait_for() { for _ in $(seq 1 150); do "$@" > /dev/null 2>&1 && return; sleep 0.1; done; die "no answer: $*"; }

[ "$(id -u)" = 0 ] || die "must run as root"
for program in slurmctld slurmd slurmdbd squeue munged mariadbd mariadb-install-db; do
  command -v $program > /dev/null || die "$program: not found"
done
# The daemons bind to what the host name resolves to (NoInAddrAny).
case $(getent ahostsv4 "$HOST" | awk 'NR==1{print $1}') in
  127.*) ;;
  *) die "the host name $HOST does not resolve to 127.0.0.1; put '127.0.0.1 $HOST' into /etc/hosts" ;;
esac
# Snakemake's jobstep executor strips every SLURM_* variable, SLURM_CONF too, before it calls srun: the
# configuration must stand at the built-in place.
if [ -e /etc/slurm/slurm.conf ] && [ "$(readlink -f /etc/slurm/slurm.conf)" != "$CONF" ]; then
  die "/etc/slurm/slurm.conf belongs to somebody else; it is not touched"
fi
alive "$DIR/run/slurmctld.pid" && die "already running"

umask 022
mkdir -p "$DIR"/{etc,run,log,state,spool,dev} /etc/slurm
(umask 277; head -c 1024 /dev/urandom > "$DIR/etc/munge.key")

names=""; nodes=""; gres=""
for i in $(seq 1 "$NODES"); do
  n=n$i
  names=${names:+$names,}$n
  mkdir -p "$DIR/spool/$n" "$DIR/dev/$n"
  # gres/gpu wants a real device with the index at the end of its name: a clone of /dev/null.
  for g in $(seq 0 $((GPUS - 1))); do
    [ -c "$DIR/dev/$n/nvidia$g" ] || mknod -m 666 "$DIR/dev/$n/nvidia$g" c 1 3
    gres+="NodeName=$n Name=gpu Type=fake File=$DIR/dev/$n/nvidia$g"$'\n'
  done
  nodes+="NodeName=$n NodeHostname=$HOST NodeAddr=127.0.0.1 Port=$((PORT + 10 + i)) CPUs=$CPUS"
  nodes+=" RealMemory=$MEM Gres=gpu:fake:$GPUS State=UNKNOWN"$'\n'
done
printf '%s' "$gres" > "$DIR/etc/gres.conf"

cat > "$CONF" <<CONF
ClusterName=local
SlurmctldHost=$HOST(127.0.0.1)
SlurmctldPort=$PORT
SrunPortRange=$SRUN_PORT-$((SRUN_PORT + 99))
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
# cred_expire is also how long a requeued job waits (default 120 s).
AuthInfo=socket=$MUNGE_SOCK,cred_expire=5
StateSaveLocation=$DIR/state
SlurmctldPidFile=$DIR/run/slurmctld.pid
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdSpoolDir=$DIR/spool/%n
SlurmdPidFile=$DIR/run/slurmd-%n.pid
SlurmdLogFile=$DIR/log/slurmd-%n.log
SlurmctldDebug=info
SlurmdDebug=info
MpiDefault=none
SwitchType=switch/none
# No cgroups.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
# Believe this file, not the hardware (more CPUs than there are).
SlurmdParameters=config_overrides
PropagateResourceLimits=NONE
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=2,bf_interval=2
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$DBD_PORT
AccountingStorageUser=root
AccountingStoragePass=$MUNGE_SOCK
AccountingStorageTRES=gres/gpu
AccountingStoreFlags=job_comment
# Slurm's defaults, which users meet: how long a job that has ended stays in squeue, and how long a command waits
# for a controller that is away.
MinJobAge=300
SlurmctldTimeout=120
# A step that cannot report its end while the controller is away tries again after a minute: no reason to drain
# its node ("Kill task failed").
UnkillableStepTimeout=300
# Quick, for tests.
KillWait=2
SlurmdTimeout=10
MessageTimeout=10
InactiveLimit=0
CompleteWait=0
Waittime=0
ReturnToService=2
GresTypes=gpu
$nodes
PartitionName=main   Nodes=$names Default=YES State=UP MaxTime=60 DefaultTime=10 PriorityTier=1  PreemptMode=REQUEUE
PartitionName=one    Nodes=n1     Default=NO  State=UP MaxTime=60 DefaultTime=10 PriorityTier=1  PreemptMode=REQUEUE
PartitionName=urgent Nodes=$names Default=NO  State=UP MaxTime=60 DefaultTime=10 PriorityTier=10 PreemptMode=OFF
CONF
(umask 077; cat > "$DIR/etc/slurmdbd.conf" <<CONF
AuthType=auth/munge
AuthInfo=socket=$MUNGE_SOCK
DbdHost=$HOST
DbdAddr=127.0.0.1
DbdPort=$DBD_PORT
CommunicationParameters=NoInAddrAny
SlurmUser=root
CommitDelay=1
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$SQL_PORT
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
PidFile=$DIR/run/slurmdbd.pid
LogFile=$DIR/log/slurmdbd.log
DebugLevel=info
CONF
)
export SLURM_CONF=$CONF
ln -sfn "$CONF" /etc/slurm/slurm.conf
ln -sfn "$DIR/etc/gres.conf" /etc/slurm/gres.conf

rm -f "$MUNGE_SOCK" "$MUNGE_SOCK.lock"
munged --key-file="$DIR/etc/munge.key" --socket="$MUNGE_SOCK" --pid-file="$DIR/run/munged.pid" \
  --log-file="$DIR/log/munged.log" --seed-file="$DIR/state/munged.seed" --origin=127.0.0.1

mariadb-install-db --no-defaults --datadir="$DIR/mysql" --user=root \
  --auth-root-authentication-method=socket --skip-test-db > "$DIR/log/mariadb-install.log" 2>&1
setsid mariadbd --no-defaults --user=root --datadir="$DIR/mysql" --socket="$SQL_SOCK" \
  --pid-file="$DIR/run/mariadbd.pid" --bind-address=127.0.0.1 --port=$SQL_PORT \
  --innodb-buffer-pool-size=64M --innodb-flush-log-at-trx-commit=2 --skip-name-resolve \
  --innodb-lock-wait-timeout=900 --performance-schema=OFF > "$DIR/log/mariadbd.log" 2>&1 < /dev/null &
wait_for mariadb-admin --no-defaults --socket="$SQL_SOCK" ping
mariadb --no-defaults --socket="$SQL_SOCK" -e \
  "CREATE USER slurm@'127.0.0.1' IDENTIFIED BY 'slurm'; GRANT ALL ON slurm_acct_db.* TO slurm@'127.0.0.1';"

slurmdbd   # reads the slurmdbd.conf beside $SLURM_CONF
wait_for sacctmgr -n list cluster
sacctmgr -i add cluster local > /dev/null
slurmctld -f "$CONF"
for i in $(seq 1 "$NODES"); do slurmd -f "$CONF" -N "n$i"; done

ready() { [ "$(sinfo -h -p main -N -o '%T' | grep -cx idle)" = "$NODES" ]; }
wait_for ready
say "up: $(sinfo -h -p main -o '%D nodes, %C CPUs (allocated/idle/other/total), %G')"
