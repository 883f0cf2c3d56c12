"""Spleeter as an engine: the weights from the store, the network on its device."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from isomix.audio.blocks import Audio
from isomix.backends.spleeter.catalog import Family, get_variant
from isomix.backends.spleeter.layout import CONVERTED_FILE, convert_checkpoint
from isomix.backends.spleeter.network import SpleeterNetwork
from isomix.backends.spleeter.transform import SegmentNetwork
from isomix.domain.options import EngineOptions
from isomix.engine import EngineSpec, SeparationEngine
from isomix.errors import IntegrityError
from isomix.models.store import WeightsStore
from isomix.runtime.torch import TorchRuntime, prepare

SEGMENT_BYTES = 512 * 2**20
"""Working memory of one segment on an accelerator, rounded up."""


class SpleeterEngine(SeparationEngine):
    """A Spleeter model with its weights loaded.

    Parameters
    ----------
    spec : EngineSpec
        Which model.
    options : EngineOptions
        How to run it.
    network : SpleeterNetwork
        For all stems of the spec, wanted or not.
    bins : int
        Frequency bins the network is given.
    """

    runtime = "torch"

    def __init__(self, spec: EngineSpec, options: EngineOptions, network: SpleeterNetwork, bins: int) -> None:
        super().__init__(spec, options)
        self._torch = TorchRuntime.from_options(options)
        self._network = prepare(SegmentNetwork(network, bins, [spec.stems.index(stem) for stem in self.stems]))
        self.batch_size = options.batch_size or self._torch.choose_batch_size(SEGMENT_BYTES)
        self._record()

    def _separate(self, mixture: Audio) -> Audio:
        stems = self._torch.run(self._network, mixture)
        self._record()
        return stems

    def _record(self) -> None:
        """Say where the work is done: it may have moved."""
        self.device, self.precision = self._torch.device_name, self._torch.precision_name


def open_spleeter(spec: EngineSpec, options: EngineOptions) -> SpleeterEngine:
    """Open a Spleeter model, fetching its weights if they are not there.

    Parameters
    ----------
    spec : EngineSpec
        One of `catalog.list_specs`.
    options : EngineOptions
        ``repo`` names a folder or archive with the official checkpoint.

    Returns
    -------
    SpleeterEngine

    Raises
    ------
    WeightsUnavailable
        If no source has the weights.
    IntegrityError
        If the stored weights are not this model's.
    """
    family, bins = get_variant(spec.name)
    return SpleeterEngine(spec, options, load_network(get_weights(spec.name, options), family), bins)


def get_weights(model: str, options: EngineOptions) -> Path:
    """Return the converted checkpoint of a model, fetched if it is not in the store.

    Parameters
    ----------
    model : str
        Such as ``"spleeter:2stems"``.
    options : EngineOptions
        Where to look.

    Raises
    ------
    WeightsUnavailable
        If no source has it.
    """
    family, _ = get_variant(model)
    folder = WeightsStore(options.weights_dir).get(
        family.weights,
        model=model,
        convert=lambda source, target: convert_checkpoint(source, target, family.stems),
        repo=options.repo,
        offline=options.offline,
        on_progress=options.on_progress,
    )
    return folder / CONVERTED_FILE


def load_network(path: Path, family: Family) -> SpleeterNetwork:
    """Load a family's network from a converted checkpoint.

    Parameters
    ----------
    path : Path
        What `layout.convert_checkpoint` wrote.
    family : Family
        Whose it is.

    Raises
    ------
    IntegrityError
        If the file is not the family's.
    """
    try:
        return SpleeterNetwork.from_tensors(
            load_file(path), family.stems, is_elu=family.is_elu, is_softmax=family.is_softmax
        )
    except (OSError, RuntimeError, SafetensorError) as error:
        raise IntegrityError(f"{path.name} does not fit the network: {error}", path=str(path)) from error
