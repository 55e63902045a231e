"""Which build of torch the set-up takes: `tools/install.py` with a pip and a uv that are played."""

import importlib.util
import json
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "tools" / "install.py"
CUDA, PLAIN = ["cuda-toolkit[cublas]==13.0.3; platform_system == 'Linux'", "sympy"], ["sympy"]


@pytest.fixture
def install():
    spec = importlib.util.spec_from_file_location("install", PATH)
    install = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(install)
    return install


@pytest.fixture
def setup(install, monkeypatch):
    """Runs the set-up; returns the lines that pip was given, "uv" where uv was asked."""

    def runs(*words, gpu=False, pip_takes=CUDA, installed=None, uv_says=None, platform="linux"):
        lines = []

        def pip(*arguments):
            lines.append(" ".join(arguments))
            found = [] if installed else [{"metadata": {"requires_dist": pip_takes}}]
            return json.dumps({"install": found}) if "--dry-run" in arguments else ""

        def requires(name):
            if installed is None:
                raise install.metadata.PackageNotFoundError(name)
            return installed

        monkeypatch.setattr(install, "pip", pip)
        monkeypatch.setattr(install, "with_uv", lambda: lines.append("uv") or uv_says)
        monkeypatch.setattr(install, "has_gpu", lambda: gpu)
        monkeypatch.setattr(install.metadata, "requires", requires)
        monkeypatch.setattr(install.sys, "platform", platform)
        monkeypatch.setattr(install.sys, "argv", ["install.py", *words, "--editable", ".[dev]"])
        install.main()
        return lines

    return runs


def test_without_a_gpu_the_small_build_comes_before_what_pip_would_take(setup):
    lines = setup()
    assert lines.index("uv") < lines.index("install --editable .[dev]") == len(lines) - 1


@pytest.mark.parametrize(
    "case",
    [
        {"gpu": True},
        {"pip_takes": PLAIN},
        {"pip_takes": None},
        {"installed": PLAIN},
        {"installed": CUDA},
        {"platform": "darwin"},
        {"platform": "win32"},
    ],
    ids=str,
)
def test_nothing_is_looked_for_where_it_is_not_wanted_or_small_anyway(setup, case):
    lines = setup(**case)
    assert "uv" not in lines and lines[-1] == "install --editable .[dev]"


def test_pips_build_is_taken_where_it_is_asked_for(setup):
    assert setup("--torch", "pip") == ["install --upgrade pip", "install --editable .[dev]"]


def test_where_the_small_build_cannot_be_had_the_set_up_goes_on_and_says_what_it_costs(setup, capsys):
    assert setup(uv_says="no route to host")[-1] == "install --editable .[dev]"
    (line,) = capsys.readouterr().out.splitlines()
    assert "no route to host" in line and "5 GB" in line


def test_the_small_build_is_demanded_by_name(setup):
    with pytest.raises(SystemExit, match=r"no route to host.*TORCH=pip"):
        setup("--torch", "cpu", uv_says="no route to host", gpu=True)
    with pytest.raises(SystemExit, match="make clean"):
        setup("--torch", "cpu", installed=CUDA)
    assert "uv" in setup("--torch", "cpu", gpu=True)


@pytest.mark.parametrize("own", [None, "default::DeprecationWarning", "error"], ids=str)
def test_of_a_failing_install_only_the_banner_of_an_editable_one_is_unsaid(install, own, tmp_path, monkeypatch, capfd):
    (tmp_path / "pip.py").write_text(
        "import sys, warnings\n"
        "warnings.warn('Editable installation.\\n!!\\n****')\n"
        "try:\n    warnings.warn('No editable installation of torch.')\n"
        "except UserWarning as raised:\n    print(raised, file=sys.stderr)\n"
        "sys.exit('no space left')\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("PYTHONWARNINGS", raising=False)
    if own:
        monkeypatch.setenv("PYTHONWARNINGS", own)
    with pytest.raises(SystemExit, match=r"pip install --editable \. failed with the words above"):
        install.pip("install", "--editable", ".")
    said = capfd.readouterr().err
    assert "no space left" in said and "No editable installation of torch." in said
    assert "!!" not in said and "****" not in said
