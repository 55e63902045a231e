#!/bin/sh
# ranges.sh lowest|newest|pre full|short [PYTHON]: are the ranges that pyproject.toml states true?
#   lowest: the oldest release of every direct dependency; newest: no constraint at all; pre: with pre-releases, too.
#   full: style and types (newest, pre) and the whole suite; short: the first commands of a person.
# KEEP=DIR keeps the environment there. TORCH=REQUIREMENT (a file's path, say) is installed before, so that it decides.
set -eu
cd "$(dirname "$0")/.."
kind=$1 extent=$2 python=${3:-python3}
room=${KEEP:-$(mktemp -d)}; [ -n "${KEEP:-}" ] || trap 'rm -rf "$room"' EXIT
"$python" -m venv "$room/uv"
"$room/uv/bin/python" -m pip install --quiet --disable-pip-version-check uv
uv=$room/uv/bin/uv; env=$room/env; bin=$env/bin

case $kind in
    lowest) rule="--resolution lowest-direct" ;;
    newest) rule="--upgrade" ;;
    pre) rule="--upgrade --prerelease allow" ;;
    *) echo "ranges.sh: lowest, newest or pre, got $kind"; exit 2 ;;
esac
"$uv" venv --quiet --seed --python "$python" "$env"  # with pip: tests install packages beside
[ -z "${TORCH:-}" ] || { "$uv" pip install --quiet --python "$bin/python" --no-deps "$TORCH"; rule=$(echo "$rule" | sed 's/--upgrade *//'); }
# --no-config: the lock's line for torch in pyproject.toml is not meant here
# shellcheck disable=SC2086
if ! "$uv" pip install --quiet --no-config --python "$bin/python" $rule --editable '.[dev]' 2>"$room/words"; then
    cat "$room/words"
    grep -qE 'Failed to (fetch|download)|dns error|error sending' "$room/words" || exit 1
    echo "skipped: $kind: packages cannot be downloaded here"; exit 0
fi
"$bin/python" - <<'END'
import sys, torch
from importlib.metadata import version
print("Python", sys.version.split()[0], "torch", torch.__version__, *(f"{n} {version(n)}" for n in ("numpy", "scipy", "xarray", "typer")))
END
[ "$extent" = short ] && { tools/walk.sh "$bin"; exit; }
[ "$kind" = lowest ] || make --no-print-directory lint SETUP= BIN="$bin"
make --no-print-directory test SETUP= BIN="$bin"
