"""What the package does to the projects beside it: nothing they notice, and a sentence where they get in its way."""

import subprocess
import sys

import pytest

import hil
from hil.cli import main


def run(*call, cwd):
    return subprocess.run([sys.executable, *call], capture_output=True, text=True, cwd=cwd)


def test_the_pytest_plugin_claims_nothing_in_other_projects(tmp_path):
    (tmp_path / "conftest.py").write_text("def pytest_addoption(parser):\n    parser.addoption('--device')\n")
    (tmp_path / "test_mine.py").write_text(
        "import pytest\n\n@pytest.fixture\ndef subject(request):\n    return request.config.getoption('--device')\n\n"
        "def test_mine(subject):\n    assert subject == 'mine'\n"
    )
    done = run("-m", "pytest", "-q", "-p", "no:randomly", "--device", "mine", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_the_conformance_suite_runs_as_tests(python, tmp_path):
    told = ["--hil-device", "emulator:ideal?seed=1", "-k", "watchdog", "-p", "no:randomly", "-q"]
    done = python.run(["-m", "pytest", "--pyargs", "hil.conformance", *told], capture_output=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["drivers", "emulator", "firmware_specs"])
def test_a_folder_that_shadows_one_of_ours_is_named(tmp_path, name):
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / "mine.py").write_text("import hil\n")
    done = run("mine.py", cwd=tmp_path)
    assert done.returncode == 1
    assert f"has the name of a package of crossbar-hil ({name}) and is found before it" in done.stderr


def test_the_version_is_said(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.strip() == f"crossbar-hil {hil.__version__}"


def test_a_nudge_strength_that_is_none_is_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["gradcheck", "digits", "--beta", "-1"])
    assert ended.value.code == 2
    assert "is no nudge strength" in capsys.readouterr().err


def test_without_a_command_the_help_is_shown(capsys):
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 2
    assert "Usage: hil" in "".join(capsys.readouterr())
