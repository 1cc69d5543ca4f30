# SPDX-License-Identifier: GPL-2.0-only
#
# The first program in an emulated host: brings KVM up, puts the bundle over the root, and runs
# the job. Its only argument is the control folder, which it can read; the folder `share` in it, it can
# write. It tells how far it is by lines in the file `state` there, which the other side watches: up, kvm, status N; or `refused TEXT` where KVM
# from a folder of the caller's does not load, and then no job runs.

control=$1
share=$control/share
state() {
	echo "$@" >>"$share/state"
}

state up
# KVM's modules in the order of loading, and whose they are. What they say goes to the console.
modules=$(cat "$control/modules")
names=$(cat "$control/names")
if [ -n "$modules" ]; then
	# Where the kernel's own are loaded already.
	modprobe -q -r $(echo "$names" | tr ' ' '\n' | tac)
	modprobe -q -a $(cat "$control/companions")
	for name in $names; do
		said=$(insmod "$modules/$name.ko" 2>&1) && continue
		echo "$said" >&2
		state "refused $(echo "$said" | tr '\n' ' ')"
		exit 1
	done
else
	modprobe ${names##* }
fi
[ -e /dev/kvm ] && state kvm

# The bundle lies over the root and spares thousands of round trips to the share; what it lacks is
# read from the share.
root=/
if [ -e /dev/vda ] || modprobe -q virtio_blk; then
	modprobe -q ext4
	modprobe -q overlay
	mkdir -p /run/bundle /run/root
	if [ -e /dev/vda ] && mount -t ext4 -o ro /dev/vda /run/bundle &&
		mount -t overlay -o ro,lowerdir=/run/bundle:/ bundle /run/root; then
		root=/run/root
		for folder in proc sys dev run tmp; do
			mount --rbind "/$folder" "$root/$folder"
		done
		mount --rbind "$share" "$root/$share"
	fi
fi
state "root $root"
chroot "$root" /bin/sh "$control/job.sh" </dev/null
state "status $?"
