# SPDX-License-Identifier: GPL-2.0-only
#
# The list of programs (programs.txt), for bootstrap.sh: what is missing here for a use?

# Whether one of these is there; a program also where users other than root have no PATH.
has_program() {
	local PATH=$PATH:/usr/sbin:/sbin:/lib/systemd:/usr/lib/systemd found
	case "$1" in
	/*) [[ -e "$1" ]] ;;
	lib*.so.*) [[ -n "$(ldconfig -p 2>/dev/null | grep -F "$1")" ]] ;;
	static:*)
		# ldd names each library of a program as "name => file".
		found=$(type -P "${1#static:}") && [[ "$(ldd "$found" 2>/dev/null)" != *"=>"* ]]
		;;
	*) type -P "$1" >/dev/null ;;
	esac
}

# Prints `name package` of each program that one of these uses wants and that is missing. It is looked
# for at each call, and stands in no stamp.
lacking_for() {
	local use name package uses
	while read -r name package uses; do
		[[ -n "$uses" && "$name" != "#" ]] || continue
		for use in "$@"; do
			[[ ",$uses," == *",$use,"* ]] || continue
			has_program "$name" || printf '%s %s\n' "$name" "$package"
			break
		done
	done <setup/programs.txt
}
