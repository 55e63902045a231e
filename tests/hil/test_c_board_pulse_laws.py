"""A datasheet's pulse law, any of them, is what cells of the board in C follow: PROTOCOL.md 7.1 has the formulas."""

import math
import re

import numpy as np
import pytest

from drivers.connect import connect
from firmware_specs.chains import dense_chain
from firmware_specs.datasheet import load
from firmware_specs.firmware import board
from firmware_specs.messages import Region

STEP, COUNT = 0.02, 12
LEVELS = (0.0, 0.3, 0.7, 1.0)
UP, DOWN = (1.5, 1.0, 0.5, 0.2), (0.1, 0.8, 1.2, 1.4)
LAWS = {
    "linear": (
        "slope_up = 0.6\nslope_down = 0.3\nzero = 0.4",
        lambda x: 1 - 0.6 * (x - 0.4) / 0.6,
        lambda x: 1 - 0.3 * (0.4 - x) / 0.4,
    ),
    "exponential": (
        "amplitude_up = 0.05\namplitude_down = 0.1\ngamma_up = 2.0\ngamma_down = 1.5\nshift = 0.1",
        lambda x: max(0.0, 1 - 0.05 * math.exp(2.0 * (2 * x - 1 + 0.1))),
        lambda x: max(0.0, 1 - 0.1 * math.exp(-1.5 * (2 * x - 1 + 0.1))),
    ),
    "power": ("gamma_up = 1.5\ngamma_down = 0.7", lambda x: (1 - x) ** 1.5, lambda x: x**0.7),
    "table": (
        f"levels = {[*LEVELS]}\nup = {[*UP]}\ndown = {[*DOWN]}",
        lambda x: float(np.interp(x, LEVELS, UP)),
        lambda x: float(np.interp(x, LEVELS, DOWN)),
    ),
}


@pytest.mark.parametrize("law", LAWS)
def test_cells_of_the_board_in_c_follow_the_law_of_its_datasheet(law, c_boards, tmp_path):
    figures, up, down = LAWS[law]
    text = (board.FOLDER / "board.toml").read_text().replace("programming_noise = 0.001", "programming_noise = 0.0")
    pulses = f'[pulses]\nlaw = "{law}"\nstep = {STEP}\namplitude_v = 3.0\nwidth_s = 1.0e-6\n{figures}\n\n['
    (tmp_path / "mine.toml").write_text(re.sub(r"\[pulses\].*?\n\[", lambda _: pulses, text, flags=re.DOTALL))
    c_boards.folder.joinpath(f"law-{law}").mkdir()
    (c_boards.folder / f"law-{law}" / "board.h").write_text(board.text(load(str(tmp_path / "mine.toml")), "mine.toml"))
    program = c_boards.make(f"COMMON=-std=c11 -I{c_boards.folder / f'law-{law}'} -I. -Icore -Ichip", name=f"law-{law}")

    x = np.linspace(0.04, 0.96, 9)
    whole = Region(0, 0, 0, 0, 9, 0, 1)
    low, span = 1e-5, 1e-3 - 1e-5
    with c_boards.running(program / "board") as address, connect(address) as crossbar:
        crossbar.configure(0, dense_chain([8, 1]))
        crossbar.arm()
        for rises, response in ((True, up), (False, down)):
            crossbar.program(0, [np.broadcast_to((low + x * span)[:, None], (2, 9, 1))])
            before = (crossbar.measure(whole, [0.1]).reshape(9) / 0.1 - low) / span
            crossbar.pulse(whole, up=rises, amplitude_v=3.0, width_s=1e-6, count=COUNT)
            after = (crossbar.measure(whole, [0.1]).reshape(9) / 0.1 - low) / span
            expected = before
            for _ in range(COUNT):
                moved = np.array([response(at) for at in expected]) * STEP
                expected = np.clip(expected + (moved if rises else -moved), 0, 1)
            np.testing.assert_allclose(after, expected, atol=0.003)
            crossbar.forget(0, 0, np.ones((2, 9, 1), bool))


def test_what_no_law_of_the_board_in_c_can_be_is_refused():
    with pytest.raises(board.BoardError, match=r"leave out pulses\.heights and pulses\.reset"):
        board.text(load("pcm-reset"), "x")
