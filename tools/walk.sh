#!/bin/sh
# walk.sh BIN: what a person does first, in the environment whose programs lie in BIN; stops at the first that fails.
set -eu
bin=$1; export OMP_NUM_THREADS=1
room=$(mktemp -d); served=
trap '[ -z "$served" ] || kill $served; rm -rf "$room"' EXIT
cd "$room"

step() {
    if "$@" >log 2>&1; then echo "ok      $*" | sed "s|$bin/||"; else sed 's/^/    /' log; echo "FAILED  $*"; exit 1; fi
}

step "$bin/hil" --help
step "$bin/hil" train digits --device emulator:discrete-board --set run.epochs=2
step "$bin/hil" characterize --device emulator:discrete-board --size 8 --out chip
step "$bin/hil" conform --device emulator:discrete-board
step "$bin/hil" conform --device emulator:discrete-board --protocol scpi
: >addresses  # the one behind `&` may come later than the look at it
"$bin/hil" emulate discrete-board --tcp 0 --hislip 0 --quiet >addresses &
served=$!
until [ "$(wc -l <addresses)" -ge 2 ]; do kill -0 $served; sleep 0.1; done
while read -r address; do
    step "$bin/hil" train digits --device "$address" --run-dir "wire-$(echo "$address" | cut -c1-4)" \
        --set run.epochs=1 --set data.train_samples=320
done <addresses
