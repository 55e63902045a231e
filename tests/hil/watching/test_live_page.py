"""The page in a real browser: what a person sees of a training, a trip, a measurement, and how soon."""

import json

import pytest


@pytest.fixture
def look(visit, page, tmp_path):
    """`look()` opens the page; nothing it does may fail, complain or ask anybody else."""
    (tmp_path / "runs").mkdir(exist_ok=True)

    def make(width=1200, scheme="light"):
        address = page(tmp_path / "runs")
        shown = visit(address, [address], width, scheme)
        shown.set_default_timeout(30_000)
        return shown

    return make


def into(shown, text):
    """Opens what the list shows under a title."""
    shown.locator("a.card", has_text=text).click()
    shown.locator("h2", has_text=text).wait_for()


def reads(shown, where, *texts):
    """Waits until a part of the page has these texts: it is filled some moments after its headline."""
    for text in texts:
        shown.locator(where, has_text=text).wait_for()


def test_an_empty_folder_says_so_and_shows_what_comes(look, scene):
    shown = look()
    shown.get_by_text("No run, characterization or study is here yet").wait_for()
    scene(title="the first").steps(3)
    shown.locator("a.card", has_text="the first").wait_for()


def test_a_training_with_progress_eta_charts_device_and_ledger(look, scene):
    scene(title="overnight").steps(60).counted().device().running()
    shown = look()
    into(shown, "overnight")
    shown.locator(".state", has_text="running").wait_for()
    assert (
        "step 60 of 100" in shown.locator(".progress").inner_text() and "ETA" in shown.locator(".progress").inner_text()
    )
    shown.locator("#charts canvas").nth(4).wait_for()
    side = shown.locator("#side").inner_text()
    for text in (
        "301.5 K",
        "watchdog",
        "frames sent again",
        "99,999",
        "pulses up",
        "settling and products, in the cells",
        "1,000 pulses",
    ):
        assert text in side, text


def test_lease_energy_budget_and_the_age_of_the_calibration(look, scene):
    run = scene(title="budgets").steps(3).counted().device().calibrated(2.0, 3.0, 4.5).running()
    had = {"most_pulses": 12, "mean_pulses": 3, "energy_j": 0.004, "most_energy_j": 0.0005}
    (run.folder / "ledger.json").write_text(json.dumps({"cells": {"array 0 coupling 0": had}}))
    shown = look()
    into(shown, "budgets")
    shown.locator("h3", has_text="Calibration").wait_for()
    side = shown.locator("#side").inner_text()
    for text in ("lease, 9.5 s of it left", "5.00e-4 of 0.002 J allowed", "holds for 4.5 d", "cal-7"):
        assert text in side, (text, side)
    age = shown.locator(".lost", has_text=" d")
    assert float(age.inner_text().split()[0]) == pytest.approx(5.0, abs=0.01)  # older than it holds


def test_it_updates_by_itself(look, scene):
    run = scene(title="going on").steps(10).running()
    shown = look()
    into(shown, "going on")
    run.steps(5, start=11)
    shown.get_by_text("step 15 of 100").wait_for()
    run.ended()
    shown.locator(".state", has_text="ended").wait_for()
    reads(shown, "#head", "all epochs done")


def test_a_trip(look, scene):
    scene(title="too hot").steps(40).tripped()
    shown = look()
    into(shown, "too hot")
    assert "DeviceFault: tripped: OVER_TEMPERATURE, chip at 360 K" in shown.locator(".error").inner_text()
    reads(shown, "#side", "outputs when it was asked last", "off")
    assert shown.locator(".state.lost", has_text="ended").is_visible()
    assert "failed" not in shown.locator("#said").inner_text()


def test_a_run_whose_process_was_killed(look, scene):
    scene(title="gone").steps(7)
    shown = look()
    into(shown, "gone")
    reads(shown, "#head", "killed, or the power failed")


def test_a_finished_characterization(look, characterized):
    shown = look()
    into(shown, "acme xbar 7")
    reads(shown, "main", "read_noise.sigma", "0.01230 +- 0.00040", "no clock", "serial:COM3")


def test_a_study_with_a_failed_point(look, studied):
    shown = look()
    into(shown, "study")
    reads(shown, "main", "2 of 3", "91.0 %", "refused")


def test_points_are_seen_in_their_study_in_the_order_of_their_numbers(look, scene, studied):
    for bits in (10, 0, 1):
        scene(name=f"study/points/bits={bits}/run", title=f"point {bits}").steps(7).running()
    scene(name="beside", title="beside")
    shown = look()
    shown.locator("a.card", has_text="beside").wait_for()
    assert shown.locator("a.card").count() == 2
    into(shown, "study")
    going = shown.locator("section", has=shown.locator("h3", has_text="Under way"))
    reads(shown, "section", "step 7 of 100")
    assert going.locator("a").all_inner_texts() == ["bits=0", "bits=1", "bits=10"]
    going.locator("a", has_text="bits=10").click()
    shown.locator("h2", has_text="point 10").wait_for()
    shown.locator("#charts canvas").first.wait_for()


def test_an_epochs_table_of_all_columns_is_whole_on_a_phone(look, scene):
    run = scene(title="epochs").steps(3)
    named = {f"{of}{what}": 0.98765 for of in ("", "validation_", "test_") for what in ("loss", "accuracy")}
    run.log.write("epoch", step=3, epoch=100, **named)
    shown = look(width=390)
    into(shown, "epochs")
    table = shown.locator(".epochs")
    table.wait_for()
    assert table.evaluate("box => box.scrollWidth <= box.clientWidth")


def test_states_contrast_and_cells_as_maps(look, scene):
    scene(title="pictures").steps(5).picture().running()
    shown = look()
    into(shown, "pictures")
    shown.locator("#pictures canvas").nth(3).wait_for()
    labels = [canvas.get_attribute("aria-label") for canvas in shown.locator("#pictures canvas").all()]
    assert labels[0].startswith("layer 0") and "pulses and writes: 1 .. 3" in labels[2] and "energy" in labels[3]
    assert "layer 0 0.0123" in shown.locator(".contrast").inner_text()
    first = "c => [...c.getContext('2d').getImageData(0, 0, c.width, 1).data]"
    pixels = shown.locator("#pictures canvas").nth(0).evaluate(first)
    assert pixels[:3] == [68, 1, 84] and pixels[8:11] != pixels[:3]  # dark to bright


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone(look, scene, scheme):
    scene(title="a long title that has to be broken somewhere " * 2).steps(60).counted().device().picture().running()
    shown = look(width=360, scheme=scheme)
    into(shown, "a long title")
    shown.locator("#pictures canvas").nth(0).wait_for()
    assert shown.evaluate("document.documentElement.scrollWidth") <= 360
    paper = shown.evaluate("getComputedStyle(document.body).backgroundColor")
    dark = max(int(v) for v in paper.removeprefix("rgb(").removesuffix(")").split(",")) < 80
    assert dark is (scheme == "dark")


def test_text_of_strangers_stays_text(look, scene):
    title = "<img src=x onerror=document.title='owned'><script>document.title='owned'</script>"
    scene(title=title).steps(3).tripped()
    shown = look()
    into(shown, "<img src=x")
    assert shown.locator("h2").inner_text() == title and shown.title() == "hil live"


def test_a_long_run_is_there_within_a_second(longer, look, scene):
    scene(title="long", epochs=2000).steps(100_000)
    shown = look()
    into(shown, "long")
    shown.reload()
    shown.locator(".progress").wait_for()
    paints = "performance.getEntriesByType('paint').map(p => p.startTime)"
    assert 0 < max(shown.evaluate(paints)) < 1000 * longer()
    shown.get_by_text("step 100,000 of 100,000").wait_for()
    points = shown.evaluate("Math.max(...Object.values(charts).map(c => c.plot.data[0].length))")
    assert 500 < points <= 3001


def test_a_server_that_is_gone_is_said_and_looked_for_again(look, scene):
    scene(title="cut off").steps(3)
    shown = look()
    into(shown, "cut off")
    shown.route("**/api/**", lambda route: route.abort())
    shown.locator("#said", has_text="no answer from the server").wait_for()
    shown.unroute("**/api/**")
    shown.locator("#said", has_text="up to date").wait_for()
