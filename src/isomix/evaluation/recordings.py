"""Which recordings are there to compare, and which belongs to which."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import attrs

from isomix.audio.source import SourceLike
from isomix.domain.stems import ACCOMPANIMENT, RESIDUAL, VOCALS
from isomix.errors import InvalidOptions, ObjectNotFound
from isomix.result import StemAudio

Recording: TypeAlias = SourceLike | StemAudio
"""A stem: what `isomix.read` takes, or one of a `isomix.Separation`."""

Recordings: TypeAlias = str | Path | Mapping[str, Recording]
"""A folder with a file for each stem, or stems by name; a `isomix.Separation` is such a mapping."""

MIXTURE = "mixture"
_SUFFIXES = (
    *(".aac", ".aif", ".aifc", ".aiff", ".au", ".caf", ".flac", ".m4a", ".mp3"),
    *(".mp4", ".oga", ".ogg", ".opus", ".w64", ".wav", ".webm"),
)


def to_source(recording: Recording) -> SourceLike:
    """Return what `open_source` takes."""
    if isinstance(recording, StemAudio):
        return recording.path or (recording.array, recording.sample_rate)
    return recording


def list_recordings(recordings: Recordings) -> dict[str, Recording]:
    """Return stems by name, of a folder its audio files; what is called ``mixture`` is none.

    Raises
    ------
    ObjectNotFound
        If there is no such folder.
    InvalidOptions
        If no audio is there, or two files of a folder are the same stem.
    """
    named = recordings if isinstance(recordings, Mapping) else _list_folder(Path(recordings))
    found: dict[str, Recording] = {name: recording for name, recording in named.items() if name != MIXTURE}
    if not found:
        raise InvalidOptions(
            "there are no stems" if isinstance(recordings, Mapping) else f"{recordings} holds no audio files",
            hint="stems are files called by their names, such as vocals.wav",
            option="recordings",
            value=str(recordings),
        )
    return found


def _list_folder(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise ObjectNotFound(f"{folder} is not a folder", hint="name a folder of stems", path=str(folder))
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in _SUFFIXES or path.name.startswith("."):
            continue
        if path.stem in found:
            raise InvalidOptions(
                f"{path} and {found[path.stem]} are both {path.stem}",
                hint="leave one file for each stem",
                option="recordings",
                value=str(path),
            )
        found[path.stem] = path
    return found


@attrs.frozen
class Pairing:
    """What is compared with what.

    Parameters
    ----------
    parts : mapping of str to tuple of str
        By stem of the estimates, the references whose sum is its reference: itself, but for a derived accompaniment.
    notes : tuple of str
        What was left out or derived.
    """

    parts: Mapping[str, tuple[str, ...]]
    notes: tuple[str, ...]

    @classmethod
    def of(cls, references: Mapping[str, object], estimates: Mapping[str, object]) -> Pairing:
        """Pair stems of one name. The accompaniment is the sum of all references but the vocals if it is not there.

        Raises
        ------
        InvalidOptions
            If nothing can be paired.

        Examples
        --------
        >>> dict(Pairing.of({"vocals": 1, "bass": 1, "drums": 1}, {"accompaniment": 1}).parts)
        {'accompaniment': ('bass', 'drums')}
        """
        parts: dict[str, tuple[str, ...]] = {name: (name,) for name in estimates if name in references}
        notes = []
        others = tuple(name for name in references if name not in (VOCALS, RESIDUAL))
        if ACCOMPANIMENT in estimates and ACCOMPANIMENT not in references and VOCALS in references and others:
            parts[ACCOMPANIMENT] = others
            notes.append(f"the reference of {ACCOMPANIMENT} is the sum of {', '.join(others)}")
        if not parts:
            raise InvalidOptions(
                f"no stem is in both: references {', '.join(references)}; estimates {', '.join(estimates)}",
                hint="the same stem has the same name on both sides",
                option="estimates",
                value=tuple(estimates),
            )
        used = {part for group in parts.values() for part in group}
        notes += [f"{name} has no estimate" for name in references if name not in used]
        notes += [f"{name} has no reference" for name in estimates if name not in parts]
        return cls({name: parts[name] for name in estimates if name in parts}, tuple(notes))
