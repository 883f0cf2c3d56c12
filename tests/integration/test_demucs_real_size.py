"""A network of the size that is released, a network that is not there, and a server that never answers."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import huggingface_hub.constants
import huggingface_hub.file_download
import pytest
import torch
from tiny_demucs import make_mixture, open_tiny, run_demucs, run_isomix, save_network, snr_db

from isomix.backends.demucs import weights
from isomix.backends.demucs.opening import open_demucs
from isomix.domain.options import EngineOptions
from isomix.errors import WeightsUnavailable
from isomix.plugins import installed

REAL_SIZE = {
    "channels": 48,
    "depth": 4,
    "dconv_depth": 2,
    "t_layers": 5,
    "t_heads": 8,
    "bottom_channels": 512,
    "segment": Fraction(39, 5),
    "samplerate": 44100,
}


def test_a_network_of_real_size_equals_demucs(tmp_path: Path) -> None:
    """41 million parameters, two segments at 44.1 kHz: what isomix gives is what Demucs gives."""
    save_network(tmp_path, "real", "htdemucs", **REAL_SIZE)
    mixture = make_mixture(8, sample_rate=44100)
    assert snr_db(run_demucs(tmp_path, "real", mixture), run_isomix(open_tiny(tmp_path, "real"), mixture)) >= 80


def test_a_hundred_seconds_equal_demucs(tmp_path: Path) -> None:
    """Nothing drifts over many segments."""
    save_network(tmp_path, "small", "htdemucs")
    mixture = make_mixture(100)
    assert snr_db(run_demucs(tmp_path, "small", mixture), run_isomix(open_tiny(tmp_path, "small"), mixture)) >= 80


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Give the address of a server that accepts and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_network_that_hangs_is_given_up_within_seconds(
    tmp_path: Path, silent_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both sources accept the connection and say nothing; one error comes in less than 15 seconds."""
    for name in ("ISOMIX_OFFLINE", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ISOMIX_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    template = silent_server + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(huggingface_hub.file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", silent_server)
    monkeypatch.setattr(weights, "_parse_remote_files", lambda _: {"955717e8": f"{silent_server}/955717e8-8726e21a.th"})
    started = time.monotonic()
    with pytest.raises(WeightsUnavailable) as caught:
        open_demucs(installed().get_spec("htdemucs"), EngineOptions(device="cpu"))
    assert time.monotonic() - started < 15
    failures = caught.value.facts["failures"]
    assert isinstance(failures, dict)
    assert len(failures) == 2
    assert all("time" in reason.lower() or "no answer" in reason for reason in failures.values()), failures
