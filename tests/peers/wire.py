"""What a driver sent and what came back, and whose mistake it is where that differs: computed from the wire.

A driver's own mistake is said only where the wire shows it: the instrument answered what it was sent, the driver sent
another value than it was given, it set one thing and read another, it set by a query, it spelled its own command in two
ways, or it sent what the manual's page for the command leaves out (a row of the command table that is not from memory,
or what a test quotes of a page).
"""

import re
from dataclasses import dataclass, field

TSP = re.compile(r"^\s*print\s*\((.*)\)\s*$")
REFUSALS = ("-222", "-224", "1102", "1103", "1.10200e+03", "1.10300e+03")


@dataclass
class Wire:
    """The last command, and the last query with its answer; queries of the error queue are not looked at."""

    command: str = ""
    query: str = ""
    answer: str = ""
    quiet: bool = field(default=False, repr=False)

    def clear(self):
        self.command = self.query = self.answer = ""

    def write(self, text):
        if self.quiet:
            return
        if "?" in text or TSP.match(text):
            self.query, self.answer = text, ""
        else:
            self.command = text

    def read(self, text):
        if not self.quiet:
            self.answer += text

    def sent(self):
        """Header and value of the last command; of several in a line the last."""
        last = self.command.strip().split(";")[-1].strip()
        header, mark, value = last.partition("=" if "=" in last else " ")
        return _header(header), value.strip() if mark else ""

    def asked(self):
        """Header of the last query."""
        tsp = TSP.match(self.query)
        return _header(tsp[1] if tsp else self.query.strip().split("?")[0])

    def came_back(self):
        """Did the query of the same header answer what the command sent, a shorter or longer spelling aside?"""
        (header, sent), got = self.sent(), self.answer.strip()
        if header != self.asked():
            return False
        sent, got = ({"ON": "1", "OFF": "0"}.get(word, word) for word in (t.strip("\"'").upper() for t in (sent, got)))
        try:
            return float(sent) == float(got)
        except ValueError:
            return len(got) > 2 and (sent.startswith(got) or got.startswith(f"{sent}:"))


def verdict(wire, point, errors, table, pages):
    """Whose mistake it is that a value did not come back: a sentence where it is the driver's, else nothing.

    Args:
        wire: What went over it since the value was set.
        point: The value.
        errors: What the instrument then had in its error queue.
        table: Its commands, `load_table`.
        pages: By header (as the driver spells it, in capitals): a test of the number sent, and what the page says.
    """
    (header, sent), asked = wire.sent(), wire.asked()
    if not errors and wire.came_back():
        return "misreads what came back"
    if not wire.command:
        return f"sets by a query: {wire.query.strip()}" if wire.query else "sends nothing: it refuses its own value"
    number = _float(sent)
    refused = any(any(code in entry for code in REFUSALS) for entry in errors)
    if refused and number is not None:
        wanted = _float(point)
        if (
            wanted is not None
            and number != wanted
            and _legal(table, header, wanted)
            and not _legal(table, header, number)
        ):
            return f"was given {wanted!r} and sends {sent}, beyond the end"
        forbidden, page = pages.get(header, (lambda value: False, ""))
        if forbidden(number):
            return f"sends {sent}: {page}"
        row = _row(table, header)
        if row is not None and not row.kind.low <= number <= row.kind.high and _known(row):
            return f"sends {sent}, the manual has {row.kind.low:g} to {row.kind.high:g} ({row.source})"
    if not errors and number is not None and header in pages and pages[header][0](number):
        return f"sends {sent}: {pages[header][1]}"
    if header and asked and header != asked:
        spelled = "-113" in " ".join(errors) and _row(table, header) is None and _row(table, asked) is not None
        return (
            f"{'spells one command in two ways' if spelled else 'sets one thing and reads another'}: {header}, {asked}"
        )
    wanted = _float(point)
    if not errors and number is not None and wanted is not None and number != wanted:
        return f"was given {wanted!r} and sends {sent}"
    return ""


def reading_verdict(wire, errors, table, others):
    """Whose mistake it is that something cannot be read: a sentence where it is the driver's, else nothing.

    Args:
        wire: What went over it.
        errors: What the instrument then had in its error queue.
        table: Its commands.
        others: Command tables of other models, by name.
    """
    asked, answer = wire.asked(), wire.answer.strip()
    if not errors and answer:
        return f"misreads {answer[:40]!r}"
    if "-109" in " ".join(errors):
        return f"leaves out the parameters of {asked}?"
    if "-113" in " ".join(errors) and _row(table, asked) is None:
        models = [name for name, other in others.items() if _row(other, asked) is not None]
        return f"asks {asked}?, of the {models[0]}" if models else ""
    return ""


def _header(text):
    return text.strip().lstrip(":").removesuffix("()").upper()


def _float(value):
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        return None


def _row(table, header):
    lowered = header.lower()
    found = next((c for c in table.commands if c.header == lowered), None)  # TSP
    if found is not None:
        return found
    try:
        return table.find(header)[0]
    except (LookupError, ValueError):
        return None


def _known(row):
    return "U" not in re.findall(r"[A-Z]+", row.source)


def _legal(table, header, value):
    row = _row(table, header)
    return row is not None and row.kind.low <= value <= row.kind.high
