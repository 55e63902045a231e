"""`stub.py SOCKET ARGUMENTS`: a warm process for a program that starts its own; passes on signals and exit code."""

import array
import json
import os
import signal
import socket
import sys

with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    asked = {
        "arguments": sys.argv[2:],
        "environment": dict(os.environ),
        "folder": os.getcwd(),  # noqa: PTH109  (pathlib is half of what this costs)
    }
    said = json.dumps(asked).encode()
    streams = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", range(3)))]
    connection.sendmsg([len(said).to_bytes(4, "big")], streams)
    connection.sendall(said)
    with connection.makefile() as answers:
        child = int(answers.readline())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: os.kill(child, number))
        code = int(answers.readline())
sys.exit(code if code >= 0 else 128 - code)
