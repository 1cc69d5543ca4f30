#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# `make install`: puts the suite below PREFIX, for a distribution's package or for all users of this
# host. It needs no network and fetches nothing: PYTHON has what pyproject.toml requires, and to build
# with setuptools and cffi. DESTDIR stands before each path that is written to, and in no file.
#
#   lib/kvm-conformance/         the wheel
#   bin/                         kvm-conformance, and what shells ask for completions
#   share/                       the man page; completions of bash, zsh and fish
#
# Exit codes: 0 installed, 64 wrong usage, 70 could not install.

set -euo pipefail
umask 022

here=${BASH_SOURCE[0]}
[[ "$here" == */* ]] || here=./$here
cd -P -- "${here%/*}/.."
source setup/commands.sh
PYTHON=${PYTHON:-python3} PREFIX=${PREFIX:-/usr/local} DESTDIR=${DESTDIR:-}
forget_python
export PYTHONDONTWRITEBYTECODE=1

fail() { # CODE TEXT
	echo "install: $2" >&2
	exit "$1"
}

case "$PREFIX$DESTDIR" in
*[!A-Za-z0-9_/.+,:@~-]*) fail 64 "PREFIX=$PREFIX or DESTDIR=$DESTDIR has blanks or characters that a shell obeys" ;;
esac
[[ "$PREFIX" == /* ]] || fail 64 "PREFIX=$PREFIX is no absolute path"
[[ -z "$DESTDIR" || "$DESTDIR" == /* ]] || fail 64 "DESTDIR=$DESTDIR is no absolute path"
python=$(type -P -- "$PYTHON") || fail 70 "PYTHON=$PYTHON is no program"
[[ "$python" == /* ]] || python=$PWD/$python

library=$PREFIX/lib/kvm-conformance
scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT

# By the hook that pip would call: this needs no pip, which may be forbidden to the system's Python.
"$python" - "$scratch" >"$scratch/log" 2>&1 <<'END' ||
import sys
sys.path.insert(0, "")
from setuptools import build_meta
build_meta.build_wheel(sys.argv[1])
END
	{
		tail -n 15 -- "$scratch/log" >&2
		fail 70 "$python cannot build the package, see above; it takes setuptools 77 and cffi 1.17 or later"
	}

write() { # PATH, and the text on standard input
	mkdir -p -- "$DESTDIR${1%/*}"
	cat >"$DESTDIR$1"
}

rm -rf -- "$DESTDIR$library"
mkdir -p -- "$DESTDIR$library" "$DESTDIR$PREFIX/bin"
"$python" -I -m zipfile -e "$scratch"/*.whl "$DESTDIR$library"

mended_by="Install it again, with the Python packages that it requires"
path="import sys; sys.path.insert(0, \"$library\"); from kvm_conformance.__main__ import main, complete"
write_command "$DESTDIR$PREFIX/bin/kvm-conformance" "$python" "$path" -c "$path; sys.exit(main())"
write_command "$DESTDIR$PREFIX/bin/kvm-conformance-complete" "$python" "$path" \
	-c "$path; sys.exit(complete())"

cd -- "$DESTDIR$library/kvm_conformance/tree"
made() { # MODULE WORDS...; the module's own words
	PYTHONPATH=$DESTDIR$library "$python" -m "$@" ||
		fail 70 "$python lacks what pyproject.toml requires, see above"
}
share=$PREFIX/share
made tools.manual >"$scratch/man"
write "$share/man/man1/kvm-conformance.1" <"$scratch/man"
for each in bash=bash-completion/completions/kvm-conformance zsh=zsh/site-functions/_kvm-conformance \
	fish=fish/vendor_completions.d/kvm-conformance.fish; do
	made tools.completion "${each%%=*}" >"$scratch/script"
	write "$share/${each#*=}" <"$scratch/script"
done
echo "install: $DESTDIR$library, and kvm-conformance in $DESTDIR$PREFIX/bin"
