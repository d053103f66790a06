#!/usr/bin/env bash
# A real SLURM on this one machine, for tests: no systemd, no accounting database, no cgroups, and GPUs that
# are twins of /dev/null (counted and handed out, never opened). Everything lies in one folder of its own.
#   mini-slurm.sh start | env | stop        MINI_SLURM_DIR: the folder       MINI_SLURM_GPUS: how many (2)
# Needs root and the Debian packages slurmctld slurmd slurm-client munge. After start: eval "$(mini-slurm.sh env)"
set -euo pipefail
DIR=${MINI_SLURM_DIR:?set MINI_SLURM_DIR to a folder for configuration, logs and sockets}
GPUS=${MINI_SLURM_GPUS:-2}
HOST=$(hostname -s)
export SLURM_CONF=$DIR/slurm.conf
PATH=$PATH:/usr/sbin:/sbin # munged, slurmctld and slurmd are there, and not in every login's path

start_munge() { # with a key and a socket of its own, so that the machine's munge is not touched
  mkdir -p "$DIR/munge"
  chmod 755 "$DIR" "$DIR/munge"
  dd if=/dev/urandom bs=1 count=1024 of="$DIR/munge/key" status=none
  chmod 400 "$DIR/munge/key"
  munged --force --key-file="$DIR/munge/key" --socket="$DIR/munge/socket" --pid-file="$DIR/munge/pid" \
    --log-file="$DIR/munge/log" --seed-file="$DIR/munge/seed"
}

make_gpus() {
  : >"$DIR/gres.conf"
  [ "$GPUS" -gt 0 ] || return 0
  mkdir -p "$DIR/dev"
  for i in $(seq 0 $((GPUS - 1))); do mknod "$DIR/dev/gpu$i" c 1 3; done
  echo "NodeName=$HOST Name=gpu File=$DIR/dev/gpu[0-$((GPUS - 1))]" >"$DIR/gres.conf"
}

configure() {
  # Release 22 wants a cgroup plugin although nothing here uses it; from 23 on it can be switched off.
  if [ "$(slurmd -V | grep -oE '[0-9]+' | head -n 1)" -ge 23 ]; then
    echo "CgroupPlugin=disabled" >"$DIR/cgroup.conf"
  else
    printf 'CgroupPlugin=cgroup/v1\nCgroupMountpoint=/sys/fs/cgroup\nCgroupAutomount=no\n' >"$DIR/cgroup.conf"
  fi
  local memory
  memory=$(awk '/^MemTotal/ { print int($2 / 1024 * 0.9) }' /proc/meminfo)
  cat >"$SLURM_CONF" <<CONF
ClusterName=mini
SlurmctldHost=$HOST(127.0.0.1)
SlurmUser=root
SlurmctldPort=${MINI_SLURM_PORT:-16817}
SlurmdPort=$((${MINI_SLURM_PORT:-16817} + 1))
AuthType=auth/munge
AuthInfo=socket=$DIR/munge/socket
CredType=cred/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerType=sched/backfill
SchedulerParameters=sched_min_interval=100000,batch_sched_delay=0,sched_interval=1,bf_interval=1
ReturnToService=2
MinJobAge=300
SlurmctldPidFile=$DIR/slurmctld.pid
SlurmdPidFile=$DIR/slurmd.pid
StateSaveLocation=$DIR/state
SlurmdSpoolDir=$DIR/spool
SlurmctldLogFile=$DIR/log/slurmctld.log
SlurmdLogFile=$DIR/log/slurmd.log
GresTypes=gpu
NodeName=$HOST NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$memory $([ "$GPUS" -eq 0 ] || echo "Gres=gpu:$GPUS") State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
CONF
  # Snakemake's job step drops SLURM_CONF before it calls srun; this srun knows it.
  printf '#!/bin/sh\nexport SLURM_CONF=%s\nexec %s "$@"\n' "$SLURM_CONF" "$(command -v srun)" >"$DIR/bin/srun"
  chmod +x "$DIR/bin/srun"
}

start() {
  mkdir -p "$DIR"/{spool,state,log,bin}
  start_munge
  make_gpus
  configure
  slurmctld -f "$SLURM_CONF" -c
  slurmd -f "$SLURM_CONF" -N "$HOST"
  for _ in $(seq 1 150); do
    if sinfo --noheader --format=%T 2>/dev/null | grep -q idle; then
      sinfo --format='%P %D %T %c %m %G'
      return
    fi
    sleep 0.2
  done
  echo "mini-slurm: it did not come up within 30 s; the last lines of its logs:" >&2
  tail -n 20 "$DIR"/log/*.log >&2
  exit 1
}

stop() {
  local file pid
  for file in "$DIR/slurmd.pid" "$DIR/slurmctld.pid" "$DIR/munge/pid"; do
    [ -s "$file" ] || continue
    pid=$(cat "$file")
    kill "$pid" 2>/dev/null || continue
    for _ in $(seq 1 50); do
      # a zombie whose parent does not collect it has ended, too
      case "$(cat "/proc/$pid/stat" 2>/dev/null)" in "" | *") Z "*) break ;; esac
      sleep 0.1
    done
  done
}

case "${1:-}" in
start) start ;;
env) echo "export SLURM_CONF=$SLURM_CONF PATH=$DIR/bin:\$PATH" ;;
stop) stop ;;
*) echo "usage: mini-slurm.sh start | env | stop" >&2 && exit 2 ;;
esac
