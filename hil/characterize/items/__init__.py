"""The measurements, in the order they are made: what wears cells comes last."""

from hil.characterize.items.drift import Drift
from hil.characterize.items.found import Found
from hil.characterize.items.health import Health
from hil.characterize.items.item import Item
from hil.characterize.items.iv import CurrentVoltage
from hil.characterize.items.nudge import NudgeLinearity
from hil.characterize.items.programming import Programming
from hil.characterize.items.pulse_response import PulseResponse
from hil.characterize.items.read_noise import ReadNoise
from hil.characterize.items.settle_time import SettleTime
from hil.characterize.items.temperature import TemperatureSweep
from hil.characterize.items.transfer import Transfer
from hil.characterize.items.wear import Endurance

ITEMS = (
    Found, Health, Transfer, SettleTime, NudgeLinearity, CurrentVoltage, Programming, ReadNoise, TemperatureSweep, Drift,
    PulseResponse, Endurance,
)  # fmt: skip

__all__ = [
    "ITEMS", "CurrentVoltage", "Drift", "Endurance", "Found", "Health", "Item", "NudgeLinearity", "Programming",
    "PulseResponse", "ReadNoise", "SettleTime", "TemperatureSweep", "Transfer",
]  # fmt: skip
