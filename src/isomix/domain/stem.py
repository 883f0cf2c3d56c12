"""A stem as it is stored."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Stem:
    """A named separated recording of a project.

    Parameters
    ----------
    id, project_id, job_id : str
        Itself, its project, the job that made it.
    position : int
        Its place among the project's stems, from 0.
    name : str
        ``"vocals"``, ``"drums"``, ...
    key, peaks_key : str
        Object keys of its audio and of its waveform peaks.
    format : str
        ``"flac"``, ``"wav"``, ...
    size_bytes : int
        Size of the stored audio.
    sha256 : str
        Hexadecimal digest of it.
    sample_rate, channels, samples : int
        Of the audio; the sample rate in Hz.
    peak : float
        Largest magnitude of the stored audio, full scale is 1.
    gain_db : float
        Gain that was applied so that no stem of the project clips; 0 for none.
    """

    id: str
    project_id: str
    job_id: str
    position: int
    name: str
    key: str
    peaks_key: str
    format: str
    size_bytes: int
    sha256: str
    sample_rate: int
    channels: int
    samples: int
    peak: float
    gain_db: float = 0.0

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.samples / self.sample_rate
