import shutil
import subprocess
from pathlib import Path

import pytest

from hil.training.run.provenance import code_version

ROOT = Path(__file__).parents[3]


@pytest.mark.skipif(not (ROOT / ".git").exists() or shutil.which("git") is None, reason="not a checkout, or no git")
def test_a_run_in_a_checkout_names_the_revision_of_its_code():
    ran = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True)
    found = code_version()
    assert found["revision"] == (ran.stdout.strip() or None)
    assert isinstance(found["modified"], bool)
