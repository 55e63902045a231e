"""What the device says of itself (PROTOCOL.md 7.1 and 7.2)."""

from __future__ import annotations

from dataclasses import astuple

from drivers.stated import RANGES
from firmware_specs.codes import Capability, ConverterId, Opcode, Parameter, Quantity
from firmware_specs.messages import Identity, SelfTest
from hil.conformance.check import Check
from hil.conformance.conversation import demand, parsed
from hil.conformance.subject import Subject

CURRENT_DACS = (ConverterId.DRIVE_DAC, ConverterId.NUDGE_DAC)


def _identify(subject: Subject) -> None:
    identity = subject.identity
    for name in ("vendor", "model", "serial", "firmware"):
        demand(bool(getattr(identity, name).strip()), f"{name} is empty")
    demand(identity.version == 1, f"version {identity.version}")


def _stable(subject: Subject) -> None:
    first = parsed(Identity, subject.verbs.ask(Opcode.IDENTIFY), "IDENTIFY")
    subject.verbs.sync()
    second = parsed(Identity, subject.verbs.ask(Opcode.IDENTIFY), "IDENTIFY")
    demand(first == second, f"{first} became {second} in a new session")


def _fabric(subject: Subject) -> None:
    fabric = subject.fabric
    demand(
        fabric.resistive == (Capability.RESISTIVE in subject.identity.capabilities), "substrate and RESISTIVE differ"
    )
    fixed = Capability.CONFIGURABLE not in subject.identity.capabilities
    demand(bool(fabric.layers) or not fixed, "not CONFIGURABLE, but no fixed layers are named")


def _converters(subject: Subject) -> None:
    has, capabilities = subject.converters, subject.identity.capabilities
    wanted = {
        Capability.SETTLE: (*CURRENT_DACS, ConverterId.STATE_ADC, ConverterId.OUTPUT_ADC),
        Capability.PRODUCT: (ConverterId.PRODUCT_DAC, ConverterId.PRODUCT_ADC),
        Capability.SOURCE_CURRENT: (ConverterId.SOURCE_ADC,),
    }
    for capability, ids in wanted.items():
        missing = [i.name for i in ids if i not in has] if capability in capabilities else []
        demand(not missing, f"{capability.name} without converter {', '.join(missing)}")
    nudge = has.get(ConverterId.NUDGE_DAC)
    if nudge is not None:
        demand(nudge.low < 0 < nudge.high, f"the nudge DAC spans {nudge.low} .. {nudge.high}, not both signs")
        demand(nudge.quantity == Quantity.AMPERE, "the nudge DAC is not in amperes")


def _parameters(subject: Subject) -> None:
    values = subject.parameters
    wanted = [Parameter.G_MIN_S, Parameter.G_MAX_S, Parameter.CELL_BITS]
    if Capability.SETTLE in subject.identity.capabilities:
        wanted += [Parameter.STATE_UNIT_V, Parameter.TRANSIMPEDANCE_OHM, Parameter.SETTLE_TIME_S]
    missing = [p.name for p in wanted if p not in values]
    demand(not missing, f"missing: {', '.join(missing)}")
    for number in RANGES:
        values.get(number)  # one that cannot be fails here
    demand(0 <= values[Parameter.G_MIN_S] < values[Parameter.G_MAX_S], "g_min_s is not below g_max_s")
    if (rail := values.get(Parameter.CLAMPED_HIGH_V)) is not None:
        settles = Capability.SETTLE in subject.identity.capabilities
        able = settles and Capability.RESISTIVE not in subject.identity.capabilities
        demand(able, "clamped_high_v is stated by a device that has no clamped neurons of its own rail")
        adc = subject.converters.get(ConverterId.STATE_ADC)
        demand(rail > 0, f"clamped_high_v is {rail}, above 0 expected")
        demand(adc is None or rail <= adc.high, f"clamped_high_v is {rail}, beyond what the state ADC can read")
    pairs = values.get(Parameter.PAIRS, 1)
    able = pairs == 1 or Capability.DIFFERENTIAL in subject.identity.capabilities
    demand(able, f"pairs is {pairs:g} without DIFFERENTIAL")


def _limits(subject: Subject) -> None:
    limits = subject.limits
    over = [a for a, b in zip(astuple(limits.active), astuple(limits.absolute), strict=True) if a > b]
    demand(not over, f"active limits above the absolute ones: {over}")


def _self_test(subject: Subject) -> None:
    subject.needs(Capability.SELF_TEST)
    result = parsed(SelfTest, subject.verbs.ask(Opcode.SELF_TEST), "SELF_TEST")
    failed = [item.name for item in result.items if not item.passed]
    demand(result.passed == (not failed), f"passed is {result.passed}, but these items failed: {failed}")
    demand(result.passed, f"the device's own self test failed: {failed}")


CHECKS = (
    Check("identity.identify", "7.1", "IDENTIFY names vendor, model, serial, firmware and version", _identify),
    Check("identity.stable", "7.1", "the identity and boot number stay the same in a new session", _stable),
    Check("identity.fabric", "7.1", "FABRIC agrees with the capabilities", _fabric),
    Check("identity.converters", "7.1", "CONVERTERS has what the capabilities need", _converters),
    Check("identity.parameters", "7.1", "PARAMETERS has what the capabilities need, in range", _parameters),
    Check("identity.limits", "7.2", "active limits are at most the absolute ones", _limits),
    Check("identity.self-test", "7.3", "SELF_TEST passes and agrees with its items", _self_test, "optional"),
)
