"""Follow a separation, and fetch what can be played long before it is done.

Shows:   watch (phase, progress, playable seconds), preview, open_preview.
Install: pip install "isomix[studio]"
Run:     python examples/studio_watch.py [RECORDING]
See:     a line for each change, "can play" while it is at work, "ready" at the end.
"""

from __future__ import annotations

from song import get_song

from isomix import Studio

MODEL = "testing:slow-150ms"
"""A model for tests that takes 150 ms for each second of audio; put "htdemucs" here and give it a real song."""


def main() -> None:
    """Print what a progress bar and a player would need."""
    fetched = 0
    with Studio.open("memory://", "memory://watch") as studio:
        project = studio.upload(get_song(20), model=MODEL)
        for status in studio.watch(project.id):
            left = "" if status.eta_seconds is None else f", {status.eta_seconds:.0f} s left"
            print(f"{status.phase} {status.progress:.0%}{left}")

            preview = studio.preview(project.id)
            for segment in list(preview.segments())[fetched:]:
                name = preview.stems[0]
                with studio.open_preview(project.id, name, segment.index, attempt=preview.attempt) as file:
                    start, stop = (x / preview.sample_rate for x in (segment.start, segment.start + segment.samples))
                    print(f"  can play {name} from {start:.0f} to {stop:.0f} s: {len(file.read())} bytes of FLAC")
                fetched += 1
        print(status.status.value)


if __name__ == "__main__":
    main()
