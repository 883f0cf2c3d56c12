"""A transformer's layers in a form that compilers of networks run well: the same arithmetic in fewer passes of memory.

What is changed, and what OpenVINO made of the original on a CPU:

- A transposed convolution in time, of kernels two strides long, is a convolution of kernel 2 whose channels are then
  shuffled into samples (Shi et al., "Is the deconvolution layer the same as a convolutional layer?", 2016). OpenVINO
  has no fast transposed convolution of one dimension.
- A convolution before a gated linear unit is two: OpenVINO copies the halves of one.
- Residual branches see the frequency axis as a second dimension instead of as a batch, which took permuting it there
  and back; their group norms are means, which need no other order of memory.
- A group norm of one group over ``(tokens, channels)`` does not care for order, and needs no transpose.

A layer that is not as HTDemucs makes it is left as it is.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from demucs.demucs import DConv
from demucs.hdemucs import HDecLayer, HEncLayer
from demucs.transformer import MyGroupNorm
from torch import nn
from torch.nn import functional

FORM = 2
"""To be raised whenever this file makes other operations of a network: what was compiled before is not taken then."""


def rewrite_layers(network: Any) -> Any:
    """Return a transformer whose layers are rewritten; it shares the weights of the one that is given.

    Parameters
    ----------
    network : HTDemucs
        In evaluation mode; left as it is.
    """
    rewritten = _copy(network)
    for branch in ("encoder", "tencoder"):
        setattr(rewritten, branch, nn.ModuleList(map(_rewrite_encoder, getattr(network, branch))))
    for branch in ("decoder", "tdecoder"):
        setattr(rewritten, branch, nn.ModuleList(map(_rewrite_decoder, getattr(network, branch))))
    if network.crosstransformer:
        transformer = _copy(network.crosstransformer)
        transformer.layers = nn.ModuleList(map(_rewrite_attention, transformer.layers))
        transformer.layers_t = nn.ModuleList(map(_rewrite_attention, transformer.layers_t))
        rewritten.crosstransformer = transformer
    return rewritten


class Encoder(nn.Module):
    """An `HEncLayer` with a rewritten residual branch and gate.

    Parameters
    ----------
    layer : HEncLayer
        Fit for it.
    """

    empty = False

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self._is_spectral, self._stride = layer.freq, layer.stride
        self.conv, self.norm1 = layer.conv, layer.norm1
        self.dconv = Residual(layer.dconv)
        self.gate = Gate(_lift(layer.rewrite))

    def forward(self, x: torch.Tensor, inject: torch.Tensor | None = None) -> torch.Tensor:
        """Encode ``(batch, channels, bins, frames)`` or ``(batch, channels, samples)``."""
        if not self._is_spectral:
            x = functional.pad(x, (0, -x.shape[-1] % self._stride))
        y = self.conv(x)
        if inject is not None:
            y = y + (inject[:, :, None] if inject.dim() < y.dim() else inject)
        y = functional.gelu(self.norm1(y))
        if self._is_spectral:
            return self._finish(y)
        return self._finish(y.unsqueeze(2)).squeeze(2)

    def _finish(self, y: torch.Tensor) -> torch.Tensor:
        gated: torch.Tensor = self.gate(self.dconv(y))
        return gated


class Decoder(nn.Module):
    """An `HDecLayer` with a rewritten gate and transposed convolution.

    Parameters
    ----------
    layer : HDecLayer
        Fit for it.
    """

    empty = False

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self._is_spectral, self._is_last, self._pad, self._chin = layer.freq, layer.last, layer.pad, layer.chin
        self.gate = Gate(layer.rewrite)
        self.conv_tr = layer.conv_tr if layer.freq else Shuffle(layer.conv_tr)
        self.norm2 = layer.norm2

    def forward(self, x: torch.Tensor, skip: torch.Tensor, length: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Decode; return the outcome, and what the transposed convolution was given."""
        if self._is_spectral and x.dim() == 3:
            x = x.view(x.shape[0], self._chin, -1, x.shape[-1])
        y = self.gate(x + skip)
        z = self.norm2(self.conv_tr(y))
        kept = z.shape[-2] - 2 * self._pad if self._is_spectral else length
        z = z.narrow(2, self._pad, kept)
        return (z if self._is_last else functional.gelu(z)), y


class Residual(nn.Module):
    """A `DConv` on four dimensions: what it normalises together is each row of the third.

    Parameters
    ----------
    dconv : DConv
        Fit for it.
    """

    def __init__(self, dconv: Any) -> None:
        super().__init__()
        self.branches = nn.ModuleList(map(Branch, dconv.layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add the branches to ``(batch, channels, rows, columns)``, one after the other."""
        for branch in self.branches:
            x = x + branch(x)
        return x


class Branch(nn.Module):
    """One branch of a `DConv`.

    Parameters
    ----------
    layer : Sequential
        Fit for it.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()
        squeeze, self.norm1, self.activation, expand, self.norm2, _, scale = layer
        self.squeeze = _lift(squeeze)
        self.value, self.gate = _halve(_lift(expand))
        self.scale = scale.scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the branch adds."""
        y = self.activation(_normalise([self.squeeze(x)], self.norm1)[0])
        value, gate = _normalise([self.value(y), self.gate(y)], self.norm2)
        added: torch.Tensor = self.scale.view(1, -1, 1, 1) * value * torch.sigmoid(gate)
        return added


class Gate(nn.Module):
    """A convolution and the gated linear unit that follows it.

    Parameters
    ----------
    conv : Conv1d or Conv2d
        Of twice the channels.
    """

    def __init__(self, conv: Any) -> None:
        super().__init__()
        self.value, self.gate = _halve(conv)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(batch, channels, ...)``."""
        gated: torch.Tensor = self.value(x) * torch.sigmoid(self.gate(x))
        return gated


class Shuffle(nn.Module):
    """A transposed convolution in time as a convolution of kernel 2.

    Sample ``stride * t + j`` of the outcome is ``w[j] x[t] + w[j + stride] x[t - 1]``.

    Parameters
    ----------
    conv : ConvTranspose1d
        With a kernel of two strides.
    """

    def __init__(self, conv: Any) -> None:
        super().__init__()
        self._stride = stride = conv.stride[0]
        now, before = conv.weight.detach().split(stride, dim=-1)
        weight = torch.stack([before, now], dim=-1).permute(1, 2, 0, 3).flatten(0, 1)
        self.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
        self.bias = nn.Parameter(conv.bias.detach().repeat_interleave(stride), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return ``(batch, channels, stride * (samples + 1))``."""
        phases = functional.conv1d(x, self.weight, self.bias, padding=1)
        phases = phases.view(len(phases), -1, self._stride, phases.shape[-1])
        return phases.transpose(2, 3).flatten(2)


class TokenNorm(nn.Module):
    """A group norm of one group on ``(batch, tokens, channels)``.

    Parameters
    ----------
    norm : MyGroupNorm
        Of one group.
    """

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise."""
        flat = x.flatten(1)
        flat = functional.layer_norm(flat, flat.shape[1:], eps=self.norm.eps)
        normed: torch.Tensor = flat.view(x.shape) * self.norm.weight + self.norm.bias
        return normed


def _rewrite_encoder(layer: Any) -> Any:
    is_fit = (
        isinstance(layer, HEncLayer)
        and not layer.empty
        and isinstance(layer.rewrite, nn.Conv1d | nn.Conv2d)
        and isinstance(layer.norm2, nn.Identity)
        and isinstance(layer.dconv, DConv)
        and all(_is_plain(branch) for branch in layer.dconv.layers)
    )
    return Encoder(layer) if is_fit else layer


def _is_plain(branch: Any) -> bool:
    """Tell whether a residual branch has neither attention nor an LSTM, and normalises all channels together."""
    kinds = (nn.Conv1d, nn.GroupNorm, nn.Module, nn.Conv1d, nn.GroupNorm, nn.GLU, nn.Module)
    return (
        len(branch) == len(kinds)
        and all(isinstance(part, kind) for part, kind in zip(branch, kinds, strict=True))
        and branch[1].num_groups == branch[4].num_groups == 1
    )


def _rewrite_decoder(layer: Any) -> Any:
    is_fit = (
        isinstance(layer, HDecLayer)
        and not layer.empty
        and not layer.dconv
        and isinstance(layer.rewrite, nn.Conv1d | nn.Conv2d)
        and isinstance(layer.norm1, nn.Identity)
        and layer.kernel_size == 2 * layer.stride
    )
    return Decoder(layer) if is_fit else layer


def _rewrite_attention(layer: Any) -> Any:
    if not isinstance(layer.norm_out, MyGroupNorm) or layer.norm_out.num_groups != 1:
        return layer
    rewritten = _copy(layer)
    rewritten.norm_out = TokenNorm(layer.norm_out)
    return rewritten


def _copy(module: Any) -> Any:
    """Return a module with parts of its own to exchange; the parts are the same."""
    twin = copy.copy(module)
    vars(twin)["_modules"] = dict(module._modules)
    return twin


def _halve(conv: Any) -> tuple[Any, Any]:
    """Return a convolution's first and second half of channels, without a copy."""
    halves = []
    for weight, bias in zip(conv.weight.detach().chunk(2), conv.bias.detach().chunk(2), strict=True):
        half = _copy(conv)
        half.out_channels = len(bias)
        _give(half, weight, bias)
        halves.append(half)
    return halves[0], halves[1]


def _lift(conv: Any) -> Any:
    """Return a convolution of one dimension as one of two that sees each row by itself."""
    if isinstance(conv, nn.Conv2d):
        return conv
    lifted = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        (1, *conv.kernel_size),
        stride=(1, *conv.stride),
        padding=(0, *conv.padding),
        dilation=(1, *conv.dilation),
        device="meta",
    )
    _give(lifted, conv.weight.detach().unsqueeze(2), conv.bias.detach())
    return lifted


def _give(conv: Any, weight: torch.Tensor, bias: torch.Tensor) -> None:
    vars(conv)["_parameters"] = {
        "weight": nn.Parameter(weight, requires_grad=False),
        "bias": nn.Parameter(bias, requires_grad=False),
    }


def _normalise(parts: list[torch.Tensor], norm: nn.GroupNorm) -> list[torch.Tensor]:
    """Normalise each row over the channels of all parts, of equal size, and over columns."""
    mean = _mean_rows(parts)
    centred = [part - mean for part in parts]
    variance = _mean_rows([part.square() for part in centred])
    scale = torch.rsqrt(variance + norm.eps)
    weights = norm.weight.view(1, -1, 1, 1).chunk(len(parts), dim=1)
    biases = norm.bias.view(1, -1, 1, 1).chunk(len(parts), dim=1)
    return [part * scale * weight + bias for part, weight, bias in zip(centred, weights, biases, strict=True)]


def _mean_rows(parts: list[torch.Tensor]) -> torch.Tensor:
    means = [part.mean((1, 3), keepdim=True) for part in parts]
    return torch.stack(means).mean(0) if len(means) > 1 else means[0]
