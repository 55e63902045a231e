"""The locked set fits what pyproject.toml asks for, on every Python and platform that it states."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LINES = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
PLATFORMS = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"},
    "darwin": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix", "platform_machine": "arm64"},
    "win32": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64"},
}


def stated_pythons():
    found = [re.fullmatch(r".*:: (3\.\d+)", line) for line in PROJECT["project"]["classifiers"]]
    return [match[1] for match in found if match]


def asked():
    extras = PROJECT["project"]["optional-dependencies"].values()
    every = [Requirement(line) for lines in (PROJECT["project"]["dependencies"], *extras) for line in lines]
    return [requirement for requirement in every if requirement.name != PROJECT["project"]["name"]]


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("python", stated_pythons())
def test_every_requirement_is_locked_once_within_its_range(python, platform):
    versions = {"python_version": python, "python_full_version": f"{python}.4"}
    here = {**default_environment(), **PLATFORMS[platform], **versions}
    pins = {}
    for line in map(Requirement, LINES):
        if line.marker is None or line.marker.evaluate(here):
            assert canonicalize_name(line.name) not in pins, f"{line.name} is locked twice"
            (pin,) = line.specifier
            assert pin.operator == "=="
            pins[canonicalize_name(line.name)] = pin.version
    for requirement in asked():
        if requirement.marker is None or requirement.marker.evaluate(here):
            version = pins.get(canonicalize_name(requirement.name))
            assert version, f"{requirement.name} is not locked for Python {python} on {platform}: make lock"
            assert requirement.specifier.contains(version, prereleases=True), (
                f"{requirement} against {version}: make lock"
            )


def test_no_address_of_an_index_is_in_it():
    assert not [line for line in (ROOT / "constraints.txt").read_text().splitlines() if "://" in line or "--" in line]


def test_pythons_are_stated_without_a_gap_from_the_oldest_that_is_admitted():
    minors = [int(version.split(".")[1]) for version in stated_pythons()]
    assert minors == list(range(minors[0], minors[-1] + 1))
    assert PROJECT["project"]["requires-python"] == f">=3.{minors[0]}"
