"""What a device says of itself, read once at opening."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.dialect import Dialect
from drivers.errors import OutOfRange
from drivers.stated import credible
from firmware_specs.codes import Capability, ConverterId, Parameter
from firmware_specs.messages import Converter, FabricInfo, Identity, LimitsInfo


@dataclass(frozen=True)
class DeviceInfo:
    """Identity, fabric, converters, parameters and limits of an open device."""

    identity: Identity
    fabric: FabricInfo
    converters: Mapping[int, Converter]
    parameters: Mapping[int, float]
    limits: LimitsInfo

    @classmethod
    def of(cls, dialect: Dialect) -> DeviceInfo:
        """Asks a device with an open session; raises `DeviceError` where it does not say."""
        identity = dialect.identify()
        return cls(
            identity,
            dialect.fabric(),
            {converter.id: converter for converter in dialect.converters()},
            credible(dialect.parameters(), identity.capabilities, dialect.address),
            dialect.limits(),
        )

    def can(self, capability: Capability) -> bool:
        """Does it have a capability?"""
        return bool(self.identity.capabilities & capability)

    def converter(self, which: ConverterId, device: str) -> Converter:
        """One of its converters; raises `OutOfRange` where it has none such."""
        if which not in self.converters:
            raise OutOfRange(f"the device has no converter {which.name}", device=device)
        return self.converters[which]

    def parameter(self, which: Parameter) -> float:
        """One of its numbers, 0 where it does not say."""
        return self.parameters.get(which, 0.0)

    def seconds(self, which: Parameter) -> float:
        """One of the times it states, 0 where it does not say or says nonsense."""
        return max(0.0, self.parameter(which))

    @property
    def write_energy_j(self) -> float:
        """Energy of writing a cell once, joules; 0 where it does not say."""
        return max(0.0, self.parameter(Parameter.WRITE_ENERGY_J))

    @property
    def chip(self) -> str:
        """Who it is, wherever it is connected: vendor, model and serial number."""
        return f"{self.identity.vendor} {self.identity.model} {self.identity.serial}"

    @property
    def nominal_pulse(self) -> tuple[float, float] | None:
        """Amplitude and width of the pulse that the device calls nominal, V and s; None where it names none."""
        volts, seconds = self.parameter(Parameter.PULSE_AMPLITUDE_V), self.parameter(Parameter.PULSE_WIDTH_S)
        return (volts, seconds) if volts > 0 and seconds > 0 else None

    @property
    def max_reads(self) -> int:
        """Conversions it makes in one request, at most."""
        return max(1, int(self.parameter(Parameter.MAX_READS)))
