"""Kill the process in the middle of a separation, and see that nothing is lost.

Shows:   what a lease is for: the next process takes the job over, and the attempt is counted.
Install: pip install "isomix[studio]"
Run:     python examples/studio_crash.py [RECORDING]
See:     "killed", then the same project ready in its second attempt.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile

from song import get_song

from isomix import Studio

LEASE_SECONDS = 2.0
"""How long a silent worker keeps its job; 30 seconds if nothing is said."""


def open_studio(folder: str) -> Studio:
    """Open the same studio as the process before."""
    return Studio.open(f"sqlite:///{folder}/studio.db", f"{folder}/objects", lease_seconds=LEASE_SECONDS)


def work_and_never_finish(folder: str) -> None:
    """Be the process that is killed: tell when the work is half done."""
    with open_studio(folder) as studio:
        project = studio.upload(sys.argv[1], model="testing:slow-100ms")
        for status in studio.watch(project.id, poll_seconds=0.1):
            if status.playable_seconds:
                print(f"{status.progress:.0%} done, {status.playable_seconds:.0f} s can be played", flush=True)


def main() -> None:
    """Start a process, kill it, and do its work."""
    song = get_song(20)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, str(song), folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            print(process.stdout.readline().strip())
            process.kill()
            print("killed")
        with open_studio(folder) as studio:
            [project] = studio.projects()
            print(f"{project.name} is {project.status.value}, since nobody has noticed yet")
            status = studio.wait(project.id, timeout_seconds=60)
            print(f"{project.name} is {status.status.value} in attempt {status.job.attempts}")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        work_and_never_finish(sys.argv[2])
    else:
        main()
