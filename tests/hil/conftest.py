"""For tests of the host: platforms without what is not their subject."""

import os
import subprocess
import sys

import pytest

CHILD = """
import sys
from hil.cli import main
for line in sys.stdin:
    try:
        main(line.split())
        code = 0
    except SystemExit as end:
        code = end.code
    print(code, "torch" in sys.modules, flush=True)
"""


@pytest.fixture
def multiplying_exactly():
    """Makes of a product platform one that writes and reads without error: `(sheet, tolerance, max_iterations)`."""

    def changed(sheet, tolerance, max_iterations):
        quiet = {"bits": 0, "noise_sigma_a": 0.0, "low_a": -1.0, "high_a": 1.0}
        lines = {
            "line_dac": sheet.product.line_dac.model_copy(update={"bits": 0}),
            "line_adc": sheet.product.line_adc.model_copy(update=quiet),
        }
        parts = {
            "cells": sheet.cells.model_copy(update={"programming_noise": 0.0}),
            "settle": sheet.settle.model_copy(update={"tolerance": tolerance, "max_iterations": max_iterations}),
            "product": sheet.product.model_copy(update=lines),
        }
        return sheet.model_copy(update=parts)

    return changed


@pytest.fixture
def refused_without_torch(tmp_path):
    """`(asked, code, **environment)`: runs commands one after the other in a process, in the test's folder; what they
    said, after each was seen to end with that code and torch to be loaded by none.
    """

    def said(asked, code, **environment):
        done = subprocess.run(
            [sys.executable, "-c", CHILD],
            input="".join(" ".join(words) + "\n" for words in asked),
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=tmp_path,
            env={**os.environ, **environment},
            check=True,
        )
        assert done.stdout.splitlines() == [f"{code} False"] * len(asked), (done.stdout, done.stderr)
        return done.stderr

    return said
