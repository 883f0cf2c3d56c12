"""What audio some bytes are."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from isomix.audio.intake import SNIFF_BYTES, find_kind, get_kind
from isomix.errors import UnsupportedFormat


@pytest.mark.parametrize(
    ("container", "subtype", "kind"),
    [
        ("WAV", "PCM_16", "wav"),
        ("WAVEX", "PCM_24", "wav"),
        ("RF64", "FLOAT", "wav"),
        ("W64", "PCM_16", "w64"),
        ("AIFF", "PCM_16", "aiff"),
        ("AU", "PCM_16", "au"),
        ("CAF", "PCM_16", "caf"),
        ("FLAC", "PCM_16", "flac"),
        ("OGG", "VORBIS", "ogg"),
        ("OGG", "OPUS", "ogg"),
        ("MP3", "MPEG_LAYER_III", "mp3"),
    ],
)
def test_real_files_are_known(container, subtype, kind):
    """What libsndfile writes is told by its first bytes."""
    file = io.BytesIO()
    soundfile.write(file, np.zeros((1000, 1)), 48000, format=container, subtype=subtype)
    assert find_kind(file.getvalue()[:SNIFF_BYTES]) == kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"ID3\x04" + bytes(12), "mp3"),
        (b"\xff\xfb\x90\x64" + bytes(12), "mp3"),
        (b"\xff\xf3\x40\xc0" + bytes(12), "mp3"),
        (b"\xff\xf1\x50\x80" + bytes(12), "aac"),
        (b"\xff\xf9\x50\x80" + bytes(12), "aac"),
        (b"\x00\x00\x00\x20ftypM4A \x00\x00\x00\x00", "mp4"),
        (b"\x1a\x45\xdf\xa3" + bytes(12), "webm"),
    ],
)
def test_heads_are_known(head, kind):
    """Formats that have no writer here are known by the bytes their standards give."""
    assert find_kind(head) == kind


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"\xff",
        b"Dear diary, today I recorded",
        b"RIFF\x00\x00\x00\x00AVI LIST",
        b"\x89PNG\r\n\x1a\n" + bytes(8),
        b"%PDF-1.7 and so on",
        b"\xff\xd8\xff\xe0 a JPEG's head",
        b"\xff\xfe\x41\x00 UTF-16 text",
        b"\xff\xff\xff\xff" + bytes(12),
        bytes(16),
    ],
)
def test_what_is_not_audio_is_not_known(head):
    """Texts, pictures and nothing at all are no audio."""
    assert find_kind(head) is None


def test_a_refusal_names_the_file():
    """What is no audio is refused by its name, what is audio is told."""
    assert get_kind(b"fLaC" + bytes(12), "song") == "flac"
    with pytest.raises(UnsupportedFormat, match="diary") as caught:
        get_kind(b"Dear diary, today", "diary")
    assert caught.value.name == "diary"


@given(st.binary(max_size=64))
def test_any_bytes_get_an_answer(head):
    """No bytes make it raise, and bytes after the head change nothing."""
    assert find_kind(head) == find_kind(head[:SNIFF_BYTES])
