"""From a Spleeter model's name to its engine: the weights from the store, the network in the runtime that is best."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from isomix.backends.spleeter.catalog import CHANNELS, EXACT_PARTS, FRAMES, NETWORK_FORM, get_evidence, get_variant
from isomix.backends.spleeter.engine import SpleeterEngine
from isomix.backends.spleeter.layout import CONVERTED_FILE, convert_checkpoint
from isomix.domain.options import EngineOptions
from isomix.engine import EngineSpec
from isomix.models.manifest import Manifest
from isomix.models.store import WeightsStore
from isomix.runtime.machine import check_device, choose_runtime

if TYPE_CHECKING:
    from isomix.backends.spleeter.network import SpleeterNetwork
    from isomix.runtime.openvino import OpenVinoNetwork
    from isomix.runtime.torch import TorchNetwork

SEGMENT_BYTES = 512 * 2**20
"""Working memory of one segment on an accelerator, rounded up."""


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
    EngineUnavailable, InvalidOptions
        If the device, precision or runtime that is asked for is not there.
    LicenceRefused
        If the options ask for commercial use.
    """
    spec.check_licence(options)
    _, bins = get_variant(spec.name)
    return SpleeterEngine(spec, options, _open_network(spec.name, options), bins)


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


def _open_network(model: str, options: EngineOptions) -> OpenVinoNetwork | TorchNetwork:
    choice = choose_runtime(model, options, get_evidence(model))
    check_device(options)
    path = get_weights(model, options)
    family, bins = get_variant(model)

    def build() -> SpleeterNetwork:
        from isomix.backends.spleeter.network import load_network  # torch, which a converted network does without

        return load_network(path, family)

    if choice.runtime == "torch":
        from isomix.runtime.torch import TorchNetwork, TorchRuntime

        return TorchNetwork(build(), TorchRuntime.from_options(options), segment_bytes=SEGMENT_BYTES)
    from isomix.runtime.openvino import Recipe, open_network

    recipe = Recipe(
        name=f"{family.weights.name}-{bins}",
        weights=[file.sha256 for file in Manifest.read(path.parent).files],
        shapes=[(1, CHANNELS, FRAMES, bins)],
        build=build,
        exact=EXACT_PARTS,
        form=NETWORK_FORM,
    )
    return open_network(recipe, choice.precision, WeightsStore(options.weights_dir).folder / "openvino")
