"""Spleeter's U-Nets in torch, one per stem, with TensorFlow's "same" padding, and the masks made of what they say.

Spectrograms are ``(batch, channels, frames, bins)``, frames and bins being multiples of 64.
(Spleeter: ``spleeter/model/functions/unet.py``, ``spleeter/model/__init__.py``.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from isomix.backends.spleeter.catalog import CHANNELS, Family
from isomix.errors import IntegrityError

FILTERS = (16, 32, 64, 128, 256, 512)
BATCH_NORM_EPSILON = 1e-3
MASK_EPSILON = 1e-10
LEAK = 0.2

Activation = Callable[[Tensor], Tensor]


def _leaky_relu(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, LEAK)


def _relu(x: Tensor) -> Tensor:
    return functional.relu(x)


def _elu(x: Tensor) -> Tensor:
    return functional.elu(x)


class Down(nn.Module):
    """Halve both axes; gives the bare convolution, which the way up sees, and what the next level sees.

    For a kernel of 5 and a stride of 2, "same" is one row of zeros before and two behind.
    """

    def __init__(self, inputs: int, outputs: int, activation: Activation | None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 5, stride=2)
        self.norm = nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPSILON) if activation else None
        self._activation = activation

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the convolution and its normalised activation (for the deepest level, the convolution twice)."""
        skip = self.conv(functional.pad(x, (1, 2, 1, 2)))
        if self.norm is None or self._activation is None:
            return skip, skip
        return skip, self._activation(self.norm(skip))


class Up(nn.Module):
    """Double both axes; the full transposed convolution has one row too many before and two behind."""

    def __init__(self, inputs: int, outputs: int, activation: Activation) -> None:
        super().__init__()
        self.conv = nn.ConvTranspose2d(inputs, outputs, 5, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPSILON)
        self._activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, activate, normalise: in this order on the way up."""
        normed: Tensor = self.norm(self._activation(self.conv(x)[..., :-1, :-1]))
        return normed


class LastUp(Up):
    """The last level, whose one output channel would keep a CPU's transposed convolution waiting.

    It is computed as a plain convolution from each square of four input pixels to the sixteen pixels that they become,
    as many channels: they fill a vector.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Convolve, activate, normalise."""
        pixels = functional.conv2d(x, self._kernel(), self.conv.get_parameter("bias").repeat(16), stride=2, padding=1)
        normed: Tensor = self.norm(self._activation(functional.pixel_shuffle(pixels, 4)))
        return normed

    def _kernel(self) -> Tensor:
        """Return the taps of four inputs in each direction that the four output rows or columns between them take."""
        # An even or an odd output takes three inputs, the last of them first.
        kernel: Tensor = functional.pad(self.conv.weight, (1, 0, 1, 0)).reshape(-1, 3, 2, 3, 2)
        kernel = kernel.flip(1, 3).permute(2, 4, 0, 1, 3)
        # Those of the second input pixel are one further on.
        kernel = torch.stack([functional.pad(kernel, (0, 0, pixel, 1 - pixel)) for pixel in (0, 1)])
        kernel = torch.stack([functional.pad(kernel, (pixel, 1 - pixel)) for pixel in (0, 1)])
        return kernel.permute(1, 2, 0, 3, 4, 5, 6).flatten(0, 3)


class UNet(nn.Module):
    """One stem's network: from magnitudes to the logits of a mask.

    Parameters
    ----------
    is_elu : bool
        ELU everywhere, as in 4stems and 5stems; else LeakyReLU on the way down and ReLU on the way up.
    """

    def __init__(self, is_elu: bool) -> None:
        super().__init__()
        inputs = (CHANNELS, *FILTERS[:-1])
        down = _elu if is_elu else _leaky_relu
        activations = [down] * (len(FILTERS) - 1) + [None]
        self.down = nn.ModuleList(map(Down, inputs, FILTERS, activations))
        outputs = (*FILTERS[-2::-1], 1)
        widths = (FILTERS[-1], *(2 * width for width in outputs[:-1]))
        up = _elu if is_elu else _relu
        levels = [Up] * (len(FILTERS) - 1) + [LastUp]
        self.up = nn.ModuleList(level(i, o, up) for level, i, o in zip(levels, widths, outputs, strict=True))
        self.mask = nn.Conv2d(1, CHANNELS, 4, dilation=2, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of the shape of ``x``."""
        skips: list[Tensor] = []
        for down in self.down:
            skip, x = down(x)
            skips.append(skip)
        x = self.up[0](skips.pop())
        for up in self.up[1:]:
            x = up(torch.cat([skips.pop(), x], 1))
        logits: Tensor = self.mask(x)
        return logits


class SpleeterNetwork(nn.Module):
    """The U-Nets of all stems of a model.

    Parameters
    ----------
    stems : sequence of str
        In Spleeter's order.
    is_elu : bool
        See `UNet`.
    is_softmax : bool
        Masks compete between stems (5stems); else each is a sigmoid of its own.
    """

    def __init__(self, stems: Sequence[str], *, is_elu: bool, is_softmax: bool) -> None:
        super().__init__()
        self._unets = [UNet(is_elu) for _ in stems]
        for stem, unet in zip(stems, self._unets, strict=True):
            self.add_module(stem, unet)
        self._is_softmax = is_softmax

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], stems: Sequence[str], *, is_elu: bool, is_softmax: bool
    ) -> SpleeterNetwork:
        """Build the network around loaded tensors, named as in `layout`.

        Raises
        ------
        RuntimeError
            If a tensor is missing, left over or of another shape.
        """
        with torch.device("meta"):
            network = cls(stems, is_elu=is_elu, is_softmax=is_softmax)
        # Kernels in the layout of the spectrograms: `forward` says which.
        kernels = {
            name: tensor.contiguous(memory_format=torch.channels_last)
            for name, tensor in tensors.items()
            if tensor.ndim == 4
        }
        network.load_state_dict({**tensors, **kernels}, assign=True)
        return network.eval().requires_grad_(False)

    def forward(self, magnitudes: Tensor) -> Tensor:
        """Return each stem's share of the power of what all stems are estimated to be.

        Parameters
        ----------
        magnitudes : Tensor of shape (batch, channels, frames, bins), float32

        Returns
        -------
        Tensor of shape (batch, stems, channels, frames, bins), float32
        """
        powers = self.estimate(magnitudes).square()
        return (powers + MASK_EPSILON / len(self._unets)) / (powers.sum(1, keepdim=True) + MASK_EPSILON)

    def estimate(self, magnitudes: Tensor) -> Tensor:
        """Estimate each stem's magnitudes; the shapes are those of `forward`."""
        # Channels innermost is up to a quarter faster on a CPU, and no slower elsewhere.
        x = magnitudes.contiguous(memory_format=torch.channels_last)
        logits = torch.stack([unet(x).float() for unet in self._unets], 1)
        return (logits.softmax(1) if self._is_softmax else logits.sigmoid()) * magnitudes[:, None]


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
