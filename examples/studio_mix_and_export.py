"""Mix stems by a document and export the mix.

Shows:   Mix and its dictionary form, export to several formats, headroom and gain.
Install: pip install "isomix[studio]"
Run:     python examples/studio_mix_and_export.py [RECORDING]
See:     demo-output/ with two mixes, and for the loud one the gain that kept it from clipping.
"""

from __future__ import annotations

from pathlib import Path

from song import get_song

from isomix import Mix, Studio

OUTPUT = Path("demo-output")


def main() -> None:
    """Render two mixes of a project's stems."""
    without_drums = Mix.from_dict({"stems": {"drums": {"mute": True}, "bass": {"pan": -0.5, "fade_in_seconds": 1}}})
    too_loud = Mix.from_dict({"gain_db": 24, "start_seconds": 1, "end_seconds": 3})

    OUTPUT.mkdir(exist_ok=True)
    with Studio.open("memory://", "memory://mix", "inline") as studio:
        project = studio.upload(get_song(), model="hpss")
        for name, mix, kind in (("without-drums", without_drums, "mp3"), ("too-loud", too_loud, "flac")):
            with studio.export(project.id, mix, format=kind) as export:
                path = OUTPUT / f"{name}.{kind}"
                export.save(path)
                print(
                    f"{path}: {export.duration:.1f} s, headroom {export.headroom_db:.1f} dB, {export.gain_db:+.1f} dB"
                )


if __name__ == "__main__":
    main()
