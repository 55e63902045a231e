"""Every answer of every instrument of a rack, replaced: an error of ours or a finite result, and the rack ends off."""

import numpy as np
import pytest

from drivers.errors import DeviceError
from drivers.loopback import Loopback
from drivers.rack import cells
from drivers.rack.rig import Rig
from emulator.rack.rack import VirtualRack
from firmware_specs.racks import load_rack

RACKS = ("keithley-8x8", "keysight-8x8", "bench-16x16")
EVIL = (b"0", b"-1", b"1", b"NaN", b"INF", b"9.91E37", b"1e300", b"2147483648", b"", b"banana", b"1,2,3", b"\x1b[2J",
        b"\xff\xfe", b"#15hello", b'"', b"\t\t", b"1" * 5000, b"ACME,X,1,1", b"nil", b"0.5;0.5")  # fmt: skip


class Spoiler:
    """A virtual rack whose answer number `which` is replaced."""

    def __init__(self, name, which=None, evil=b""):
        self.rack, self.answers = load_rack(name), 0
        self.virtual, self._which, self._evil = VirtualRack(self.rack), which, evil

    def connect(self, name, spec, seconds):
        feed = self.virtual.feed(name)

        def wire(data):
            answer = feed(data)
            if answer:
                self.answers += 1
                if self.answers - 1 == self._which:
                    return self._evil + b"\n"
            return answer

        return Loopback(wire, name)


def work(rig):
    """A curve of one cell; finite or refused."""
    curve = cells.curve(rig, 1, 2, np.linspace(-0.1, 0.1, 3))
    assert np.isfinite(curve.amps).all() and np.isfinite(curve.volts).all()


def met(name, which, evil):
    spoiler = Spoiler(name, which, evil)
    try:
        with Rig(spoiler.rack, spoiler.connect) as rig:
            work(rig)
    except DeviceError as error:
        assert str(error).isprintable()
    assert spoiler.virtual.bench.outputs_on() == [], "outputs stay on"


def attack(cases):
    bad = []
    for case in cases:
        try:
            met(*case)
        except Exception as error:
            bad.append(f"{case}: {type(error).__name__}: {str(error)[:200]}")
    print(f"{len(cases)} cases, {len(bad)} bad")
    assert not bad, "\n".join(bad)


def answers_of(name):
    sound = Spoiler(name)
    with Rig(sound.rack, sound.connect) as rig:
        work(rig)
    assert sound.answers > 20
    return sound.answers


@pytest.mark.parametrize("name", RACKS)
def test_evil_answers_end_in_a_result_or_an_error_of_ours(name):
    step = 5 if name == "bench-16x16" else 2
    attack([(name, which, EVIL[which // step % len(EVIL)]) for which in range(0, answers_of(name), step)])


@pytest.mark.soak
@pytest.mark.parametrize("name", RACKS)
def test_every_evil_answer_of_every_instrument(name):
    attack([(name, which, evil) for which in range(answers_of(name)) for evil in EVIL])
