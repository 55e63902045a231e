"""A read-noisy, 8-bit product of one crossbar, and what its wires cost. `AIHWKIT=1` adds aihwkit's inference tile.

    python -m benchmarks.noisy_product

Effects on here: 8-bit DACs and ADCs with rails, read noise of every cell (drawn at the output with the variance of the
cells), differential pairs, and in the last line wires. aihwkit's default inference tile: DAC and ADC rounding, bounds,
output noise. Drawing the noise cell by cell is what a simulator does that draws one matrix a vector.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.clock import alternate
from emulator import converters
from emulator.chip import Chip
from emulator.wires import ladder
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import Datasheet, load
from firmware_specs.datasheet.converters import Adc, SourceDac

UNITS, BATCH = 512, 64


def main() -> None:
    """Prints the table."""
    rounds = int(os.environ.get("ROUNDS", "5"))
    volts = torch.rand(BATCH, UNITS, generator=torch.Generator().manual_seed(0)) * 0.2
    plain: dict[str, dict[str, object]] = {"relative": {"law": "relative", "sigma": 0.01}, "none": {"law": "none"}}
    chips = {name: _chip(law) for name, law in plain.items()}
    wired = _chip(plain["relative"], {"row_ohm": 0.35, "column_ohm": 0.35})
    pair = chips["relative"].conductances_s(0)[0]
    runs: dict[str, Callable[[], object]] = {
        "bare product": lambda: volts @ (pair[0] - pair[1]),
        "8-bit, no read noise": lambda: _converted(chips["none"], volts),
        "8-bit, read noise": lambda: _converted(chips["relative"], volts),
        "8-bit, read noise, wires": lambda: _converted(wired, volts),
        "the same, cell by cell": lambda: _cell_by_cell(pair, volts),
    }
    if os.environ.get("AIHWKIT"):
        runs["aihwkit, default inference tile"] = _aihwkit(volts)
    times = alternate(runs, rounds)
    print(f"{UNITS} x {UNITS}, batch {BATCH}, {torch.get_num_threads()} threads: median ms, clean samples")
    for name, timing in times.items():
        print(f"  {name:34s} {timing.median * 1e3:9.3f}  {len(timing.seconds)}/{timing.samples}")
    _wires(pair, rounds)


def _wires(pair: Tensor, rounds: int) -> None:
    """What the approximation costs when conductances change; a settle costs what it costs without wires."""
    wires = load("pcm").wires
    state = torch.rand(BATCH, UNITS)
    weight = (pair[0] - pair[1]).T.contiguous()
    times = alternate(
        {
            "one sweep (up and down)": lambda: (state @ weight.T) @ weight,
            "wires, once a programming": lambda: ladder.transfer(pair, wires),
        },
        rounds,
    )
    for name, timing in times.items():
        print(f"  {name:34s} {timing.median * 1e3:9.3f}  {len(timing.seconds)}/{timing.samples}")


def _chip(read_noise: dict[str, object], wires: dict[str, object] | None = None) -> Chip:
    document = load("pcm").model_dump(exclude_unset=True)
    document |= {"read_noise": read_noise, "drift": {}, "wires": wires or {}}
    chip = Chip(Datasheet.model_validate(document))
    chip.configure(0, dense_chain([UNITS, UNITS], bias=False))
    generator = torch.Generator().manual_seed(1)
    chip.program(0, [torch.rand(2, UNITS, UNITS, generator=generator) * 25e-6])
    return chip


DAC = SourceDac(bits=8, low_v=-0.2, high_v=0.2)
ADC = Adc(bits=8, low_v=-1.0, high_v=1.0)


def _converted(chip: Chip, volts: Tensor) -> Tensor:
    sent, _ = converters.convert_drive(DAC, volts)
    return converters.convert_state(ADC, chip.product(0, 0, sent) * 4e3)[0]


def _cell_by_cell(pair: Tensor, volts: Tensor) -> Tensor:
    rows = []
    for line in converters.convert_drive(DAC, volts)[0]:
        noisy = pair * (1 + 0.01 * torch.randn(pair.shape))
        rows.append(line @ (noisy[0] - noisy[1]))
    return converters.convert_state(ADC, torch.stack(rows) * 4e3)[0]


def _aihwkit(volts: Tensor) -> Callable[[], object]:
    from aihwkit.nn import AnalogLinear  # type: ignore[import-not-found]
    from aihwkit.simulator.configs import InferenceRPUConfig  # type: ignore[import-not-found]

    layer = AnalogLinear(UNITS, UNITS, bias=False, rpu_config=InferenceRPUConfig())
    layer.eval()

    def run() -> object:
        with torch.no_grad():
            return layer(volts)

    return run


if __name__ == "__main__":
    main()
