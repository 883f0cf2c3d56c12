"""The engine: imported when somebody opens it, not when models are listed."""

import numpy as np

import isomix
from isomix_karaoke.masks import centre_mask, held_mask, voice_mask
from isomix_karaoke.stft import Stft

FRAME_SAMPLES = 2048
SHARPNESS = 10
LOWEST_HZ = 200
MEDIAN_SECONDS = 0.2
MEDIAN_HZ = 400


class KaraokeEngine(isomix.SeparationEngine):
    """Takes for vocals what is centred, held and high enough to be sung; the rest is the accompaniment."""

    runtime = "scipy"

    def __init__(self, spec, options):
        super().__init__(spec, options)
        self._stft = Stft(FRAME_SAMPLES)
        self._size_frames = round(MEDIAN_SECONDS * spec.sample_rate / self._stft.hop_samples)
        self._size_bins = round(MEDIAN_HZ * FRAME_SAMPLES / spec.sample_rate)
        self._voice = voice_mask(np.fft.rfftfreq(FRAME_SAMPLES, 1 / spec.sample_rate), LOWEST_HZ)

    def _separate(self, mixture):
        # (batch, channels, samples) float32 in, (batch, stems, channels, samples) float32 out
        spectrum = self._stft.analyse(mixture)
        left, right = spectrum[:, 0], spectrum[:, 1]
        power = (np.abs(left) ** 2 + np.abs(right) ** 2) / 2
        mask = centre_mask(left, right, SHARPNESS) * self._voice
        mask *= held_mask(power, self._size_frames, self._size_bins)
        vocals = self._stft.synthesise(spectrum * mask[:, None], mixture.shape[-1])
        both = {"vocals": vocals, "accompaniment": mixture - vocals}
        return np.stack([both[stem] for stem in self.stems], axis=1)
