"""The live bar of a training: what a narrow terminal still shows."""

import io
import re

import pytest
from rich.console import Console

from hil.training.screen import open_screen
from hil.training.state import Position

RECORD = {"loss": 0.12345, "accuracy": 0.912, "settled": 0.999, "clipped": 0.0123}


@pytest.mark.parametrize("columns", [60, 80, 100, 160])
def test_bar_and_time_to_go_are_shown_whatever_the_width_and_figures_as_far_as_there_is_room(columns):
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=columns, color_system=None, legacy_windows=False)
    with open_screen(console, 12, 1000) as screen:
        screen.step(Position(step=4321, epoch=4, batch=321, images=4321 * 32, seconds=100.0), RECORD)
    line = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", out.getvalue()).replace("\r", "\n").strip().splitlines()[-1]
    assert len(line.rstrip()) <= columns
    assert "epoch 5/12" in line and "step 321/1000" in line
    assert "━" in line and re.search(r"ETA \d+:\d\d:\d\d", line)
    assert "…" not in line
    assert "loss 0.1235" in line or columns < 80
    assert ("clipped 1.23%" in line) == (columns >= 160)
