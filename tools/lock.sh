#!/bin/sh
# lock.sh PYTHON [--upgrade]: resolves pyproject.toml with all extras, for every supported Python and platform at once.
# Without --upgrade what is locked stays, and what is new is added. No address of an index gets into the file.
set -eu
cd "$(dirname "$0")/.."
python=$1; shift
room=$(mktemp -d); trap 'rm -rf "$room"' EXIT
"$python" -m venv "$room/uv"
"$room/uv/bin/python" -m pip install --quiet --disable-pip-version-check uv
"$room/uv/bin/uv" pip compile --quiet --universal --python-version 3.11 --all-extras --no-emit-package crossbar-hil \
    --no-emit-index-url --no-emit-find-links --no-annotate --custom-compile-command "make lock, or make upgrade" \
    --output-file constraints.txt "$@" pyproject.toml >/dev/null
echo "constraints.txt: $(grep -c == constraints.txt) pins"
