"""Commands of `hil`: the module `hil/commands/NAME.py` is `hil NAME`, its function `command` (or its typer `app`).

They import torch and the rest of the package inside the function, so that `hil --help` answers at once.
"""

import sys


def complain(error: Exception) -> None:
    """Says what went wrong, and what was noted with it, on the error stream."""
    print("\n".join([f"hil: {error}", *getattr(error, "__notes__", [])]), file=sys.stderr, flush=True)
