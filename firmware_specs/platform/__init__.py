"""What differs by platform, in one room and chosen once; everything else is written for all of them.

`posix.py` is Linux, macOS and the BSDs, `windows.py` is Windows; both have the same names, which are those below. No
other module names what one of them lacks (a test looks for such names). What a library does on every platform is no
matter for this room: locks are filelock's, processes psutil's, ports pyserial's, folders of a user platformdirs'.
"""

import sys

if sys.platform == "win32":
    from firmware_specs.platform import windows as here
else:
    from firmware_specs.platform import posix as here

from firmware_specs.platform.shared import Handler, NoTerminal, Terminal, Wire

ASKING = here.ASKING
"""Signals that ask a program to end; a run stops after its step."""
STOPS = here.STOPS
"""Signals whose default is to end the process at once, besides Ctrl-C."""
TIMERS = here.TIMERS
"""A program's own timers."""
OPEN_FLAGS = here.OPEN_FLAGS
"""Of `os.open`: not for children, not through a link, and never waiting."""
SHARED = here.SHARED
"""Mode of a folder that all users share."""
TERMINALS = here.TERMINALS
"""Are there pseudo-terminals?"""
Alarm = here.Alarm
after_fork = here.after_fork
close_is_a_signal = here.close_is_a_signal
drop_held = here.drop_held
end_this_process = here.end_this_process
is_mine = here.is_mine
keep_lines_at_close = here.keep_lines_at_close
node_permission = here.node_permission
open_terminal = here.open_terminal
open_to_all = here.open_to_all
others_may_write = here.others_may_write
port_device = here.port_device
port_users = here.port_users
processor = here.processor
refuse_unsafe = here.refuse_unsafe
replace = here.replace
sync_folder = here.sync_folder
user_number = here.user_number
wire = here.wire

__all__ = [
    "ASKING",
    "OPEN_FLAGS",
    "SHARED",
    "STOPS",
    "TERMINALS",
    "TIMERS",
    "Alarm",
    "Handler",
    "NoTerminal",
    "Terminal",
    "Wire",
    "after_fork",
    "close_is_a_signal",
    "drop_held",
    "end_this_process",
    "is_mine",
    "keep_lines_at_close",
    "node_permission",
    "open_terminal",
    "open_to_all",
    "others_may_write",
    "port_device",
    "port_users",
    "processor",
    "refuse_unsafe",
    "replace",
    "sync_folder",
    "user_number",
    "wire",
]
