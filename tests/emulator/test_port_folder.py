import os
import subprocess
import sys
import tempfile

from emulator.serve import port_folder


def test_folders_of_killed_processes_are_removed_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = tmp_path / f"{port_folder.PREFIX}{dead.pid}-abc"
    ours = tmp_path / f"{port_folder.PREFIX}{os.getpid()}-abc"
    others = tmp_path / f"{port_folder.PREFIX}{dead.pid}-full"
    for folder in (left, ours, others):
        folder.mkdir()
    (left / port_folder.LINK).symlink_to("/dev/pts/99999")
    (others / "notes").write_text("kept")
    with port_folder.make() as fresh:
        assert not left.exists() and ours.exists() and others.exists()
        assert str(os.getpid()) in fresh
    assert sorted(tmp_path.iterdir()) == sorted([ours, others])
