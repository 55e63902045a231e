"""Converters: DACs for drive and nudge currents, ADCs for states.

The transfer is the same for all: `code = clip(round((x - low) / lsb), 0, 2**bits - 1)` with
`lsb = (high - low) / (2**bits - 1)`. `bits = 0` is an ideal converter: no rounding, the range still clips.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, Tag, model_validator

from firmware_specs.datasheet.section import NonNegative, Section

WIRE_BITS_OF_IDEAL = 32
"""An ideal converter has no codes; where codes must travel it is a 32-bit one."""

CURVE_BITS = 20
"""Largest resolution whose transfer curve is kept code by code."""


class _Converter(Section):
    bits: Annotated[int, Field(ge=0, le=32)] = 0
    gain_error_sigma: NonNegative = 0.0
    offset_error_sigma_lsb: NonNegative = 0.0
    inl_lsb: NonNegative = 0.0
    dnl_lsb: NonNegative = 0.0

    @property
    def ideal(self) -> bool:
        """True where values pass without rounding."""
        return self.bits == 0

    @property
    def max_code(self) -> int:
        """Largest code (of the 32-bit stand-in for an ideal converter)."""
        return int(2 ** (self.bits or WIRE_BITS_OF_IDEAL) - 1)

    @property
    def low(self) -> float:
        """Value of code 0, volts or amperes."""
        raise NotImplementedError

    @property
    def high(self) -> float:
        """Value of the largest code, volts or amperes."""
        raise NotImplementedError

    @property
    def lsb(self) -> float:
        """One code step, volts or amperes."""
        return (self.high - self.low) / self.max_code

    @model_validator(mode="after")
    def _errors_need_codes(self) -> _Converter:
        for key in ("offset_error_sigma_lsb", "inl_lsb", "dnl_lsb"):
            if self.ideal and getattr(self, key):
                raise ValueError(f"{key}: counted in LSB, but bits = 0 (an ideal converter) has none")
        if self.bits > CURVE_BITS and (self.inl_lsb or self.dnl_lsb):
            raise ValueError(f"inl_lsb, dnl_lsb: known code by code, up to {CURVE_BITS} bits, not {self.bits}")
        return self


class _Current(_Converter):
    low_a: float
    high_a: float

    @property
    def low(self) -> float:
        """Lower end of the range, amperes."""
        return self.low_a

    @property
    def high(self) -> float:
        """Upper end of the range, amperes."""
        return self.high_a

    @model_validator(mode="after")
    def _rising(self) -> _Current:
        if not self.low_a < self.high_a:
            raise ValueError(f"low_a < high_a is needed, got {self.low_a} .. {self.high_a}")
        return self


class _Voltage(_Converter):
    low_v: float
    high_v: float

    @property
    def low(self) -> float:
        """Lower end of the range, volts."""
        return self.low_v

    @property
    def high(self) -> float:
        """Upper end of the range, volts."""
        return self.high_v

    @model_validator(mode="after")
    def _rising(self) -> _Voltage:
        if not self.low_v < self.high_v:
            raise ValueError(f"low_v < high_v is needed, got {self.low_v} .. {self.high_v}")
        return self


class Dac(_Current):
    """Digital to current: the drive or the nudge of every unit.

    Attributes:
        bits: Resolution; 0 is ideal.
        low_a: Current of code 0, amperes.
        high_a: Current of the largest code, amperes.
        gain_error_sigma: Relative gain spread between channels.
        offset_error_sigma_lsb: Offset spread between channels, LSB.
        inl_lsb: Peak integral nonlinearity, LSB.
        dnl_lsb: RMS differential nonlinearity, LSB.
        noise_sigma_a: White noise of the current, amperes RMS, held during a transaction.
    """

    noise_sigma_a: NonNegative = 0.0

    @model_validator(mode="after")
    def _both_signs(self) -> Dac:
        if not self.low_a < 0 < self.high_a:
            raise ValueError(f"low_a < 0 < high_a is needed (both signs), got {self.low_a} .. {self.high_a}")
        return self


class SourceDac(_Voltage):
    """Digital to voltage: the source nodes of a resistive network.

    Attributes:
        bits: Resolution; 0 is ideal.
        gain_error_sigma: Relative gain spread between channels.
        offset_error_sigma_lsb: Offset spread between channels, LSB.
        inl_lsb: Peak integral nonlinearity, LSB.
        dnl_lsb: RMS differential nonlinearity, LSB.
        low_v: Voltage of code 0.
        high_v: Voltage of the largest code.
    """

    @model_validator(mode="after")
    def _both_signs(self) -> SourceDac:
        if not self.low_v < 0 < self.high_v:
            raise ValueError(f"low_v < 0 < high_v is needed (both signs), got {self.low_v} .. {self.high_v}")
        return self


def _kind_of_drive(section: object) -> str:
    keys = section if isinstance(section, dict) else getattr(section, "__dict__", {})
    return "voltage" if "low_v" in keys or "high_v" in keys else "current"


DriveDac = Annotated[
    Annotated[Dac, Tag("current")] | Annotated[SourceDac, Tag("voltage")], Discriminator(_kind_of_drive)
]
"""Currents into the first layer, or in a resistive network the voltages of its source nodes."""


class Ammeter(_Current):
    """Current to digital: what every source node of a resistive network delivers.

    Attributes:
        gain_error_sigma: Relative gain spread between channels.
        offset_error_sigma_lsb: Offset spread between channels, LSB.
        inl_lsb: Peak integral nonlinearity, LSB.
        dnl_lsb: RMS differential nonlinearity, LSB.
        bits: Resolution; 0 is ideal.
        low_a: Current of code 0, amperes.
        high_a: Current of the largest code, amperes.
        noise_sigma_a: White noise of one reading, amperes RMS.
    """

    noise_sigma_a: NonNegative = 0.0


class Adc(_Voltage):
    """Voltage to digital: the state of every unit.

    Attributes:
        bits: Resolution; 0 is ideal.
        low_v: Voltage of code 0.
        high_v: Voltage of the largest code.
        noise_sigma_v: White noise of one reading, volts RMS.
        gain_error_sigma: Relative gain spread between channels.
        offset_error_sigma_lsb: Offset spread between channels, LSB.
        inl_lsb: Peak integral nonlinearity, LSB.
        dnl_lsb: RMS differential nonlinearity, LSB.
    """

    noise_sigma_v: NonNegative = 0.0


Converter = Dac | SourceDac | Ammeter | Adc
"""Any of them: what `low`, `high` and `max_code` say is all its codes need."""
