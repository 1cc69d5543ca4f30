#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Runs the installed conformance suite of kvm_run->immediate_exit: TAP on standard output, and an
# exit code as run_kselftest.sh reads it (0 passed, 4 skipped, 1 failed). Options go to
# `kvm-conformance run`.

set -u

if ! command -v kvm-conformance >/dev/null; then
	echo "1..0 # SKIP kvm-conformance is not installed, or not in PATH"
	exit 4
fi

# Apart: this folder may be one that only root writes to.
results=$(mktemp -d "${TMPDIR:-/tmp}/kvm_immediate_exit.XXXXXX") || exit 1
echo "The results are kept in $results" >&2
exec kvm-conformance run --dialect kselftest --output "$results" "$@"
