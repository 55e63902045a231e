"""Folders of ours by kind: runs, characterizations, studies, and what we make in each."""

from __future__ import annotations

import re

from hil.training.run.marked import Made

RUN = Made(
    "run",
    re.compile(
        r"(ranks/\d+/)?(config\.toml|(provenance|evaluation|summary|counterpart)\.json|metrics\.jsonl|flight\.log"
        r"|ledger\.(bin|json)|picture\.json|events-\d{6}\.jsonl"
        r"|report\.html|(checkpoints|best)/step_\d+\.(json|safetensors)|tensorboard/events\.out\.tfevents\.[^/]+)"
        r"|ranks/\d+/\.crossbar-hil"
    ),
    re.compile(r"(ranks/\d+/)?(checkpoints|best|tensorboard)|ranks(/\d+)?"),
)
"""What a run makes in its folder."""

_NAMES = r"[a-z][a-z0-9_]{0,63}"
CHARACTERIZATION = Made(
    "characterization",
    re.compile(
        rf"(provenance|figures)\.json|report\.html|figures/[a-z0-9_]+\.(svg|png|csv)|({_NAMES})\.nc|journal/({_NAMES})/(intent\.json|\d+\.npz)"
    ),
    re.compile(rf"figures|journal(/({_NAMES}))?"),
)
"""What a characterization makes in its folder."""

STUDY = Made(
    "study",
    re.compile(
        r"study\.(json|png|html)|table\.(json|md)|card\.(json|html)|points/\.worker-[^/]+\.lock|"
        r"points/[^/]+/(point\.json|log\.txt|chip\.toml|attempts\.jsonl|\.lock)"
    ),
    re.compile(r"points(/[^/]+(/run)?)?"),
)
"""What a study makes in its folder, besides the runs of its points."""
