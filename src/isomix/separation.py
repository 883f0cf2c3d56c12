"""`separate` and `Separator`: the pipe from any source to arrays or files."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

import attrs

from isomix.audio.blocks import Audio
from isomix.audio.formats import FileFormat
from isomix.audio.sink import ArraySink, FileSink
from isomix.audio.source import SourceLike, open_source
from isomix.domain.options import EngineChoices, EngineOptions
from isomix.domain.progress import CancelToken
from isomix.domain.stems import RESIDUAL, StemPlan
from isomix.engine import EngineSpec
from isomix.errors import EngineUnavailable, InvalidOptions, WeightsUnavailable
from isomix.pipe import Pipe, StemBlock
from isomix.plugins import installed, open_engine
from isomix.progress import Listener, ProgressLike, listening
from isomix.result import Separation, StemAudio
from isomix.settings import offline_requested

DEFAULT_MODEL = "htdemucs"
"""The best quality among the models whose weights are published; nothing else is ever taken in its stead."""

_WITHOUT_WEIGHTS = "hpss"


@contextmanager
def suggesting_another_model(model: str | EngineSpec) -> Iterator[None]:
    """Add to the error of a model that cannot be had which one can."""
    try:
        yield
    except (EngineUnavailable, WeightsUnavailable) as error:
        if model == _WITHOUT_WEIGHTS:
            raise
        another = f'choose another model: `isomix models list` names them, model="{_WITHOUT_WEIGHTS}" needs no weights'
        error.hint = f"{error.hint}; or {another}" if error.hint else another
        raise


def resolve(
    model: str | EngineSpec, stems: Sequence[str] | None, on_progress: Listener, choices: EngineChoices
) -> tuple[EngineSpec, StemPlan, EngineOptions]:
    """Find a model and check what is asked of it; no weights are looked for.

    Parameters
    ----------
    model : str or EngineSpec
        One of `isomix.list_models`.
    stems : sequence of str, optional
        The stems that are wanted.
    on_progress : callable
        Hears about downloads.
    choices : EngineChoices
        As they were given.

    Returns
    -------
    spec : EngineSpec
    plan : StemPlan
    options : EngineOptions
        For the stems that have to be computed.

    Raises
    ------
    UnknownModel, UnknownStem, InvalidOptions
        If a name or an option does not exist.
    """
    if isinstance(stems, str):
        raise InvalidOptions(f"stems must be a list of names, not {stems!r}", option="stems", value=stems)
    unknown = sorted(set(choices) - set(EngineChoices.__annotations__))
    if unknown:
        known = ", ".join(EngineChoices.__annotations__)
        raise InvalidOptions(f"there is no option {unknown[0]!r}; there are {known}", option=unknown[0], value=None)
    choices["offline"] = choices.get("offline", False) or offline_requested()
    options = EngineOptions(on_progress=on_progress, **choices)
    spec = model if isinstance(model, EngineSpec) else installed().get_spec(model, options)
    plan = StemPlan.of(spec.name, spec.stems, stems)
    return spec, plan, attrs.evolve(options, stems=plan.computed)


class Separator:
    """A model with its weights loaded, for any number of recordings. Safe to use from several threads.

    Parameters
    ----------
    model : str or EngineSpec
        One of `isomix.list_models`.
    stems : sequence of str, optional
        The stems that are wanted: the model's own, ``"accompaniment"`` (the mixture minus the vocals) or
        ``"residual"`` (the mixture minus every stem). Work that none of them needs is left out.
    progress : None, True or callable
        Hears about downloads while the model loads; see `isomix.separate`.
    **options
        Fields of `isomix.EngineOptions`: ``device``, ``precision``, ``runtime``, ``overlap``, ``shifts``,
        ``seed``, ``batch_size``, ``on_device_error``, ``repo``, ``weights_dir``, ``offline``, ``trust_pickle``.

    Raises
    ------
    UnknownModel, UnknownStem, InvalidOptions
        If a name or an option does not exist.
    EngineUnavailable, WeightsUnavailable
        If the model's packages or weights are not there; the message says how to get them.

    Examples
    --------
    >>> import numpy as np
    >>> with Separator("hpss", stems=["drums"]) as separator:
    ...     separation = separator.separate((np.zeros((2, 44100), np.float32), 44100))
    >>> separation["drums"].array.shape
    (2, 44100)
    """

    def __init__(
        self,
        model: str | EngineSpec = DEFAULT_MODEL,
        *,
        stems: Sequence[str] | None = None,
        progress: ProgressLike = None,
        **options: Unpack[EngineChoices],
    ) -> None:
        started = time.monotonic()
        with suggesting_another_model(model), listening(progress) as listener:
            self.spec, self._plan, self.options = resolve(model, stems, listener, options)
            self._engine = open_engine(self.spec, self.options)
        self._load_seconds = time.monotonic() - started

    @property
    def stems(self) -> tuple[str, ...]:
        """The stems that come out, in order."""
        return self._plan.names

    @property
    def device(self) -> str:
        """Where the network runs, as it was chosen."""
        return self._engine.device

    @property
    def precision(self) -> str:
        """In which arithmetic, as it was chosen."""
        return self._engine.precision

    @property
    def runtime(self) -> str:
        """By what, as it was chosen."""
        return self._engine.runtime

    def separate(
        self,
        source: SourceLike,
        *,
        output: str | Path | None = None,
        format: str = "wav",  # noqa: A002 - the word users know
        encoding: str | None = None,
        stream: int = 0,
        progress: ProgressLike = None,
        cancel: CancelToken | None = None,
    ) -> Separation:
        """Separate one recording. The parameters are those of `isomix.separate`."""
        file_format = FileFormat.of(format, encoding)
        with self.open_pipe(source, stream=stream, progress=progress, cancel=cancel) as pipe:
            with self._sink(pipe, output, file_format) as sink:
                if isinstance(sink, FileSink):
                    sink.check_spares(source)
                started = time.monotonic()
                for block in pipe.blocks():
                    sink.write(_kept(block, in_memory=output is None))
                separated = time.monotonic()
                pipe.meter.report("write", 0.0)
                pipe.cancel.check()
                gain_db = sink.commit()
            timings = {
                "load": self._load_seconds,
                "separate": separated - started,
                "write": time.monotonic() - separated,
            }
            pipe.meter.finish(pipe.duration)
            return self._result(pipe, sink, gain_db, timings)

    def stream(
        self,
        source: SourceLike,
        *,
        stream: int = 0,
        progress: ProgressLike = None,
        cancel: CancelToken | None = None,
    ) -> Iterator[StemBlock]:
        """Yield stems while the separation runs, each stretch as soon as it is final.

        Parameters
        ----------
        source, stream, progress, cancel
            As in `isomix.separate`.

        Yields
        ------
        StemBlock
            In order, without gaps, together as long as the recording.
        """
        with self.open_pipe(source, stream=stream, progress=progress, cancel=cancel) as pipe:
            yield from pipe.blocks()
            pipe.meter.finish(pipe.duration)

    @contextmanager
    def open_pipe(
        self,
        source: SourceLike,
        *,
        stream: int = 0,
        name: str | None = None,
        max_seconds: float | None = None,
        progress: ProgressLike = None,
        cancel: CancelToken | None = None,
    ) -> Iterator[Pipe]:
        """Put a recording before the engine, for callers that bring their own sinks; `separate` and `stream` do so.

        Parameters
        ----------
        source, stream, progress, cancel
            As in `isomix.separate`.
        name : str, optional
            How messages call the recording.
        max_seconds : float, optional
            A recording that turns out longer raises `TooLong` while it is read, whatever its header says.

        Yields
        ------
        Pipe
            Read its `Pipe.blocks` once; then it tells ``position``, ``notes`` and ``null_error_db``. Whoever has
            stored everything calls ``pipe.meter.finish(pipe.duration)``.

        Examples
        --------
        >>> import numpy as np
        >>> with Separator("hpss") as separator, separator.open_pipe((np.zeros((2, 44100), np.float32), 44100)) as pipe:
        ...     names = [list(block.stems) for block in pipe.blocks()]
        >>> names, pipe.position
        ([['drums', 'bass', 'other']], 44100)
        """
        with (
            listening(progress) as listener,
            open_source(source, stream=stream, name=name, max_seconds=max_seconds) as opened,
        ):
            yield Pipe(opened, self._engine, self._plan, listener, cancel or CancelToken())

    def close(self) -> None:
        """Let go of the weights; closing twice is harmless."""
        self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _sink(self, pipe: Pipe, output: str | Path | None, file_format: FileFormat) -> ArraySink | FileSink:
        expected = pipe.source.expected_samples
        if output is None:
            residual = (RESIDUAL,) if self._plan.has_all else ()
            return ArraySink(tuple(dict.fromkeys((*self.stems, *residual))), pipe.channels, expected)
        return FileSink(
            output,
            self.stems,
            file_format,
            sample_rate=pipe.source.sample_rate,
            channels=pipe.channels,
            expected_samples=expected,
        )

    def _result(
        self, pipe: Pipe, sink: ArraySink | FileSink, gain_db: float, timings: Mapping[str, float]
    ) -> Separation:
        rate, duration = pipe.source.sample_rate, pipe.duration
        if isinstance(sink, FileSink):
            stems = {name: StemAudio(name, rate, duration, path) for name, path in sink.paths.items()}
        else:
            stems = {name: StemAudio(name, rate, duration, None, array) for name, array in sink.arrays.items()}
        return Separation(
            model=self.spec.name,
            options=attrs.evolve(self.options, on_progress=None),
            device=self.device,
            precision=self.precision,
            runtime=self.runtime,
            sample_rate=rate,
            channels=pipe.channels,
            samples=pipe.position,
            null_error_db=pipe.null_error_db,
            gain_db=gain_db,
            timings=timings,
            notes=pipe.notes,
            stems={name: stems[name] for name in self.stems},
            residual=stems.get(RESIDUAL),
        )


def _kept(block: StemBlock, *, in_memory: bool) -> Mapping[str, Audio]:
    """Return what a sink takes of a block: in memory the residual too, which then costs nobody a second pass."""
    if in_memory and block.residual is not None:
        return {**block.stems, RESIDUAL: block.residual}
    return block.stems


def separate(
    source: SourceLike,
    model: str | EngineSpec = DEFAULT_MODEL,
    *,
    stems: Sequence[str] | None = None,
    output: str | Path | None = None,
    format: str = "wav",  # noqa: A002 - the word users know
    encoding: str | None = None,
    stream: int = 0,
    progress: ProgressLike = None,
    cancel: CancelToken | None = None,
    **options: Unpack[EngineChoices],
) -> Separation:
    """Separate a recording into stems.

    Stems have the recording's own sample rate, channels and exact length. For many recordings, keep a `Separator`.

    Parameters
    ----------
    source : path, bytes, binary file object, fsspec URL or (array, sample_rate)
        The mixture; an array is floating point of shape ``(channels, samples)``, its sample rate in Hz.
    model : str or EngineSpec
        One of `isomix.list_models`.
    stems : sequence of str, optional
        The stems that are wanted: the model's own, ``"accompaniment"`` (the mixture minus the vocals) or
        ``"residual"`` (the mixture minus every stem).
    output : path or fsspec URL, optional
        A folder for ``<stem>.<format>``; memory then stays flat however long the recording. Without it, stems are
        arrays in memory.
    format : {"wav", "flac", "mp3", "ogg"}
        Format of the files.
    encoding : {"int16", "int24", "float32"}, optional
        How their samples are stored; int16 for wav and flac if not given.
    stream : int
        Which audio stream of a container that has several.
    progress : None, True or callable
        Nothing, a bar, or a callable that hears `isomix.Progress` events.
    cancel : CancelToken, optional
        Stops the work within one segment; no file is left.
    **options
        Fields of `isomix.EngineOptions`, such as ``device="cuda"`` or ``shifts=2``.

    Returns
    -------
    Separation
        A mapping of stem name to `StemAudio`, with what was decided and measured.

    Raises
    ------
    AudioRejected
        If the recording cannot be read (its subclasses say why).
    UnknownModel, UnknownStem, InvalidOptions
        If a name or an option does not exist.
    EngineUnavailable, WeightsUnavailable
        If the model's packages or weights are not there.
    SeparationFailed
        If the engine fails.
    StorageError
        If the stems cannot be written.
    SeparationCancelled
        If the cancel token was used.

    Examples
    --------
    >>> import numpy as np
    >>> noise = np.random.default_rng(0).standard_normal((1, 22050)).astype(np.float32)
    >>> separation = separate((noise, 22050), "hpss")
    >>> list(separation), separation["drums"].array.shape
    (['drums', 'bass', 'other'], (1, 22050))
    """
    with (
        listening(progress) as listener,
        Separator(model, stems=stems, progress=listener, **options) as separator,
    ):
        return separator.separate(
            source,
            output=output,
            format=format,
            encoding=encoding,
            stream=stream,
            progress=listener,
            cancel=cancel,
        )
