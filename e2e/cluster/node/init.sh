#!/bin/bash
# The node: one process whose end is the end of everything in it.
# usage: init.sh NETNS NODE RUN_DIR
#
# First, on the machine: a child cgroup in every hierarchy, then namespaces of its own. Then, as their first process: mounts,
# and a loop that starts each line written to RUN_DIR/commands as a shell command, and reaps what ends.
set -euo pipefail
netns=$1 node=$2 run=$3
controllers="cpu cpuacct cpuset memory devices freezer blkio pids"

if [ "${4:-}" != inside ]; then
  for c in $controllers systemd unified; do
    # Lines of /proc/self/cgroup are id:controllers:path; 0 is the unified hierarchy.
    own=$(awk -F: -v c="$c" '$2==c || (c=="systemd" && $2=="name=systemd") || (c=="unified" && $1=="0") {print $3}' /proc/self/cgroup)
    group=/sys/fs/cgroup/$c${own%/}/$node
    mkdir -p "$group"
    if [ "$c" = cpuset ]; then
      cat /sys/fs/cgroup/cpuset/cpuset.cpus > "$group/cpuset.cpus"
      cat /sys/fs/cgroup/cpuset/cpuset.mems > "$group/cpuset.mems"
    fi
    if [ "$c" = cpu ]; then
      # Every busy process beside the node weighs 1024: a compiler must not take the gateway's time.
      echo 16384 > "$group/cpu.shares"
    fi
    echo $$ > "$group/cgroup.procs"
  done
  # nsenter, because `ip netns exec` would mount a new /sys that hides the cgroups.
  exec nsenter --net="/var/run/netns/$netns" \
    unshare --mount --propagation private --pid --uts --ipc --cgroup --fork --kill-child --mount-proc \
    bash "$0" "$netns" "$node" "$run" inside
fi

hostname "$node"
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
for c in $controllers; do
  mkdir "/sys/fs/cgroup/$c"
  mount -t cgroup -o "$c" cgroup "/sys/fs/cgroup/$c"
done
mkdir /sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
# kubelet, containerd and the CNI plugins write here whatever else they are told.
for folder in /run /var/lib /var/log; do
  mount -t tmpfs tmpfs $folder
done
mkdir -p /run/containerd
# What kubelet expects of a node's mounts.
mount --make-rshared /

cd "$run"
mkdir -p pids log
mkfifo commands.new
# Open for writing as well, so that the loop never sees an end of input.
exec 3<> commands.new
mv commands.new commands
while read -r -u 3 command; do
  # Each thread of the control plane would weigh half as much as all pods together.
  nice -n 5 bash -c "$command" 3<&- < /dev/null &
done
