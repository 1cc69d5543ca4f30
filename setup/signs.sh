# SPDX-License-Identifier: GPL-2.0-only
#
# What tools/bootstrap.sh says, also while a step takes long.  It sets `log`.

signs_every=${KVM_CONFORMANCE_SIGNS_EVERY:-10}
signs_go_on=0
if [[ ! "$signs_every" =~ ^(0\.)?[1-9][0-9]*$ ]]; then
	echo "bootstrap: KVM_CONFORMANCE_SIGNS_EVERY=$signs_every is no number of seconds" >&2
	exit 64
fi

say() {
	printf 'set-up: %s\n' "$*" >&2
	# In a process of its own, for SIGPIPE ends whoever writes to a pipe that nobody reads.
	((signs_go_on == 0)) || (printf '%s\n' "$*" >&8) || true
}

# From now on there is a word whenever nothing was said for 10 s: what was said last, since when, and
# the log's last line. Who says it reads a pipe that only this script holds, as descriptor 8, and so
# ends with this script, however that ends. What may run for long must not get the pipe.
begin_signs() {
	exec 8> >(signs "$1" 9>&-)
	signs_go_on=1
}

end_signs() {
	signs_go_on=0
	exec 8>&-
}

# Each line of the pipe is what was said; its end is the end.
signs() {
	local doing=$1 since=$SECONDS line told="" last status
	trap '' INT TERM HUP PIPE
	while true; do
		status=0
		read -rt "$signs_every" line || status=$?
		# The time may be over within a line: what was read of it is gone from the pipe.
		told+=$line
		if ((status == 0)); then
			doing=$told told="" since=$SECONDS
			continue
		fi
		((status > 128)) || return 0
		last=
		[[ ! -s "$log" ]] || read -r last < <(tail -n 1 -- "$log" 2>/dev/null) || true
		[[ "$last" != "+ "* ]] || last= # the command itself
		# The next step may have begun meanwhile, and that line be its own: it was said before.
		! read -rt 0 || continue
		printf 'set-up: ... %d s: %s%s\n' "$((SECONDS - since))" "$doing" "${last:+ (${last:0:70})}" >&2
	done
}
