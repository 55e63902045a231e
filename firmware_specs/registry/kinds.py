"""What can be chosen by name: the kinds of the registry, each with what its things must be."""

from __future__ import annotations

from typing import NamedTuple


class Kind(NamedTuple):
    """A kind of thing.

    Attributes:
        noun: What one is called in a sentence.
        contract: What it must be.
        takes: What it is called with, by place; None where it is not called, or in more than one way.
        figures: It may need more, by name: figures of a datasheet.
        has: Attributes that it must have.
    """

    noun: str
    contract: str
    takes: tuple[str, ...] | None = None
    figures: bool = False
    has: tuple[str, ...] = ()


KINDS: dict[str, Kind] = {
    "counterparts": Kind(
        "a counterpart", "address scheme: `f(address) -> Opener` (`hil.counterparts.opening`)", takes=("address",)
    ),
    "transports": Kind(
        "a transport", "kind of wire, by its address scheme: a `drivers.doors.Door`", has=("open", "parse", "byte_s")
    ),
    "dialects": Kind(
        "a dialect",
        "language on a wire: `f(wire, where, options) -> drivers.dialect.Dialect`",
        takes=("wire", "where", "options"),
    ),
    "instruments": Kind("a rack instrument", "`firmware_specs.racks.Model`: facts, driver, virtual twin"),
    "duts": Kind("a circuit", "what virtual instruments are wired to: `f(figures) -> Part` (`emulator.circuits`)"),
    "items": Kind("a measuring item", "subclass of `hil.measuring.characterize.items.Item`"),
    "laws": Kind(
        "a pulse law",
        "`f(pulses, x, up, *, figures) -> relative step` (`firmware_specs.datasheet.pulse_laws`)",
        takes=("pulses", "x", "up"),
        figures=True,
    ),
    "drifts": Kind(
        "a drift law",
        "`f(drift, cells, written_s, elapsed_s, xi, walk_s, *, figures)` (`emulator.cells`)",
        takes=("drift", "cells", "written_s", "elapsed_s", "xi", "walk_s"),
        figures=True,
    ),
    "noises": Kind(
        "a noise law",
        "`f(noise, cells, conductance_s, age_s, *, figures) -> sigma` (`emulator.cells`)",
        takes=("noise", "cells", "conductance_s", "age_s"),
        figures=True,
    ),
    "data": Kind("a data set", "`f(root) -> hil.data.Dataset`, or `f(root, argument)` for `NAME:ARGUMENT`"),
    "layers": Kind("a layer", "section with `kind` and `build(shape) -> nn.Module`", has=("build",)),
    "losses": Kind(
        "a loss", "`f(scores, labels) -> scalar`, or a `hil.learning.loss.Task`", takes=("scores", "labels")
    ),
    "optimizers": Kind("an optimizer", "`f(settings, groups) -> torch.optim.Optimizer`", takes=("settings", "groups")),
    "schedules": Kind(
        "a schedule",
        "`f(experiment, epoch, batch, batches) -> rate`, before warm-up",
        takes=("experiment", "epoch", "batch", "batches"),
    ),
    "estimators": Kind(
        "an estimator", "dataclass with `kind` and `gradients` (`hil.learning.estimator.Rule`)", has=("gradients",)
    ),
    "updates": Kind(
        "an update", "section with `kind` and `begin(arrays)` (`hil.learning.updates.update.Update`)", has=("begin",)
    ),
    "energies": Kind("an energy", "subclass of `hil.learning.energies.Energy`", has=("energy", "initial", "layers")),
    "reports": Kind("a report section", "`f(run_folder) -> hil.report.page.Section` or None", takes=("run_folder",)),
    "imports": Kind(
        "a table format",
        "`f(paths, options, rows) -> hil.measuring.imports.readings.Readings`",
        takes=("paths", "options", "rows"),
    ),
    "exports": Kind("an export format", "`f(datasheet, name) -> text of a file`", takes=("datasheet", "name")),
}
"""The entry points of a kind are the group `hil.KIND`."""
