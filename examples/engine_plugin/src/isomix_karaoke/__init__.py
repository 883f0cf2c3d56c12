"""Lead vocals out of the middle of a stereo recording."""

import isomix

SPEC = isomix.EngineSpec(
    name="karaoke",
    stems=("vocals", "accompaniment"),
    factory="isomix_karaoke.engine:KaraokeEngine",
    segmentation=isomix.Segmentation(length=2**17, hop=2**17 * 3 // 4),
    sample_rate=44100,
    channels=2,
    licence="MIT",
    commercial_use="yes",
    summary="Lead vocals by their place in the middle: no weights, fast, rough; needs stereo.",
)


@isomix.hookimpl
def isomix_engines():
    """Return the models that this distribution offers."""
    return [SPEC]
