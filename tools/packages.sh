#!/bin/sh
# packages.sh PYTHON: builds wheel and sdist into dist/, checks them, and trains with the wheel in a bare environment.
# PYTHON has `build` and `twine`. The wheel is built from the sdist, so that what is published builds what is published.
# Skips the bare environment, with the reason, where packages cannot be downloaded. KEEP=DIR keeps the environment there.
set -eu
cd "$(dirname "$0")/.."
python=$1
room=${KEEP:-$(mktemp -d)}; [ -n "${KEEP:-}" ] || trap 'rm -rf "$room"' EXIT
# from a copy: what setuptools leaves beside the sources would hide newer entry points from this checkout
rm -rf dist "$room/source"; mkdir "$room/source"
git ls-files --cached --others --exclude-standard -z | xargs -0 tar -cf - 2>/dev/null | tar -xf - -C "$room/source"
"$python" -m build --outdir dist "$room/source" >"$room/log" 2>&1 || { tail -20 "$room/log"; exit 1; }
"$python" -m twine check --strict dist/*
"$python" tools/packed.py dist
"$python" -m venv "$room/env"
bin=$room/env/bin
if ! "$bin/python" tools/install.py "$(echo dist/*.whl)" 2>"$room/words"; then
    cat "$room/words"
    grep -qE 'Could not fetch|No matching distribution|Temporary failure|connection' "$room/words" || exit 1
    echo "skipped: bare environment: packages cannot be downloaded here"; exit 0
fi
sizes=$PWD/tools/beside_torch.py install=$PWD/tools/install.py wheel=$(echo "$PWD"/dist/*.whl)
cd "$room"
OMP_NUM_THREADS=1 "$bin/hil" train digits --device emulator:discrete-board --set run.epochs=2 --run-dir run
"$bin/hil" conform --device emulator:discrete-board --only identity
"$bin/hil" --version
du -sm "$room/env" | sed 's/\t.*/ MB of environment, torch and all/'
"$python" "$sizes" "$bin/python" | sed 's/^/without extras: /'
"$bin/python" "$install" "$wheel[rack]"
"$python" "$sizes" "$bin/python" | sed 's/^/with [rack]: /'
"$bin/hil" characterize --device emulator:discrete-board --size 8 --only transfer --out chip
