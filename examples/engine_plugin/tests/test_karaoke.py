"""What this engine does; that it keeps the engine contract, ``--isomix-engine=karaoke`` in pyproject.toml tries."""

import numpy as np
import pytest

import isomix

RATE = 44100
TIME = np.arange(3 * RATE) / RATE
VOICE = 0.3 * np.sin(2 * np.pi * 440 * TIME)
GUITAR = 0.3 * np.sin(2 * np.pi * 660 * TIME)
BASS = 0.3 * np.sin(2 * np.pi * 60 * TIME)


def separate(left, right):
    """Separate a stereo recording."""
    return isomix.separate((np.array([left, right], np.float32), RATE), "karaoke")


def snr_db(truth, estimate):
    """Return how far the error of the middle second lies below the truth, in dB."""
    middle = slice(RATE, 2 * RATE)
    error = truth[..., middle] - estimate[..., middle]
    return 10 * np.log10(np.sum(truth[..., middle] ** 2) / np.sum(error**2))


def test_what_is_centred_is_vocals():
    """A tone in the middle is the vocals, one that is on the left alone the accompaniment."""
    stems = separate(VOICE + GUITAR, VOICE)
    assert snr_db(np.array([VOICE, VOICE]), stems["vocals"].array) > 20
    assert snr_db(GUITAR, stems["accompaniment"].array[0]) > 20


def test_what_is_too_low_to_be_sung_is_accompaniment():
    """A bass in the middle stays with the accompaniment."""
    stems = separate(VOICE + BASS, VOICE + BASS)
    assert snr_db(BASS, stems["accompaniment"].array[0]) > 20


def test_what_is_struck_is_accompaniment():
    """Strokes in the middle stay with the accompaniment."""
    strokes = np.zeros_like(TIME)
    strokes[:: RATE // 4] = 1
    stems = separate(strokes, strokes)
    assert snr_db(strokes, stems["accompaniment"].array[0]) > 10


@pytest.mark.parametrize("stem", ["vocals", "accompaniment"])
def test_one_stem_alone_is_the_same(stem):
    """What is not asked for changes nothing."""
    recording = np.array([VOICE + GUITAR, VOICE], np.float32), RATE
    alone = isomix.separate(recording, "karaoke", stems=[stem])
    np.testing.assert_array_equal(alone[stem].array, isomix.separate(recording, "karaoke")[stem].array)
