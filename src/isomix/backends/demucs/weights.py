"""Where a model's definition and networks are: the user's folder, the caches of this machine, the network.

A network is a file ``<signature>.safetensors`` (as on the hub) or ``<signature>-<first digits of sha256>.th`` (as
Demucs has always published them). What isomix downloads goes to its own weights folder; the caches that Demucs fills
are read, never written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from demucs.hf import DEFAULT_NAMESPACE, hf_repo_name
from demucs.pretrained import REMOTE_ROOT, _parse_remote_files

from isomix import settings
from isomix.backends.demucs.bag import Bag, format_bag, parse_bag
from isomix.backends.demucs.catalog import HUB, RELEASES
from isomix.backends.demucs.fetching import Report, fetch_file, fetch_from_hub, find_digits, verify
from isomix.backends.demucs.folder import find_networks
from isomix.domain.options import EngineOptions
from isomix.domain.progress import Progress
from isomix.domain.weights import StoredFile
from isomix.engine import EngineSpec
from isomix.errors import IntegrityError, StorageError, WeightsUnavailable
from isomix.models.manifest import describe_file, get_digest_path, write_digest
from isomix.models.store import WeightsStore

Fetch = Callable[[Report], Path]


def list_files(spec: EngineSpec, options: EngineOptions) -> list[StoredFile]:
    """List the files that a model consists of, with where they are on this machine; nothing is fetched.

    Parameters
    ----------
    spec : EngineSpec
        Its name says which one.
    options : EngineOptions
        ``weights_dir`` counts.
    """
    return Library(spec.name, options).list_files()


class Library:
    """The places where the files of one model may be.

    Parameters
    ----------
    model : str
        A bag's name, a network's signature, or ``"hf://namespace/name"``.
    options : EngineOptions
        ``repo``, ``weights_dir``, ``offline`` and ``on_progress`` count here.
    """

    def __init__(self, model: str, options: EngineOptions) -> None:
        self.model = model
        self._options = options
        self._name = model.removeprefix(HUB).rpartition("/")[2]
        self._legacy: dict[str, str] = {} if model.startswith(HUB) else _parse_remote_files(REMOTE_ROOT / "files.txt")
        self._hub = self._hub_repository()
        self._root = WeightsStore(options.weights_dir).folder
        self._folder = self._root / "demucs"
        if model.startswith(HUB):
            self._folder /= model.removeprefix(HUB).replace("/", "--")
        self._failures: dict[str, str] = {}

    def _hub_repository(self) -> str | None:
        if self.model.startswith(HUB):
            namespace = self.model.removeprefix(HUB).rpartition("/")[0] or DEFAULT_NAMESPACE
            return f"{namespace}/{hf_repo_name(self._name)}"
        is_released = any(release.name == self.model for release in RELEASES)
        return f"{DEFAULT_NAMESPACE}/{hf_repo_name(self.model)}" if is_released else None

    def get_bag(self) -> Bag:
        """Return the model's definition.

        Raises
        ------
        WeightsUnavailable
            If there is none.
        """
        bag = self._read_bag()
        if self._options.repo and self._options.keep and self.model.startswith(HUB):  # no other name leads to one
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / f"{self._name}.yaml").write_text(format_bag(bag), encoding="utf-8")
        return bag

    def _read_bag(self) -> Bag:
        repo, definition = self._options.repo, f"{self._name}.yaml"
        networks = find_networks(repo) if repo else self._legacy
        if self._name in networks:
            return Bag(self.model, (self._name,))
        if repo and repo.is_file() and networks:
            return Bag(self.model, tuple(networks))
        path = self._find_definition(definition) or self._fetch(self._hub_sources(definition), 0.0, 0.0)
        if path is None:
            raise self._unavailable([definition], size_bytes=None)
        return parse_bag(self.model, path.read_text(encoding="utf-8"))

    def get_files(self, signatures: Sequence[str]) -> dict[str, Path]:
        """Return the files of networks, from this machine or else the network.

        Parameters
        ----------
        signatures : sequence of str
            Which networks.

        Raises
        ------
        WeightsUnavailable
            If one is to be had nowhere.
        """
        found = {signature: path for signature in signatures if (path := self._find(signature))}
        if self._options.repo and self._options.keep:
            found = {signature: self._keep(path) for signature, path in found.items()}
        missing = [signature for signature in dict.fromkeys(signatures) if signature not in found]
        for done, signature in enumerate(missing):
            path = self._fetch(self._sources(signature), done / len(missing), 1 / len(missing))
            if path is None:
                raise self._unavailable_networks(missing[done:])
            found[signature] = path
        return found

    def _find_definition(self, name: str) -> Path | None:
        """Return a definition's file: the user's, else what the hub has, else Demucs' own for released models."""
        if self._options.repo is None and self.model.startswith(HUB):
            path = self._folder / name
            return path if path.is_file() else self._find_in_hub_cache(name)
        folders = [self._options.repo, REMOTE_ROOT] if self._options.repo else [REMOTE_ROOT]
        return next((folder / name for folder in folders if (folder / name).is_file()), None)

    @property
    def _is_offline(self) -> bool:
        return self._options.offline or settings.offline_requested()

    def _find(self, signature: str) -> Path | None:
        """Return a network's file on this machine, its checksum verified."""
        if repo := self._options.repo:
            return self._verified(find_networks(repo).get(signature, []), strict=True)
        return self._verified(self._list_copies(signature))

    def _list_copies(self, signature: str) -> list[Path]:
        """Return the files of a network on this machine, the best place first."""
        in_hub_cache = self._find_in_hub_cache(f"{signature}.safetensors")
        by_demucs = find_networks(self._checkpoints).get(signature, []) if self._legacy else []
        kept = find_networks(self._folder).get(signature, [])
        return [*kept, *([in_hub_cache] if in_hub_cache else []), *by_demucs]

    def list_files(self) -> list[StoredFile]:
        """Return what the model consists of: its networks, and its definition where that is not Demucs' own."""
        files: list[StoredFile] = []
        if self.model.startswith(HUB):
            definition = f"{self._name}.yaml"
            path = self._find_definition(definition)
            files.append(self._describe(definition, path))
            if path is None:
                return files
        return files + [self._describe_network(name) for name in dict.fromkeys(self.get_bag().signatures)]

    def _describe_network(self, signature: str) -> StoredFile:
        path = self._find(signature) or next(iter(self._list_copies(signature)), None)
        return self._describe(path.name if path else f"{signature}.safetensors", path)

    def _describe(self, name: str, path: Path | None) -> StoredFile:
        place = (self._folder / name).relative_to(self._root).as_posix()
        return StoredFile(name=place, path=path, sha256=find_digits(path) if path else "")

    def _keep(self, path: Path) -> Path:
        """Copy a file of the user's into the weights folder."""
        target = self._folder / path.name
        get_digest_path(target).unlink(missing_ok=True)
        fetch_file(path.resolve().as_uri(), target, find_digits(path), lambda _: None)
        write_digest(target, describe_file(target).sha256 or "")
        return target

    @property
    def _checkpoints(self) -> Path:
        """The folder where Demucs has put what it downloads itself."""
        return Path(torch.hub.get_dir(), "checkpoints")

    def _verified(self, paths: Sequence[Path], *, strict: bool = False) -> Path | None:
        if strict and len(paths) > 1:
            names = " and ".join(path.name for path in paths)
            raise WeightsUnavailable(f"{self.model!r} is there twice: {names}", hint="keep one", model=self.model)
        for path in paths:
            try:
                if digits := find_digits(path):
                    verify(path, digits)
                return path
            except IntegrityError as error:
                if strict:
                    raise WeightsUnavailable(
                        error.message, hint="copy it again", model=self.model, path=path
                    ) from error
                self._failures[str(path)] = error.message
        return None

    def _find_in_hub_cache(self, name: str) -> Path | None:
        if self._hub is None:
            return None
        from huggingface_hub import try_to_load_from_cache

        path = try_to_load_from_cache(self._hub, name)
        return Path(path) if isinstance(path, str) else None

    def _sources(self, signature: str) -> Iterator[tuple[str, Fetch]]:
        """Yield where a network can be fetched, best first, each with the name that a reader knows it by."""
        yield from self._hub_sources(f"{signature}.safetensors")
        if self._options.repo is None and signature in self._legacy:
            yield from self._legacy_sources(self._legacy[signature])

    def _hub_sources(self, name: str) -> Iterator[tuple[str, Fetch]]:
        if self._hub is not None and self._options.repo is None:
            repository = self._hub
            yield f"{HUB}{repository}", lambda report: fetch_from_hub(repository, name, self._folder, report)

    def _legacy_sources(self, url: str) -> Iterator[tuple[str, Fetch]]:
        folder, _, name = url.rpartition("/")
        checksum = name.removesuffix(".th").rpartition("-")[2]
        yield folder, lambda report: fetch_file(url, self._folder / name, checksum, report)

    def _fetch(self, sources: Iterator[tuple[str, Fetch]], done: float, share: float) -> Path | None:
        for place, fetch in sources:
            if self._is_offline:
                self._failures[place] = "not asked, offline"
            elif place not in self._failures:
                try:
                    return fetch(lambda fraction: self._report(done + share * fraction))
                except StorageError as error:
                    self._failures[place] = error.message
        return None

    def _report(self, fraction: float) -> None:
        if self._options.on_progress:
            self._options.on_progress(Progress(phase="download", fraction=fraction))

    def _unavailable_networks(self, signatures: Sequence[str]) -> WeightsUnavailable:
        names = [f"{signature}.safetensors" for signature in signatures]
        for index, signature in enumerate(signatures):
            if url := self._legacy.get(signature):
                names[index] += f" or {url.rpartition('/')[2]}"
        sizes = [release.network_bytes for release in RELEASES if release.name == self.model]
        return self._unavailable(names, sizes[0] * len(names) if sizes else None)

    def _unavailable(self, names: Sequence[str], size_bytes: int | None) -> WeightsUnavailable:
        """Say in one error what is missing, where it was looked for, and how to get it."""
        size = f" (about {size_bytes / 1e6:.0f} MB)" if size_bytes else ""
        message = f"the weights of {self.model!r} are not to be had: {', '.join(names)}{size}"
        folders = [self._options.repo] if self._options.repo else self._folders()
        message += "; looked in " + ", ".join(map(str, folders))
        message += "".join(f"; {place}: {reason}" for place, reason in self._failures.items())
        return WeightsUnavailable(
            message,
            hint=f"with a network, `isomix models pull {self.model}`; without, bring the files into a folder and "
            f"`isomix models import {self.model} DIR`, or name the folder each time: repo=DIR, --repo DIR",
            model=self.model,
            files=tuple(names),
            size_bytes=size_bytes,
            folders=tuple(folders),
            failures=dict(self._failures),
        )

    def _folders(self) -> list[Path]:
        from huggingface_hub.constants import HF_HUB_CACHE

        return [
            self._folder,
            *([Path(HF_HUB_CACHE)] if self._hub else []),
            *([self._checkpoints] if self._legacy else []),
        ]
