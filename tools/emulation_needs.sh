# SPDX-License-Identifier: GPL-2.0-only
#
# What emulated hosts and mutants take besides the virtual environment, for tools/bootstrap.sh.

# What they take, one `what:Debian package` a line. Kernels are fetched, and keys needed, only
# where there is apt.
emulation_needs() {
	printf '%s\n' qemu-system-x86_64:qemu-system-x86 systemd-udevd:udev modprobe:kmod \
		"a static busybox:busybox-static" mke2fs:e2fsprogs
	if type -P apt-get >/dev/null; then
		printf '%s\n' "the keys of Debian's archive:debian-archive-keyring"
	fi
}

# What mutants take on top: a patch's program, what builds a module for Debian 12's kernels, and what
# unpacks their sources. The programs of linux-kbuild, which are fetched, need libelf.
mutants_needs() {
	printf '%s\n' spatch:coccinelle gcc-12:gcc-12 ld:binutils xz:xz-utils libelf:libelf1
}

# Whether one of these is there; a program also where users other than root have no PATH.
has_for_emulation() {
	local PATH=$PATH:/usr/sbin:/sbin:/lib/systemd:/usr/lib/systemd busybox
	case "$1" in
	"a static busybox")
		# ldd names each library of a program as "name => file".
		busybox=$(type -P busybox) && [[ "$(ldd "$busybox" 2>/dev/null)" != *"=>"* ]]
		;;
	libelf) [[ -n "$(ldconfig -p 2>/dev/null | grep -F libelf.so.1)" ]] ;;
	"the keys"*) [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] ;;
	*) type -P "$1" >/dev/null ;;
	esac
}

# Whether all is there that a function above names. It is looked for at each call, and stands in no
# stamp.
has_all() {
	local need
	while IFS= read -r need; do
		has_for_emulation "${need%%:*}" || return 1
	done < <("$1")
}
