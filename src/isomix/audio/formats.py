"""The file formats that stems are written in, and what each can hold."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

import attrs
import numpy as np
from numpy.typing import NDArray

from isomix.audio.blocks import Audio, interleave
from isomix.errors import InvalidOptions

Stored: TypeAlias = NDArray[Any]
"""Samples as a file holds them."""

Format = Literal["wav", "flac", "mp3", "ogg"]
Encoding = Literal["int16", "int24", "float32"]

FORMATS: tuple[Format, ...] = get_args(Format)
ENCODINGS: tuple[Encoding, ...] = get_args(Encoding)

RIFF_LIMIT_BYTES = 0xFFFFFFFF - 4096
"""A RIFF header counts bytes in 32 bits; longer recordings are written as RF64 (EBU Tech 3306)."""

_SUBTYPES: dict[tuple[str, str | None], str] = {
    ("wav", "int16"): "PCM_16",
    ("wav", "int24"): "PCM_24",
    ("wav", "float32"): "FLOAT",
    ("flac", "int16"): "PCM_16",
    ("flac", "int24"): "PCM_24",
    ("mp3", None): "MPEG_LAYER_III",
    ("ogg", None): "VORBIS",
}
_DEFAULT_ENCODING: dict[str, Encoding | None] = {"wav": "int16", "flac": "int16", "mp3": None, "ogg": None}
_BYTES_PER_SAMPLE = {"PCM_16": 2, "PCM_24": 3, "FLOAT": 4}
_MP3_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_OGG_HIGHEST_RATE_HZ = 200_000
"""Beyond it, libvorbis ends the process."""
_PACKED_AT_ONCE = 32768
"""Samples whose steps between float and integer stay in the cache."""


def _flac_holds(sample_rate: int) -> bool:
    """Tell whether a FLAC frame's header can name a sample rate: 16 bits, in Hz or in tens of Hz (RFC 9639, 9.1.2)."""
    return sample_rate <= 0xFFFF or (sample_rate % 10 == 0 and sample_rate <= 10 * 0xFFFF)


@attrs.frozen
class FileFormat:
    """A format and an encoding that exist together.

    Parameters
    ----------
    format : {"wav", "flac", "mp3", "ogg"}
        Container, and the file name's ending.
    encoding : {"int16", "int24", "float32"} or None
        How samples are stored; None for the formats that have no choice (mp3, ogg).

    Examples
    --------
    >>> FileFormat.of("flac", "int24").subtype
    'PCM_24'
    """

    format: Format
    encoding: Encoding | None

    @classmethod
    def of(cls, format: str, encoding: str | None = None) -> FileFormat:  # noqa: A002 - the word users know
        """Return the format of these names, with its usual encoding if none is named.

        Raises
        ------
        InvalidOptions
            If there is no such pair.
        """
        if format not in FORMATS:
            known = ", ".join(FORMATS)
            raise InvalidOptions(f"format must be one of {known}, not {format!r}", option="format", value=format)
        chosen = encoding or _DEFAULT_ENCODING[format]
        if (format, chosen) not in _SUBTYPES:
            fits = [str(known) for have, known in _SUBTYPES if have == format]
            raise InvalidOptions(
                f"{format} cannot be written as {encoding}; it takes {', '.join(fits).replace('None', 'no encoding')}",
                option="encoding",
                value=encoding,
            )
        return cls(format, chosen)  # type: ignore[arg-type]  # both were looked up just above

    @property
    def subtype(self) -> str:
        """Name of the encoding for libsndfile."""
        return _SUBTYPES[self.format, self.encoding]

    @property
    def can_clip(self) -> bool:
        """Whether values beyond full scale are lost."""
        return self.encoding != "float32"

    @property
    def is_lossless(self) -> bool:
        """Whether what is read back is what was written, up to rounding to the encoding."""
        return self.encoding is not None

    @property
    def quality(self) -> dict[str, object]:
        """What else libsndfile is told: the best variable bit rate for MP3."""
        return {"compression_level": 0.0, "bitrate_mode": "VARIABLE"} if self.format == "mp3" else {}

    @property
    def stored_dtype(self) -> str:
        """The numpy type in which samples are handed to libsndfile, and read back without any rounding."""
        return {"int16": "int16", "int24": "int32"}.get(self.encoding or "", "float32")

    def pack(self, audio: Audio) -> Stored:
        """Turn samples into what libsndfile is given: interleaved, and rounded to the encoding.

        They are rounded to the nearest step, values beyond full scale to the last. libsndfile's own conversion rounds
        down, which adds half a step of DC, and is an order of magnitude slower.

        Parameters
        ----------
        audio : ndarray of shape (channels, samples), float32

        Returns
        -------
        ndarray of shape (samples, channels)
            int16; int32 with 24 bits at the top; or float32 as it is.
        """
        if self.stored_dtype == "float32":
            return interleave(audio)
        packed = np.empty(audio.shape[::-1], self.stored_dtype)
        steps = 1 << (15 if self.encoding == "int16" else 23)
        for start in range(0, len(packed), _PACKED_AT_ONCE):
            part = audio[:, start : start + _PACKED_AT_ONCE] * np.float32(steps)
            np.rint(part, out=part)
            np.clip(part, -steps, steps - 1, out=part)
            packed[start : start + _PACKED_AT_ONCE] = interleave(part.astype(self.stored_dtype))
        if self.encoding == "int24":
            packed <<= 8
        return packed

    def container(self, samples: int | None, channels: int) -> str:
        """Return the name of the container for libsndfile, for a recording of this size."""
        if self.format != "wav":
            return self.format.upper()
        size_bytes = (samples or 0) * channels * _BYTES_PER_SAMPLE[self.subtype]
        return "RF64" if samples is None or size_bytes > RIFF_LIMIT_BYTES else "WAV"

    def holds(self, sample_rate: int) -> bool:
        """Tell whether the format knows a sample rate, in Hz."""
        if self.format == "mp3":
            return sample_rate in _MP3_RATES_HZ
        if self.format == "flac":
            return _flac_holds(sample_rate)
        return self.format != "ogg" or sample_rate <= _OGG_HIGHEST_RATE_HZ

    def check(self, sample_rate: int) -> None:
        """Refuse a sample rate that the format cannot hold, before any work is done.

        Raises
        ------
        InvalidOptions
            If it cannot.
        """
        if not self.holds(sample_rate):
            raise InvalidOptions(
                f"{self.format} cannot hold {sample_rate} Hz",
                hint="choose wav",
                option="format",
                value=self.format,
            )
