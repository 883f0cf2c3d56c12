"""How a separation looks in a notebook: a waveform and a player for each stem."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from html import escape
from itertools import pairwise

import numpy as np
import soundfile

from isomix.audio.blocks import Audio
from isomix.audio.decoders import BLOCK_SAMPLES
from isomix.audio.formats import FileFormat

PLAYER_SECONDS = 120
"""A page holds this much of each stem: about 2 MB of Ogg Vorbis at most."""
_WIDTH, _HEIGHT = 600, 48


def render_html(title: str, stems: Mapping[str, tuple[int, Iterator[Audio]]]) -> str:
    """Return a table of stems with waveforms and players.

    Parameters
    ----------
    title : str
        Caption.
    stems : mapping of str to (sample_rate in Hz, iterator of (channels, samples) blocks)
        What to show; the first `PLAYER_SECONDS` of it, all with one gain if any goes beyond full scale.
    """
    shown = {name: (_beginning(blocks, rate), rate) for name, (rate, blocks) in stems.items()}
    loudest = max((float(np.abs(audio).max(initial=0.0)) for audio, _ in shown.values()), default=0.0)
    gain = np.float32(1 / max(1.0, loudest))
    rows = "".join(_row(name, gain * audio, rate) for name, (audio, rate) in shown.items())
    is_cut = any(audio.shape[1] == PLAYER_SECONDS * rate for audio, rate in shown.values())
    limit = f"; players hold the first {PLAYER_SECONDS // 60} minutes" if is_cut else ""
    return f"<table><caption>{escape(title)}{limit}</caption>{rows}</table>"


def _beginning(blocks: Iterator[Audio], sample_rate: int) -> Audio:
    parts, missing = [], PLAYER_SECONDS * sample_rate
    for block in blocks:
        parts.append(block[:, :missing])
        missing -= block.shape[1]
        if missing <= 0:
            break
    return np.concatenate(parts, axis=1) if parts else np.zeros((1, 0), np.float32)


def _row(name: str, audio: Audio, sample_rate: int) -> str:
    return f"<tr><th>{escape(name)}</th><td>{_waveform(audio)}<br>{_player(audio, sample_rate)}</td></tr>"


def _waveform(audio: Audio) -> str:
    """Draw the largest value of each of `_WIDTH` equal stretches, mirrored at the middle."""
    edges = np.linspace(0, audio.shape[1], _WIDTH + 1).astype(int)
    loudest = np.abs(audio).max(axis=0, initial=0.0)
    peaks = [float(loudest[start:stop].max(initial=0.0)) for start, stop in pairwise(edges)]
    middle = _HEIGHT / 2
    bars = "".join(f"M{x} {middle - p * middle:.1f}V{middle + p * middle:.1f}" for x, p in enumerate(peaks) if p > 0)
    return (
        f'<svg role="img" aria-label="waveform" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}"><path d="{bars}" stroke="currentColor"/></svg>'
    )


def _player(audio: Audio, sample_rate: int) -> str:
    if not audio.shape[1]:
        return "no audio"
    if not FileFormat.of("ogg").holds(sample_rate):
        return f"no player at {sample_rate} Hz"
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", sample_rate, len(audio), format="OGG", subtype="VORBIS") as ogg:
        # In one piece, two minutes would overrun libvorbis' stack and end the process.
        for start in range(0, audio.shape[1], BLOCK_SAMPLES):
            ogg.write(audio[:, start : start + BLOCK_SAMPLES].T)
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<audio controls preload="metadata" src="data:audio/ogg;base64,{data}"></audio>'
