import re
from pathlib import Path

import pytest

from hil.counterparts.opening.bench import open_bench
from hil.experiments import shipped
from hil.experiments.experiment_file import load
from hil.learning.model import build

ROOT = Path(__file__).parents[2]


def blocks(file, language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / file).read_text(), re.DOTALL)


def test_the_ten_lines_of_the_readme_train_a_model():
    (code,) = blocks("README.md", "python")
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    gradients = [parameter.grad for parameter in names["model"].parameters()]
    assert all(gradient is not None and bool(gradient.abs().sum() > 0) for gradient in gradients)
    assert len([line for line in code.splitlines() if line and not line.startswith(("import", "from"))]) <= 10


def test_the_experiment_of_the_tutorial_is_accepted(tmp_path):
    (text,) = blocks("docs/tutorials/first-training.md", "toml")
    (tmp_path / "chain.toml").write_text(text)
    model = build(load(tmp_path / "chain.toml"), open_bench("emulator:mixed-8bit"), (1, 28, 28), 10)
    assert len(model) == 3


@pytest.mark.parametrize("file", ["README.md", "docs/tutorials/first-training.md"])
def test_experiments_named_in_commands_are_shipped(file):
    named = re.findall(r"hil (?:train|gradcheck) ([a-z0-9-]+)\s", (ROOT / file).read_text())
    assert named
    assert set(named) <= set(shipped())


def test_every_command_of_the_readme_that_is_run_on_other_machines_can_run_without_data_and_devices():
    commands = [line.split("#")[0].split() for block in blocks("README.md", "sh") for line in block.splitlines()]
    assert [words[:2] for words in commands[1:3]] == [["make", "demo"], ["make", "test"]]
    assert ".venv/bin/activate" in [words[-1] for words in commands]
    shipped_commands = {path.stem for path in (ROOT / "hil" / "commands").glob("[a-z]*.py")}
    for words in commands:
        assert not {"DATA", "--data-root", "sudo"} & set(words) and "/dev/" not in " ".join(words)
        assert words[0] != "hil" or words[1] in shipped_commands
