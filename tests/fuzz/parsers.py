"""Coverage-guided fuzzing of what reads bytes from outside.

`python tests/fuzz/parsers.py TARGET [libFuzzer options] [FOLDER | FILE...]`: starts from the inputs in an existing
folder, and from valid ones that it puts there; or runs the files given. A target may refuse its input in its own words;
anything else it raises is a finding, and so is a second of processor time. Nothing is written but to that folder.
"""

import contextlib
import hashlib
import json
import sys
import time
import tomllib
from importlib import resources
from pathlib import Path

import atheris
import numpy as np
import safetensors.numpy

with atheris.instrument_imports(include=["firmware_specs", "hil.counterparts.opening.bench_file", "hil.training.run"]):
    from firmware_specs import messages, scpi
    from firmware_specs.datasheet import Datasheet, DatasheetError, load, shipped
    from firmware_specs.datasheet.load import explain, parse
    from firmware_specs.frame import MAX_FRAME, Decoder
    from firmware_specs.messages import MalformedError
    from firmware_specs.scpi import Overrun, Parameters, ScpiError, Splitter, units
    from hil.counterparts.opening import bench_file
    from hil.training.run import checkpoint

VECTORS = tomllib.loads((resources.files("firmware_specs.vectors") / "frames.toml").read_text())
SECONDS = 1.0
SHEETS = [load(name).model_dump(mode="json") for name in shipped()]

PARSERS = [
    getattr(messages, name).parse
    for name in messages.__all__
    if hasattr(getattr(messages, name), "parse")
] + [messages.parse_converters, messages.parse_parameters, messages.parse_topology, messages.parse_array]  # fmt: skip


def frames(data):
    decoder = Decoder()
    for at in range(0, len(data), 700):
        decoder.feed(data[at : at + 700])
        assert decoder.pending < MAX_FRAME


def payloads(data):
    if data:
        with contextlib.suppress(MalformedError):
            PARSERS[data[0] % len(PARSERS)](data[1:])


def program_messages(data):
    splitter = Splitter(max_block=1000)
    for message in splitter.feed(data) + splitter.end():
        if not isinstance(message, Overrun):
            try:
                found = units(message)
            except ValueError:
                continue
            for unit in found[:20]:
                read(unit)


def read(unit):
    with contextlib.suppress(LookupError, ValueError):
        scpi.find(unit.header)
    for kind in ("number", "integer", "string", "layers", "block", "boolean", "limit"):
        with contextlib.suppress(ScpiError):
            getattr(Parameters(unit.parameters), kind)()


def block_headers(data):
    with contextlib.suppress(scpi.BlockError):
        scpi.data_length(data[: scpi.header_length(data)])


def datasheet_files(data):
    with contextlib.suppress(DatasheetError):
        parse(data.decode(errors="replace"), "a file")


def datasheet_values(data):
    """A shipped datasheet with some values replaced."""
    source = atheris.FuzzedDataProvider(data)
    document = dict(source.PickValueInList(SHEETS))
    for _ in range(source.ConsumeIntInRange(1, 4)):
        section = source.PickValueInList(sorted(document))
        if isinstance(document[section], dict) and document[section]:
            key = source.PickValueInList(sorted(document[section]))
            document[section] = document[section] | {key: value(source)}
        else:
            document[section] = value(source)
    try:
        Datasheet.model_validate(document)
    except ValueError as error:
        explain(error)


def value(source):
    kind = source.ConsumeIntInRange(0, 5)
    if kind == 0:
        return source.ConsumeFloat()
    if kind == 1:
        return source.ConsumeInt(8)
    if kind == 2:
        return source.ConsumeUnicodeNoSurrogates(8)
    if kind == 3:
        return [value(source) for _ in range(source.ConsumeIntInRange(0, 3))]
    return {} if kind == 4 else source.ConsumeBool()


def bench_files(data):
    with contextlib.suppress(bench_file.BenchFileError):
        bench_file.parse(data.decode(errors="replace"), "a file")


def checkpoints(data):
    """Damaged tensors under a checksum that fits, and damaged facts."""
    facts, _, content = data.partition(b"|")
    if not facts:
        facts = json.dumps({"sha256": hashlib.sha256(content).hexdigest()}).encode()
    checkpoint.parse(facts, content)


TARGETS = {
    "frames": frames,
    "payloads": payloads,
    "program_messages": program_messages,
    "block_headers": block_headers,
    "datasheet_files": datasheet_files,
    "datasheet_values": datasheet_values,
    "bench_files": bench_files,
    "checkpoints": checkpoints,
}

GOLDEN = [bytes.fromhex(vector["wire"]) for vector in VECTORS.values()]
SHEET = (resources.files("firmware_specs.datasheets") / "mixed-8bit.toml").read_bytes()
SEEDS = {
    "frames": [*GOLDEN, b"".join(GOLDEN)],
    "payloads": [bytes([n]) + bytes(40) for n in range(len(PARSERS))],
    "program_messages": [b"ARR:SETT? 0,2,1,1,0,(@1,0),#18aaaabbbb,#14cccc;STAT?;:SYST:ERR:ALL?\n", b'SYST:ECHO? "a"\n'],
    "block_headers": [b"#15hello", b"#0hello", b"#9000000005hello"],
    "datasheet_files": [SHEET],
    "bench_files": [
        b'[devices.a]\naddress = "serial:/dev/ttyUSB0"\n[devices.a.limits]\nmax_drive_a = 1e-3\n',
        b'[devices.a]\naddress = "visa:X"\nserial = "7"\nwatchdog_s = 1\nallow_no_watchdog = true\ntimeout_s = 2.5\n',
        b'[devices.a]\naddress = "rack:"\n[devices.a.rack]\nname = "r"\n[devices.a.rack.instruments.b]\n',
    ],
    "checkpoints": [b"|" + safetensors.numpy.save({"a": np.zeros(3)}), b'{"sha256": "0"}|'],
}


def within_a_second(target):
    """The target, its processor time measured: other work on the machine stops processes, too."""

    def run(data):
        start = time.thread_time()
        target(data)
        spent_s = time.thread_time() - start
        assert spent_s < SECONDS, f"{spent_s:.1f} s for {len(data)} bytes"

    return run


if __name__ == "__main__":
    name, *options = sys.argv[1:]
    if options and Path(options[-1]).is_dir():
        for number, seed in enumerate(SEEDS.get(name, [])):
            (Path(options[-1]) / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *options], within_a_second(TARGETS[name]))
    atheris.Fuzz()
