# SPDX-License-Identifier: GPL-2.0-only
#
# What emulated hosts take besides the virtual environment, for tools/bootstrap.sh.

# What they take, one `what:Debian package` a line. Kernels are fetched, and keys needed, only
# where there is apt.
emulation_needs() {
	printf '%s\n' qemu-system-x86_64:qemu-system-x86 systemd-udevd:udev modprobe:kmod \
		"a static busybox:busybox-static" mke2fs:e2fsprogs
	if type -P apt-get >/dev/null; then
		printf '%s\n' "the keys of Debian's archive:debian-archive-keyring"
	fi
}

# Whether one of these is there; a program also where users other than root have no PATH.
has_for_emulation() {
	local PATH=$PATH:/usr/sbin:/sbin:/lib/systemd:/usr/lib/systemd busybox
	case "$1" in
	"a static busybox")
		# ldd names each library of a program as "name => file".
		busybox=$(type -P busybox) && [[ "$(ldd "$busybox" 2>/dev/null)" != *"=>"* ]]
		;;
	"the keys"*) [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] ;;
	*) type -P "$1" >/dev/null ;;
	esac
}

# Whether all of it is there. It is looked for at each call, and stands in no stamp.
has_emulation() {
	local need
	while IFS= read -r need; do
		has_for_emulation "${need%%:*}" || return 1
	done < <(emulation_needs)
}
