"""`serial:` and `visa:`: a real device, or a virtual instrument, behind the Crossbar driver.

Values pass the drivers as converter codes, with the arithmetic of the emulator's own value door: the same chip gives
the same states through every door.
"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping as MappingABC
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from drivers.crossbar import Crossbar
from drivers.deed_file import DeedFile
from drivers.errors import DeviceError, OutOfRange
from firmware_specs.codes import Capability
from firmware_specs.datasheet import Datasheet
from firmware_specs.deeds import NOTHING, Deeds
from firmware_specs.topology import Topology
from hil.counterparts import device_snapshot, tiled
from hil.counterparts.counted import CellMaps
from hil.counterparts.device_array import DeviceArray
from hil.counterparts.device_tiles import DeviceTiles
from hil.counterparts.notebook import ShownBench
from hil.counterparts.one_of_a_kind import OneOfAKind
from hil.counterparts.placement import check_fits, next_array
from hil.counterparts.seam import Bench
from hil.counterparts.tiled import TiledArray


class DeviceBench(ShownBench, OneOfAKind):
    """An open device, arrays handed out in order; outputs go on with the first program or settle, and off at `close`.

    Args:
        crossbar: The device.
        address: The address it was opened from.
        datasheet: What it is.
        provenance: What a run records of the bench besides: bench file, calibration, overrides.
    """

    def __init__(
        self, crossbar: Crossbar, address: str, datasheet: Datasheet, provenance: MappingABC[str, object] | None = None
    ) -> None:
        self.crossbar = crossbar
        self.address = address
        self.datasheet = datasheet
        self._provenance = dict(provenance or {})
        self._arrays: list[DeviceArray] = []
        self._tiles = DeviceTiles(self)
        self._tiled: list[TiledArray] = []
        self._armed = False

    @property
    def quantized(self) -> bool:
        """True where any converter has finite resolution."""
        sheet = self.datasheet
        if sheet.product is not None:
            return True
        return any(not c.ideal for c in (sheet.drive_dac, sheet.nudge_dac, sheet.state_adc, sheet.output_adc))

    def arm(self) -> None:
        """Turns the outputs on, once: after a trip or a stop nothing turns them on again."""
        if not self._armed:
            self._armed = True
            self.crossbar.arm()

    def rest(self) -> None:
        """Outputs off, confirmed."""
        self.crossbar.session.disarm()

    def busy(self, seconds: float) -> AbstractContextManager[None]:
        """Work on the host that takes longer than the lease on the outputs, and at most so long."""
        return self.crossbar.session.busy(seconds)

    def place(self, topology: Topology) -> DeviceArray | TiledArray:
        """Reserves the next array, or as many as a block has tiles on a device that only multiplies."""
        if self.datasheet.product is not None:
            self._tiled.append(tiled.place(self.datasheet, self._tiles, self._tiled, topology))
            return self._tiled[-1]
        check_fits(self.datasheet, topology)
        array = DeviceArray(self, next_array(self.datasheet, len(self._arrays)), topology)
        self._arrays.append(array)
        return array

    def report(self) -> dict[str, float]:
        """Of a device that multiplies: tiles in use, products so far, and the time their tiles took."""
        return tiled.report(self.datasheet, self._tiled) if self._tiled else {}

    def standing(self) -> dict[str, object]:
        """How the device is right now, for those who watch; its temperature is asked for."""
        session = self.crossbar.session
        told: dict[str, object] = {
            "outputs": session.armed,
            "watchdog_s": session.watchdog_s,
            "lease_s": session.lease_s,
            "lease_left_s": session.lease_left_s,
        }
        counts = getattr(getattr(session.dialect, "link", None), "counts", None)
        if counts is not None:
            told |= {"resent": counts.resent, "damaged": counts.damaged}
        if self.crossbar.info.can(Capability.TEMPERATURE):
            told |= {"temperature_k": session.temperature_k()}
        limits = session.guard.limits
        told |= {"most_temperature_k": limits.max_temperature_k.value, "pulses": limits.max_pulses_per_cell.value}
        told |= {"energy_j": limits.max_energy_per_cell_j.value}
        return told

    def deeds(self) -> Deeds:
        """What the device did for this session."""
        accounts = self.crossbar.session.accounts
        accounts.add(sum((array.heat.take() for array in self._arrays), start=NOTHING))
        accounts.add(sum((block.heat.take() for block in self._tiled), start=NOTHING))
        return accounts.done.total

    @contextmanager
    def counting(self, file: DeedFile) -> Iterator[None]:
        """Within it, a file counts along; it gets what was done so far, and of an earlier session what got through."""
        accounts = self.crossbar.session.accounts
        self.deeds()
        accounts.count_into(file)
        try:
            yield
        finally:
            self.deeds()
            accounts.count_no_more(file)

    def cells(self) -> dict[str, CellMaps]:
        """What the cells have had by this computer's count, at the least, and what was last written into them."""
        guard = self.crossbar.session.guard
        found = {}
        for number, shapes in self.crossbar.placed().items():
            for coupling, codes in enumerate(shapes):
                spent = [guard.spent((number, coupling, plane)) for plane in range(len(codes))]
                held = np.where(codes < 0, np.nan, codes * self.crossbar.g_lsb_s + self.crossbar.g_range_s[0])
                pulses, joules = (np.stack([each[part] for each in spent]) for part in (0, 1))
                found[f"array {number} coupling {coupling}"] = CellMaps(pulses, joules, held)
        return found

    def describe(self) -> dict[str, object]:
        """Who it is, its limits and whose they are, and what the bench adds."""
        identity, limits = self.crossbar.info.identity, self.crossbar.session.guard.limits
        return {
            "kind": "device",
            "vendor": identity.vendor,
            "model": identity.model,
            "serial": identity.serial,
            "firmware": identity.firmware,
            "boot": identity.boot,
            "capabilities": f"{int(identity.capabilities):#x}",
            "limits": {field.name: str(getattr(limits, field.name)) for field in fields(limits)},
            "watchdog_s": self.crossbar.session.watchdog_s,
            "datasheet": self.datasheet.model_dump(mode="json"),
            **self._provenance,
        }

    @property
    def identity(self) -> str:
        """Vendor, model and serial number."""
        identity = self.crossbar.info.identity
        return f"{identity.vendor} {identity.model}, serial number {identity.serial}"

    def save_flight(self, path: Path) -> None:
        """Writes the last traffic to a file, which replays as a test."""
        self.crossbar.recorder.save(path, self.address)

    def state_dict(self) -> dict[str, Tensor]:
        """Which device it is. What a chip holds is on the chip, and is written and read back again on resume."""
        return {"identity": torch.frombuffer(bytearray(self.identity.encode()), dtype=torch.uint8)}

    def snapshot(self) -> dict[str, Tensor]:
        """`state_dict`, and of an emulator behind the wire everything it holds."""
        state = self.state_dict()
        if self.crossbar.info.can(Capability.SNAPSHOT):
            state |= device_snapshot.taken(self.crossbar)
            state |= {
                f"array_{n}.{name}": value for n, a in enumerate(self._arrays) for name, value in a.held().items()
            }
            state |= {f"block_{n}": block.held() for n, block in enumerate(self._tiled)}
        return state

    def load_state_dict(self, state: MappingABC[str, Tensor]) -> None:
        """A resume: an emulator gets its snapshot back; on a chip every cell is written and verified before the next
        step.

        Raises:
            OutOfRange: the checkpoint is of another device. DeviceFault: outputs are on.
        """
        trained = bytes(state["identity"].tolist()).decode() if "identity" in state else "another counterpart"
        if trained != self.identity:
            raise OutOfRange(
                f"the run was trained on {trained}, this is {self.identity}",
                device=self.address,
                todo="Connect the device it was trained on, or start a new run",
            )
        if device_snapshot.NAME in state and self.crossbar.info.can(Capability.SNAPSHOT):
            device_snapshot.put_back(self.crossbar, state)
            for number, array in enumerate(self._arrays):
                array.hold(device_snapshot.below(f"array_{number}.", state))
            for number, block in enumerate(self._tiled):
                block.hold(state[f"block_{number}"])
            return
        for array in self._arrays:
            array.verify = True
        self._tiles.verify = set(range(sum(block.arrays for block in self._tiled)))

    def close(self) -> None:
        """Outputs off, device given free."""
        self.crossbar.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.crossbar.__exit__(kind, value, trace)


@contextmanager
def recorded_failure(bench: Bench, path: Path) -> Iterator[None]:
    """Where a device fails, leaves its last traffic in a file and says so with the error.

    A refusal of the host is no failure: nothing went out, and the traffic of an earlier failure stays.
    """
    try:
        yield
    except DeviceError as error:
        said = f"The last traffic is in {path}."
        save = getattr(bench, "save_flight", None)
        if save is not None and not isinstance(error, OutOfRange) and said not in getattr(error, "__notes__", ()):
            save(path)
            error.add_note(said)
        raise
