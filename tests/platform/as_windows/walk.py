"""Runs commands of `hil` one after the other in one process and says how each ended: JSON, one object a line.

Usage: walk.py FILE, a JSON list of command lines.
"""

import contextlib
import io
import json
import sys
import time
import traceback
from pathlib import Path

from hil.cli import main


def run(arguments):
    """Exit status, text and seconds of one command."""
    said, begin, status = io.StringIO(), time.monotonic(), 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            main(arguments)
        except SystemExit as end:
            status = end.code or 0
        except BaseException:
            status = "raised"
            said.write(traceback.format_exc())
    return {"line": " ".join(arguments), "status": status, "said": said.getvalue(), "s": time.monotonic() - begin}


if __name__ == "__main__":
    for line in json.loads(Path(sys.argv[1]).read_text("utf-8")):
        print(json.dumps(run(line)), flush=True)
