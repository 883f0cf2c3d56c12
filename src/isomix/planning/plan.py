"""What a separation will take, as a value: for people, for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from isomix.domain.weights import CommercialUse
from isomix.planning.networks import Network


@attrs.frozen(kw_only=True)
class Plan:
    """What `isomix.separate` would do with the same arguments; nothing of it has been done.

    Parameters
    ----------
    model : str
        The model.
    stems : tuple of str
        The stems that would come out.
    networks : tuple of Network
        What would run for them: of a bag, a cascade or an ensemble only what the stems need.
    duration : float or None
        Seconds by the recording's header; None where it does not tell.
    sample_rate, channels : int
        Of the stems; the sample rate in Hz.
    device, runtime, precision : str or None
        Where and how the networks would run; None where only opening them tells.
    estimate : {"calibrated", "rough"}
        Whether time and memory were measured of this model on this machine, or guessed.
    load_seconds, separate_seconds : float or None
        Expected wall time in a fresh process: to import and open everything; to separate and write. None where
        nothing is known.
    peak_bytes : int or None
        Expected highest memory of a process that does this alone.
    download_bytes : int or None
        What would be fetched first; None where something is missing whose size is not known.
    licence : str
        Of the model with its weights.
    commercial_use : {"yes", "no", "unknown"}
        Whether that licence allows it.
    output : str or None
        The folder; None for stems in memory.
    format, encoding : str or None
        Of the files; None for stems in memory, or where the format has no choice.
    output_bytes : int or None
        Size of the stems in files, exact for wav, an estimate for compressed formats; or of what stays in memory, the
        residual among it.
    disk_bytes : int or None
        Room that the files take while they are made, which is more where the format clips; None for stems in memory.
    warnings : tuple of str
        What may go wrong, or differ from what is expected.
    """

    model: str
    stems: tuple[str, ...]
    networks: tuple[Network, ...]
    duration: float | None
    sample_rate: int
    channels: int
    device: str | None
    runtime: str | None
    precision: str | None
    estimate: Literal["calibrated", "rough"]
    load_seconds: float | None
    separate_seconds: float | None
    peak_bytes: int | None
    download_bytes: int | None
    licence: str
    commercial_use: CommercialUse
    output: str | None
    format: str | None
    encoding: str | None
    output_bytes: int | None
    disk_bytes: int | None = None
    warnings: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        """Expected wall time in all, without the download."""
        if self.load_seconds is None or self.separate_seconds is None:
            return None
        return self.load_seconds + self.separate_seconds

    def to_dict(self) -> dict[str, Any]:
        """Return every fact in values that JSON can hold."""
        fields = attrs.asdict(self, recurse=False)
        del fields["duration"]
        return {
            **fields,
            "stems": list(self.stems),
            "networks": [self._describe(network) for network in self.networks],
            "duration_seconds": self.duration,
            "seconds": self.seconds,
            "warnings": list(self.warnings),
        }

    def _describe(self, network: Network) -> dict[str, Any]:
        return {
            "name": network.name,
            "model": network.model,
            "stems": list(network.stems),
            "segment_seconds": network.segment_seconds,
            "overlap": network.overlap,
            "segments": None if self.duration is None else network.count_segments(self.duration),
            "passes": network.passes,
        }

    def to_text(self) -> str:
        """Return a few lines for people."""
        chosen = [word or "told when it opens" for word in (self.device, self.runtime, self.precision)]
        lines: Mapping[str, str] = {
            "model": f"{self.model}: {', '.join(self.stems)}",
            "recording": f"{_seconds(self.duration)}, {self.sample_rate} Hz, {self.channels} channel(s)",
            "networks": f"\n{'':<12} ".join(map(self._tell, self.networks)),
            "runs on": ", ".join(dict.fromkeys(chosen)),
            "time": self._tell_time(),
            "memory": "unknown" if self.peak_bytes is None else f"{_size(self.peak_bytes)} at most ({self.estimate})",
            "download": "nothing" if self.download_bytes == 0 else _size(self.download_bytes),
            "licence": f"{self.licence}; commercial use: {self.commercial_use}",
            "output": self._tell_output(),
        }
        told = [f"{name:<12} {text}" for name, text in lines.items()]
        return "\n".join([*told, *(f"warning: {warning}" for warning in self.warnings)])

    def _tell(self, network: Network) -> str:
        count = "" if self.duration is None else f"{network.count_segments(self.duration)} "
        passes = f", {network.passes} passes" if network.passes > 1 else ""
        return (
            f"{network.name} for {', '.join(network.stems)}: {count}segments of {network.segment_seconds:.1f} s{passes}"
        )

    def _tell_time(self) -> str:
        if self.seconds is None:
            return "unknown: --calibrate (calibrate=True) measures it" if self.duration is not None else "unknown"
        return f"about {_seconds(self.seconds)}, of which {_seconds(self.load_seconds)} to load ({self.estimate})"

    def _tell_output(self) -> str:
        if self.output is None:
            return f"{len(self.stems)} stems in memory, {_size(self.output_bytes)}"
        kind = " ".join(filter(None, (self.format, self.encoding)))
        size = _size(self.output_bytes)
        if self.disk_bytes != self.output_bytes:
            size += f" ({_size(self.disk_bytes)} while they are made)"
        return f"{len(self.stems)} stems in {self.output}, {kind}, {size}"


def _seconds(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds:.1f} s"


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return "unknown"
    return f"{size_bytes / 1e6:.{0 if size_bytes >= 1e7 else 1}f} MB"
