"""Rack files: shipped ones hold, contradictory ones are refused with file, key and reason."""

import pytest

from firmware_specs.racks import RackError, facts, load_rack, models, shipped_racks


@pytest.mark.parametrize("name", shipped_racks())
def test_shipped_racks_load_and_every_crosspoint_has_a_name_of_its_own(name):
    rack = load_rack(name)
    relays = rack.relays()
    assert len(relays) == len(set(relays)) >= rack.rows * 2
    assert rack.dut is not None


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('force = "smu1.a"', 'force = "smu1.c"', r"roles.force: 'smu1' has channels a, b, not 'c'"),
        ('force = "smu1.a"', 'force = "smu9.a"', r"roles.force: 'smu9.a' is neither"),
        ('nudge = ["smu1.b", "smu2.a", "smu2.b"]', 'nudge = ["mainframe.1001"]', "on no row of the matrix"),
        ('instrument = "matrix"', 'instrument = "smu1"', "'smu1' is a smu, expected matrix or mainframe"),
        ('model = "keithley-707b"', 'model = "keithley-999"', "unknown instrument model"),
        ('row0 = "6001"', 'row99 = "6001"', "no line 'row99'"),
        ("g_min_s = 1.0e-5", "g_min_s = 1.0", "g_min_s < g_max_s"),
        ("read_v = 0.2", "read_v = -0.2", "read_v"),
        ("read_v = 0.2", "raed_v = 0.2", "raed_v: unknown key"),
        ("read_v = 0.2", "read_v = nan", "finite"),
        ('D = "ground", ', "", None),
    ],
)
def test_contradictory_racks_are_refused_with_the_place(tmp_path, old, new, reason):
    from importlib import resources

    text = (resources.files("firmware_specs.racks") / "bench-16x16.toml").read_text()
    path = tmp_path / "rack.toml"
    path.write_text(text.replace(old, new, 1))
    if reason is None:  # no ground, but a bias source can park lines
        load_rack(path)
        return
    with pytest.raises(RackError, match=reason) as refused:
        load_rack(path)
    assert str(path) in str(refused.value)


def test_an_unknown_rack_names_the_shipped_ones():
    with pytest.raises(RackError, match="bench-16x16"):
        load_rack("nothing")


def test_every_model_has_ranges_that_ascend_and_an_identity_with_a_serial_number():
    for model in models():
        found = facts(model)
        assert "{serial}" in found.identity
        assert found.kind != "smu" or (found.volts and found.amps and found.channels)
    with pytest.raises(ValueError, match="beyond the largest"):
        facts("keithley-2400").range_for("amps", 5.0)
