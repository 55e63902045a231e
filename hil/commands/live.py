"""`hil live [RUN or FOLDER]`."""

from __future__ import annotations

from typing import Annotated

import typer

from hil.commands import RunsFolder, say
from hil.outputs import RUNS


def command(
    folder: RunsFolder = RUNS,
    host: Annotated[
        str, typer.Option(help="Address to serve on; another than this computer's asks for a token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0: any that is free.")] = 8321,
    token: Annotated[
        str | None, typer.Option(help="What a browser has to know; one is made up where it is needed.")
    ] = None,
) -> None:
    """Serves a page that shows what runs do, from their files alone: no device is touched, nothing is changed."""
    import secrets
    import socket

    try:
        import uvicorn

        from hil.watching.live.server import application, local
    except ImportError as error:
        raise typer.BadParameter(
            f"the page needs {error.name}, which is not installed: pip install 'crossbar-hil[live]'"
        ) from None
    if not folder.is_dir() and folder != RUNS:  # it may be there before the first run
        raise typer.BadParameter(f"{folder} is no folder: name that of a run, or one that has some")
    if token is None and not local(host):
        token = secrets.token_urlsafe(24)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = family == socket.AF_INET6 and socket.has_dualstack_ipv6()
    # it listens before its address is said: who reads that may ask at once
    try:
        listening = socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise typer.BadParameter(f"cannot listen: {error}; --port 0 takes any free one") from error
    with listening:
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listening.getsockname()[1]}/" + (f"?token={token}" if token else "")
        say(f"{folder} is shown at {address} until Ctrl-C")
        config = uvicorn.Config(application(folder.absolute(), host, token), log_level="warning", access_log=False)
        uvicorn.Server(config).run(sockets=[listening])
