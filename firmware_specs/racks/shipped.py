"""The shipped instrument models, the things of the registry's kind `instruments`: facts, driver, virtual twin."""

from __future__ import annotations

from firmware_specs.racks.facts import shipped
from firmware_specs.racks.model import Model

_DRIVERS, _TWINS = "drivers.instruments", "emulator.instruments.models"


def _model(name: str, driver: str, twin: str) -> Model:
    return Model(shipped()[name], f"{_DRIVERS}.{driver}", f"{_TWINS}.{twin}" if twin else "")


def _2400(name: str) -> Model:
    return _model(name, "keithley2400:Keithley2400", "keithley2400:Keithley2400")


def _2450(name: str) -> Model:
    return _model(name, "keithley2450:Keithley2450", "keithley2450:Keithley2450")


def _2600(name: str) -> Model:
    return _model(name, "keithley2600:Keithley2600", "keithley2600:Keithley2600")


def _b2900(name: str) -> Model:
    return _model(name, "keysight_b2900:KeysightB2900", "keysight_b2900:KeysightB2900")


def _707b(name: str) -> Model:
    return _model(name, "keithley707b:Keithley707B", "keithley707b:Keithley707B")


KEITHLEY_2400 = _2400("keithley-2400")
KEITHLEY_2401 = _2400("keithley-2401")
KEITHLEY_2410 = _2400("keithley-2410")
KEITHLEY_2420 = _2400("keithley-2420")
KEITHLEY_2450 = _2450("keithley-2450")
KEITHLEY_2450_SCPI2400 = _model(
    "keithley-2450-scpi2400", "keithley2400:Keithley2400", "keithley2400:Keithley2450As2400"
)
KEITHLEY_2450_TSP = _model("keithley-2450-tsp", "keithley2450:Keithley2450", "keithley2450_tsp:Keithley2450Tsp")
KEITHLEY_2470 = _2450("keithley-2470")
KEITHLEY_2601B = _2600("keithley-2601b")
KEITHLEY_2602B = _2600("keithley-2602b")
KEITHLEY_2604B = _2600("keithley-2604b")
KEITHLEY_2611B = _2600("keithley-2611b")
KEITHLEY_2612B = _2600("keithley-2612b")
KEITHLEY_2614B = _2600("keithley-2614b")
KEITHLEY_2634B = _2600("keithley-2634b")
KEITHLEY_2635B = _2600("keithley-2635b")
KEITHLEY_2636B = _2600("keithley-2636b")
KEYSIGHT_B2901A = _b2900("keysight-b2901a")
KEYSIGHT_B2902A = _b2900("keysight-b2902a")
KEYSIGHT_B2911A = _b2900("keysight-b2911a")
KEYSIGHT_B2912A = _b2900("keysight-b2912a")
KEYSIGHT_B1500A = _model("keysight-b1500a", "keysight_b1500:KeysightB1500", "keysight_b1500:KeysightB1500")
KEITHLEY_4200A = _model("keithley-4200a", "keithley4200:Keithley4200", "keithley4200:Keithley4200")
LAKESHORE_331 = _model("lakeshore-331", "lakeshore:LakeShore33x", "lakeshore:LakeShore335")
LAKESHORE_335 = _model("lakeshore-335", "lakeshore:LakeShore33x", "lakeshore:LakeShore335")
LAKESHORE_336 = _model("lakeshore-336", "lakeshore:LakeShore33x", "lakeshore:LakeShore335")
KEITHLEY_707B = _707b("keithley-707b")
KEITHLEY_708B = _707b("keithley-708b")
KEYSIGHT_34980A = _model("keysight-34980a", "keysight34980a:Keysight34980A", "keysight34980a:Keysight34980A")
KEITHLEY_DAQ6510 = _model("keithley-daq6510", "meters:KeithleyDAQ6510", "keithley_daq6510:KeithleyDaq6510")
KEYSIGHT_34465A = _model("keysight-34465a", "meters:Keysight34465A", "keysight34465a:Keysight34465A")
CROSSBAR_HIL_CLOCK = _model("crossbar-hil-clock", "clocks:RackClock", "clock:Clock")
