"""The datasheet as a whole, and what its sections must say of each other."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from firmware_specs.datasheet.cells import Cells
from firmware_specs.datasheet.coincidence import Coincidence
from firmware_specs.datasheet.converters import Adc, Dac, DriveDac
from firmware_specs.datasheet.drift import Drift
from firmware_specs.datasheet.energy import Energy
from firmware_specs.datasheet.fabric import Fabric, Identity, Limits
from firmware_specs.datasheet.faults import Endurance, Faults
from firmware_specs.datasheet.link import Link
from firmware_specs.datasheet.neurons import Neurons, Settle
from firmware_specs.datasheet.nodes import Nodes
from firmware_specs.datasheet.noise import ReadNoise, Telegraph
from firmware_specs.datasheet.physics import refuse_contradictions
from firmware_specs.datasheet.product import Product
from firmware_specs.datasheet.programming import Programming
from firmware_specs.datasheet.pulses import Pulses
from firmware_specs.datasheet.section import Section
from firmware_specs.datasheet.specimen import Specimen
from firmware_specs.datasheet.update import Update
from firmware_specs.datasheet.wires import Wires


class Datasheet(Section):
    """Everything the host must know of a device, and the emulator's parameters.

    Attributes:
        nodes: Of a resistive network only.
        drive_dac: Currents; voltages in a resistive network.
        state_adc: Reads clamped layers, in a resistive network those with diodes.
        output_adc: Reads linear layers, whose rails are wider.
        update: Of a device that moves its cells by itself.
        coincidence: Of a device that pulses rows and columns of its arrays at a time.
        product: Of a device that multiplies and does not settle; its neurons and state converters are the host's.
        link: How large its messages are.
        energy: What its circuits need, as far as somebody has published or measured it.

    Sections from `programming` on may be left out: their effects are then off.
    """

    identity: Identity
    fabric: Fabric
    cells: Cells
    neurons: Neurons
    nodes: Nodes = Nodes()
    drive_dac: DriveDac
    nudge_dac: Dac
    state_adc: Adc
    output_adc: Adc
    settle: Settle
    limits: Limits
    programming: Programming = Programming()
    read_noise: ReadNoise = ReadNoise()
    telegraph: Telegraph = Telegraph()
    drift: Drift = Drift()
    pulses: Pulses = Pulses()
    wires: Wires = Wires()
    faults: Faults = Faults()
    specimen: Specimen = Specimen()
    endurance: Endurance = Endurance()
    product: Product | None = None
    update: Update | None = None
    coincidence: Coincidence | None = None
    link: Link = Link()
    energy: Energy = Energy()

    @property
    def read_time_s(self) -> float:
        """Time of one conversion: of a sample's states, of a tile's read lines, or of a cell."""
        product = self.product
        return self.settle.read_time_s if product is None else product.read_time_s / product.reads

    @property
    def resistive(self) -> bool:
        """True for a network of conductances, False for neuron circuits."""
        return self.fabric.substrate == "resistive"

    @model_validator(mode="after")
    def _arrays_are_tiles(self) -> Self:
        fabric = self.fabric
        if self.product is not None and (fabric.max_layers, fabric.couplings, fabric.layers) != (2, ("dense",), ()):
            raise ValueError("fabric: an array of a product device is one tile: max_layers = 2, dense couplings only")
        return self

    @model_validator(mode="after")
    def _sections_agree(self) -> Self:
        neurons = self.neurons
        if self.resistive:
            _covers("state_adc", self.state_adc, neurons.linear_low_v, neurons.linear_high_v, "the rails")
        else:
            _covers("state_adc", self.state_adc, 0.0, neurons.rail_v, "the state rails")
        _covers("output_adc", self.output_adc, neurons.linear_low_v, neurons.linear_high_v, "the linear rails")
        return self

    @model_validator(mode="after")
    def _currents_within_limits(self) -> Self:
        currents = [("nudge_dac", self.nudge_dac)]
        if isinstance(self.drive_dac, Dac):
            currents.append(("drive_dac", self.drive_dac))
        elif max(-self.drive_dac.low_v, self.drive_dac.high_v) > self.limits.max_source_v * (1 + 1e-12):
            raise ValueError(f"drive_dac: reaches beyond limits.max_source_v = {self.limits.max_source_v} V")
        for name, dac in currents:
            reach = max(-dac.low_a, dac.high_a)
            if reach > self.limits.max_drive_a * (1 + 1e-12):
                raise ValueError(f"{name}: reaches {reach} A, above limits.max_drive_a = {self.limits.max_drive_a} A")
        return self

    @model_validator(mode="after")
    def _products(self) -> Self:
        if self.product is None:
            return self
        if self.update is not None:
            raise ValueError("update: a device that multiplies settles nothing, so that it holds no states to contrast")
        if self.resistive:
            raise ValueError("product: the host relaxes Hopfield blocks, fabric.substrate is 'resistive'")
        if self.cells.pairs > 1:
            raise ValueError("cells.pairs: a tile of a product device is one pair of planes, each converted by itself")
        if self.neurons.clamped_high_v is not None:
            raise ValueError("neurons.clamped_high_v: a device that multiplies has no neurons, leave it out")
        if self.product.line_dac.high_v < self.neurons.state_unit_v:
            raise ValueError(
                f"product.line_dac: reaches {self.product.line_dac.high_v} V, a state of 1 is "
                f"{self.neurons.state_unit_v} V"
            )
        if self.neurons.state_unit_v > self.limits.max_read_v:
            raise ValueError(
                f"neurons.state_unit_v: {self.neurons.state_unit_v} V on a line is above limits.max_read_v = "
                f"{self.limits.max_read_v} V"
            )
        return self

    @model_validator(mode="after")
    def _one_pair_updates(self) -> Self:
        if self.update is not None and self.cells.pairs > 1:
            raise ValueError("cells.pairs: circuits that move cells by themselves are described for one pair a weight")
        return self

    @model_validator(mode="after")
    def _half_selected_cells_stay(self) -> Self:
        if self.coincidence is None:
            return self
        if self.pulses.law == "none":
            raise ValueError("coincidence: where pulses meet they move cells, and no pulses.law says how far")
        seen_v = self.coincidence.half_select * self.pulses.amplitude_v
        if any(self.pulses.effort(seen_v, self.pulses.width_s, up) > 0 for up in (True, False)):
            raise ValueError(
                f"coincidence.half_select: {seen_v:g} V would move half-selected cells, pulses.threshold_v is "
                f"{self.pulses.threshold_v:g} V: raise the threshold, or say 0 for cells that a line opens"
            )
        return self

    @model_validator(mode="after")
    def _physics(self) -> Self:
        refuse_contradictions(self)
        return self

    @model_validator(mode="after")
    def _substrate(self) -> Self:
        mapping = "single" if self.resistive else "differential"
        if self.cells.mapping != mapping:
            raise ValueError(f"cells.mapping: a {self.fabric.substrate} array needs '{mapping}'")
        if self.resistive and isinstance(self.drive_dac, Dac):
            raise ValueError("drive_dac: a resistive network is driven by voltages: give low_v and high_v")
        if not self.resistive and not isinstance(self.drive_dac, Dac):
            raise ValueError("drive_dac: a Hopfield array is driven by currents: give low_a and high_a")
        if not self.resistive and self.nodes != Nodes():
            raise ValueError("nodes: describes a resistive network, but fabric.substrate is 'hopfield'")
        if self.resistive and not self.cells.reciprocal:
            raise ValueError("cells.nonreciprocity, backward_gain: the cells of a resistive network are resistors")
        if self.resistive and self.neurons.clamped_high_v is not None:
            raise ValueError("neurons.clamped_high_v: a resistive node clips by a diode at 0 V, leave it out")
        if self.resistive and (self.neurons.gain_mismatch_sigma or self.neurons.offset_mismatch_sigma_v):
            raise ValueError("neurons: a resistive node has no circuit to mismatch (the ADCs have)")
        return self


def _covers(name: str, adc: Adc, low_v: float, high_v: float, what: str) -> None:
    if adc.low_v > low_v or adc.high_v < high_v:
        raise ValueError(
            f"{name}: range {adc.low_v} .. {adc.high_v} V is narrower than {what}, {low_v} .. {high_v} V: "
            "states beyond it could not be seen"
        )
