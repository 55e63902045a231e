"""Tables that tell no law: one sentence says of which kind, what there is too little of, and how much would do."""

import numpy as np
import pytest
from typer.testing import CliRunner

from firmware_specs.datasheet import load
from hil.cli import build_app
from hil.measuring.imports.readings import Readings
from hil.measuring.laws import choice, resets
from hil.measuring.twins.measured import TwinError, twin

WHO = {"vendor": "v", "model": "m"}
LEVELS = np.array([2e-6, 3e-6, 4e-6, 2.5e-6, 3.5e-6, 4.5e-6])
SECONDS = np.array([0.0, 1, 0, 1, 0, 0])
FEW = {
    "retention": ([0, 0, 1, 1, 2, 3], {"time": SECONDS}, "cells read at two ages: 2; 3 are needed"),
    "ramps": ([0, 0], {"pulse": SECONDS[:2], "polarity": np.ones(2)}, "changes after pulses: 1; 2 are needed"),
    "reads": ([0, 0, 1], {"time": SECONDS[:3]}, "readings of the cell with the fewest: 1; 2 are needed"),
    "resets": ([0, 1, 2], {"amplitude": SECONDS[:3]}, "repeats of the height with the fewest: 1; 2 are needed"),
}


@pytest.mark.parametrize("kind", FEW)
def test_too_few_readings_are_counted_and_so_many_more_are_asked_for(kind):
    cells, columns, sentence = FEW[kind]
    readings = Readings(kind, np.array(cells), columns | {"conductance": LEVELS[: len(cells)]})
    with pytest.raises(TwinError, match=f"^{kind}: {sentence} to fit a law and to judge it$"):
        twin({kind: readings}, load("pcm"), WHO)


@pytest.mark.parametrize(("column", "factor", "words"), [
    ("conductance", 1e150, r"retention: conductance 4.5e\+144 S: less than 1e\+06 S"),
    ("time", 1e300, r"retention: time 1e\+301 s: less than 1e\+15 s"),
])  # fmt: skip
def test_readings_in_a_wrong_unit_are_not_fitted(column, factor, words):
    columns = {"conductance": np.tile(LEVELS, 2), "time": np.repeat([0.0, 10.0], 6)}
    columns[column] = columns[column] * factor
    with pytest.raises(TwinError, match=f"^{words} is expected, see the units"):
        twin({"retention": Readings("retention", np.tile(np.arange(6), 2), columns)}, load("mixed-8bit"), WHO)


def imported(tmp_path, text, mapping):
    (tmp_path / "table.csv").write_text(text)
    (tmp_path / "map.toml").write_text(mapping)
    made = CliRunner().invoke(
        build_app(),
        ["import", "table", f"{tmp_path}/table.csv", "--map", f"{tmp_path}/map.toml", "-o", f"{tmp_path}/m"],
    )
    assert made.exit_code == 0, made.output
    return f"{tmp_path}/m"


HEIGHTS = """kind = "resets"
[columns]
amplitude = { name = "V", unit = "V" }
conductance = { name = "G", unit = "uS" }
"""


def test_the_command_says_that_no_law_fits_and_writes_no_twin(tmp_path, monkeypatch):
    rows = "\n".join(f"{v},{g}" for g in (2.0, 2.2, 1.9, 2.1) for v in (1.0, 1.5))
    where = imported(tmp_path, f"V,G\n{rows}\n", HEIGHTS)

    def hopeless(likelihoods, readings):
        return choice.rank({name: (p, ll * np.nan) for name, (p, ll) in likelihoods.items()}, readings)

    command = ["twin", where, "-o", f"{tmp_path}/t.toml", "--like", "pcm"]
    with monkeypatch.context() as patched:
        patched.setattr(resets, "rank", hopeless)
        refused = CliRunner().invoke(build_app(), command)
    assert isinstance(refused.exception, TwinError) and not (tmp_path / "t.toml").exists()
    assert str(refused.exception) == "resets: no law could be fitted of constant, table"
    assert CliRunner().invoke(build_app(), command).exit_code == 0 and (tmp_path / "t.toml").exists()
