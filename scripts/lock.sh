#!/bin/sh
# Writes anew what tests, CI and the image install: every package by version and hash, no host, no path.
# Needs `uv` on PATH; `scripts/lock.sh --upgrade` takes newer versions within pyproject.toml's ranges.
set -eu
cd "$(dirname "$0")/.."
upgrade=${1-}
lock() { # FILE ARGUMENTS
  out=$1; shift
  # shellcheck disable=SC2086
  uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
    --no-annotate --output-file "$out" $upgrade "$@"
}
lock requirements.txt pyproject.toml
lock requirements-dev.txt --extra dev --constraint requirements.txt pyproject.toml
sed -n 's/^requires = \["\(.*\)"\]$/\1/p' pyproject.toml | lock requirements-build.txt -
