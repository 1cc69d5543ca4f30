# SPDX-License-Identifier: GPL-2.0-only
#
# How tools/bootstrap.sh installs the Python packages of `requirements`, and says why it cannot.

# Says in a sentence why pip failed, as far as its log tells.
complain_of_pip() {
	if grep -qE 'name resolution|NewConnectionError|Network is unreachable|ProxyError|Max retries|Read timed out|Connection (refused|reset|broken)|SSLError|ConnectTimeout' "$log"; then
		fail_with_log "no network: the Python packages could not be fetched" \
			"check the connection, or PIP_INDEX_URL and the proxy, and call again"
	fi
	if grep -qF 'DO NOT MATCH THE HASHES' "$log"; then
		fail_with_log "a Python package is another file than the one that $requirements names by its hash" \
			"whoever serves it changed it: see above which one; use pypi.org, or a true mirror of it"
	fi
	if grep -qE 'No matching distribution|Could not find a version|ResolutionImpossible' "$log"; then
		fail_with_log "the package index does not have a version of $requirements, or there is no network" \
			"check the connection, or PIP_INDEX_URL and the proxy, and call again"
	fi
	if grep -qE "error: command '[^']*' failed|: (fatal )?error: |CompileError|LinkError" "$log"; then
		fail_with_log "the C compiler ($compiler) could not build harness/native" \
			"see the compiler's message above"
	fi
	if grep -qE 'No space left on device' "$log"; then
		fail_with_log "the disk is full" "make room for about 200 MB in $root"
	fi
	fail_with_log "pip could not install the packages of pyproject.toml"
}

pip_install() {
	quietly "$venv/bin/python" -m pip install "$@" || complain_of_pip
}

# The checkout itself. Without isolation the build uses the pinned setuptools and cffi.
install_checkout() {
	pip_install --no-build-isolation --no-deps -e .
	write_commands
}

# Says where else than from pypi.org pip takes files; not what an address has of passwords.
say_other_index() {
	local found
	found=$("$venv/bin/python" -m pip config list </dev/null 2>/dev/null 8>&- 9>&- |
		sed -nE 's/^[^ =]*\.((extra-)?index-url|find-links|no-index)=/\1=/p' |
		sed -E 's#//[^/@ ]*@#//#g' | LC_ALL=C tr -cd '[:print:]\n' | sort -u)
	[[ -z "$found" ]] || say "by pip's own settings packages come not only from pypi.org:" \
		"${found//$'\n'/, }; each must have the hash in $requirements all the same"
}
