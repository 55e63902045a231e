"""The measurements, in the order they are made: what wears cells comes last."""

from hil.measuring.characterize.items.drift import Drift
from hil.measuring.characterize.items.found import Found
from hil.measuring.characterize.items.health import Health
from hil.measuring.characterize.items.item import Item
from hil.measuring.characterize.items.iv import CurrentVoltage
from hil.measuring.characterize.items.nudge import NudgeLinearity
from hil.measuring.characterize.items.programming import Programming
from hil.measuring.characterize.items.pulse_response import PulseResponse
from hil.measuring.characterize.items.read_noise import ReadNoise
from hil.measuring.characterize.items.reciprocity import Reciprocity
from hil.measuring.characterize.items.settle_time import SettleTime
from hil.measuring.characterize.items.symmetric_point import SymmetricPoint
from hil.measuring.characterize.items.temperature import TemperatureSweep
from hil.measuring.characterize.items.transfer import Transfer
from hil.measuring.characterize.items.wear import Endurance

ITEMS = (
    Found, Health, Transfer, SettleTime, NudgeLinearity, Reciprocity, CurrentVoltage, Programming, ReadNoise,
    TemperatureSweep, Drift, PulseResponse, SymmetricPoint, Endurance,
)  # fmt: skip
"""Shipped items, in the order in which they are measured."""

__all__ = [
    "ITEMS", "CurrentVoltage", "Drift", "Endurance", "Found", "Health", "Item", "NudgeLinearity", "Programming",
    "PulseResponse", "ReadNoise", "Reciprocity", "SettleTime", "SymmetricPoint", "TemperatureSweep", "Transfer",
]  # fmt: skip
