"""Runs commands of `hil` one after the other in one process and says how each ended: JSON, one object a line.

Usage: walk.py FILE, a JSON list of command lines. Of all figures of reports one is rendered: it takes matplotlib
seconds a report, and there is nothing of Windows in it that differs from one to the next.
"""

import contextlib
import functools
import io
import json
import sys
import time
import traceback
from pathlib import Path

from hil.cli import main
from hil.report import figures


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
    rendered = functools.cache(figures.to_svg)
    one = figures.drawing([figures.Panel("one", figures.bars({"a": 1}, "share"))])
    figures.to_svg = lambda _: rendered(one)
    for line in json.loads(Path(sys.argv[1]).read_text("utf-8")):
        print(json.dumps(run(line)), flush=True)
