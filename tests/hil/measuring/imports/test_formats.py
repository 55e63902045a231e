"""Tables of others: small synthetic ones in the formats that are documented, good, bad and hostile."""

import csv
import gzip
import json

import h5py
import numpy as np
import pytest

from hil.cli import main
from hil.measuring.imports import folder
from hil.measuring.imports.formats import Options, reader
from hil.measuring.imports.lines import Rows
from hil.measuring.imports.readings import ImportRefused, Readings
from hil.measuring.laws import samples


def read(form, *paths, **options):
    return reader(form)(paths, Options(**options), Rows())


def write(path, rows, separator="\t"):
    text = "".join(separator.join(map(str, row)) + "\n" for row in rows)
    if path.suffix == ".gz":
        with gzip.open(path, "wt") as file:
            file.write(text)
    else:
        path.write_text(text)
    return path


def test_relaxation_tables_give_cells_by_nominal_ages_and_count_a_repeated_time_once(tmp_path):
    rows = []
    for cell in (7, 3):
        for t, nominal in ((0.0, 0.0), (0.0101, 0.01), (0.0102, 0.01), (1.0, 1.0)):
            rows += [(cell, t, 1 / (cell * 1e-6 + t * 1e-7), cell * 1e-6 + t * 1e-7, cell * 1e-6, 4, nominal), ()]
    found = read("rram-relaxation", write(tmp_path / "relax.tsv.gz", rows))
    assert found.kind == "retention" and found.labels == ("7", "3")
    assert found.columns["time"].tolist() == [0, 0.01, 1.0] * 2
    assert found.conductance_s[2] == pytest.approx(7.1e-6)


def test_bakes_keep_their_temperatures_and_cells_of_each_apart(tmp_path):
    rows = [(1, 0.0, 1e5, 1e-5, 100), (1, 50.0, 1e5, 2e-5, 100), (1, 9.0, 1e5, 3e-5, 260), (1, 59.0, 1e5, 4e-5, 260)]
    found = read("rram-bake", write(tmp_path / "bake.tsv", rows))
    assert found.cells == 2
    assert found.columns["temperature"] == pytest.approx([373.15, 373.15, 533.15, 533.15])
    assert found.columns["time"].tolist() == [0, 50, 0, 50]


def test_series_are_rows_of_cells(tmp_path):
    rows = [(8, 0, 1e-6, 2e-6, 3e-6), (16, 0, 4e-6, 5e-6, 6e-6)]
    found = read("rram-series", write(tmp_path / "ts.tsv", rows), interval_s=0.5)
    assert found.columns["time"].tolist() == [0, 0.5, 1.0] * 2
    assert found.cell.tolist() == [0, 0, 0, 1, 1, 1]


def test_ramps_in_columns_end_where_their_fields_are_empty_and_go_where_they_go(tmp_path):
    up = write(tmp_path / "set.csv", [("rmp1", "rmp2"), (1e-6, 2e-6), (3e-6, 4e-6), (5e-6, "")], ",")
    down = write(tmp_path / "reset.csv", [("rmp1",), (5e-6,), (1e-6,)], ",")
    found = read("crosssim-ramps", up, down)
    assert found.columns["polarity"].tolist() == [1, 1, 1, 1, 1, -1, -1]
    assert found.columns["pulse"].tolist() == [0, 1, 2, 0, 1, 0, 1]
    assert found.cell.tolist() == [0, 0, 0, 1, 1, 0, 0]


def test_normalized_ramps_want_to_know_what_their_ends_stand_for(tmp_path):
    rows = [(-1 + n / 50, 1 - n / 50) for n in range(101)]
    path = write(tmp_path / "gong.csv", rows, ",")
    with pytest.raises(ImportRefused, match="--range LOW HIGH"):
        read("aihwkit-ramps", path)
    found = read("aihwkit-ramps", path, range_s=(1e-6, 5e-6))
    assert found.cells == 1
    assert found.conductance_s.min() < 1.1e-6 and found.conductance_s.max() > 4.9e-6


def test_resets_are_resistances_by_height(tmp_path):
    rows = [("r_ohm", "v"), (1e4, 1), (1e5, 1.5), (2e4, 1), (2e5, 1.5)]
    found = read("pcm-reset", write(tmp_path / "pcm.csv", rows, ","))
    assert found.conductance_s == pytest.approx([1e-4, 1e-5, 5e-5, 5e-6])
    assert found.cell.tolist() == [0, 0, 1, 1]


MAP = """
kind = "ramps"
separator = ";"
[columns]
cell = {{ name = "Device" }}
{conductance}
polarity = {{ name = "Dir" }}
amplitude = {{ name = "Pulse", unit = "mV" }}
[constants]
temperature = 350.0
[source]
licence = "CC0"
"""


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [('conductance = { name = "X", unit = "uS" }', (1, 2, 3), (1e-6, 2e-6, 3e-6)),
     ('resistance = { name = "X", unit = "kohm" }', (1, 2, 4), (1e-3, 5e-4, 2.5e-4)),
     ('resistance = { name = "X", unit = "log10(ohm)" }', (3, 4, 5), (1e-3, 1e-4, 1e-5)),
     ('current = { name = "X", unit = "nA" }\nvoltage = { name = "V", unit = "mV" }', (1, 2, 3), (1e-8, 2e-8, 3e-8))],
)  # fmt: skip
def test_any_table_with_a_mapping_is_read_in_its_units(column, values, expected, tmp_path):
    (tmp_path / "map.toml").write_text(MAP.format(conductance=column))
    rows = [("Device", "Dir", "X", "V", "Pulse"), *[("a", "up", v, 100, 1500) for v in values]]
    found = read("table", write(tmp_path / "t.csv", rows, ";"), mapping=tmp_path / "map.toml")
    assert found.conductance_s == pytest.approx(expected)
    assert found.columns["pulse"].tolist() == [0, 1, 2]
    assert found.columns["amplitude"] == pytest.approx(1.5)
    assert found.columns["temperature"] == pytest.approx(350.0)
    assert found.source == {"licence": "CC0"}


@pytest.mark.parametrize("counted", [True, False], ids=["pulses are numbered", "pulses are not numbered"])
def test_ramps_that_follow_each_other_stay_apart_without_a_column_of_cycles(counted, tmp_path):
    text = MAP.format(conductance='conductance = { name = "X", unit = "uS" }')
    (tmp_path / "map.toml").write_text(
        text.replace("polarity", 'pulse = { name = "N" }\npolarity') if counted else text
    )
    rows = [("Device", "Dir", "X", "V", "Pulse", "N")]
    for again in range(3):
        rows += [(c, "up", again + n, 1, 1, n) for n in range(1, 5) for c in "ab"]
        rows += [(c, "down", 9 + again - n, 1, 1, n) for n in range(1, 5) for c in "ab"]
        if again == 1:  # one more ramp up, with nothing between
            rows += [(c, "up", 20 + n, 1, 1, n) for n in range(1, 5) for c in "ab"]
    found = read("table", write(tmp_path / "t.csv", rows, ";"), mapping=tmp_path / "map.toml")
    up, down = samples.ramps_of(found, samples.Range(0.0, 1e-6))
    assert len(down.x) == 6 and np.allclose(np.diff(down.x), -1)
    if counted:  # a ramp after another of its kind is told from it by its numbers alone
        assert len(up.x) == 8 and np.allclose(np.diff(up.x), 1)


def test_lines_before_the_headings_are_no_part_of_the_table_and_empty_ones_count(tmp_path):
    text = "skip_lines = 3\n" + MAP.format(conductance='conductance = { name = "X", unit = "S" }')
    (tmp_path / "map.toml").write_text(text.replace('separator = ";"\n', ""))
    rows = [("Device", "Dir", "X", "V", "Pulse"), *[("a", "up", v, 100, 1500) for v in (1, 2)]]
    path = write(tmp_path / "t.tsv", rows)
    path.write_text("# exported in May; 2024, by lab X\n\n# V in volts\n" + path.read_text())
    assert read("table", path, mapping=tmp_path / "map.toml").conductance_s == pytest.approx((1, 2))


@pytest.mark.parametrize(
    ("text", "match"),
    [('kind = "ramps"\n[columns]\nconductance = { name = "G", unit = "s" }', r"'s' is a unit of time"),
     ('kind = "ramps"\n[columns]\nconductance = { name = "G", unit = "uSi" }', r"unit 'uSi' is unknown"),
     ('kind = "ramps"\n[columns]\ntime = { name = "t", unit = "s" }', r"one of the three"),
     ('kind = "walks"\n[columns]', r"kind"),
     ('kind = "reads"\n[columns]\nconductance = { unit = "S" }', r"give name"),
     ('kind = "reads"\nheadings = false\n[columns]\nconductance = { name = "G", unit = "S" }', r"needs index"),
     ("kind = ", r"not TOML")],
)  # fmt: skip
def test_a_bad_mapping_is_refused_with_file_and_key(text, match, tmp_path):
    path = tmp_path / "map.toml"
    path.write_text(text)
    with pytest.raises(ImportRefused, match=match) as refusal:
        read("table", tmp_path / "none.csv", mapping=path)
    assert str(path) in str(refusal.value)


def test_instruments_and_logs(tmp_path):
    easy = tmp_path / "test.csv"
    easy.write_text(
        "SetupTitle, IV\nTestParameter, Channel.Unit, SMU1\nDataName, Time, V1, I1\nDataValue, 0, 0.1, 1E-6\n"
        "DataValue, 0.5, 0.1, 2E-6\n"
    )
    found = read("easyexpert", easy)
    assert found.conductance_s == pytest.approx([1e-5, 2e-5]) and found.columns["time"].tolist() == [0, 0.5]
    keithley = write(
        tmp_path / "k.csv", [("Time", "AnodeI", "AnodeV", "GateI"), (0, 1e-6, 0.1, 9), (1, 1e-6, 0.2, 9)], ","
    )
    with pytest.raises(ImportRefused, match=r"2 columns may be it .* --current"):
        read("keithley-4200", keithley)
    assert read("keithley-4200", keithley, current="AnodeI").conductance_s == pytest.approx([1e-5, 5e-6])
    arc = tmp_path / "arc.csv"
    head = ["Wordline", "Bitline", "Resistance", "Amplitude (V)", "Pulse width (s)", "Tag", "ReadTag", "ReadVoltage"]
    pulses = [[1, 2, ohm, volts, 1e-6, "P", "R", 0.5] for ohm, volts in ((1e4, 1.5), (5e3, 1.5), (8e3, -1.2))]
    log = [["My session"], ["Mon Jan  1"], head, *pulses]
    with arc.open("w", newline="") as file:
        csv.writer(file).writerows(log)
    ramps = read("arc-one", arc)
    assert ramps.labels == ("W01B02",)
    assert ramps.columns["polarity"].tolist() == [1, 1, -1] and ramps.columns["pulse"].tolist() == [1, 2, 1]
    two = tmp_path / "arc2.h5"
    fields = [
        ("current", "<f4"),
        ("voltage", "<f4"),
        ("pulse_width", "<f4"),
        ("read_voltage", "<f4"),
        ("op_type", "<u4"),
    ]
    table = np.zeros(10, fields)
    table[:3] = [(1e-5, 0.5, 0, 0.5, 1), (2e-5, 2.0, 1e-6, 0.5, 3), (0, 2.0, 1e-6, 0.5, 2)]
    with h5py.File(two, "w") as file:
        series = file.create_dataset("crosspoints/W00B01/timeseries", data=table)
        series.attrs["NROWS"] = 3
    assert read("arc-two", two).conductance_s == pytest.approx([2e-5, 4e-5])


@pytest.mark.parametrize(
    ("line", "reason"),
    [("x\t0\t1\t2\t1\t1\t0", None), ("1\t0\t1\tnan\t1\t1\t0", "finite"), ("1\t0\t1\tinf\t1\t1\t0", "finite"),
     ("1\t0\t1\tten\t1\t1\t0", "'ten' is none"), ("1\t0\t1", "7 columns"), ("1\t0\t1\t-2\t1\t1\t0", "0 or more")],
)  # fmt: skip
def test_bad_rows_are_named_by_file_and_line_and_left_out_only_on_request(line, reason, tmp_path):
    good = "1\t0\t1\t1e-6\t1\t1\t0"
    path = tmp_path / "t.tsv"
    path.write_text(f"{good}\n\n{line}\n{good}\n")
    if reason is None:  # a label that is no number is not the first column's fault
        with pytest.raises(ImportRefused, match=r"t\.tsv:3"):
            read("rram-relaxation", path)
        return
    with pytest.raises(ImportRefused, match=rf"t\.tsv:3: .*{reason}[\s\S]*--skip-bad-rows"):
        read("rram-relaxation", path)
    rows = Rows(skip=True)
    assert len(reader("rram-relaxation")([path], Options(), rows)) == 1
    assert len(rows.bad) == 1


def test_files_that_are_no_tables_are_refused_in_one_sentence(tmp_path):
    (tmp_path / "b.tsv").write_bytes(b"\xff\xfe\x00\x01")
    (tmp_path / "z.tsv.gz").write_bytes(b"\x1f\x8b\x08broken")
    (tmp_path / "h.h5").write_bytes(b"not hdf")
    (tmp_path / "e.tsv").write_text("")
    for name, form in (("b.tsv", "rram-bake"), ("z.tsv.gz", "rram-bake"), ("h.h5", "arc-two"), ("e.tsv", "rram-bake"),
                       ("none.tsv", "rram-bake"), ("e.tsv", "easyexpert"), ("e.tsv", "pcm-reset")):  # fmt: skip
        with pytest.raises(ImportRefused, match=name):
            read(form, tmp_path / name)


def test_the_command_makes_a_folder_that_reports_twins_and_others_read(tmp_path, capsys):
    generator = np.random.default_rng(0)
    rows = [("r", "v")] + [(1e4 * np.exp(0.1 * generator.normal() + v), v) for v in (1, 2, 3) for _ in range(20)]
    table = write(tmp_path / "pcm.csv", [*rows, ("bad", 2)], ",")
    out = tmp_path / "run"
    with pytest.raises(SystemExit) as stop:
        main(["import", "pcm-reset", str(table), "-o", str(out)])
    assert stop.value.code == 2 and "pcm.csv:62" in capsys.readouterr().err and not out.exists()
    with pytest.raises(SystemExit) as stop:
        main(["import", "pcm-reset", str(table), "-o", str(out), "--skip-bad-rows", "--name", "mine"])
    assert stop.value.code == 0
    kept = json.loads((out / "provenance.json").read_text())
    assert kept["imports"][0]["left_out"] and kept["imports"][0]["source"]["licence"] == "BSD-2"
    assert len(kept["imports"][0]["files"][0]["sha256"]) == 64
    assert (out / "report.html").is_file() and len(folder.load(out)["resets"]) == 60
    with pytest.raises(SystemExit) as stop:
        main(["import", "pcm-reset", str(table), "-o", str(out), "--skip-bad-rows"])
    assert stop.value.code == 2 and "has resets already" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["import", "pcm-rset", str(table), "-o", str(tmp_path / "x")])
    assert stop.value.code == 2 and "pcm-reset" in capsys.readouterr().err


RAMPS = """kind = "ramps"
[columns]
cell = { name = "device" }
pulse = { name = "n" }
polarity = { name = "way" }
conductance = { name = "G", unit = "uS" }
"""


def test_a_table_of_one_conductance_is_summarized_and_no_twin_comes_of_it(tmp_path, capsys):
    table, out = tmp_path / "small.csv", tmp_path / "out"
    table.write_text("device,n,way,G\na,1,up,5\na,2,up,5\na,3,up,5\n", encoding="utf-8")
    (tmp_path / "map.toml").write_text(RAMPS, encoding="utf-8")
    call = ["import", "table", str(table), "-o", str(out), "--map", str(tmp_path / "map.toml")]
    with pytest.raises(SystemExit) as stop:
        main(call)
    assert stop.value.code == 0
    capsys.readouterr()
    assert json.loads((out / "figures.json").read_text("utf-8"))["figures"]
    with pytest.raises(SystemExit) as stop:
        main(["twin", str(out)])
    assert stop.value.code == 2
    assert "all conductances are 5e-06 S" in capsys.readouterr().err


def test_short_ramps_span_their_range():
    g = np.tile(np.linspace(1e-6, 2e-6, 20), 3)
    columns = {"conductance": g, "pulse": np.tile(np.arange(20.0), 3), "polarity": np.ones(60)}
    within = samples.range_of(Readings("ramps", np.repeat(np.arange(3), 20), columns, (), {}))
    assert within.low_s < 1.06e-6 and within.high_s > 1.94e-6
