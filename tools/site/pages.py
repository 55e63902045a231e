"""Writes the pages that are made of the code, and makes the repository's own pages fit into the site."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from tools.site import api, commands, files

ROOT = Path(__file__).resolve().parents[2]
TEXTS = {
    "firmware_specs/PROTOCOL.md": "protocol",
    "firmware_specs/SCPI.md": "scpi",
    "firmware_specs/firmware/README.md": "firmware",
    "firmware_specs/vectors/README.md": "vectors",
    "CHANGELOG.md": "changelog",
    "CONTRIBUTING.md": "contributing",
}
"""Pages that belong beside the code and are shown in the site, too."""
LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)#\s]*)(#[^)\s]*)?\)")


def write_all(docs: Path) -> None:
    """Writes everything below `reference/generated`; files that are the same stay as they are, for a quick rebuild."""
    folder = docs / "reference" / "generated"
    wanted = {"commands.md": commands.page()}
    wanted |= {f"files/{name}.md": text for name, text in files.pages().items()}
    wanted |= {f"api/{name}.md": text for name, text in api.pages(ROOT).items()}
    for place, name in TEXTS.items():
        if (ROOT / place).is_file():
            wanted[f"{name}.md"] = fitting((ROOT / place).read_text("utf-8"), ROOT / place, folder / f"{name}.md", docs)
    for path in folder.rglob("*.md") if folder.is_dir() else ():
        if path.relative_to(folder).as_posix() not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")
    shutil.rmtree(folder / "__pycache__", ignore_errors=True)


def fitting(text: str, was: Path, now: Path, docs: Path) -> str:
    """A page with links that lead somewhere in the site: files of the repository that are no page become plain text.

    Args:
        text: Its Markdown.
        was: Where it lies in the repository.
        now: Where it lies for the site.
        docs: The site's root.
    """

    def linked(found: re.Match[str]) -> str:
        picture, words, target, fragment = found.groups()
        if not target or "://" in target or target.startswith("mailto:"):
            return found[0]
        path = Path(os.path.normpath(was.parent / target))
        if path == docs / "decisions":
            path = docs / "decisions" / "index.md"
        name = TEXTS.get(path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else "")
        if name:
            path = docs / "reference" / "generated" / f"{name}.md"
        if path.is_relative_to(docs) and (name or path.is_file()) and "examples" not in path.parts:
            return f"{picture}[{words}]({Path(os.path.relpath(path, now.parent)).as_posix()}{fragment or ''})"
        return words

    return LINK.sub(linked, text.replace("```mermaid", "```text"))
