"""All instruments of a laboratory file, in front of its circuit."""

from __future__ import annotations

from emulator.circuits.breadboard import Breadboard
from emulator.circuits.duts import make_dut
from emulator.instruments.shelf import Shelf
from firmware_specs.labs import Lab


class Laboratory(Shelf):
    """Instruments in front of a breadboard.

    Args:
        lab: What stands there, and what is wired between.
        real_time: Integration and relay times pass in real time too, whatever the file says.
        log_commands: Keep every command line in the log.

    Raises:
        DutError: a part that there is none of.
    """

    def __init__(self, lab: Lab, *, real_time: bool = False, log_commands: bool = False) -> None:
        self.lab = lab
        relays = {
            (box, channel): pair for name, pair in lab.relays.items() for box, _, channel in [name.partition(".")]
        }
        self.bench = Breadboard(
            [(make_dut(part.dut), *part.between) for part in lab.parts],
            dict(lab.wires),
            relays,
            float(lab.line_frequency_hz),
            lab.contact_ohm,
            real_time or lab.real_time,
            log_commands,
            modules={
                name: {slot + 1: card for slot, card in enumerate(spec.modules) if card}
                for name, spec in lab.instruments.items()
            },
        )
        super().__init__(self.bench, lab.instruments, lab.seed)
