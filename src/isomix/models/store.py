"""A folder of weights on this machine: each model in its own subfolder, complete and verified, or not there.

A model's files come into a temporary folder beside their place, are verified, converted and described in a manifest;
then the folder is renamed. Whoever finds the name finds all of it; of two processes that fetch at once, the first to
rename wins and the other uses what is there. Every load checks the files against the manifest.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from isomix import settings
from isomix.domain.progress import Progress
from isomix.domain.weights import Source, WeightFile, Weights
from isomix.errors import IntegrityError, StorageError, WeightsUnavailable
from isomix.models.fetch import Report, fetch
from isomix.models.manifest import Manifest, check_file, describe_file

Convert = Callable[[Path, Path], None]
"""Reads a folder of original files and writes the files to be kept into another."""

_TEMPORARY = ".partial-"
_ABANDONED_SECONDS = 24 * 3600.0
_RENAMES = 3


class WeightsStore:
    """The weights on this machine.

    Parameters
    ----------
    folder : path, optional
        Where they live; None for the environment's or the platform's cache folder (see `settings.get_weights_dir`).

    Examples
    --------
    >>> WeightsStore("weights").folder.name
    'weights'
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        self.folder = settings.get_weights_dir() if folder is None else Path(folder).expanduser()

    def path_of(self, weights: Weights) -> Path:
        """Return the folder where these weights live or would live."""
        return self.folder / weights.name

    def find(self, weights: Weights) -> Manifest | None:
        """Return the record of stored weights, verified, or None if they are not here.

        Parameters
        ----------
        weights : Weights
            Which.

        Raises
        ------
        IntegrityError
            If they are here, but damaged.
        """
        return self._find(weights.name)

    def _find(self, name: str) -> Manifest | None:
        entry = self.folder / name
        if not entry.exists():
            return None
        manifest = Manifest.read(entry)
        manifest.check(entry)
        return manifest

    def remove(self, weights: Weights) -> bool:
        """Delete stored weights; return whether there were any.

        Raises
        ------
        StorageError
            If the folder cannot be written.
        """
        is_there = self.path_of(weights).exists()
        if is_there:
            with self.open_temporary() as trash:
                self._set_aside(weights.name, trash)
        return is_there

    def get(
        self,
        weights: Weights,
        *,
        model: str | None = None,
        convert: Convert | None = None,
        repo: Path | None = None,
        offline: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Path:
        """Return the folder that holds the weights, complete and verified; fetch them if they are not here.

        Parameters
        ----------
        weights : Weights
            Which.
        model : str, optional
            The model's name as users know it, for errors.
        convert : callable, optional
            Called once with the folder of the originals and the folder to fill; None keeps the originals.
        repo : path, optional
            A folder, archive or file of the user's with the originals. Nothing else is tried; what is stored is
            replaced unless it was made of the same originals.
        offline : bool
            Take only what is here; the environment can ask for it as well.
        on_progress : callable, optional
            Told how far the download is.

        Raises
        ------
        WeightsUnavailable
            If no source has them; it tells each source's reason.
        StorageError
            If the folder cannot be written.
        """
        failures: list[str] = []
        if repo is None and self._is_whole(weights, failures):
            return self.path_of(weights)
        if repo is None and (offline or settings.offline_requested()):
            failures += [f"{source}: not tried, being offline" for source in weights.sources]
            raise self._unavailable(weights, model or weights.name, failures, repo)
        report = _never_falling(on_progress)
        for source in weights.sources if repo is None else [repo]:
            if self._fetch(weights, source, convert, report, failures):
                return self.path_of(weights)
        raise self._unavailable(weights, model or weights.name, failures, repo)

    def _is_whole(self, weights: Weights, failures: list[str]) -> bool:
        try:
            return self.find(weights) is not None
        except IntegrityError as error:
            failures.append(f"stored copy: {error.message}")
            return False

    def _fetch(
        self, weights: Weights, source: Source | Path, convert: Convert | None, report: Report, failures: list[str]
    ) -> bool:
        """Store the weights from one source, or note why it is not to be had."""
        with self.open_temporary() as temporary:
            try:
                _prepare(weights, source, convert, report, temporary)
            except StorageError as error:
                failures.append(f"{source}: {error.message}")
                return False
            self.publish(weights.name, temporary / "entry", temporary)
        report(1.0)
        return True

    def publish(self, name: str, prepared: Path, temporary: Path) -> None:
        """Give a prepared entry its name, unless an equal one bears it by now.

        Parameters
        ----------
        name : str
            Name of the weights.
        prepared : Path
            A folder with a manifest and all that it names, inside ``temporary``.
        temporary : Path
            From `open_temporary`; it takes what stood there before.

        Raises
        ------
        IntegrityError
            If the prepared folder is not what its manifest says.
        StorageError
            If it cannot be moved.
        """
        manifest = Manifest.read(prepared)
        manifest.check(prepared)
        for attempt in range(_RENAMES):
            with suppress(IntegrityError):
                stored = self._find(name)
                if stored and stored.originals == manifest.originals:
                    return
            aside = temporary / f"aside-{attempt}"
            aside.mkdir()
            self._set_aside(name, aside)
            with suppress(OSError):
                prepared.rename(self.folder / name)
                return
        path = self.folder / name
        raise StorageError(f"the weights cannot be moved to {path}", path=str(path))

    def _set_aside(self, name: str, folder: Path) -> None:
        path = self.folder / name
        try:
            path.rename(folder / "entry")
        except FileNotFoundError:
            return
        except OSError as error:
            raise StorageError(f"{path} cannot be moved out of the way: {error}", path=str(path)) from error

    @contextmanager
    def open_temporary(self) -> Iterator[Path]:
        """Give a folder beside the entries, and take it away with what is left in it.

        Raises
        ------
        StorageError
            If the weights folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            temporary = tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=self.folder, ignore_cleanup_errors=True)
        except OSError as error:
            raise StorageError(
                f"the weights folder {self.folder} cannot be written: {error}",
                hint=f"name another with {settings.WEIGHTS_DIR}",
                path=str(self.folder),
            ) from error
        with temporary as path:
            yield Path(path)

    def _sweep(self) -> None:
        """Delete what killed processes have left."""
        for path in self.folder.glob(f"{_TEMPORARY}*"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                    shutil.rmtree(path, ignore_errors=True)

    def _unavailable(
        self, weights: Weights, model: str, failures: Sequence[str], repo: Path | None
    ) -> WeightsUnavailable:
        files = ", ".join(map(_describe, weights.files))
        reasons = "; ".join(failures)
        message = (
            f"the weights {weights.name} of {model} ({files}) are not in {self.folder}, and cannot be had: {reasons}"
        )
        hint = (
            f"get them with `isomix models pull {model}` where there is a network, name a folder or archive that "
            f"has them (`--repo DIR`, repo=), or set {settings.WEIGHTS_DIR} to a folder where they are stored"
        )
        if repo is not None:
            message = f"{repo} does not give the weights {weights.name} of {model} ({files}): {reasons}"
            hint = "name a folder or archive that has these files, or none, to use what is stored or fetched"
        return WeightsUnavailable(
            message,
            hint=hint,
            model=model,
            weights=weights.name,
            files=tuple(file.name for file in weights.files),
            folder=str(self.folder),
            failures=tuple(failures),
        )


def _prepare(weights: Weights, source: Source | Path, convert: Convert | None, report: Report, temporary: Path) -> None:
    """Fill ``temporary/entry`` from a source: fetched, verified, converted, described."""
    originals, entry = temporary / "originals", temporary / "entry"
    originals.mkdir()
    report(0.0)
    fetch(source, [file.name for file in weights.files], originals, report)
    found = [check_file(originals / file.name, file) for file in weights.files]
    if convert is None:
        originals.rename(entry)
    else:
        entry.mkdir()
        convert(originals, entry)
    Manifest.of(weights, str(source), found, map(describe_file, sorted(entry.iterdir()))).write(entry)


def _never_falling(on_progress: Callable[[Progress], None] | None) -> Report:
    """Return a reporter for one download after another: a second source does not begin anew."""
    highest = 0.0

    def report(fraction: float) -> None:
        nonlocal highest
        highest = max(highest, fraction)
        if on_progress is not None:
            on_progress(Progress(phase="download", fraction=highest))

    return report


def _describe(file: WeightFile) -> str:
    return file.name if file.size_bytes is None else f"{file.name}, {file.size_bytes / 1e6:.1f} MB"
