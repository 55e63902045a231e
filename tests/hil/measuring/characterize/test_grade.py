"""What a converter's curve and codes do to a difference of readings, against converters drawn at random."""

import numpy as np
import pytest
import torch

from emulator.channels import Channels
from emulator.converters import convert_state
from firmware_specs.datasheet.converters import Adc
from hil.measuring.characterize.grade import Grade

UNITS, READS, CONVERTERS = 32, 64, 150


@pytest.mark.parametrize(("spread_lsb", "swing_lsb"), [(0.1, 8.0), (0.5, 80.0), (4.0, 80.0)])
def test_alike_units_meet_the_same_codes_so_that_their_mean_is_as_uncertain_as_stated(spread_lsb, swing_lsb):
    adc = Adc(bits=8, low_v=0.0, high_v=255.0, inl_lsb=0.5, dnl_lsb=0.5)
    random = np.random.default_rng(3)
    grade = Grade(1.0, 255.0, 0.5, 0.5)
    off, stated = [], []
    for number in range(CONVERTERS):
        channels = Channels.draw(adc, (UNITS,), torch.device("cpu"), torch.float64, number, "output")
        middle = random.uniform(100, 150)
        ends = [middle - swing_lsb / 2, middle + swing_lsb / 2]
        scattered = [torch.from_numpy(random.normal(at, spread_lsb, (READS, UNITS))) for at in ends]
        low, high = (convert_state(adc, volts, channels)[0].numpy() for volts in scattered)
        off.append((high - low).mean() - swing_lsb)
        stated.append(np.hypot(grade.tilt(swing_lsb), grade.of_change(high - low)))
    ratio = float(np.sqrt(np.mean(np.square(off)) / np.mean(np.square(stated))))
    assert 0.7 < ratio < 1.15
