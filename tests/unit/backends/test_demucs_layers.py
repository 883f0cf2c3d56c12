"""A transformer's rewritten layers: the same outcome, without a copy of the weights."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from demucs.hdemucs import HEncLayer
from demucs.htdemucs import HTDemucs
from tests.tiny_demucs import SAMPLE_RATE, SMALL, STEMS, one_thread  # noqa: F401 - a fixture

from isomix.backends.demucs.layers import Decoder, Encoder, TokenNorm, rewrite_layers
from isomix.backends.demucs.running import worst_error_db

SAMPLES = int(7.8 * SAMPLE_RATE)


def make_network(**changes: Any) -> Any:
    """Return a small random transformer whose residual branches count as much as trained ones."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = HTDemucs(STEMS, **{**SMALL["htdemucs"], "samplerate": SAMPLE_RATE, **changes}).eval()
        for name, parameter in network.named_parameters():
            if name.endswith("scale") and parameter.dim() == 1:
                torch.nn.init.uniform_(parameter, 0.3, 1.0)
            elif parameter.dim() == 1:
                torch.nn.init.uniform_(parameter, -1.0, 1.0)  # a norm's weights are 1 and 0, and would hide mistakes
    return network


def separate(network: Any) -> torch.Tensor:
    """Return what a network makes of noise."""
    with torch.inference_mode():
        mixture = torch.randn((1, 2, SAMPLES), generator=torch.Generator().manual_seed(1))
        stems: torch.Tensor = network(mixture)[0]
    return stems


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"depth": 4, "bottom_channels": 64, "t_layers": 5},
        {"dconv_depth": 2, "dconv_comp": 4},
        {"t_layers": 0},
        {"stride": 2, "kernel_size": 4, "nfft": 512, "depth": 2, "t_layers": 0},
        {"t_norm_out": False},
        {"dconv_mode": 3},
        {"norm_starts": 1},
        {"rewrite": False},
    ],
    ids=str,
)
def test_rewriting_changes_nothing(changes: dict[str, Any]) -> None:
    """A rewritten network gives the original's stems, to 110 dB, whatever the network is made of."""
    network = make_network(**changes)
    expected = separate(network).numpy()
    assert worst_error_db(expected, separate(rewrite_layers(network)).numpy()) < -110


def test_every_layer_of_a_released_network_is_rewritten() -> None:
    """A network made as htdemucs is keeps no layer as it was, so that all of it runs fast."""
    rewritten = rewrite_layers(make_network(depth=4, bottom_channels=64, t_layers=5))
    assert all(isinstance(layer, Encoder) for layer in [*rewritten.encoder, *rewritten.tencoder])
    assert all(isinstance(layer, Decoder) for layer in [*rewritten.decoder, *rewritten.tdecoder])
    transformer = rewritten.crosstransformer
    assert all(isinstance(layer.norm_out, TokenNorm) for layer in [*transformer.layers, *transformer.layers_t])


def test_the_original_stays_as_it_is() -> None:
    """The network that was given has its own layers afterwards, and gives bit-equal stems."""
    network = make_network()
    expected = separate(network)
    rewrite_layers(network)
    assert all(isinstance(layer, HEncLayer) for layer in network.encoder)
    assert torch.equal(separate(network), expected)


def test_weights_are_shared() -> None:
    """The halves of a gate's convolution lie in the original's memory: nothing large is held twice."""
    network = make_network()
    gate = rewrite_layers(network).decoder[0].gate
    whole = network.decoder[0].rewrite.weight
    assert gate.value.weight.data_ptr() == whole.data_ptr()
    assert gate.gate.weight.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()
