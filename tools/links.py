"""Asks every address that the pages name whether it leads anywhere: Markdown, CITATION.cff and pyproject.toml's URLs.

Usage: links.py [--online]. Prints a line for each that does not, with the reason, and how many do. Ends with 1 where
a server says that nothing is there. A server that could not be asked (no name, no route, no answer in time) says
nothing about a page, for many machines reach few others; with `--online`, where all can be reached, it counts as well.

Links between pages are none of its business: `make docs` stops at those.
"""

from __future__ import annotations

import argparse
import re
import sys
import urllib.error
import urllib.request
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from http import HTTPStatus
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
URL = re.compile(r"https?://[^\s<>()\[\]\"'`,{}]+")
DOI = re.compile(r"\bdoi: ?(10\.\d{4,}/[^\s<>()\[\]\"'`,;]+)", re.IGNORECASE)
ARXIV = re.compile(r"\barXiv:(\d{4}\.\d{4,5})")
AT_HOME = re.compile(r"https?://(127\.|localhost|\[::1\])")
FORBIDDEN = {
    HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_ACCEPTABLE,
    HTTPStatus.TOO_MANY_REQUESTS,
}  # fmt: skip
"""What servers say to programs about pages that people see."""


class Leads(Enum):
    """What is known of an address."""

    SOMEWHERE = "lead somewhere"
    NOWHERE = "lead nowhere"
    NOT_ASKED = "could not be asked from here"


def main() -> None:
    """Asks all, eight at a time."""
    asked = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    asked.add_argument("--online", action="store_true", help="a server that cannot be reached is a failure, too")
    asked.add_argument("--timeout-s", type=float, default=10.0)
    asked.add_argument("--root", type=Path, default=ROOT, help="folder of the repository")
    options = asked.parse_args()
    places = named(options.root)
    with ThreadPoolExecutor(8) as several:
        told = dict(zip(places, several.map(lambda url: ask(url, options.timeout_s), places), strict=True))
    for url, (_, why) in sorted(told.items()):
        if why:
            print(f"{', '.join(places[url])}: {url}: {why}")
    counted = Counter(leads for leads, _ in told.values())
    print(", ".join(f"{counted[leads]} {leads.value}" for leads in Leads), f"of {len(told)} addresses")
    sys.exit(counted[Leads.NOWHERE] + (counted[Leads.NOT_ASKED] if options.online else 0) > 0)


def named(root: Path) -> dict[str, list[str]]:
    """Addresses, each with the places that name it, `FILE:LINE`."""
    found: dict[str, list[str]] = defaultdict(list)
    folders = ("docs", "firmware_specs", "hil")
    files = [*root.glob("*.md"), *(path for name in folders for path in (root / name).rglob("*.md"))]
    for path in sorted([*files, *root.glob("CITATION.cff"), *root.glob("pyproject.toml")]):
        if "generated" in path.relative_to(root).parts:
            continue
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            urls = [url.rstrip(".;:") for url in URL.findall(line)]
            urls += [f"https://doi.org/{doi.rstrip('.')}" for doi in DOI.findall(line)]
            urls += [f"https://arxiv.org/abs/{paper}" for paper in ARXIV.findall(line)]
            for url in urls:
                if not AT_HOME.match(url):
                    found[url].append(f"{path.relative_to(root).as_posix()}:{number}")
    return dict(found)


def ask(url: str, timeout_s: float) -> tuple[Leads, str]:
    """Where an address leads, and why not further."""
    request = urllib.request.Request(url, headers={"User-Agent": "Mozilla/5.0 (a check of links)"})
    try:
        with urllib.request.urlopen(request, timeout=timeout_s):
            return Leads.SOMEWHERE, ""
    except urllib.error.HTTPError as error:
        with error:
            if error.code in FORBIDDEN:
                return Leads.SOMEWHERE, ""
            if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                return Leads.NOT_ASKED, f"the server has trouble of its own, {error.code} {error.reason}"
            return Leads.NOWHERE, f"{error.code} {error.reason}"
    except OSError as error:
        reason = getattr(error, "reason", error)
        return Leads.NOT_ASKED, f"no answer in {timeout_s:g} s" if isinstance(reason, TimeoutError) else str(reason)


if __name__ == "__main__":
    main()
