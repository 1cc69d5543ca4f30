# SPDX-License-Identifier: GPL-2.0-only
#
# The commands that people type, of .venv/bin or as they are installed, and the environment that
# they get.
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

# Writes a command, which runs `PYTHON WORDS...` once PYTHON could run the statements LOADS. `mended_by`
# is how it is mended where it could not. Of bash's own variables and of packages in the current
# folder -p and -I keep it free.
write_command() { # PATH PYTHON LOADS WORDS...
	local path=$1 python=$2 loads=$3
	shift 3
	cat >"$path.new" <<-EOF &&
		#!$BASH -p
		# setup/commands.sh has written this, and says why.
		$(declare -f forget_python)
		forget_python
		((\${#taken_out[@]} == 0)) || echo "Not handed on to Python: \${taken_out[*]}." >&2
		trap 'exit 130' INT # also where only this process gets it
		# With memory to spare: what the first start could just do, the second must not lack.
		if ! "$python" -I -c '$loads; bytearray(1 << 24)'; then
		    echo "Error: $python cannot load ${path##*/}, see above. $mended_by." >&2
		    exit 70
		fi
		exec "$python" -I ${*@Q} "\$@"
	EOF
		chmod +x "$path.new" && mv -f -- "$path.new" "$path"
}

# Those of .venv/bin, in the place of the scripts that pip made.
write_commands() {
	local mended_by='Run \`make setup\`' python=$venv/bin/python each
	for each in kvm-conformance=cli kvm-conformance-complete=completion \
		pytest=plain_pytest py.test=plain_pytest; do
		write_command "$venv/bin/${each%=*}" "$python" "import runpy, tools.${each#*=}" \
			-m "tools.${each#*=}" ||
			fail "cannot write the commands of $venv/bin" "see the words above"
	done
}
