#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Writes requirements.txt and requirements-EXTRA.txt anew: for each package that pyproject.toml takes, and
# for each that those take, one version and the hashes of its files, for every Python from 3.10 on.  The
# versions that stand there stay, where they fit pyproject.toml; `--upgrade` takes the newest ones.

set -euo pipefail

here=${BASH_SOURCE[0]}
[[ "$here" == */* ]] || here=./$here
cd -P -- "${here%/*}/.."

# Of the build: pip does not look for the packages of an editable install that is built in place.
build=$(sed -n 's/^requires = \[\(.*\)\]$/\1/p' pyproject.toml | tr -d '" ' | tr ',' '\n')
extras=()
for extra in "" emulate plot test dev; do
	file=setup/requirements${extra:+-$extra}.txt
	extras+=(${extra:+--extra "$extra"})
	.venv/bin/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes \
		--no-annotate --no-header ${extras[@]+"${extras[@]}"} "$@" \
		--output-file "$file" pyproject.toml - <<<"$build"
	sed -i '1i # SPDX-License-Identifier: GPL-2.0-only\n# Written by `make pins`: what pyproject.toml takes, by version and hash.' -- "$file"
done
