"""The worked session in the annex of PROTOCOL.md is what both firmwares say; `python tests/contract/...` renews it."""

import re
import struct
import time
from importlib import resources
from pathlib import Path

import numpy as np
import torch

from emulator.chip import Chip
from emulator.device import Device
from emulator.machine import Machine
from emulator.serial_endpoint import SerialEndpoint
from firmware_specs.chains import dense_chain
from firmware_specs.codes import Kind, Opcode
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.firmware.board import FOLDER
from firmware_specs.frame import DELIMITER, Decoder, Frame, encode
from firmware_specs.messages import Configure, Patch, Region, Settle, SettleReply, Sync, WriteCells, pack_number

TEXT = Path(str(resources.files("firmware_specs") / "PROTOCOL.md"))
MARK = "## Annex: a worked session\n"
NONCE = 0x01020304


def steps():
    """What the host asks, with words: from SYNC to the states behind one trained step."""
    block = dense_chain([2, 1])
    drive, rest = np.array([[2458, 2253]], "<u2"), 2048
    nudges = tuple(np.array([[rest + n]], "<u2") for n in (1000, -1000))

    def write(*codes):
        region = Region(0, 0, 0, 0, 3, 0, 1)
        return WriteCells(0, (Patch(region, np.array([[c] for c in codes], "<u2")),))

    yield "CONFIGURE array 0: two clamped units, one linear, a bias row", Opcode.CONFIGURE, Configure(0, block)
    yield "WATCHDOG 2 s", Opcode.WATCHDOG, pack_number(2.0)
    yield "ARM", Opcode.ARM, b""
    yield "WRITE_CELLS: G+ of three weights", Opcode.WRITE_CELLS, write(300, 200, 100)
    yield "SETTLE: free, nudged up, nudged down; layers 0 and 1", Opcode.SETTLE, Settle(0, drive, nudges, (0, 1))
    yield "WRITE_CELLS: the weights, moved by the contrast", Opcode.WRITE_CELLS, write(310, 206, 112)
    yield "SETTLE again, free: the output has moved", Opcode.SETTLE, Settle(0, drive, (), (0, 1))
    yield "DISARM", Opcode.DISARM, b""


def asked():
    """(words, bytes) of every host frame."""
    sync = Sync(2, 0, "a@b").pack()
    yield "SYNC, window 2", DELIMITER + encode(Frame(Kind.SYNC, 0, 0, NONCE, 0, payload=sync))
    for number, (words, opcode, payload) in enumerate(steps(), 1):
        data = payload if isinstance(payload, bytes) else payload.pack()
        yield words, encode(Frame(Kind.REQUEST, opcode, 0, NONCE, number, payload=data))


def emulated():
    sheet = load(FOLDER / "board.toml").model_dump()
    sheet["cells"]["programming_noise"] = 0.0
    sheet["state_adc"]["noise_sigma_v"] = sheet["output_adc"]["noise_sigma_v"] = 0.0
    # a change of 1e-7 in the last sweep is rounding in 32 bits, and another one wherever sums run in another order
    chip = Chip(Datasheet.model_validate(sheet), seed=1, dtype=torch.float64)
    device = Device(chip, boot=42, max_request=16224)
    device.max_reply = 16224
    return SerialEndpoint(Machine(device), "annex", window=2)


def annex():
    end = emulated()
    lines = []
    for words, data in asked():
        lines += [f"> {data.hex()}   {words}", f"< {end.feed(data).hex()}"]
    return (
        MARK
        + "\n"
        + (
            "`firmware_specs/firmware/board.toml` without noise, boot 42. `>` host, `<` device, all bytes.\n\n"
            "```\n" + "\n".join(lines) + "\n```\n"
        )
    )


def test_the_annex_is_what_the_emulated_firmware_says():
    assert MARK + TEXT.read_text().partition(MARK)[2] == annex()


def test_the_firmware_in_c_answers_the_annex(c_boards, checked):
    found = {way: re.findall(rf"^{way} ([0-9a-f]+)", annex(), re.MULTILINE) for way in "><"}
    host, device = ([bytes.fromhex(line) for line in lines] for lines in found.values())
    with c_boards.wire(checked / "board-checked") as wire:
        for sent, expected in zip(host, device, strict=True):
            wire.write(sent, time.monotonic() + 5)
            (mine,) = Decoder().feed(wire.read_until(DELIMITER, 4096, time.monotonic() + 5))
            (theirs,) = Decoder().feed(expected)
            assert mine[:7] == theirs[:7]
            if mine.opcode == Opcode.SETTLE:
                states = (SettleReply.parse(frame.payload).states for frame in (mine, theirs))
                for a, b in zip(*states, strict=True):
                    assert np.abs(a.astype(int) - b.astype(int)).max() < 200  # its noise, of 65,535
            elif mine.kind == Kind.SYNCED:
                assert mine.payload[:2] == theirs.payload[:2] and struct.unpack_from("<I", mine.payload, 4) == (0,)
            else:
                assert mine.payload == theirs.payload


if __name__ == "__main__":
    TEXT.write_text(TEXT.read_text().partition(MARK)[0].rstrip() + "\n\n" + annex())
