"""Coverage-guided fuzzing of what reads bytes from outside: `python tests/fuzz/parsers.py TARGET [libFuzzer options]`.

A target may refuse its input in its own words; anything else it raises is a finding.
"""

import contextlib
import hashlib
import json
import sys
import tempfile
import tomllib
from importlib import resources
from pathlib import Path

import atheris
import numpy as np
import safetensors.numpy

with atheris.instrument_imports(
    include=["firmware_specs", "emulator.faults", "hil.devices.bench_file", "hil.run", "tomllib"]
):
    from firmware_specs import messages, scpi
    from firmware_specs.datasheet import Datasheet, DatasheetError, load, shipped
    from firmware_specs.datasheet.load import explain
    from firmware_specs.frame import MAX_FRAME, Decoder
    from firmware_specs.messages import MalformedError
    from firmware_specs.scpi import Overrun, Parameters, ScpiError, Splitter, units
    from hil.devices import bench_file
    from hil.run import checkpoint

VECTORS = tomllib.loads((resources.files("firmware_specs.vectors") / "frames.toml").read_text())
FOLDER = Path(tempfile.mkdtemp())
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
            for unit in found:
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
    path = FOLDER / "sheet.toml"
    path.write_bytes(data)
    with contextlib.suppress(DatasheetError):
        load(path)


def datasheet_values(data):
    """A shipped datasheet with some values replaced."""
    source = atheris.FuzzedDataProvider(data)
    document = json.loads(json.dumps(source.PickValueInList(SHEETS)))
    for _ in range(source.ConsumeIntInRange(1, 4)):
        section = source.PickValueInList(sorted(document))
        if isinstance(document[section], dict) and document[section]:
            key = source.PickValueInList(sorted(document[section]))
            document[section][key] = value(source)
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
    path = FOLDER / "bench.toml"
    path.write_bytes(data)
    with contextlib.suppress(bench_file.BenchFileError):
        bench_file.load(path)


def checkpoints(data):
    """Damaged tensors under a checksum that fits, and damaged facts."""
    facts, _, content = data.partition(b"|")
    if not facts:
        facts = json.dumps({"sha256": hashlib.sha256(content).hexdigest()}).encode()
    (FOLDER / "step_1.json").write_bytes(facts)
    (FOLDER / "step_1.safetensors").write_bytes(content)
    checkpoint.newest(FOLDER)


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
    "bench_files": [b'[devices.a]\naddress = "serial:/dev/ttyUSB0"\n[devices.a.limits]\nmax_drive_a = 1e-3\n'],
    "checkpoints": [b"|" + safetensors.numpy.save({"a": np.zeros(3)}), b'{"sha256": "0"}|'],
}


def corpus(target):
    """A folder with valid inputs, to start from."""
    folder = FOLDER / "corpus"
    folder.mkdir()
    for number, seed in enumerate(SEEDS.get(target, [])):
        (folder / str(number)).write_bytes(seed)
    return str(folder)


if __name__ == "__main__":
    inputs = [] if any(not option.startswith("-") for option in sys.argv[2:]) else [corpus(sys.argv[1])]
    atheris.Setup([sys.argv[0], *sys.argv[2:], *inputs], TARGETS[sys.argv[1]])
    atheris.Fuzz()
