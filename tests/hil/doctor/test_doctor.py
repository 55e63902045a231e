import json
import os
from importlib import metadata
from pathlib import Path

import pytest
import torch
from packaging.requirements import Requirement
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo
from typer.testing import CliRunner

from hil.cli import build_app
from hil.doctor import look, machine, packages, page, places, ports, sections


def run(*arguments):
    return CliRunner().invoke(build_app(), ["doctor", *arguments])


def test_this_machine_has_what_is_required_and_json_says_the_same(tmp_path):
    text, data = run("--data-root", str(tmp_path)), run("--data-root", str(tmp_path), "--json")
    assert (text.exit_code, data.exit_code) == (0, 0)
    found = json.loads(data.stdout)
    assert {"Python and packages", "torch and processor", "VISA", "serial ports", "folders"} <= {
        finding["section"] for finding in found
    }
    assert not [finding for finding in found if finding["verdict"] == "wrong"]
    assert all(f"{finding['name']}: " in text.stdout for finding in found)


OPENS_NOTHING = """
import os, sys
from serial.tools import list_ports
from serial.tools.list_ports_common import ListPortInfo
master, slave = os.openpty()
port = ListPortInfo(os.ttyname(slave))
list_ports.comports = lambda *_, **__: [port]
opened = []
def heard(event, arguments):
    if event == "open" and str(arguments[0]).startswith(("/dev/tty", "/dev/pts", "/dev/bus", "/dev/usb")):
        opened.append(arguments[0])
    if event in ("socket.connect", "socket.sendto", "socket.bind"):
        opened.append(arguments[1:])
sys.addaudithook(heard)
from hil.cli import main
try:
    main(["doctor"])
finally:
    print("OPENED", opened, port.device)
"""


def test_it_opens_no_device_and_no_connection(python, tmp_path):
    ran = python.run(["-c", OPENS_NOTHING], capture_output=True, cwd=tmp_path)
    assert "OPENED []" in ran.stdout, ran.stdout + ran.stderr
    assert ran.stdout.split()[-1] in ran.stdout.split("serial ports")[1].split("USB")[0]


@pytest.mark.parametrize("have", ["1.26.4", None])
def test_a_required_package_that_is_too_old_or_missing_is_named_with_the_line_that_mends_it(monkeypatch, have):
    version = metadata.version

    def other(name):
        if name != "numpy":
            return version(name)
        if have is None:
            raise metadata.PackageNotFoundError(name)
        return have

    monkeypatch.setattr(metadata, "version", other)
    ran = run()
    assert ran.exit_code == 1
    (line,) = [line for line in ran.stdout.splitlines() if line.startswith("X numpy")]
    assert (have or "not installed") in line
    assert "pip install 'numpy>=" in ran.stdout


@pytest.mark.parametrize(("version", "verdict"), [("3.10.14", "wrong"), ("3.11.0", "ok"), ("3.14.2", "ok")])
def test_an_unsupported_python_is_wrong(version, verdict):
    assert packages.python(version, ">=3.11").verdict == verdict


def test_an_extra_counts_only_for_what_it_is_for():
    (finding,) = packages.optional("soak", [Requirement("no-such-package>=3")])
    assert (finding.verdict, finding.needed_for) == ("missing", "make soak")
    (finding,) = packages.optional("test", [Requirement("pytest>=8")])
    assert finding.verdict == "ok"


def a_port(monkeypatch, tmp_path, words="n/a"):
    node = tmp_path / "ttyUSB7"
    node.touch()
    node.chmod(0o660)
    info = ListPortInfo(str(node))
    info.description = words
    monkeypatch.setattr(list_ports, "comports", lambda: [info])
    return node


def test_a_port_that_this_user_may_not_open_is_missing_and_says_whose_group_to_join(monkeypatch, tmp_path):
    import grp

    node = a_port(monkeypatch, tmp_path, "A board\x1b[2J")
    assert [finding.verdict for finding in ports.serial()] == ["ok"]
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(grp, "getgrgid", lambda number: grp.struct_group(("dialout", "x", number, [])))
    found = list(ports.serial())
    assert found[0].verdict == "missing" and found[0].needed_for == f"serial:{node}"
    assert found[0].mend.startswith("sudo usermod -aG dialout ")
    assert "\x1b" not in page(found)
    node.chmod(0o600)
    (alone,) = ports.serial()
    assert "udev" in alone.mend


def test_a_lock_folder_that_is_a_link_is_missing_for_devices(monkeypatch, tmp_path):
    from drivers.lock import FOLDER_VARIABLE

    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "link"))
    finding = places.lock_folder()
    assert finding.verdict == "missing" and FOLDER_VARIABLE in finding.mend


def test_a_data_set_whose_files_are_there_is_told(tmp_path):
    assert not places.has_files("cifar10", tmp_path)
    (tmp_path / "cifar-10-batches-bin").mkdir()
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").touch()
    (tmp_path / "MNIST" / "raw").mkdir(parents=True)
    (tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte.gz").touch()
    there = [finding for finding in places.data_sets(tmp_path) if finding.name == "data sets"]
    assert [finding.value.split(";")[0] for finding in there] == ["mnist, cifar10"]


@pytest.mark.parametrize(("driver", "words"), [(False, "TORCH=cpu"), (True, "driver")])
def test_a_torch_for_a_gpu_that_is_not_there_is_told_with_what_it_costs(monkeypatch, driver, words):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine, "driver", lambda: driver)
    (device,) = [finding for finding in machine.torch_build() if finding.name == "device"]
    assert device.verdict == "note" and words in device.mend


def test_a_section_that_breaks_is_a_finding_and_the_others_stand(monkeypatch):
    def broken():
        raise OSError("libcudart.so.13: cannot open shared object file")

    monkeypatch.setattr(sections.machine, "look", broken)
    found = look(Path("data"))
    (bad,) = [finding for finding in found if finding.verdict == "wrong"]
    assert "libcudart" in bad.value
    assert len({finding.section for finding in found}) == 7
