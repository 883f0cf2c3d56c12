"""Give owners tiers, and see what is refused.

Shows:   FREE, PRO and Limits of your own, limits_of, the errors of refused uploads with their facts.
Install: pip install "isomix[studio]"
Run:     python examples/studio_quotas.py [RECORDING]
See:     three refusals, each with its code and HTTP status; ann, who pays, is not refused.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import attrs
from song import get_song, make_song

from isomix import FREE, PRO, IsomixError, Limits, Studio

TRIAL = attrs.evolve(FREE, tier="trial", max_seconds=60, projects_per_month=1)


def limits_of(owner: str) -> Limits:
    """Return an owner's limits; an application would ask its accounts."""
    return PRO if owner == "ann" else TRIAL


def try_upload(studio: Studio, file: Path | bytes, owner: str) -> None:
    """Upload and print what came of it."""
    try:
        project = studio.upload(file, owner=owner, model="testing:tiny")
    except IsomixError as error:
        print(f"{owner}: {error.code} ({error.status_hint}): {error}")
    else:
        print(f"{owner}: {project.name} is {project.status.value}")


def main() -> None:
    """Upload as two owners."""
    song = get_song()
    with (
        tempfile.TemporaryDirectory() as folder,
        Studio.open("memory://", "memory://quotas", "inline", limits_of=limits_of) as studio,
    ):
        try_upload(studio, b"%PDF-1.7 is no music", "bob")
        try_upload(studio, make_song(Path(folder, "long.wav"), 61), "bob")
        try_upload(studio, song, "bob")
        try_upload(studio, song, "bob")
        for _ in range(2):
            try_upload(studio, song, "ann")


if __name__ == "__main__":
    main()
