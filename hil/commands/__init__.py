"""Commands of `hil`: the module `hil/commands/NAME.py` is `hil NAME`, its function `command` (or its typer `app`).

They import torch and the rest of the package inside the function, so that `hil --help` answers at once.
"""
