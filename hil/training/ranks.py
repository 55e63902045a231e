"""Data-parallel training over processes: who this one is, and the few things all of them do together.

`torchrun --nproc-per-node K -m hil train ...` starts the processes; torch.distributed joins them. Without it there is
one rank and nothing is exchanged.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import psutil
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.rendezvous import rendezvous

_CPU = torch.device("cpu")
TEXT_BYTES = 2048
JOIN_S, PATIENT_S = 60.0, 3.0
"""How long the other processes are waited for at the start, and after how long that is said."""
LAUNCHED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class RankError(RuntimeError):
    """Another rank failed, so this one stopped too; the message says which, and why."""


@dataclass(frozen=True)
class Ranks:
    """This process among those of a run.

    Attributes:
        rank: Its number, 0 .. count - 1.
        count: Number of processes.
        device: Torch device of this process.
    """

    rank: int = 0
    count: int = 1
    device: torch.device = _CPU

    @property
    def first(self) -> bool:
        """The one that speaks and writes for all."""
        return self.rank == 0

    def wait(self) -> None:
        """Until every rank is here."""
        if self.count > 1:
            dist.barrier()

    def part(self) -> None:
        """Waits for the others before leaving after a failure; one that is gone already is not waited for."""
        with suppress(RuntimeError):
            self.wait()

    def check(self, failure: Exception | None = None, when: str = "after the last whole step") -> None:
        """Before every exchange, and before the first step: has a rank failed?

        Args:
            failure: What keeps this rank from going on.
            when: All stop, for the message.

        Raises:
            RankError: a rank failed, or is gone; every rank gets to know, the failed one too.
        """
        if self.count == 1:
            return
        failed = torch.tensor([0.0 if failure is None else 1.0], device=self.device)
        try:
            dist.all_reduce(failed)
        except RuntimeError as error:
            raise RankError(f"rank {self.rank} of {self.count}: another rank is gone: {error}") from error
        if failed > 0:
            raise RankError(self._explain(failure, when))

    def exchange(self, model: nn.Module, sums: Tensor) -> None:
        """Averages gradients, in one message, and adds sums over all ranks, in place.

        Args:
            model: Whose parameters have gradients; one without counts as zero.
            sums: (n,).

        Raises:
            RankError: as `check`.
        """
        if self.count == 1:
            return
        self.check()
        parameters = list(model.parameters())
        with torch.no_grad():
            flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
            dist.all_reduce(flat)
            dist.all_reduce(sums)
            flat /= self.count
            for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
                parameter.grad = part.view_as(parameter)

    def _explain(self, failure: Exception | None, when: str) -> str:
        """What failed, rank by rank, or once where all say the same; every rank gets it."""
        mine = _said(failure).encode()[:TEXT_BYTES].ljust(TEXT_BYTES)
        text = torch.frombuffer(bytearray(mine), dtype=torch.uint8).to(self.device)
        every = [torch.empty_like(text) for _ in range(self.count)]
        dist.all_gather(every, text)
        texts = [bytes(t.tolist()).decode(errors="replace").strip() for t in every]
        if len(set(texts)) == 1:
            return texts[0]
        said = "; ".join(f"rank {rank} of {self.count}: {text}" for rank, text in enumerate(texts) if text)
        return f"{said}; all {self.count} ranks stopped {when}"

    def largest(self, value: int) -> int:
        """Largest of all ranks' values."""
        return self._agree(value, dist.ReduceOp.MAX)

    def smallest(self, value: int) -> int:
        """Smallest of all ranks' values."""
        return self._agree(value, dist.ReduceOp.MIN)

    def add(self, tensor: Tensor) -> Tensor:
        """Sum over the ranks."""
        if self.count == 1:
            return tensor
        moved = tensor.to(self.device)
        dist.all_reduce(moved)
        return moved.to(tensor.device)

    def _agree(self, value: int, how: dist.ReduceOp.RedOpType) -> int:
        if self.count == 1:
            return value
        agreed = torch.tensor([value], device=self.device)
        dist.all_reduce(agreed, how)
        return int(agreed)


def _said(failure: Exception | None) -> str:
    """What a failure says, and what was noted with it: where its traffic is, for instance."""
    if failure is None:
        return ""
    return " ".join([str(failure) or type(failure).__name__, *getattr(failure, "__notes__", ())])


ALONE = Ranks()


def _own_device() -> torch.device:
    """A GPU where there is one for every process of this host, which are on the CPU otherwise.

    On a GPU float32 products are float32 ones, TF32 would be off by 2^-11, and the same run gives the same bits.
    """
    local, processes = _number("LOCAL_RANK", 0), _number("LOCAL_WORLD_SIZE", 1)
    if not torch.cuda.is_available() or torch.cuda.device_count() < processes:
        return _CPU
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    return torch.device("cuda", local)


@contextmanager
def joined(timeout_s: float = 1800.0) -> Iterator[Ranks]:
    """Joins the processes torchrun started; a single process otherwise.

    Variables that another launcher, or an earlier run, left in the environment name no processes of this run: what is
    not whole is passed over with a line, and what nobody joins ends after `JOIN_S`.

    Args:
        timeout_s: Longest wait for another rank, a test by one of them included.

    Raises:
        RankError: the others that the environment names did not come.
    """
    count, device = _launched(), _own_device()
    if count == 1:
        yield Ranks(device=device)
        return
    gpu = device.type == "cuda"
    if gpu:
        torch.cuda.set_device(device)
    _meet("nccl" if gpu else "gloo", count, timeout_s)
    try:
        yield Ranks(dist.get_rank(), count, device)
    finally:
        dist.destroy_process_group()


def _number(name: str, otherwise: int) -> int:
    """A count in the environment; what is none was not meant for us."""
    text = os.environ.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 10 else otherwise


def _launched() -> int:
    """Number of processes of this run, by the variables torchrun sets; 1 where they are not whole."""
    count = _number("WORLD_SIZE", 1)
    missing = [name for name in LAUNCHED if not os.environ.get(name)]
    if count > 1 and (missing or not _number("RANK", count) < count):
        why = f"without {', '.join(missing)}" if missing else f"with RANK={os.environ['RANK']}"
        print(
            f"hil: WORLD_SIZE={count} in the environment {why} is left over from another program: training alone",
            file=sys.stderr,
        )
        return 1
    return max(1, count)


def _store(count: int) -> dist.Store:
    """Where the processes meet. Where no launcher keeps it, the first of them does.

    It then listens at MASTER_ADDR, where torch's own would listen at every address of the machine; on loopback the
    processes speak to each other over that, too.
    """
    host, port, patience = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), timedelta(seconds=JOIN_S)
    family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    if ipaddress.ip_address(place[0]).is_loopback:
        own = (name for name, known in psutil.net_if_addrs().items() if any(a.address == place[0] for a in known))
        os.environ.setdefault("GLOO_SOCKET_IFNAME", next(own, ""))
    if _number("RANK", 0) or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        return next(iter(rendezvous("env://", timeout=patience)))[0]
    server = socket.create_server(place[:2], family=family)
    port, listening = server.getsockname()[1], server.detach()
    served = {"multi_tenant": True, "use_libuv": False}  # with libuv, torch 2.5 takes no socket that listens already
    return dist.TCPStore(host, port, count, True, patience, master_listen_fd=listening, **served)


def _meet(backend: str, count: int, timeout_s: float) -> None:
    """Joins the group; says whom it waits for when that takes long.

    Raises:
        RankError: they did not come.
    """
    others = (
        f"{count - 1} other processes at {os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}, as "
        f"WORLD_SIZE={count} in the environment says"
    )
    todo = "start all with torchrun, or remove WORLD_SIZE and RANK from the environment to train alone"
    said = threading.Timer(PATIENT_S, print, (f"hil: waiting for {others}; {todo}",), {"file": sys.stderr})
    said.daemon = True
    said.start()
    try:
        dist.init_process_group(
            backend, store=_store(count), rank=_number("RANK", 0), world_size=count,
            timeout=timedelta(seconds=timeout_s),
        )  # fmt: skip
    except (RuntimeError, ValueError, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RankError(f"{others}, did not come within {JOIN_S:g} s ({first}): {todo}") from error
    finally:
        said.cancel()
