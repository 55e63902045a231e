"""From an experiment to a chain of modules: feedforward parts, energy blocks, readout."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from math import isclose, prod

import torch
from torch import nn

from emulator.streams import generator
from firmware_specs import topology as spec
from hil.counterparts.cell_array import CellArray, SelfUpdating
from hil.counterparts.seam import Bench, PlacementError, Settled
from hil.experiments.parts import ConvPart, DensePart, EnergyPart, SkipPart
from hil.experiments.schema import BlockPart, Experiment
from hil.learning.block import EnergyBlock, Observer
from hil.learning.energies import Crossbar, Energy
from hil.learning.estimator import Estimator, Rule
from hil.learning.host import HostLayers
from hil.learning.initial import initialize
from hil.learning.layer_losses import BlockWithLosses


class ModelError(ValueError):
    """Parts that do not fit together; the message names the block and layer."""


def build(
    experiment: Experiment,
    bench: Bench,
    shape: tuple[int, ...],
    classes: int,
) -> nn.Sequential:
    """Builds the model of an experiment and places its energy blocks.

    Weights come from generators derived from `run.seed`; torch's default generator is left as it was.

    Args:
        experiment: What to build.
        bench: Open counterpart.
        shape: One sample of the data.
        classes: Width of the output.

    Returns:
        `block_1`, `block_2`, ... (each with `feedforward` and `energy`), then `readout` if there is one.

    Raises:
        ModelError: layers that do not fit.
        PlacementError: a block that does not fit the counterpart.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    rules = rules_of(experiment.estimator, len(experiment.blocks))
    if _follows(experiment.estimator) and any(part.losses for part in experiment.blocks):
        raise ModelError(
            "losses: a nudge that follows the loss follows the output's alone: set estimator.nudge = 'constant'"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(generator(torch.device("cpu"), experiment.run.seed, "weights").initial_seed())
        for number, part in enumerate(experiment.blocks):
            block, shape = _block(experiment, part, f"blocks.{number}", bench, shape, rules[number], classes)
            parts[f"block_{number + 1}"] = block
        if experiment.readout == "linear":
            parts["readout"] = nn.Sequential(nn.Flatten(), nn.Linear(prod(shape), classes))
        elif prod(shape) != classes:
            raise ModelError(f"readout = 'none': the last layer has shape {shape}, the data has {classes} classes")
        else:
            parts["readout"] = nn.Flatten()
        model = nn.Sequential(parts)
        initialize(model, experiment.init)
    return model.to(getattr(torch, experiment.run.dtype))


def energy_blocks(model: nn.Module) -> dict[str, EnergyBlock]:
    """Energy blocks of a model by name, first to last."""
    return {name: module for name, module in model.named_modules() if isinstance(module, EnergyBlock)}


def rules_of(rule: Rule, blocks: int) -> list[Rule]:
    """The rule of every block of a chain: only the last one's nudge can follow the loss, which it alone sees."""
    earlier = replace(rule, nudge="constant") if _follows(rule) else rule  # type: ignore[type-var]
    return [*[earlier] * (blocks - 1), rule]


def _follows(rule: Rule) -> bool:
    return isinstance(rule, Estimator) and rule.nudge == "reevaluated"


def set_rule(model: nn.Module, rule: Rule) -> None:
    """Exchanges the rule of every block of a model."""
    blocks = energy_blocks(model)
    for block, own in zip(blocks.values(), rules_of(rule, len(blocks)), strict=True):
        block.estimator = own


@contextmanager
def observed(model: nn.Module, observers: Mapping[str, Observer]) -> Iterator[None]:
    """While it lasts, each named energy block tells its own observer of every settle; then the former ones return."""
    blocks = energy_blocks(model)
    before = {name: blocks[name].observer for name in observers}
    try:
        for name, observer in observers.items():
            blocks[name].observer = observer
        yield
    finally:
        for name, former in before.items():
            blocks[name].observer = former


def energy_of(part: EnergyPart | Energy, drive_shape: tuple[int, ...], slope: float = 1.0, rail: float = 1.0) -> Energy:
    """The energy of a block for the shape its feedforward part delivers."""
    if isinstance(part, Energy):
        return replace(part, drive_shape=drive_shape)
    return Crossbar.of(topology_of(part, drive_shape, slope, rail))


def topology_of(part: EnergyPart, drive_shape: tuple[int, ...], slope: float = 1.0, rail: float = 1.0) -> spec.Topology:
    """Layers and couplings of an energy part for the shape its feedforward part delivers.

    In the Hopfield substrate that shape is the first layer's; in the resistive one it is the source nodes'.
    `slope` and `rail` are for a part that states none.
    """
    resistive = part.substrate == "resistive"
    shapes: list[tuple[int, ...]] = [] if resistive else [drive_shape]
    couplings: list[spec.Dense | spec.Conv] = []
    before = drive_shape
    for coupling in part.couplings:
        made, before = _coupling(coupling, len(shapes) - 1, before)
        couplings.append(made)
        shapes.append(before)
    couplings += [_skip(skip) for skip in part.skips]
    last = len(shapes) - 1
    neuron = {"slope": part.slope or slope, "rail": 1.0 if resistive else part.rail or rail}
    layers = tuple(spec.Layer(shape=s, clamped=part.clamp_last or i < last, **neuron) for i, s in enumerate(shapes))
    source = drive_shape if resistive else None
    return spec.Topology(substrate=part.substrate, source=source, layers=layers, couplings=tuple(couplings))


def _skip(part: SkipPart) -> spec.Dense | spec.Conv:
    if part.kind == "dense":
        return spec.Dense(pre=part.pre, post=part.post, bias=part.bias)
    return spec.Conv(**part.model_dump(exclude={"kind"}))


def _coupling(
    part: DensePart | ConvPart, pre: int, before: tuple[int, ...]
) -> tuple[spec.Dense | spec.Conv, tuple[int, ...]]:
    if isinstance(part, DensePart):
        return spec.Dense(pre=pre, post=pre + 1, bias=part.bias), (part.units,)
    if len(before) != 3:
        raise ValueError(f"a conv coupling needs a (channels, height, width) layer before it, got {before}")
    fields = part.model_dump(exclude={"kind", "channels"})
    conv = spec.Conv(pre=pre, post=pre + 1, **fields)
    after = conv.output_shape(before, part.channels)
    if min(after) < 1:
        raise ValueError(f"a conv coupling on a layer of shape {before} leaves nothing: {after}")
    return conv, after


def _somebody_counts(settled: Settled) -> None:
    """Observer of a block whose run counts what went badly, so that the block itself need not warn."""


def _dense(topology: spec.Topology | None) -> bool:
    return topology is not None and all(isinstance(coupling, spec.Dense) for coupling in topology.couplings)


def _block(
    experiment: Experiment, part: BlockPart, where: str, bench: Bench, shape: tuple[int, ...], rule: Rule, classes: int
) -> tuple[nn.Module, tuple[int, ...]]:
    layers: list[nn.Module] = []
    for index, layer in enumerate(part.feedforward):
        try:
            module = layer.build(shape)
            if not isinstance(module, nn.Module):
                raise ValueError(f"build gives {module!r:.60}, expected a torch.nn.Module")
            shape = tuple(module.eval()(torch.zeros(1, *shape)).shape[1:])
            module.train()
        except (ValueError, RuntimeError) as error:
            raise ModelError(f"{where}.feedforward.{index} ({layer.kind}): input {shape}: {error}") from error
        layers.append(module)
    try:
        own = energy_of(part.energy, shape, experiment.slope, experiment.rail)
    except (ValueError, RuntimeError) as error:
        raise ModelError(f"{where}.energy: {error}") from error
    signs = generator(torch.device("cpu"), experiment.run.seed, "nudge sign", where)
    pulsed = experiment.update.pulsed
    topology = own.topology
    if experiment.update.by_states and not _dense(topology):
        raise ModelError(f"{where}.energy: update.kind = {experiment.update.kind!r} moves dense couplings only")
    if (
        pulsed
        and not experiment.update.by_device
        and (
            topology is None
            or topology.substrate == "resistive"
            or any(isinstance(c, spec.Conv) and c.pool for c in topology.couplings)
        )
    ):
        raise ModelError(
            f"{where}.energy: pulsed updates need a gradient that the states alone give; pooling and "
            "resistive networks need the weights, too: use update.kind = 'rewrite'"
        )
    settle = experiment.settle
    try:
        energy = EnergyBlock(
            own,
            bench,
            rule,
            generator=signs,
            reads=settle.reads,
            unsettled=settle.unsettled,
            pulsed=pulsed,
            beside=experiment.update.beside,
            observer=_somebody_counts,
        )
    except PlacementError as error:
        raise PlacementError(f"{where}.energy: {error}") from error
    if (
        experiment.update.by_device
        and isinstance(energy.array, SelfUpdating)
        and not isclose(energy.array.stretch(), 1.0)
    ):
        chips = ", ".join(f"{rail / energy.array.stretch():g}" for rail in energy.topology.rails)
        raise ModelError(
            f"{where}.energy: a chip that updates itself contrasts its own states, of rail {chips}, the block's has "
            f"{', '.join(f'{rail:g}' for rail in energy.topology.rails)}: set rail = {chips}"
        )
    if pulsed and not isinstance(energy.array, CellArray):
        raise ModelError(f"update.kind = {experiment.update.kind!r}: {bench.address} has no cells that could be pulsed")
    host = HostLayers(*layers)
    if not part.losses:
        return nn.Sequential(OrderedDict(feedforward=host, energy=energy)), own.nudge_shape
    try:
        return BlockWithLosses(host, energy, part.losses, classes), own.nudge_shape
    except ValueError as error:
        raise ModelError(f"{where}.{error}") from error
