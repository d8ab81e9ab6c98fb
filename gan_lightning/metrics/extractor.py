"""What turns samples into features that distances are taken of."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import torch
from jaxtyping import Float, Num
from torch import Tensor, nn

from gan_lightning.samples import SampleSet


@dataclass(frozen=True)
class FeatureNetwork:
    """A network that is ready for use.

    | field | what it is |
    | --- | --- |
    | `module` | maps samples, uint8 (N, C, H, W) or float32 (N, ...), to features (N, D) and logits (N, K), or None |
    | `name`, `resize` | for the protocol of every number: what the network is called, and how it resizes images |
    | `sha256`, `facts` | the same: the hash of its weights ("" without any), and what is known of it (its accuracy) |
    | `own_classes` | whether the logits are of the classes of the data set that it was opened with |
    | `at_once` | of more samples at a time it would take gigabytes |
    | `known_as` | the field's names for metrics on these features: {"frechet_distance": "fid"} for Inception's alone |
    """

    name: str
    module: nn.Module
    sha256: str = ""
    resize: str = "none"
    facts: Mapping[str, Any] = field(default_factory=dict)
    own_classes: bool = False
    at_once: int = 256
    known_as: Mapping[str, str] = field(default_factory=dict)

    @torch.no_grad()
    def __call__(
        self, samples: Num[Tensor, "n ..."], batch_size: int = 256
    ) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n k"] | None]:
        """Features (N, D) and logits (N, K), or None, of any number of samples, on the CPU.

        Convolutions are of float32 on a GPU too, where cuDNN would round their factors to TF32.
        """
        device = next((p.device for p in self.module.parameters()), torch.device("cpu"))
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            pairs = [self.module(chunk.to(device)) for chunk in samples.split(min(batch_size, self.at_once))]
        features, logits = zip(*pairs, strict=True)
        return torch.cat(features).cpu(), None if logits[0] is None else torch.cat(logits).cpu()


class Extractor(Protocol):
    """A frozen dataclass of plain values: which network, and where its weights are.

    `learns` says that it is trained on the data set that is evaluated, and so looks at what `open` is given of that.
    """

    learns: ClassVar[bool]

    def open(self, training: SampleSet, held_out: SampleSet, device: torch.device | str = "cpu") -> FeatureNetwork:
        """The network in evaluation mode, on `device`. `training` and `held_out` are the data set that is evaluated.

        Raises UserError for what the user can mend.
        """
        ...
