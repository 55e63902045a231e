#!/bin/sh
# packages.sh PYTHON: builds wheel and sdist into dist/, checks them, and trains with the wheel in a bare environment.
# PYTHON has `build` and `twine`. The wheel is built from the sdist, so that what is published builds what is published.
# Skips the bare environment, with the reason, where packages cannot be downloaded. KEEP=DIR keeps the environment there.
set -eu
cd "$(dirname "$0")/.."
python=$1
rm -rf dist build/lib build/bdist.*
"$python" -m build --outdir dist . >/dev/null
"$python" -m twine check --strict dist/*
"$python" tools/packed.py dist
room=${KEEP:-$(mktemp -d)}; [ -n "${KEEP:-}" ] || trap 'rm -rf "$room"' EXIT
"$python" -m venv "$room/env"
bin=$room/env/bin
if ! "$bin/python" tools/install.py "$(echo dist/*.whl)" 2>"$room/words"; then
    cat "$room/words"
    grep -qE 'Could not fetch|No matching distribution|Temporary failure|connection' "$room/words" || exit 1
    echo "skipped: bare environment: packages cannot be downloaded here"; exit 0
fi
cd "$room"
OMP_NUM_THREADS=1 "$bin/hil" train digits --device emulator:discrete-board --set run.epochs=2 --run-dir run
"$bin/hil" conform --device emulator:discrete-board --only identify
"$bin/hil" --version
du -sm "$room/env" | sed 's/\t.*/ MB of environment, torch and all/'
