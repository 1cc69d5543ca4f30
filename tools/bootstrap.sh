#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Sets up everything that the suite needs: the virtual environment .venv with the native
# extension, and the Debian packages that these take.  `make` calls it before each command, so a
# second call has to cost next to nothing: it compares a stamp and starts no Python.
#
# A set-up that was interrupted never passes as ready: the stamp .venv/.ready is removed first
# and written last.  Two set-ups at once wait for each other.  Packages of an extra are added to the
# environment that is there, also while a command runs in it: each extra has the pins of the one
# before it, so nothing that is there changes, and nothing is lost where that fails.
#
# Exit codes: 0 ready, 64 wrong usage, 70 could not set up (a sentence says why and what to do),
# 130 and 143 interrupted.

set -euo pipefail

usage() {
	cat <<'EOF'
Usage: tools/bootstrap.sh [--emulation] [--architectures] [--plot] [--test] [--mutants] [--dev] [--no-apt]

  --emulation  also what emulated hosts need: QEMU, and what boots a kernel in it
  --architectures  also what those of other architectures need: their QEMU, clang, lld
  --plot       also the Python packages of emulated hosts and of pictures
  --test       the same, and the Python packages of the project's own tests
  --mutants    also what broken KVMs are built with: Coccinelle, a compiler of Debian's kernels
  --dev        what emulated hosts need, and what the checks and the guest programs need: linters, clang, lld, llvm
  --no-apt     never install a Debian package; say which command would

Environment:
  PYTHON    the Python to use (3.10 or later); otherwise python3, then python3.14 to python3.10
  CC        the C compiler to use; otherwise cc, gcc, clang
  KVM_CONFORMANCE_NO_APT=1  the same as --no-apt
  KVM_CONFORMANCE_SIGNS_EVERY=10  seconds between two words about a step that takes long
EOF
}

# The extras of pyproject.toml, each with those before it: how many of them are wanted.
pins=("" -emulate -plot -test -dev)
extras=0
dev=0
emulation=0
mutants=0 architectures=0
may_apt=1
[[ -z "${KVM_CONFORMANCE_NO_APT:-}" ]] || may_apt=0
want_extras() {
	((extras >= $1)) || extras=$1
}
for argument in "$@"; do
	case "$argument" in
	--plot) want_extras 2 ;;
	--test) want_extras 3 ;;
	--emulation) emulation=1; want_extras 1 ;;
	--architectures) architectures=1; want_extras 1 ;;
	--mutants) mutants=1 emulation=1; want_extras 1 ;;
	--dev) dev=1 emulation=1; want_extras 4 ;;
	--no-apt) may_apt=0 ;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		echo "bootstrap: unknown option '$argument'" >&2
		usage >&2
		exit 64
		;;
	esac
done

# Where the caller has none, bash uses one of its own, and compilers look for their parts in it.
export PATH

here=${BASH_SOURCE[0]}
[[ "$here" == */* ]] || here=./$here
cd -P -- "${here%/*}/.."
root=$PWD
if [[ "$root" == *[\"\'\`\$\\]* || "$root" == *[[:cntrl:]]* ]]; then
	printf 'bootstrap: the path of this checkout, %q, has quotes, $, ` or \\, or a control character\n' "$root" >&2
	echo "           a shell would obey them in the scripts of .venv: move the checkout" >&2
	exit 70
fi
venv=$root/.venv
lock=$root/.bootstrap.lock
log=

source setup/programs.sh
source setup/signs.sh
source setup/packages.sh
source setup/commands.sh

# What the programs of programs.txt are wanted for by this call.
uses=()
((emulation == 0)) || uses+=(emulation)
((emulation == 0)) || ! type -P apt-get >/dev/null || uses+=(keys)
((architectures == 0)) || uses+=(keys payload erofs architectures)
((mutants == 0)) || uses+=(sources mutation compiler)
((dev == 0)) || uses+=(blobs tests consumers fresh)

# Ends the set-up. The first argument is what is wrong, each further one a line of what to do.
fail() {
	say "$1"
	shift
	if (($#)); then
		printf '        %s\n' "$@" >&2
	fi
	exit 70
}

# The same, after the end of the log of the command that failed.
fail_with_log() {
	if [[ -s "$log" ]]; then
		say "the last lines of the log:"
		tail -n 15 -- "$log" | sed 's/^/    | /' >&2
	fi
	fail "$@"
}

# ---------------------------------------------------------------------------------------------
# The stamp

digest() {
	local sum
	sum=$(sha256sum)
	printf '%s' "${sum%% *}"
}

# Everything that decides what is installed, except the extras and the name of the Python asked for.
# Prints nothing, and fails, if there is no environment that could be ready.
state() {
	local python headers=() native=()
	[[ -x "$venv/bin/python" && -f "$venv/.headers" ]] || return 1
	mapfile -t headers <"$venv/.headers"
	mapfile -t native < <(find harness/native -type f ! -name '_native*' \
		\( -name '*.c' -o -name '*.h' -o -name '*.py' -o -name '*.cdef' \) | LC_ALL=C sort)
	# Size and time stand for the version: asking Python itself costs more than all the rest.
	python=$(stat -L -c '%s %Y' -- "$venv/bin/python") || return 1
	# The directory, for a virtual environment holds absolute paths and does not survive a move.
	printf 'root %s\n' "$root"
	printf 'python %s %s\n' "$(readlink -f -- "$venv/bin/python")" "$python"
	printf 'packages %s\n' \
		"$(cat pyproject.toml setup.py setup/requirements*.txt setup/commands.sh | digest)"
	printf 'native %s\n' "$(sha256sum -- "${headers[@]}" "${native[@]}" 2>&1 | digest)"
}

# Whether the environment is ready for this call: it is built, has the extras that are wanted, and
# the host has the programs.
is_ready() {
	is_built || return 1
	((installed_extras >= extras)) || return 1
	((${#uses[@]} == 0)) || [[ -z "$(lacking_for "${uses[@]}")" ]]
}

# Whether packages and extension are those of the present state.
is_built() {
	local stamp=()
	has_packages || return 1
	compgen -G 'harness/native/_native*.so' >/dev/null || return 1
	[[ -f "$venv/.ready" ]] || return 1
	mapfile -t stamp <"$venv/.ready"
	[[ "$now" == "$(printf '%s\n' "${stamp[@]}")" ]]
}

# Whether the environment's packages were installed completely, from the same files, in the same
# place, for the same Python, which is the one that PYTHON names, if it names one. Sets `now` to the
# state, and `installed_extras`, also where the rest does not fit.
has_packages() {
	local stamp=()
	installed_extras=0
	[[ -f "$venv/.packages" ]] || return 1
	mapfile -t stamp <"$venv/.packages"
	((${#stamp[@]} == 5)) && [[ "${stamp[3]}" == "extras "[0-4] ]] || return 1
	installed_extras=${stamp[3]#extras }
	now=$(state) || return 1
	[[ "${now%$'\n'native *}" == "$(printf '%s\n' "${stamp[@]:0:3}")" ]] || return 1
	[[ -z "${PYTHON:-}" || "${stamp[4]}" == "asked $PYTHON" ]]
}

if is_ready; then
	exit 0
fi

# ---------------------------------------------------------------------------------------------
# One set-up at a time

if ! : 2>/dev/null >>"$lock"; then
	fail "cannot write to $root" \
		"the set-up makes .venv there: use a checkout that belongs to you"
fi
exec 9>>"$lock"
if ! flock -n 9; then
	say "another set-up is running in this directory; waiting for it"
	begin_signs "waiting for another set-up"
	flock 9 8>&-
	end_signs
fi
if is_ready; then
	exit 0
fi

log=$(mktemp "${TMPDIR:-/tmp}/kvm-conformance-setup.XXXXXX")
child=
trap 'rm -f -- "$log"' EXIT
trap 'leave interrupted 130' INT
trap 'leave terminated 143' TERM HUP

leave() {
	trap '' INT TERM HUP
	if [[ -n "$child" ]]; then
		kill -TERM "$child" 2>/dev/null || true
		wait "$child" || true
	fi
	say "$1; the next call sets up again"
	exit "$2"
}

forget_python
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_USER=0
started=$SECONDS
begin_signs "looking at what this host has"

# ---------------------------------------------------------------------------------------------
# What the host has

# A name in PATH proves nothing: pyenv puts a python3.10 there that only prints an error.
is_new_enough() {
	"$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' </dev/null >/dev/null 2>&1
}

has_venv() {
	"$1" -c 'import ensurepip, venv' </dev/null >/dev/null 2>&1
}

has_header() {
	"$1" -c '
import os, sys, sysconfig
path = os.path.join(sysconfig.get_paths()["include"], "Python.h")
sys.exit(not os.path.isfile(path))' </dev/null >/dev/null 2>&1
}

# Sets `python` to the first Python that has all it takes, else to the first that is new enough,
# else to nothing.
find_python() {
	local candidate candidates
	python=
	if [[ -n "${PYTHON:-}" ]]; then
		is_new_enough "$PYTHON" ||
			fail "PYTHON=$PYTHON is no Python 3.10 or later that runs" \
				"set PYTHON to one, or unset it"
		candidates=("$PYTHON")
	else
		candidates=(python3 python3.14 python3.13 python3.12 python3.11 python3.10
			/usr/bin/python3)
	fi
	for candidate in "${candidates[@]}"; do
		is_new_enough "$candidate" || continue
		[[ -n "$python" ]] || python=$candidate
		if has_venv "$candidate" && has_header "$candidate"; then
			python=$candidate
			return
		fi
	done
}

# Sets `compiler` to a C compiler that makes a shared object, else to nothing.
find_compiler() {
	local candidate candidates words object
	compiler=
	if [[ -n "${CC:-}" ]]; then
		candidates=("$CC")
	else
		candidates=(cc gcc clang)
	fi
	object=$(mktemp "${TMPDIR:-/tmp}/kvm-conformance-setup.XXXXXX")
	for candidate in "${candidates[@]}"; do
		read -ra words <<<"$candidate"
		if "${words[@]}" -x c -shared -fPIC -o "$object" - >/dev/null 2>&1 \
			<<<$'#include <stdio.h>\nint one(void) { return 1; }'; then
			compiler=$candidate
			break
		fi
	done
	rm -f -- "$object"
}

# Prints the kernel's headers that <linux/kvm.h> reads, one a line.
kvm_headers() {
	local words
	read -ra words <<<"$compiler"
	"${words[@]}" -x c -E -M - 2>/dev/null <<<'#include <linux/kvm.h>' |
		grep -oE '[^ \\]+' | grep -E '/kvm(_para)?\.h$'
}

# Sets `missing` to what the host lacks, in words, and `packages` to the Debian packages with it.
look_around() {
	local version
	missing=()
	packages=()
	find_python
	if [[ -z "$python" ]]; then
		missing+=("Python 3.10 or later")
		packages+=(python3 python3-venv python3-dev)
	else
		# A Python that did not come from the distribution cannot be completed by it.
		version=3
		if [[ "$(readlink -f -- "$(type -P -- "$python")")" == /usr/bin/python3.* ]]; then
			version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
		fi
		if ! has_venv "$python"; then
			missing+=("the modules venv and ensurepip of $python")
			packages+=("python$version-venv")
		fi
		if ! has_header "$python"; then
			missing+=("the header Python.h of $python")
			packages+=("python$version-dev")
		fi
	fi
	find_compiler
	if [[ -z "$compiler" ]]; then
		if [[ -n "${CC:-}" ]]; then
			fail "CC=$CC is no C compiler that works" "set CC to one, or unset it"
		fi
		missing+=("a C compiler (cc, gcc or clang)")
		packages+=(gcc libc6-dev linux-libc-dev)
	elif [[ -z "$(kvm_headers)" ]]; then
		missing+=("the kernel's header linux/kvm.h")
		packages+=(linux-libc-dev)
	fi
	if ! type -P make >/dev/null; then
		missing+=("make")
		packages+=(make)
	fi
	local name package
	((${#uses[@]})) || return 0
	while read -r name package; do
		missing+=("${name/#static:/a static }")
		[[ " ${packages[*]} " == *" $package "* ]] || packages+=("$package")
	done < <(lacking_for "${uses[@]}")
}

# ---------------------------------------------------------------------------------------------
# Debian packages

# Runs apt-get without a question and without input, as root. Fails if that is not allowed.
apt() {
	local as_root=()
	((EUID == 0)) || as_root=(sudo -n)
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y -o DPkg::Lock::Timeout=120 "$@" </dev/null >>"$log" 2>&1 8>&- 9>&-
}

can_apt() {
	((may_apt)) && type -P apt-get >/dev/null || return 1
	((EUID == 0)) || sudo -n true </dev/null >/dev/null 2>&1
}

complain_of_missing() {
	local list sudo="sudo " who=""
	if ((EUID == 0)) || ! type -P sudo >/dev/null; then
		sudo="" who=" as root"
	fi
	list=$(printf ', %s' "${missing[@]}")
	if [[ -n "${PYTHON:-}" && "${missing[*]}" == *"$PYTHON"* ]]; then
		"$1" "missing on this host: ${list:2}" \
			"install what belongs to PYTHON=$PYTHON, or unset PYTHON"
	fi
	"$1" "missing on this host: ${list:2}" \
		"on Debian or Ubuntu type this$who, then the same command again:" \
		"" \
		"    ${sudo}apt-get update && ${sudo}apt-get install -y ${packages[*]}" \
		"" \
		"elsewhere install the same by the distribution's own means"
}

look_around
if ((${#missing[@]})); then
	can_apt || complain_of_missing fail
	say "installing the Debian packages ${packages[*]} by apt, as root" \
		"(KVM_CONFORMANCE_NO_APT=1 forbids it)"
	# The lists are only fetched where the ones at hand do not do.
	apt install --no-install-recommends "${packages[@]}" ||
		{ apt update && apt install --no-install-recommends "${packages[@]}"; } ||
		complain_of_missing fail_with_log
	hash -r
	look_around
	((${#missing[@]} == 0)) || complain_of_missing fail_with_log
	if is_ready; then
		say "ready after $((SECONDS - started)) s"
		exit 0
	fi
fi

# ---------------------------------------------------------------------------------------------
# The environment

# Runs a command with its output in the log. It runs in the background, for bash would put a
# signal off until a command in the foreground ends. It keeps the lock's descriptor: if this
# script is killed, a next one waits until pip, too, has ended.
quietly() {
	local status=0
	printf '+ %s\n' "$*" >>"$log"
	"$@" </dev/null >>"$log" 2>&1 8>&- &
	child=$!
	wait "$child" || status=$?
	child=
	return "$status"
}

export CC=$compiler
fitting=0
has_packages && fitting=1
# An environment that has extras keeps them.
want_extras "$installed_extras"
requirements=setup/requirements${pins[extras]}.txt

if ((!fitting)); then
	rm -f -- "$venv/.ready" "$venv/.packages" 2>/dev/null || true
	rm -rf -- "$venv" build 2>/dev/null || true
	[[ ! -e "$venv" ]] ||
		fail "cannot remove $venv, which is not usable as it is" \
			"it probably belongs to another user: remove it, or use another checkout"
	rm -f -- harness/native/_native*.so
	say "making .venv with $("$python" --version) and $compiler"
	quietly "$python" -m venv "$venv" ||
		fail_with_log "cannot make the virtual environment $venv"
fi
if ((!fitting || extras > installed_extras)); then
	say_other_index
	say "installing the packages of $requirements"
	pip_install --require-hashes -r "$requirements"
fi
if ! is_built; then
	((!fitting)) || say "building the native extension again"
	rm -f -- "$venv/.ready"
	rm -rf -- build
	rm -f -- harness/native/_native*.so
	install_checkout
fi
kvm_headers >"$venv/.headers"
quietly "$venv/bin/python" -c 'import harness.native._native' ||
	fail_with_log "the native extension was built, but Python cannot load it"

# Written under another name and then renamed: there is never a stamp in part.
stamp() {
	printf '%s\n' "${@:2}" >"$venv/$1.new"
	mv -f -- "$venv/$1.new" "$venv/$1"
}
now=$(state)
stamp .packages "${now%$'\n'native *}" "extras $extras" "asked ${PYTHON:-}"
stamp .ready "$now"
say "ready after $((SECONDS - started)) s"
