"""A processor's name tells it from others, on every architecture."""

import sys

import pytest

from firmware_specs.platform import processors

X86 = """processor\t: {n}
vendor_id\t: AuthenticAMD
cpu family\t: 25
model\t\t: 17
model name\t: AMD EPYC
stepping\t: 1
cpu MHz\t\t: 24{n}0
"""
ARM = """processor\t: {n}
BogoMIPS\t: 243.75
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: {variant}
CPU part\t: {part}
CPU revision\t: 1
"""
RISCV = "processor\t: {n}\nhart\t\t: {n}\nisa\t\t: rv64imafdc\nuarch\t\t: sifive,u74-mc\nmvendorid\t: 0x489\n"
POWER = "processor\t: {n}\ncpu\t\t: POWER9, altivec supported\nclock\t\t: 2{n}00MHz\n"


def cores(*blocks):
    return "\n".join(blocks)


def arm(number, part="0xd0c", variant="0x3"):
    return ARM.format(n=number, part=part, variant=variant)


def test_arm_processors_are_told_apart_by_implementer_part_and_variant():
    graviton = processors.by_cpuinfo(cores(arm(0), arm(1)))
    assert "CPU implementer 0x41 CPU part 0xd0c CPU variant 0x3" in graviton
    others = [cores(arm(0, "0xd40")), cores(arm(0, variant="0x1")), cores(arm(0, "0xd05"), arm(1, "0xd0c"))]
    assert len({graviton, *map(processors.by_cpuinfo, others)}) == 4


def test_every_kind_of_core_is_named_once_in_whatever_number():
    big_and_little = processors.by_cpuinfo(cores(arm(0, "0xd05"), arm(1, "0xd05"), arm(2)))
    assert big_and_little.count("0xd05") == 1
    assert big_and_little.count(" and ") == 1
    assert processors.by_cpuinfo(cores(*(arm(n) for n in range(9)))) == processors.by_cpuinfo(arm(0))


@pytest.mark.parametrize(
    ("block", "said"),
    [
        (X86, "AMD EPYC cpu family 25 model 17 stepping 1"),
        (RISCV, "sifive,u74-mc mvendorid 0x489"),
        (POWER, "POWER9, altivec supported"),
    ],
)
def test_names_and_numbers_by_architecture_and_nothing_that_differs_by_core(block, said):
    tail = "timebase\t: 512000000\nmodel\t\t: 8335-GTX\n"
    assert processors.by_cpuinfo(cores(block.format(n=0), block.format(n=1), tail)) == said


@pytest.mark.parametrize("text", ["", "\n\n", "nothing: here\n", "\x00\xff"])
def test_where_nothing_is_told_python_says_it(text, tmp_path, monkeypatch):
    assert processors.by_cpuinfo(text) == ""
    monkeypatch.setattr(processors, "CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text(text, encoding="utf-8")
    assert processors.processor.__wrapped__() == processors._by_python()


@pytest.mark.parametrize(
    ("system", "command"),
    [
        ("darwin", ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]),
        ("freebsd14", ["/sbin/sysctl", "-n", "hw.model"]),
    ],
)
def test_macos_and_the_bsds_are_asked_by_sysctl(system, command, monkeypatch):
    def run(asked, **told):
        assert asked == command
        return processors.subprocess.CompletedProcess(asked, 0, b"Apple M2 Pro\n", b"")

    monkeypatch.setattr(processors.subprocess, "run", run)
    assert processors.by_sysctl(system) == "Apple M2 Pro"


@pytest.mark.parametrize("program", ["missing", "refuses"])
def test_a_sysctl_that_is_missing_or_refuses_hurts_nobody(program, tmp_path, monkeypatch):
    def run(asked, **told):
        if program == "missing":
            raise FileNotFoundError(asked[0])
        raise processors.subprocess.CalledProcessError(1, asked)

    monkeypatch.setattr(processors.subprocess, "run", run)
    monkeypatch.setattr(processors, "CPUINFO", tmp_path / "none")
    assert processors.processor.__wrapped__() == processors._by_python()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc/cpuinfo is Linux's")
def test_this_machine_has_a_name():
    assert processors.processor()
