"""`plan`: what `separate` would do with the same arguments, and what it would take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Unpack

import attrs

from isomix.audio.decoders import AudioSource
from isomix.audio.formats import FileFormat
from isomix.audio.resample import match_channels
from isomix.audio.source import SourceLike, open_source
from isomix.domain.options import EngineChoices, EngineOptions
from isomix.domain.stems import StemPlan
from isomix.engine import EngineSpec
from isomix.models.store import WeightsStore
from isomix.planning.calibration import Calibration, describe_machine, find, find_nearest, keep, run_measurement
from isomix.planning.leaves import Leaf, list_leaves
from isomix.planning.measuring import Request
from isomix.planning.needs import Setting, check_packages, choose_setting, count_missing_bytes
from isomix.planning.networks import Network, list_networks
from isomix.planning.output import (
    count_kept_bytes,
    estimate_disk_bytes,
    estimate_file_bytes,
    find_free_bytes,
    find_free_memory_bytes,
)
from isomix.planning.plan import Plan
from isomix.planning.rough import Rough, guess
from isomix.separation import DEFAULT_MODEL, resolve, suggesting_another_model

_TIMED_OPTIONS = ("device", "precision", "runtime", "overlap", "shifts", "batch_size", "repo")
"""The options that time and memory depend on."""
_SHORT_SECONDS = 12.0
_DISTURBED = (
    "other programs were busy while this model was calibrated: it may be faster; calibrate again when they rest"
)


@attrs.frozen(kw_only=True)
class _Work:
    """What was found out about a model and what is asked of it, before any recording is looked at."""

    spec: EngineSpec
    stems: StemPlan
    options: EngineOptions
    leaves: list[Leaf]
    settings: list[Setting]
    networks: tuple[Network, ...]
    download_bytes: int | None

    def count_seconds(self, duration: float) -> float:
        """Return the seconds of audio that all networks together are given, for a recording's duration."""
        return sum(network.count_seconds(duration) for network in self.networks)


@attrs.frozen(kw_only=True)
class _Recording:
    """What a recording's header tells, and where its stems go."""

    duration: float | None
    sample_rate: int
    channels: int
    output: str | None
    file_format: FileFormat
    warnings: tuple[str, ...]


@attrs.frozen(kw_only=True)
class _Estimate:
    setting: Setting
    kind: Literal["calibrated", "rough"] = "rough"
    load_seconds: float | None = None
    separate_seconds: float | None = None
    peak_bytes: int | None = None
    warnings: list[str] = attrs.field(factory=list)


def plan(
    source: SourceLike,
    model: str | EngineSpec = DEFAULT_MODEL,
    *,
    stems: Sequence[str] | None = None,
    output: str | Path | None = None,
    format: str = "wav",  # noqa: A002 - the word users know
    encoding: str | None = None,
    stream: int = 0,
    calibrate: bool = False,
    **options: Unpack[EngineChoices],
) -> Plan:
    """Say what `separate` would do with the same arguments, and refuse what it would refuse; nothing is separated.

    Only the recording's header is read, and no weights are loaded or fetched.

    Parameters
    ----------
    source, model, stems, output, format, encoding, stream, **options
        As in `separate`.
    calibrate : bool
        Measure this model on this machine first, unless that was done before while other programs rested: a few
        segments of noise, separated in a process of its own (which fetches the weights if they are missing). What is
        found out is kept beside the weights for later plans.

    Returns
    -------
    Plan
        ``print(plan.to_text())`` for people, ``plan.to_dict()`` for programs.

    Raises
    ------
    AudioRejected, ObjectNotFound
        If the recording cannot be read, as far as its header shows.
    UnknownModel, UnknownStem, InvalidOptions
        If a name or an option does not exist, or a file format cannot hold the recording.
    LicenceRefused
        If commercial use is asked for and the model is not known to allow it.
    EngineUnavailable, WeightsUnavailable
        If the model's packages or device are not there, or its weights are not and downloads are forbidden.

    Examples
    --------
    >>> import numpy as np
    >>> facts = plan((np.zeros((2, 441000), np.float32), 44100), "hpss", stems=["drums"])
    >>> facts.duration, facts.stems, facts.download_bytes, facts.output_bytes
    (10.0, ('drums',), 0, 3528000)
    """
    with suggesting_another_model(model):
        work = _find_work(model, stems, options)
    recording = _look_at(source, work.spec, stream, output, FileFormat.of(format, encoding))
    return _to_plan(work, recording, _estimate(work, recording, calibrate=calibrate))


def _find_work(model: str | EngineSpec, stems: Sequence[str] | None, choices: EngineChoices) -> _Work:
    spec, stem_plan, options = resolve(model, stems, lambda _: None, choices)
    leaves = list_leaves(spec, options)
    for part in (spec, *(leaf.spec for leaf in leaves)):
        part.check_licence(options)
    for leaf in leaves:
        check_packages(leaf)
    settings = [choose_setting(leaf) for leaf in leaves]
    missing = [count_missing_bytes(leaf) for leaf in leaves]
    return _Work(
        spec=spec,
        stems=stem_plan,
        options=options,
        leaves=leaves,
        settings=settings,
        networks=tuple(network for leaf in leaves for network in list_networks(leaf)),
        download_bytes=None if None in missing else sum(size or 0 for size in missing),
    )


def _look_at(
    source: SourceLike, spec: EngineSpec, stream: int, output: str | Path | None, file_format: FileFormat
) -> _Recording:
    with open_source(source, stream=stream) as opened:
        match_channels(opened.name, opened.channels, spec.channels)
        if output is not None:
            file_format.check(opened.sample_rate)
        expected = opened.expected_samples
        return _Recording(
            duration=None if expected is None else expected / opened.sample_rate,
            sample_rate=opened.sample_rate,
            channels=opened.channels if opened.channels <= 2 else spec.channels,
            output=None if output is None else str(output),
            file_format=file_format,
            warnings=tuple(_list_warnings(opened, spec)),
        )


def _list_warnings(source: AudioSource, spec: EngineSpec) -> list[str]:
    warnings = []
    if source.expected_samples is None:
        warnings.append("the recording does not tell its length: neither time nor size can be told")
    if source.channels > 2:
        warnings.append(f"{source.channels} channels will be mixed down to {spec.channels} (ITU-R BS.775)")
    return warnings


def _list_facts(work: _Work, recording: _Recording) -> dict[str, Any]:
    """Return all that time and memory depend on but the length, in plain values."""
    chosen = {name: getattr(work.options, name) for name in _TIMED_OPTIONS}
    return {
        "model": work.spec.name,
        "networks": [[network.model, network.name, *network.stems] for network in work.networks],
        "stems": list(work.stems.names),
        "options": {name: str(value) if isinstance(value, Path) else value for name, value in chosen.items()},
        "writes": _list_writes(recording),
        "sample_rate": recording.sample_rate,
        "channels": recording.channels,
        "machine": describe_machine(),
    }


def _list_writes(recording: _Recording) -> dict[str, Any]:
    return {} if recording.output is None else attrs.asdict(recording.file_format)


def _estimate(work: _Work, recording: _Recording, *, calibrate: bool) -> _Estimate:
    folder, facts = WeightsStore(work.options.weights_dir).folder, _list_facts(work, recording)
    known = find(folder, facts)
    if calibrate and (known is None or known.is_disturbed):
        known = _calibrate(work, recording, facts)
        keep(folder, known)
    if known is not None:
        return _predict(work, recording, known, Setting(known.device, known.runtime, known.precision), "calibrated")
    setting = Setting.joined(work.settings)
    near = find_nearest(folder, facts) or guess(work.leaves, work.networks, work.settings)
    return _Estimate(setting=setting) if near is None else _predict(work, recording, near, setting, "rough")


def _predict(
    work: _Work,
    recording: _Recording,
    cost: Calibration | Rough,
    setting: Setting,
    kind: Literal["calibrated", "rough"],
) -> _Estimate:
    duration, kept, peak_bytes = recording.duration, _count_kept(work, recording), cost.peak_bytes
    is_disturbed = isinstance(cost, Calibration) and cost.is_disturbed
    estimate = _Estimate(
        setting=setting, kind=kind, load_seconds=cost.load_seconds, warnings=[_DISTURBED] if is_disturbed else []
    )
    if duration is None:
        return attrs.evolve(estimate, peak_bytes=None if kept else peak_bytes)
    return attrs.evolve(
        estimate,
        separate_seconds=cost.fixed_seconds + cost.seconds_per_second * work.count_seconds(duration),
        peak_bytes=peak_bytes + round(kept * duration),
    )


def _calibrate(work: _Work, recording: _Recording, facts: dict[str, Any]) -> Calibration:
    cuts = [(network.segmentation, network.sample_rate) for network in work.networks]
    short_seconds = min(_SHORT_SECONDS, max(0.98 * (cut.hop - cut.lead) / rate for cut, rate in cuts))
    # Of two whole segments and more: memory is then at its highest.
    long_seconds = max(2 * short_seconds, *((cut.length + 2 * cut.hop) / rate for cut, rate in cuts))
    names = EngineChoices.__annotations__
    request = Request(
        spec=work.spec,
        stems=work.stems.names,
        choices={name: getattr(work.options, name) for name in names},
        writes=_list_writes(recording),
        sample_rate=recording.sample_rate,
        channels=recording.channels,
        short_seconds=short_seconds,
        long_seconds=long_seconds,
    )
    return Calibration.of(facts, run_measurement(request), work.count_seconds, _count_kept(work, recording))


def _count_kept(work: _Work, recording: _Recording) -> int:
    """Return the bytes that stay in memory for each second: the stems, and the residual where it is known."""
    if recording.output is not None:
        return 0
    names = {*work.stems.names, *(["residual"] if work.stems.has_all else [])}
    return count_kept_bytes(len(names), recording.channels, recording.sample_rate)


def _to_plan(work: _Work, recording: _Recording, estimate: _Estimate) -> Plan:
    output_bytes, disk_bytes = _count_output_bytes(work, recording)
    shortages = _list_shortages(recording.output, disk_bytes, estimate.peak_bytes)
    is_file = recording.output is not None
    return Plan(
        model=work.spec.name,
        stems=work.stems.names,
        networks=work.networks,
        duration=recording.duration,
        sample_rate=recording.sample_rate,
        channels=recording.channels,
        device=estimate.setting.device,
        runtime=estimate.setting.runtime,
        precision=estimate.setting.precision,
        estimate=estimate.kind,
        load_seconds=estimate.load_seconds,
        separate_seconds=estimate.separate_seconds,
        peak_bytes=estimate.peak_bytes,
        download_bytes=work.download_bytes,
        licence=work.spec.licence,
        commercial_use=work.spec.commercial_use,
        output=recording.output,
        format=recording.file_format.format if is_file else None,
        encoding=recording.file_format.encoding if is_file else None,
        output_bytes=output_bytes,
        disk_bytes=disk_bytes,
        warnings=(
            *recording.warnings,
            *estimate.warnings,
            *shortages,
        ),
    )


def _count_output_bytes(work: _Work, recording: _Recording) -> tuple[int | None, int | None]:
    """Return the size of what comes out, and the room on a disk that it takes meanwhile; None where unknown."""
    if recording.duration is None:
        return None, None
    if recording.output is None:
        return round(_count_kept(work, recording) * recording.duration), None
    count, shape = len(work.stems.names), (recording.channels, recording.sample_rate, recording.duration)
    return (
        count * estimate_file_bytes(recording.file_format, *shape),
        count * estimate_disk_bytes(recording.file_format, *shape),
    )


def _list_shortages(output: str | None, disk_bytes: int | None, peak_bytes: int | None) -> list[str]:
    shortages = []
    memory, disk = find_free_memory_bytes(), None if output is None else find_free_bytes(output)
    if memory is not None and peak_bytes is not None and peak_bytes > memory:
        shortages.append(f"about {peak_bytes / 1e6:.0f} MB of memory are needed, {memory / 1e6:.0f} MB are free")
    if disk is not None and disk_bytes is not None and disk_bytes > disk:
        shortages.append(f"about {disk_bytes / 1e6:.0f} MB will be written, {disk / 1e6:.0f} MB are free on the disk")
    return shortages
