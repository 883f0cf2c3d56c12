"""An upload looked at before it is accepted: what it is by its bytes, its header and its first block, no more."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import attrs
import numpy as np

from isomix.audio.decoders import AudioSource
from isomix.audio.intake import SNIFF_BYTES, Kind, get_kind
from isomix.audio.resample import match_channels
from isomix.audio.source import open_source
from isomix.errors import CorruptAudio, StorageError

HIGHEST_RATE_HZ = 768_000
"""The highest sample rate that converters are sold with; what a header says beyond it is damage or ill will."""

_MP3_TAGS = (b"Xing", b"Info", b"VBRI")
_MP3_TAG_BYTES = 64
"""In its first frame, behind up to 38 bytes, an MP3 may tell its length; without, decoders guess by the first bit rate,
which can be ten times too much where the bit rate varies."""


@attrs.frozen(kw_only=True)
class Recording:
    """What the header of a recording tells; its first block could be decoded.

    Parameters
    ----------
    kind : str
        ``"wav"``, ``"flac"``, ``"mp3"``, ...: by content.
    sample_rate : int
        In Hz.
    channels : int
        Count.
    duration : float or None
        Seconds by the header, which may be wrong; None where it does not tell (AAC, some MP3).
    size_bytes : int
        Of the file.
    """

    kind: Kind
    sample_rate: int
    channels: int
    duration: float | None
    size_bytes: int


def inspect(path: Path, name: str) -> Recording:
    """Look at an untrusted file; the work is bounded, whatever its size and whatever it claims.

    Parameters
    ----------
    path : Path
        Where it is.
    name : str
        How messages call it: the name that its owner gave it.

    Raises
    ------
    UnsupportedFormat
        If it is not audio of a kind, or of a channel layout, that can be read here.
    CorruptAudio
        If its header or its first block cannot be decoded, or it holds no sample.
    StorageError
        If the file cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> import soundfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "upload")
    ...     soundfile.write(path, np.zeros((8000, 2)), 8000, format="FLAC")
    ...     recording = inspect(path, "song.mp3")
    >>> recording.kind, recording.channels, recording.duration
    ('flac', 2, 1.0)
    """
    size_bytes, kind, tells_duration = _sniff(path, name)
    with open_source(path, name=name) as source:
        _check_header(source)
        with closing(source.blocks()) as blocks:
            first = next(blocks, np.empty((0, 0), np.float32))
        if not first.size:
            raise _corrupt(name, "holds no sample")
        expected = source.expected_samples
        return Recording(
            kind=kind,
            sample_rate=source.sample_rate,
            channels=source.channels,
            duration=expected / source.sample_rate if expected and tells_duration else None,
            size_bytes=size_bytes,
        )


def _sniff(path: Path, name: str) -> tuple[int, Kind, bool]:
    """Return the file's size, its kind and whether that tells a duration which is more than a guess by its size."""
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(SNIFF_BYTES)
            file.seek(_id3_bytes(head))
            first_frame = file.read(_MP3_TAG_BYTES)
    except OSError as error:
        raise StorageError(f"{name} cannot be read: {error}", path=str(path)) from error
    if not size_bytes:
        raise _corrupt(name, "is empty")
    kind = get_kind(head, name)
    has_tag = any(tag in first_frame for tag in _MP3_TAGS)
    return size_bytes, kind, kind != "aac" and (kind != "mp3" or has_tag)


def _id3_bytes(head: bytes) -> int:
    """Return the size of the tag before an MP3's first frame: four times seven bits, without its own ten bytes."""
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))


def _check_header(source: AudioSource) -> None:
    """Refuse absurd figures before memory is asked for by them."""
    if source.sample_rate > HIGHEST_RATE_HZ:
        raise _corrupt(source.name, f"claims a sample rate of {source.sample_rate} Hz")
    match_channels(source.name, source.channels, 2)


def _corrupt(name: str, what: str) -> CorruptAudio:
    return CorruptAudio(f"{name} {what}", hint="write the file again from a clean source", name=name)
