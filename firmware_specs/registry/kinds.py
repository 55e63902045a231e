"""What can be chosen by name: the kinds of the registry, each with what its things must be."""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of thing.

    Attributes:
        noun: What one is called in a sentence.
        contract: What it must be.
    """

    noun: str
    contract: str


KINDS: dict[str, Kind] = {
    "counterparts": Kind("a counterpart", "address scheme: `f(address) -> Opener` (`hil.counterparts.opening`)"),
    "transports": Kind("a transport", "kind of wire, by its address scheme: a `drivers.doors.Door`"),
    "dialects": Kind("a dialect", "language on a wire: `f(wire, where, options) -> drivers.dialect.Dialect`"),
    "instruments": Kind("a rack instrument", "`firmware_specs.racks.Model`: facts, driver, virtual twin"),
    "duts": Kind("a circuit", "what virtual instruments are wired to: `f(figures) -> Part` (`emulator.circuits`)"),
    "items": Kind("a measuring item", "subclass of `hil.measuring.characterize.items.Item`"),
    "laws": Kind(
        "a pulse law", "`f(pulses, x, up, *, figures) -> relative step` (`firmware_specs.datasheet.pulse_laws`)"
    ),
    "drifts": Kind("a drift law", "`f(drift, cells, written_s, elapsed_s, xi, walk_s, *, figures)` (`emulator.cells`)"),
    "noises": Kind("a noise law", "`f(noise, cells, conductance_s, age_s, *, figures) -> sigma` (`emulator.cells`)"),
    "data": Kind("a data set", "`f(root) -> hil.data.Dataset`, or `f(root, argument)` for `NAME:ARGUMENT`"),
    "layers": Kind("a layer", "section with `kind` and `build(shape) -> nn.Module`"),
    "losses": Kind("a loss", "`f(scores, labels) -> scalar`, or a `hil.learning.loss.Task`"),
    "optimizers": Kind("an optimizer", "`f(settings, groups) -> torch.optim.Optimizer`"),
    "schedules": Kind("a schedule", "`f(experiment, epoch, batch, batches) -> rate`, before warm-up"),
    "estimators": Kind("an estimator", "dataclass with `kind` and `gradients` (`hil.learning.estimator.Rule`)"),
    "updates": Kind("an update", "section with `kind` and `begin(arrays)` (`hil.learning.updates.update.Update`)"),
    "energies": Kind("an energy", "subclass of `hil.learning.energies.Energy`"),
    "reports": Kind("a report section", "`f(run_folder) -> hil.report.page.Section` or None"),
    "imports": Kind("a table format", "`f(paths, options, rows) -> hil.measuring.imports.readings.Readings`"),
    "exports": Kind("an export format", "`f(datasheet, name) -> text of a file`"),
}
"""The entry points of a kind are the group `hil.KIND`."""
