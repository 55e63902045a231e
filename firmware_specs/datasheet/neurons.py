"""Neuron circuits: summing node, gain, rails, mismatch, and how long they take to settle."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from firmware_specs.datasheet.section import NonNegative, Positive, Section


class Neurons(Section):
    """Neuron circuits of an array.

    A clamped neuron clips to `0 .. clamped_high_v`; a linear one to its own, wider rails. A resistive network has nodes
    instead, but the same units: a voltage of 1.0 is `state_unit_v`, a conductance of 1.0 is `1 / transimpedance_ohm`.

    Attributes:
        state_unit_v: Voltage of the model state 1.0.
        transimpedance_ohm: Summed current to voltage; fixes the weight scale, `w = (G+ - G-) * transimpedance_ohm`.
        linear_low_v: Lower rail of a linear layer, of every node in a resistive network; volts.
        linear_high_v: Upper rail, volts.
        clamped_high_v: Upper rail of a clamped neuron, volts; `state_unit_v` when omitted. Six times that makes a
            neuron of slope 1 a ReLU6. Bias lines stay at one state unit.
        gain_mismatch_sigma: Static relative gain spread between neuron circuits.
        offset_mismatch_sigma_v: Static offset spread between neuron circuits, volts, at the summing node.
        leak: Share of a neuron's gain that its leak takes: `s = clamp(gain (1 - leak) z)`.
        node_capacitance_f: Across the transimpedance; sets the time constant `tau_s` and the kT/C noise.
        thermal_noise: kT/C noise of the node on every reading, `sigma = sqrt(k T / C)`.
    """

    state_unit_v: Positive
    transimpedance_ohm: Positive
    linear_low_v: float
    linear_high_v: float
    clamped_high_v: Positive | None = None
    gain_mismatch_sigma: NonNegative = 0.0
    offset_mismatch_sigma_v: NonNegative = 0.0
    leak: Annotated[float, Field(ge=0, lt=1)] = 0.0
    node_capacitance_f: Positive | None = None
    thermal_noise: bool = False

    @property
    def rail_v(self) -> float:
        """Upper rail of clamped neurons, volts."""
        return self.state_unit_v if self.clamped_high_v is None else self.clamped_high_v

    @property
    def rail(self) -> float:
        """The same in state units; 1 where nothing is said."""
        return self.rail_v / self.state_unit_v

    @property
    def tau_s(self) -> float | None:
        """Time constant of a neuron, `R C`; None where the capacitance is not given."""
        return None if self.node_capacitance_f is None else self.transimpedance_ohm * self.node_capacitance_f

    @model_validator(mode="after")
    def _rails(self) -> Neurons:
        if not self.linear_low_v <= 0 < self.state_unit_v <= self.linear_high_v:
            raise ValueError(
                "linear_low_v <= 0 and state_unit_v <= linear_high_v are needed, got "
                f"{self.linear_low_v} .. {self.linear_high_v} V for a state unit of {self.state_unit_v} V"
            )
        if self.rail_v > self.linear_high_v:
            raise ValueError(
                f"clamped_high_v <= linear_high_v is needed, got {self.rail_v} V above {self.linear_high_v} V: linear "
                "neurons reach further than clamped ones"
            )
        if self.thermal_noise and self.node_capacitance_f is None:
            raise ValueError("thermal_noise needs node_capacitance_f: kT/C has no value without C")
        return self


class Settle(Section):
    """How a settle ends.

    Attributes:
        time_s: Time the device waits before it reads the states.
        mode: `equilibrium`: states are read at rest, however long that takes; `transient`: they are read after
            `time_s`, wherever they have come to (needs `neurons.node_capacitance_f`).
        read_time_s: Time to convert one sample's states once, and of one reading of a cell.
        max_iterations: Bound on the relaxation sweeps an emulator spends on one phase.
        tolerance: Largest state change in one sweep, in state units, at which a sample counts as settled.
    """

    time_s: Positive
    mode: Literal["equilibrium", "transient"] = "equilibrium"
    read_time_s: NonNegative = 0.0
    max_iterations: Annotated[int, Field(gt=0, le=10**9)] = 200
    tolerance: Positive = 1e-5
