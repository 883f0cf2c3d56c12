"""How large stems become, and whether there is room for them."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from isomix.audio.formats import FileFormat

_BYTES_PER_SAMPLE = {"int16": 2, "int24": 3, "float32": 4}
_FLAC_RATIO = 0.6
"""Of the plain samples; stems with pauses become smaller."""
_BYTES_PER_SECOND = {"mp3": 15_000, "ogg": 8_000}
"""Of each channel at 44.1 kHz: MP3 at its best variable bit rate, Vorbis at its usual quality. Measured on music."""
_HEADER_BYTES = 44
_MEMORY_BYTES = 4


def estimate_file_bytes(file_format: FileFormat, channels: int, sample_rate: int, duration: float) -> int:
    """Return the size of one stem's file: exact to the header for wav, an estimate for what is compressed.

    Parameters
    ----------
    file_format : FileFormat
        How it is written.
    channels, sample_rate : int
        Of the stem; the sample rate in Hz.
    duration : float
        In seconds.

    Examples
    --------
    >>> estimate_file_bytes(FileFormat.of("wav"), 2, 44100, 10.0)
    1764044
    """
    if file_format.encoding is None:
        return round(duration * channels * _BYTES_PER_SECOND[file_format.format])
    plain = round(duration * sample_rate) * channels * _BYTES_PER_SAMPLE[file_format.encoding]
    return round(plain * _FLAC_RATIO) if file_format.format == "flac" else plain + _HEADER_BYTES


def estimate_disk_bytes(file_format: FileFormat, channels: int, sample_rate: int, duration: float) -> int:
    """Return what one stem takes on the disk while it is made: where the format clips, its samples as float32 as well.

    Parameters
    ----------
    file_format, channels, sample_rate, duration
        As for `estimate_file_bytes`.

    Examples
    --------
    >>> estimate_disk_bytes(FileFormat.of("wav"), 2, 44100, 10.0) - estimate_file_bytes(
    ...     FileFormat.of("wav"), 2, 44100, 10.0
    ... )
    3528000
    """
    spool = round(duration * sample_rate) * channels * _MEMORY_BYTES if file_format.can_clip else 0
    return spool + estimate_file_bytes(file_format, channels, sample_rate, duration)


def count_kept_bytes(stems: int, channels: int, sample_rate: int) -> int:
    """Return the bytes that stems in memory take for each second.

    Parameters
    ----------
    stems, channels, sample_rate : int
        Of them; the sample rate in Hz.
    """
    return stems * channels * sample_rate * _MEMORY_BYTES


def find_free_bytes(output: str) -> int | None:
    """Return the room on the disk where files for a folder, made or not, or a URL are made; None if it is unknown.

    Parameters
    ----------
    output : str
        A path or a URL.
    """
    path = Path(tempfile.gettempdir() if "://" in output else output).absolute()
    with suppress(OSError):  # the disk does not say: the separation will
        return shutil.disk_usage(next(place for place in (path, *path.parents) if place.exists())).free
    return None


def find_free_memory_bytes() -> int | None:
    """Return the memory that a new process could have; None where the system does not tell."""
    facts = Path("/proc/meminfo")
    if facts.exists():
        for line in facts.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None
