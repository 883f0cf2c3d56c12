"""What kind of audio some bytes are, told by the bytes and never by a name."""

from __future__ import annotations

from typing import Literal

from isomix.errors import UnsupportedFormat

Kind = Literal["wav", "w64", "aiff", "au", "caf", "flac", "ogg", "mp3", "aac", "mp4", "webm"]

SNIFF_BYTES = 16
"""Bytes from the start that `find_kind` needs."""

_SIGNATURES: tuple[tuple[int, bytes, Kind], ...] = (
    (8, b"WAVE", "wav"),
    (0, b"riff\x2e\x91\xcf\x11", "w64"),
    (8, b"AIFF", "aiff"),
    (8, b"AIFC", "aiff"),
    (0, b".snd", "au"),
    (0, b"caff", "caf"),
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (0, b"ID3", "mp3"),
    (4, b"ftyp", "mp4"),
    (0, b"\x1a\x45\xdf\xa3", "webm"),
)


def find_kind(head: bytes) -> Kind | None:
    """Return the kind of audio file that starts with these bytes, or None.

    Parameters
    ----------
    head : bytes
        The first `SNIFF_BYTES` bytes or more.

    Examples
    --------
    >>> find_kind(b"fLaC" + bytes(12))
    'flac'
    >>> find_kind(b"Dear diary, today")
    """
    for offset, signature, kind in _SIGNATURES:
        if head[offset : offset + len(signature)] == signature:
            return kind
    return _find_mpeg_kind(head)


def get_kind(head: bytes, name: str) -> Kind:
    """Return the kind of audio file that starts with these bytes.

    Parameters
    ----------
    head : bytes
        The first `SNIFF_BYTES` bytes or more.
    name : str
        How messages call the file.

    Raises
    ------
    UnsupportedFormat
        If it is none that can be read here.
    """
    kind = find_kind(head)
    if kind is None:
        raise UnsupportedFormat(
            f"{name} is not audio of a known kind, by its content",
            hint="WAV, FLAC, MP3, Ogg, AIFF, CAF, AAC, MP4/M4A and WebM can be read",
            name=name,
        )
    return kind


def _find_mpeg_kind(head: bytes) -> Kind | None:
    """Tell MPEG audio by its frame header: 11 sync bits, then version, layer, bit rate and sample rate."""
    if len(head) < 3 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    if head[1] & 0xF6 == 0xF0:
        return "aac"  # ADTS: layer bits are zero
    version, layer, bit_rate, sample_rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    # Layer I, which nobody uses, starts like UTF-16 text: only layers II and III are let in.
    return "mp3" if version != 1 and layer in (1, 2) and bit_rate != 15 and sample_rate != 3 else None
