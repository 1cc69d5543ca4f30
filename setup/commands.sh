# SPDX-License-Identifier: GPL-2.0-only
#
# The commands of .venv/bin that people type, and the environment that they get.
#
# Python obeys variables, and imports what these name, before a line of this project runs; and where
# it cannot start it ends with 1, which from here would accuse the kernel.

# Takes the variables of Python out of the environment, and leaves their names in `taken_out`.
# PYTHON itself stays: it chooses the Python of the set-up.
forget_python() {
	local name
	taken_out=()
	for name in "${!PYTHON@}"; do
		if [[ "$name" != PYTHON ]]; then
			unset "$name"
			taken_out+=("$name")
		fi
	done
}

# Writes .venv/bin/NAME, which is `python -m MODULE`, in the place of the script that pip made.
# Of bash's own variables and of packages in the current folder -p and -I keep it free.
write_command() { # NAME MODULE
	local python=$venv/bin/python path=$venv/bin/$1
	cat >"$path.new" <<-EOF &&
		#!$BASH -p
		# Written by tools/bootstrap.sh; setup/commands.sh says why.
		$(declare -f forget_python)
		forget_python
		((\${#taken_out[@]} == 0)) || echo "Not handed on to Python: \${taken_out[*]}." >&2
		trap 'exit 130' INT # also where only this process gets it
		# With memory to spare: what the first start could just do, the second must not lack.
		if ! "$python" -I -c 'import runpy, $2; bytearray(1 << 24)'; then
		    echo "Error: $python cannot load $2, see above. Run \\\`make setup\\\`." >&2
		    exit 70
		fi
		exec "$python" -I -m $2 "\$@"
	EOF
		chmod +x "$path.new" && mv -f -- "$path.new" "$path"
}

write_commands() {
	{
		write_command kvm-conformance tools.cli &&
			write_command pytest tools.plain_pytest &&
			write_command py.test tools.plain_pytest
	} || fail "cannot write the commands of $venv/bin" "see the words above"
}
