"""Spleeter's networks and transforms equal its formulas, written out in numpy, on random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from isomix.backends.spleeter import isomix_engines
from isomix.backends.spleeter.catalog import FAMILIES, SEGMENTATION, get_variant
from isomix.backends.spleeter.engine import SpleeterEngine
from isomix.backends.spleeter.layout import list_variables
from isomix.backends.spleeter.network import SpleeterNetwork, UNet, load_network
from isomix.domain.options import EngineOptions
from isomix.errors import IntegrityError
from isomix.runtime.torch import TorchNetwork, TorchRuntime

Array = NDArray[np.float64]
SPECS = {spec.name: spec for spec in isomix_engines()}


def random_network(family: str) -> SpleeterNetwork:
    """Build a family's network with weights that let signals through."""
    facts = FAMILIES[family]
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(5)
    network = SpleeterNetwork(facts.stems, is_elu=facts.is_elu, is_softmax=facts.is_softmax)
    for name, tensor in network.state_dict().items():
        if "norm" in name and tensor.is_floating_point():
            tensor.uniform_(0.5, 1.5)
    torch.random.set_rng_state(torch_state)
    return network.eval().requires_grad_(False)


def same_conv(x: Array, kernel: Array, bias: Array) -> Array:
    """TensorFlow's Conv2D, kernel (H, W, in, out), stride 2, "same": one zero before, two behind."""
    padded = np.pad(x, ((1, 2), (1, 2), (0, 0)))
    height, width = x.shape[0] // 2, x.shape[1] // 2
    out = np.zeros((height, width, kernel.shape[-1])) + bias
    for i, j in np.ndindex(5, 5):
        out += padded[i : i + 2 * height : 2, j : j + 2 * width : 2] @ kernel[i, j]
    return out


def same_transposed_conv(x: Array, kernel: Array, bias: Array) -> Array:
    """TensorFlow's Conv2DTranspose, kernel (H, W, out, in): what the gradient of `same_conv` writes."""
    height, width, _ = x.shape
    out = np.zeros((2 * height + 3, 2 * width + 3, kernel.shape[2]))
    for i, j in np.ndindex(5, 5):
        out[i : i + 2 * height : 2, j : j + 2 * width : 2] += x @ kernel[i, j].T
    return out[1:-2, 1:-2] + bias


def dilated_conv(x: Array, kernel: Array, bias: Array) -> Array:
    """TensorFlow's 4x4 Conv2D of dilation 2, "same"."""
    padded = np.pad(x, ((3, 3), (3, 3), (0, 0)))
    taps = [padded[2 * i : 2 * i + x.shape[0], 2 * j : 2 * j + x.shape[1]] @ kernel[i, j] for i, j in np.ndindex(4, 4)]
    return np.sum(taps, axis=0) + bias


def unet_in_numpy(x: Array, w: dict[str, Array], is_elu: bool) -> Array:
    """Spleeter's ``apply_unet`` up to the logits, on (frames, bins, channels)."""

    def elu(x: Array) -> Array:
        return np.where(x > 0, x, np.expm1(np.minimum(x, 0)))

    def norm(x: Array, name: str) -> Array:
        scale = w[f"{name}.weight"] / np.sqrt(w[f"{name}.running_var"] + 1e-3)
        return (x - w[f"{name}.running_mean"]) * scale + w[f"{name}.bias"]

    def layer(name: str) -> tuple[Array, Array]:
        return w[f"{name}.weight"].transpose(2, 3, 1, 0), w[f"{name}.bias"]

    skips = []
    for level in range(6):
        skips.append(same_conv(x, *layer(f"down.{level}.conv")))
        if level < 5:
            x = norm(skips[-1], f"down.{level}.norm")
            x = elu(x) if is_elu else np.where(x > 0, x, 0.2 * x)
    x = skips.pop()
    for level in range(6):
        x = same_transposed_conv(x, *layer(f"up.{level}.conv"))
        x = norm(elu(x) if is_elu else np.maximum(x, 0), f"up.{level}.norm")
        x = np.concatenate([skips.pop(), x], axis=-1) if skips else x
    return dilated_conv(x, *layer("mask"))


@pytest.mark.parametrize("family", ["2stems", "4stems"])
def test_a_unet_equals_tensorflows_conventions(family: str) -> None:
    """The U-Net equals padding, cropping, activations and normalisation as TensorFlow defines them."""
    is_elu = FAMILIES[family].is_elu
    unet = next(module for module in random_network(family).children() if isinstance(module, UNet))
    weights = {name: tensor.double().numpy() for name, tensor in unet.state_dict().items()}
    x = np.random.default_rng(1).uniform(0, 3, (64, 128, 2))
    expected = unet_in_numpy(x, weights, is_elu)
    found = unet(torch.tensor(x.transpose(2, 0, 1)[None], dtype=torch.float32))[0].numpy().transpose(1, 2, 0)
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize("family", FAMILIES)
def test_estimates_lie_between_silence_and_the_mixture(family: str) -> None:
    """No stem has more than the mixture's magnitude; where masks compete, the stems sum to it."""
    x = torch.rand(2, 2, 64, 64)
    estimates = random_network(family).estimate(x)
    assert estimates.shape == (2, len(FAMILIES[family].stems), *x.shape[1:])
    assert bool((estimates >= 0).all())
    assert bool((estimates <= x[:, None]).all())
    if FAMILIES[family].is_softmax:
        torch.testing.assert_close(estimates.sum(1), x)


@pytest.mark.parametrize("family", FAMILIES)
def test_masks_share_out_what_there_is(family: str) -> None:
    """The masks of all stems sum to one, in silence too, where each has the same."""
    x = torch.rand(1, 2, 64, 64)
    x[..., 32:] = 0
    masks = random_network(family)(x)
    torch.testing.assert_close(masks.sum(1), torch.ones_like(x))
    torch.testing.assert_close(masks[..., 32:], torch.full_like(masks[..., 32:], 1 / len(FAMILIES[family].stems)))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_network_has_the_tensors_of_the_layout(family: str) -> None:
    """What the conversion writes is what the network reads, name by name."""
    with torch.device("meta"):
        names = random_network(family).state_dict()
    counters = {name for name in names if name.endswith("num_batches_tracked")}
    assert set(names) - counters == set(list_variables(FAMILIES[family].stems))


def spleeter_in_numpy(mixture: Array, network: SpleeterNetwork, bins: int) -> Array:
    """Spleeter's prediction for one block of 512 frames, up to the waveform."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(4096) / 4096)
    stft = np.stack([np.fft.rfft(mixture[:, k * 1024 : k * 1024 + 4096] * window) for k in range(512)], axis=1)
    magnitudes = torch.tensor(np.abs(stft)[None, :, :, :bins], dtype=torch.float32)
    outputs = network.estimate(magnitudes)[0].double().numpy()
    out = np.zeros((len(outputs), *mixture.shape))
    for stem, output in enumerate(outputs):
        mask = (output**2 + 1e-10 / len(outputs)) / (np.sum(outputs**2, axis=0) + 1e-10)
        masked = np.zeros_like(stft)
        masked[:, :, :bins] = stft[:, :, :bins] * mask
        for k in range(512):
            frame = np.fft.irfft(masked[:, k], 4096) * window * 2 / 3
            out[stem, :, k * 1024 : k * 1024 + 4096] += frame
    return out


@pytest.fixture(scope="module")
def network() -> SpleeterNetwork:
    return random_network("2stems")


@pytest.fixture(scope="module")
def mixture() -> NDArray[np.float32]:
    noise = np.random.default_rng(2).normal(0, 0.1, (2, SEGMENTATION.length))
    noise[:, 300_000:] = 0
    return noise.astype(np.float32)


def make_engine(network: SpleeterNetwork, model: str = "spleeter:2stems", **choices: Any) -> SpleeterEngine:
    options = EngineOptions(**choices)
    runtime = TorchNetwork(network, TorchRuntime("cpu"), segment_bytes=1)
    return SpleeterEngine(SPECS[model], options, runtime, get_variant(model)[1])


def test_a_segment_equals_spleeters_formulas(network: SpleeterNetwork, mixture: NDArray[np.float32]) -> None:
    """A segment's stems equal STFT, masks and inverse STFT written out, for the wider band too."""
    engine = make_engine(network, "spleeter:2stems-16kHz")
    expected = spleeter_in_numpy(mixture.astype(np.float64), network, 1536)
    np.testing.assert_allclose(engine.separate(mixture[None])[0], expected, atol=2e-6)


def test_one_stem_alone_is_the_same_stem(network: SpleeterNetwork, mixture: NDArray[np.float32]) -> None:
    """Asking for one stem leaves out the other, and changes nothing in it."""
    both = make_engine(network).separate(mixture[None])
    one = make_engine(network, stems=("accompaniment",)).separate(mixture[None])
    np.testing.assert_array_equal(one[:, 0], both[:, 1])


def test_a_batch_is_its_segments(network: SpleeterNetwork, mixture: NDArray[np.float32]) -> None:
    """Two segments at once come out as each alone."""
    pair = np.stack([mixture, mixture[:, ::-1]])
    engine = make_engine(network)
    each = np.concatenate([engine.separate(segment[None]) for segment in pair])
    np.testing.assert_allclose(engine.separate(pair), each, atol=1e-6)


def test_silence_stays_silence(network: SpleeterNetwork) -> None:
    """No input, no output, and a segment that is cut short comes back as short."""
    engine = make_engine(network)
    stems = engine.separate(np.zeros((1, 2, 10_000), np.float32))
    assert stems.shape == (1, 2, 2, 10_000)
    assert not stems.any()


def test_a_loaded_network_is_the_saved_one(network: SpleeterNetwork, tmp_path: Path) -> None:
    """Weights that went through a file give the same estimates; those of other stems are refused."""
    family = FAMILIES["2stems"]
    tensors = {name: network.state_dict()[name].clone() for name in list_variables(family.stems)}
    save_file(tensors, tmp_path / "model.safetensors")
    x = torch.rand(1, 2, 64, 64)
    torch.testing.assert_close(load_network(tmp_path / "model.safetensors", family)(x), network(x), rtol=0, atol=1e-6)
    with pytest.raises(IntegrityError, match="does not fit the network"):
        load_network(tmp_path / "model.safetensors", attrs.evolve(family, stems=("vocals", "drums")))


def test_the_specs_say_what_the_models_are() -> None:
    """Six models are offered, stems in Spleeter's order, their licence not claimed to be free."""
    assert sorted(SPECS) == sorted(f"spleeter:{family}{end}" for family in FAMILIES for end in ("", "-16kHz"))
    assert SPECS["spleeter:5stems"].stems == ("vocals", "piano", "drums", "bass", "other")
    assert {spec.commercial_use for spec in SPECS.values()} == {"unknown"}
    assert all(spec.weights is not None and spec.extra == "spleeter" for spec in SPECS.values())
