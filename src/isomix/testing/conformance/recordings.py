"""Checks over recordings of every kind: layouts, rates, loudness, silence; where their stems lie, what they sum to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from isomix.audio.blocks import Audio
from isomix.testing.conformance.rules import Broken, Check, Unmeasurable
from isomix.testing.conformance.signals import find_lag, noise, ratio_db
from isomix.testing.conformance.subject import Subject

LAYOUTS = {"mono": 1, "stereo": 2, "5.1": 6, "7.1": 8}
RATES_HZ = (8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000, 192000)
SHORT_SECONDS = 0.25
SILENCE = 1e-3
"""What counts as silence: -60 dB of full scale."""
RESEMBLANCE = 0.5
"""Least correlation of the stems' sum and the mixture that tells where they lie."""
WINDOW_SAMPLES = 2**17


def _check_layouts(subject: Subject) -> None:
    rate = subject.spec.sample_rate
    for name, channels in LAYOUTS.items():
        _require_form(subject, name, noise(int(SHORT_SECONDS * rate), channels), rate)


def _check_rates(subject: Subject) -> None:
    for rate in RATES_HZ:
        _require_form(subject, f"{rate} Hz", noise(int(SHORT_SECONDS * rate), 2), rate)


def _require_form(subject: Subject, name: str, mixture: Audio, rate: int) -> None:
    """Raise unless stems have a recording's channels (stereo's, or the engine's, of surround) and samples."""
    channels = mixture.shape[0] if mixture.shape[0] <= 2 else subject.spec.channels
    expected = (len(subject.spec.stems), channels, mixture.shape[1])
    try:
        stems = subject.separate(mixture, rate)
    except Exception as error:
        raise Broken(f"{name}: {type(error).__name__}: {error}") from error
    if stems.shape != expected:
        raise Broken(f"{name}: stems have the shape {stems.shape}, not {expected}")
    if not np.isfinite(stems).all():
        raise Broken(f"{name}: stems have values that are not finite")


def _levels(samples: int) -> Mapping[str, Audio]:
    square = np.asarray(np.sign(noise(samples)), np.float32)
    return {
        "full scale": square,
        "40 dB beyond full scale": 100 * square,
        "very soft": noise(samples) * np.float32(1e-30),
        "DC": np.repeat(np.array([[0.5], [-0.4]], np.float32), samples, axis=1),
        "one channel silent": noise(samples) * np.array([[1], [0]], np.float32),
    }


def _check_levels(subject: Subject) -> None:
    rate = subject.spec.sample_rate
    for name, mixture in _levels(int(SHORT_SECONDS * rate)).items():
        _require_form(subject, name, mixture, rate)


def _check_silence(subject: Subject) -> None:
    mixture = 0 * subject.noise(1.3)
    try:
        stems = subject.separate(mixture)
    except Exception as error:
        raise Broken(f"of silence: {type(error).__name__}: {error}") from error
    peaks = np.abs(stems).max(axis=(1, 2))
    loudest = int(peaks.argmax())
    if not peaks[loudest] <= SILENCE:
        name = subject.spec.stems[loudest]
        raise Broken(f"of silence, {name!r} reaches {peaks[loudest]:.3g} (allowed: {SILENCE:g})")


def _check_alignment(subject: Subject) -> None:
    mixture, stems = subject.take
    total = stems.sum(axis=0)
    samples = mixture.shape[-1]
    size = min(WINDOW_SAMPLES, samples)
    measured = 0
    for start in (0, (samples - size) // 2, samples - size):
        lag = find_lag(total[:, start : start + size], mixture[:, start : start + size])
        if lag.correlation < RESEMBLANCE:
            continue
        measured += 1
        if lag.samples:
            raise Broken(
                f"from sample {start} on, the stems lie {abs(lag.samples)} sample(s) "
                f"{'late' if lag.samples > 0 else 'early'}: their sum correlates with the mixture by "
                f"{lag.correlation:.2f} there, by {lag.in_place:.2f} in place"
            )
    if not measured:
        raise Unmeasurable(f"the sum of its stems does not resemble the mixture (correlation below {RESEMBLANCE})")


def _check_sum(subject: Subject) -> None:
    mixture, stems = subject.take
    error_db = ratio_db(mixture - stems.sum(axis=0), mixture)
    if subject.sums_db is None:
        raise Unmeasurable(f"no claim that stems sum to the mixture; the null error is {error_db:.1f} dB")
    if error_db > subject.sums_db:
        raise Broken(f"the null error is {error_db:.1f} dB, the claim is {subject.sums_db:.1f} dB")


RECORDINGS = (
    Check("layouts", "Mono, stereo, 5.1 and 7.1 recordings give finite stems of their length.", _check_layouts),
    Check("rates", "Recordings at any rate from 8 to 192 kHz give finite stems of their length.", _check_rates),
    Check("levels", "However loud or soft a recording, stems have finite values.", _check_levels),
    Check("silence", "Of silence come silent stems: no value, in any stem, above 0.001.", _check_silence),
    Check("alignment", "Stems lie where they sound in the mixture, to the sample.", _check_alignment),
    Check("sum", "Where it is claimed that stems sum to the mixture, the null error keeps to the claim.", _check_sum),
)
