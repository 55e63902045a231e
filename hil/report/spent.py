"""What a run asked of its chip, as a section of its report: counts, time, energy, wear."""

from __future__ import annotations

from pathlib import Path

from hil.report.page import Facts, Part, Table, Text
from hil.training.run.documents import DocumentError
from hil.watching import ledger, lines


def parts(folder: Path) -> list[Part]:
    """Parts of the section; a run without a device has one sentence."""
    try:
        found = ledger.of_run(folder)
    except DocumentError as error:
        return [Text(f"Left out: {error}.")]
    if not found.counted:
        return [Text("The counterpart is no device: nothing was converted, written or pulsed.")]
    stages = {"in all": found.total, **found.stages}
    rows = {name: dict(lines.counted(deeds)) for name, deeds in stages.items()}
    table = [[what, *(rows[stage].get(what, "-") for stage in stages)] for what in rows["in all"]]
    said: list[Part] = [Table(["", *stages], table), Facts(lines.joules(found))]
    if shares := lines.shares(found):
        said.append(Table(list(shares[0]), [list(row) for row in shares[1:]]))
    if digital := lines.digital(found):
        said.append(Text(digital))
    if found.figures_from:
        said.append(Text(f"Energy figures from: {found.figures_from}."))
    if wear := lines.wear(found):
        said.append(Facts(wear))
    if found.doubtful:
        said.append(Text(f"{found.doubtful} requests were under way at a kill and count as done: nobody knows."))
    return said
