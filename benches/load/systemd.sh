#!/bin/sh
# A machine with one service, installed as the README says, under a real systemd that is its first process.
# Owns namespaces of processes, mounts and cgroups: nothing outside changes, but for the run's folder, which is
# /var/lib/koebashi in there. The network is that of whoever starts it.
# Arguments: the program, the run's folder, the folder of the unit; or --try: whether that can be had here.
set -eu

mount --make-rprivate /
# In memory: what is written to these folders in here is nobody else's.
mount -t tmpfs -o mode=755 run /run
for place in etc usr/bin var; do
  mkdir -p "/run/layers/$place/upper" "/run/layers/$place/work"
  mount -t overlay -o "lowerdir=/$place,upperdir=/run/layers/$place/upper,workdir=/run/layers/$place/work" layer "/$place"
done
# Of the machine's own units none is known here: they would set up, and clean, what is not theirs.
mount -t tmpfs units /etc/systemd/system
export SYSTEMD_UNIT_PATH=/etc/systemd/system container=other
# What every service counts on.
for target in sysinit basic shutdown umount; do
  printf '[Unit]\nDefaultDependencies=no\n' >"/etc/systemd/system/$target.target"
done

# Starts a unit, in a /tmp of its own.
begin() {
  mount -t tmpfs -o mode=1777 tmp /tmp
  exec /lib/systemd/systemd --system --unit="$1" --log-target=console --log-level=notice
}

if [ "$1" = --try ]; then
  cat >/etc/systemd/system/try.service <<'UNIT'
[Unit]
SuccessAction=exit-force
FailureAction=exit-force
FailureActionExitStatus=77
[Service]
Type=oneshot
ExecStart=/bin/true
User=nobody
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectProc=invisible
SystemCallFilter=@system-service
UNIT
  begin try.service
fi

program=$1 folder=$2 units=$3
mkdir -p /var/lib/koebashi
mount --bind "$folder" /var/lib/koebashi
install -m 755 "$program" /usr/bin/koebashi
install -D -m 644 "$units/koebashi.sysusers" /etc/sysusers.d/koebashi.conf
systemd-sysusers /etc/sysusers.d/koebashi.conf
install -m 644 "$units/koebashi.service" /etc/systemd/system/koebashi.service
install -d -m 770 -g koebashi /etc/koebashi
install -m 640 -o koebashi -g koebashi "$folder/koebashi.toml" /etc/koebashi/

# There is no journal: what is said goes into the run's folder.
mkdir /etc/systemd/system/koebashi.service.d
printf '[Service]\nStandardOutput=append:/var/lib/koebashi/log\nStandardError=inherit\n' \
  >/etc/systemd/system/koebashi.service.d/log.conf

begin koebashi.service
