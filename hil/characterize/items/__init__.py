"""The measurements, in the order they are made: what wears cells comes last."""

from hil.characterize.items.drift import Drift
from hil.characterize.items.item import Item
from hil.characterize.items.iv import CurrentVoltage, Found
from hil.characterize.items.nudge import NudgeLinearity
from hil.characterize.items.programming import Programming
from hil.characterize.items.pulse_response import PulseResponse
from hil.characterize.items.read_noise import ReadNoise
from hil.characterize.items.settle_time import SettleTime
from hil.characterize.items.transfer import Transfer
from hil.characterize.items.wear import Endurance, TemperatureSweep

ITEMS = (
    Found, Transfer, SettleTime, NudgeLinearity, CurrentVoltage, Programming, ReadNoise, TemperatureSweep, Drift,
    PulseResponse, Endurance,
)  # fmt: skip

__all__ = [
    "ITEMS", "CurrentVoltage", "Drift", "Endurance", "Found", "Item", "NudgeLinearity", "Programming", "PulseResponse",
    "ReadNoise", "SettleTime", "TemperatureSweep", "Transfer",
]  # fmt: skip
