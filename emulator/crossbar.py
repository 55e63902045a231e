"""The cells of one coupling: what was written into them and when, and what they are now."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import torch
from torch import Tensor

from emulator.cells import defects, drifting, pulsing, reading, telegraph, wandering, writing
from emulator.cells.updating import Circuits
from emulator.choosing import chosen
from emulator.streams import static_normal
from firmware_specs.datasheet import Datasheet

Where = tuple[slice | int, slice | int, slice | int]
"""Planes, rows and columns of some cells."""

INT32_MAX = 2**31 - 1
EVERYWHERE: Where = (slice(None), slice(None), slice(None))


class Crossbar:
    """Cells of shape (planes, rows, columns); planes 0 and 1 are G+ and G-.

    Args:
        sheet: The device.
        shape: Planes, rows, columns.
        key: Seed and place of this crossbar: what is fixed for a specimen's life is drawn from it.
        device: Torch device of its tensors.
        dtype: Floating-point type of conductances.

    Attributes:
        written_s: Conductances right after their last write or pulse, siemens.
        written_at_s: When that was, float64 seconds of the ageing clock; None where no effect depends on it.
        relaxation: Standard normal of each cell's last write, where the drift law wants one.
        walk: Where each cell's random walk has come since it was written, siemens, where the drift law is one.
        jitter: How far beside the sum of its pulses each cell is seen, siemens; None without write noise.
        pulses: Writes and pulses every cell has taken, int32.
        energy_j: Energy they took.
        touched_s: When any cell was last written or pulsed.
        upper: True where a cell is in the upper level of its telegraph noise; None without any.
    """

    def __init__(
        self,
        sheet: Datasheet,
        shape: tuple[int, int, int],
        key: tuple[object, ...],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        self.sheet = sheet
        self.shape = shape
        self._key = key
        self._device = device
        self._dtype = dtype
        self.written_s = torch.full(shape, sheet.cells.g_min_s, dtype=dtype, device=device)
        aged = sheet.drift.law != "none" or sheet.drift.retention_s is not None or sheet.read_noise.aged
        self.written_at_s = torch.zeros(shape, dtype=torch.float64, device=device) if aged else None
        self.relaxation = torch.zeros(shape, device=device) if sheet.drift.law == "relaxation" else None
        self.walk = torch.zeros(shape, dtype=dtype, device=device) if sheet.drift.law == "walk" else None
        self.jitter = torch.zeros(shape, dtype=dtype, device=device) if sheet.pulses.write_noise else None
        kept = (self.written_at_s, self.relaxation, self.walk, self.jitter)
        self._keeps_time = any(each is not None for each in kept)
        self.pulses = torch.zeros(shape, dtype=torch.int32, device=device)
        self.energy_j = torch.zeros(shape, device=device)
        self.touched_s = 0.0
        self._defects = defects.draw(sheet, shape, device, *key)
        if (sheet.specimen.stuck or sheet.specimen.rows) and sheet.specimen.at(*_place(key)):
            self._defects = defects.known(sheet, self._defects, shape, device)
        self._lifetimes = defects.lifetimes(sheet, shape, device, *key)
        self._drift_xi = self._for_life("drift") if sheet.drift.law not in ("none", "relaxation") else None
        self._volatility: Tensor | None = None
        if sheet.drift.volatility:
            self._volatility = torch.exp(
                sheet.drift.volatility * (self._for_life("volatility") - sheet.drift.volatility)
            )
        self._devices: pulsing.Devices | None = None
        self._traps: telegraph.Traps | None = None
        self.upper: Tensor | None = None
        if sheet.telegraph.amplitude > 0:
            self._traps = telegraph.draw(sheet.telegraph, shape, device, *key)
            self.upper = telegraph.first(self._traps, *key)

    def take_over(self, other: Crossbar) -> None:
        """Cells at the same place hold what another block's did: a block that is placed anew changes no cell.

        Counts of pulses and energy are the ledger's, which carries them for all that ever were.
        """
        common = tuple(slice(0, min(a, b)) for a, b in zip(self.shape, other.shape, strict=True))
        for name in ("written_s", "written_at_s", "relaxation", "walk", "jitter", "upper"):
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is not None and theirs is not None:
                mine[common] = theirs[common]
        self.touched_s = other.touched_s

    def write(
        self,
        target_s: Tensor,
        mask: Tensor | None,
        now_s: float,
        generator: torch.Generator,
        rounds: int,
        tolerance: float,
    ) -> writing.Written:
        """Writes cells.

        Args:
            target_s: Codes' conductances, (planes, rows, columns).
            mask: Where True, the cell is written; None: everywhere.
            now_s: The ageing clock.
            generator: Source of programming noise.
            rounds: Most rewrites of a cell whose read-back misses; 0 does not look.
            tolerance: Fraction of the range that counts as a hit.
        """
        if self._lifetimes is not None:
            alive = self.pulses < self._lifetimes
            mask = alive if mask is None else mask & alive
        energy_j = self.sheet.programming.write_energy_j
        if rounds == 0:
            fresh = writing.programming_noise(self.sheet, target_s, generator)
            self.written_s = fresh if mask is None else chosen(mask, fresh, self.written_s)
            self.pulses += 1 if mask is None else mask
            if energy_j:
                self.energy_j += energy_j if mask is None else energy_j * mask
            count = self.pulses.numel() if mask is None else int(mask.sum())
            outcome = writing.Written(self.written_s, count, 0)
        else:
            place = torch.ones(self.shape, dtype=torch.bool, device=self._device) if mask is None else mask
            outcome = writing.write(self.sheet, target_s[place], generator, rounds, tolerance)
            self.written_s = self.written_s.masked_scatter(place, outcome.conductances_s)
            counts = torch.as_tensor(outcome.pulses, dtype=torch.int32, device=self._device)
            self.pulses[place] += counts
            self.energy_j[place] += energy_j * counts
        self._touched(mask, now_s, generator)
        return outcome

    def pulse(
        self,
        where: Where,
        counts: int | Tensor,
        up: bool,
        amplitude_v: float,
        width_s: float,
        now_s: float,
        generator: torch.Generator,
    ) -> tuple[int, int]:
        """Applies programming pulses.

        Args:
            where: Which cells.
            counts: Pulses each, or one number a cell, of the region's shape.
            up: Towards the highest conductance.
            amplitude_v: Height, volts.
            width_s: Width, seconds.
            now_s: The ageing clock.
            generator: Source of the cycle-to-cycle noise.

        Returns:
            Pulses delivered, and the largest total any of these cells has taken.
        """
        law, cells = self.sheet.pulses, self.sheet.cells
        region = torch.zeros(self.shape, dtype=torch.int32, device=self._device)
        region[where] = torch.as_tensor(counts, dtype=torch.int32, device=self._device)
        wanted = region.flatten()
        index = wanted.nonzero().squeeze(1)
        given = wanted[index]
        if self._lifetimes is not None:
            left = (self._lifetimes.flatten()[index] - self.pulses.flatten()[index]).clamp(0, INT32_MAX)
            given = torch.minimum(given, left.to(torch.int32))
        before = self._brought(now_s).flatten()[index]
        if law.reset is not None and not up:
            after = pulsing.reset(law, before, given, amplitude_v, generator).clamp_(cells.g_min_s, cells.g_max_s)
        else:
            effort = law.effort(amplitude_v, width_s, up)
            x = (before - cells.g_min_s) / cells.span_s
            moved = pulsing.pulse(law, x, given, up, effort, self._spread(index), generator)
            after = moved * cells.span_s + cells.g_min_s
        self.written_s.view(-1)[index] = after
        self.pulses.view(-1)[index] += given
        self.energy_j.view(-1)[index] += (given * after * (amplitude_v**2 * width_s)).to(self.energy_j.dtype)
        beside = self._beside(index, given, generator)
        if self._keeps_time:
            self._touched(region > 0, now_s, generator)
        if self.jitter is not None and beside is not None:
            self.jitter.view(-1)[index] = beside
        return int(wanted.sum()), int(self.pulses[where].max())

    def half_select(self, where: Where, counts: Tensor, amplitude_v: float, width_s: float) -> None:
        """Counts the heat of cells that see so much and do not move.

        Args:
            where: Which cells.
            counts: How often each did, of the region's shape.
            amplitude_v: What they see, volts.
            width_s: For how long each time, seconds.
        """
        joules = counts.to(self._device) * self.written_s[where].double() * (amplitude_v**2 * width_s)
        self.energy_j[where] += joules.to(self.energy_j.dtype)

    @cached_property
    def circuits(self) -> Circuits:
        """With which its cells move themselves."""
        assert self.sheet.update is not None  # noqa: S101 - the capability says so
        return Circuits.draw(self.sheet.update, self.shape, self._device, self._dtype, *self._key)

    def learn(self, change: Tensor, now_s: float, generator: torch.Generator) -> tuple[int, int]:
        """Moves every cell by its own circuit, which counts as one pulse of each.

        Args:
            change: Of `x`, (planes, rows, columns).
            now_s: The ageing clock.
            generator: Source of what a write draws anew.

        Returns:
            Cells at either end of their range now, and the largest total any cell has taken.
        """
        cells, before = self.sheet.cells, self._brought(now_s)
        after = (before + change.to(before) * cells.span_s).clamp_(cells.g_min_s, cells.g_max_s)
        alive = ~self.worn()
        self.written_s = torch.where(alive, after, before)
        self.pulses = self.pulses + 1
        self.energy_j = self.energy_j + self.sheet.programming.write_energy_j
        self._touched(None, now_s, generator)
        ends = (self.written_s <= cells.g_min_s) | (self.written_s >= cells.g_max_s)
        return int(ends.sum()), int(self.pulses.max())

    def fluctuate(self, elapsed_s: float, generator: torch.Generator) -> None:
        """Lets the traps of random telegraph noise fill and empty."""
        if self._traps is not None and self.upper is not None:
            self.upper = telegraph.later(self._traps, self.upper, elapsed_s, generator)

    def wander(self, then_s: float, now_s: float, generator: torch.Generator) -> None:
        """Lets the random walks of the drift law go on between two times of the ageing clock."""
        if self.walk is not None and self.written_at_s is not None:
            then, now = ((t - self.written_at_s).clamp(min=0) for t in (then_s, now_s))
            step = wandering.increments(self.sheet.drift, then, now, generator, self._dtype)
            self.walk = self.walk + (step if self._volatility is None else step * self._volatility)

    def present_s(self, now_s: float, temperature_k: float) -> Tensor:
        """Conductances as they are: drifted, at this temperature, with filled traps, stuck cells and open lines."""
        warm = reading.at_temperature(self.sheet.cells, self._relaxed(now_s), temperature_k)
        if self._traps is not None and self.upper is not None:
            warm = telegraph.conductance(self.sheet.telegraph, self._traps, warm, self.upper, self.sheet.cells.g_max_s)
        return self._defects.apply(warm)

    def noise_sigma_s(self, present_s: Tensor, now_s: float) -> Tensor | None:
        """Standard deviation of reading each cell; None without read noise."""
        age = None if self.written_at_s is None else now_s - self.written_at_s
        return reading.noise_sigma_s(self.sheet.read_noise, self.sheet.cells, present_s, age)

    def age_s(self, now_s: float) -> Tensor:
        """Seconds since each cell was written, on the ageing clock; zeros where nothing ages."""
        if self.written_at_s is None:
            return torch.zeros(self.shape, dtype=torch.float64, device=self._device)
        return now_s - self.written_at_s

    def worn(self) -> Tensor:
        """True where a cell has outlived its endurance and stays where it is."""
        if self._lifetimes is None:
            return torch.zeros(self.shape, dtype=torch.bool, device=self._device)
        return self.pulses >= self._lifetimes

    def state_dict(self) -> dict[str, Tensor]:
        """What a checkpoint needs; what is fixed for life follows from the seed."""
        state = {"conductances": self.written_s, "pulses": self.pulses, "energy": self.energy_j}
        if self.written_at_s is not None:
            state["written_at"] = self.written_at_s
        for name in ("relaxation", "walk", "jitter", "upper"):
            if (value := getattr(self, name)) is not None:
                state[name] = value
        return {name: value.clone() for name, value in state.items()}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restores `state_dict`.

        Raises:
            KeyError: a tensor is missing.
        """
        self.written_s = state["conductances"].to(self._device, self._dtype, copy=True)
        self.pulses = state["pulses"].to(self._device, copy=True)
        self.energy_j = state["energy"].to(self._device, copy=True)
        if self.written_at_s is not None:
            self.written_at_s = state["written_at"].to(self._device, copy=True)
            self.touched_s = float(self.written_at_s.max())
        for name in ("relaxation", "walk", "jitter", "upper"):
            if getattr(self, name) is not None:
                setattr(self, name, state[name].to(self._device, copy=True))

    def _relaxed(self, now_s: float) -> Tensor:
        brought = self._brought(now_s)
        return brought if self.jitter is None else (brought + self.jitter).clamp_(min=0)

    def _brought(self, now_s: float) -> Tensor:
        """Where writes, pulses and drift have brought the cells, before the write noise of pulses."""
        if self.written_at_s is None or self.sheet.drift.law == "none":
            return self.written_s
        xi = self._drift_xi if self.relaxation is None else self.relaxation
        assert xi is not None  # noqa: S101 - every law has one
        age_s = now_s - self.written_at_s
        return drifting.drifted(self.sheet.drift, self.sheet.cells, self.written_s, age_s, xi, self.walk)

    def _touched(self, mask: Tensor | None, now_s: float, generator: torch.Generator) -> None:
        if self.written_at_s is not None:
            self.touched_s = now_s
            now = torch.full_like(self.written_at_s, now_s)
            self.written_at_s = now if mask is None else chosen(mask, now, self.written_at_s)
        if self.relaxation is not None:
            fresh = torch.randn(self.shape, generator=generator, device=self._device)
            self.relaxation = fresh if mask is None else chosen(mask, fresh, self.relaxation)
        for name in ("walk", "jitter"):
            if (value := getattr(self, name)) is not None:
                setattr(self, name, value.masked_fill(_all(mask, value), 0.0))

    def _beside(self, index: Tensor, given: Tensor, generator: torch.Generator) -> Tensor | None:
        """How far beside the sum of its pulses each of these cells is seen after so many more; None: not at all."""
        if self.jitter is None:
            return None
        law = self.sheet.pulses
        xi = torch.randn(index.shape, generator=generator, dtype=torch.float32, device=self._device).to(self._dtype)
        fresh = xi * (law.write_noise * law.step * self.sheet.cells.span_s)
        if not law.write_noise_memory:
            return fresh
        kept = torch.exp(given.to(self._dtype) / -law.write_noise_memory)
        return kept * self.jitter.flatten()[index] + (1 - kept**2).sqrt() * fresh

    def _spread(self, index: Tensor) -> pulsing.Devices:
        law = self.sheet.pulses
        if self._devices is None:
            xi = self._for_life("pulse step").flatten()
            self._devices = pulsing.Devices(
                torch.exp(law.step_d2d * xi) if law.step_spread == "log_normal" else 1 + law.step_d2d * xi,
                law.asymmetry_d2d * self._for_life("pulse asymmetry").flatten(),
                law.bounds_d2d * self._for_life("lowest").flatten(),
                1 + law.bounds_d2d * self._for_life("highest").flatten(),
            )
        return self._devices[index]

    def _for_life(self, what: str) -> Tensor:
        return static_normal(self.shape, self._device, *self._key, what).to(self._dtype)


def _place(key: tuple[object, ...]) -> tuple[int, int]:
    """Array and coupling of a crossbar's key; no place for other keys."""
    array, coupling = key[-2:] if len(key) >= 2 else (None, None)
    return (array, coupling) if isinstance(array, int) and isinstance(coupling, int) else (-1, -1)


def _all(mask: Tensor | None, like: Tensor) -> Tensor:
    return torch.ones_like(like, dtype=torch.bool) if mask is None else mask
