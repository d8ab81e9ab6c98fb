"""A small classifier of the data set's own classes, trained once and kept: features and logits without a download.

Its features make distances that no other data set's share: they compare models of one data set, not with papers.
"""

import hashlib
import json
import logging
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from jaxtyping import Float, Int64, Num
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from gan_lightning.errors import UserError
from gan_lightning.files import cache_folder, parse_json, replacing
from gan_lightning.metrics.extractor import FeatureNetwork
from gan_lightning.paths import whole
from gan_lightning.samples import SampleSet
from gan_lightning.types import Count, FilePath, Range, Seed, check_ranges

log = logging.getLogger(__name__)

VERSION = 1  # of the networks and their training: a change retires all kept classifiers
FEATURES = 64
BATCH_SIZE = 128
PASSES = 30  # through the samples, at most
GRID = 14  # the first convolution's stride brings larger images down to about so many rows,
STEPS = 64  # and longer signals to so many steps
CHUNK = 4096  # samples hashed at once, since they may be mapped from a file larger than the memory


class ClassifierNetwork(nn.Module):
    """Samples of `shape`, uint8 (N, C, H, W), float32 (N, C, L) or (N, d) -> features (N, 64), not negative, and logits
    (N, K).

    Images and signals pass three convolutions with batch normalisation, of `width`, 2 and 4 times as many channels,
    vectors two layers of 8 times `width`; then comes the layer of features, and one linear layer of logits.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...], classes: int, width: int = 16) -> None:
        super().__init__()
        images = len(shape) == 3
        self.register_buffer("shift", torch.full(shape[:1], 127.5 if images else 0.0))
        self.register_buffer("scale", torch.full(shape[:1], 127.5 if images else 1.0))
        self.body = _convolutions(shape, width) if len(shape) > 1 else _perceptron(shape[0], width)
        self.head = nn.Linear(FEATURES, classes)

    def standardize(self, samples: Float[Tensor, "n c ..."]) -> None:
        """Makes vectors (N, d) or signals (N, C, L) like these have mean 0 and standard deviation 1 in each dimension,
        or channel, inside.
        """
        axes = [axis for axis in range(samples.ndim) if axis != 1]
        std, mean = torch.std_mean(samples.double(), dim=axes, correction=0)
        self.shift.copy_(mean)
        self.scale.copy_(torch.where(std > 0, std, 1.0))

    def forward(self, samples: Num[Tensor, "n ..."]) -> tuple[Float[Tensor, "n 64"], Float[Tensor, "n k"]]:
        ones = [1] * (samples.ndim - 2)
        inputs = (samples.float() - self.shift.view(-1, *ones)) / self.scale.view(-1, *ones)
        features = self.body(inputs)
        return features, self.head(features)


def _convolutions(shape: tuple[int, ...], width: int) -> nn.Sequential:
    channels, *size = shape
    stride = max(1, min(size) // (GRID if len(size) == 2 else STEPS))
    flat = 4 * width * prod(-(-length // (4 * stride)) for length in size)
    layers = (nn.Conv2d, nn.BatchNorm2d) if len(size) == 2 else (nn.Conv1d, nn.BatchNorm1d)
    return nn.Sequential(
        *_convolution(channels, width, stride, *layers),
        *_convolution(width, 2 * width, 2, *layers),
        *_convolution(2 * width, 4 * width, 2, *layers),
        nn.Flatten(),
        nn.Linear(flat, FEATURES, bias=False),
        nn.BatchNorm1d(FEATURES),
        nn.ReLU(),
    )


def _convolution(
    inputs: int,
    outputs: int,
    stride: int,
    convolution: type[nn.Conv1d | nn.Conv2d],
    norm: type[nn.BatchNorm1d | nn.BatchNorm2d],
) -> list[nn.Module]:
    """Divides the height and the width, or the length, by `stride`, rounded up; windows overlap."""
    reach = (stride + 1) // 2
    return [
        convolution(inputs, outputs, 2 * reach + 1, stride, padding=reach, bias=False),
        norm(outputs),
        nn.ReLU(),
    ]


def _perceptron(dimensions: int, width: int) -> nn.Sequential:
    layers = [nn.Linear(dimensions, 8 * width), nn.ReLU(), nn.Linear(8 * width, 8 * width), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(8 * width, FEATURES), nn.ReLU())


def train_classifier(
    samples: Num[Tensor, "n ..."],
    labels: Int64[Tensor, " n"],
    classes: int,
    seed: int,
    steps: int = 2000,
    width: int = 16,
) -> ClassifierNetwork:
    """A classifier of samples, uint8 (N, C, H, W) or float32 (N, ...), by labels 0 to classes - 1, int64 (N,).

    `width` is `ClassifierNetwork`'s. `steps` steps of Adam on minibatches of 128, fewer where they would pass through
    the samples more than 30 times, with the rate of Smith and Topin 2017 (arXiv:1708.07120): up to 0.01 in the first
    30 % of them, then down to nothing. Without augmentation. In evaluation mode, on the CPU, where the same arguments
    and number of threads give the same weights; torch's random state stays as it was.
    """
    steps = min(steps, -(-PASSES * len(samples) // BATCH_SIZE))
    with torch.inference_mode(False), torch.enable_grad(), torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = ClassifierNetwork(tuple(samples.shape[1:]), classes, width)
        if samples.ndim < 4:
            network.standardize(samples)
        optimizer = torch.optim.Adam(network.parameters(), fused=True)
        rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.01, total_steps=steps)
        for _ in range(steps):
            rows = torch.randint(len(samples), (BATCH_SIZE,))
            _, logits = network(samples[rows])
            optimizer.zero_grad()
            F.cross_entropy(logits, labels[rows]).backward()
            optimizer.step()
            rate.step()
    return network.eval().requires_grad_(False)


def accuracy(network: nn.Module, samples: Num[Tensor, "n ..."], labels: Int64[Tensor, " n"]) -> float:
    """The share of samples that a classifier puts into their class, 0 to 1."""
    _, logits = FeatureNetwork("classifier", network)(samples)
    assert logits is not None
    return float((logits.argmax(dim=1) == labels).double().mean())


@dataclass(frozen=True)
class Classifier:
    """A classifier of the data set's classes, trained on its training samples at first use.

    `steps`, `width` and `seed` are `train_classifier`'s. It is kept in the folder `cache_dir`, by default
    gan_lightning/classifiers in $XDG_CACHE_HOME or ~/.cache, under the hash of the samples, the labels and these
    settings, and trained again if that file is damaged.
    """

    learns: ClassVar[bool] = True
    steps: Count = 2000
    width: Annotated[int, Range(low=1, high=1024)] = 16
    seed: Seed = 0
    cache_dir: FilePath | None = None

    def __post_init__(self) -> None:
        check_ranges(self)

    def open(self, training: SampleSet, held_out: SampleSet, device: torch.device | str = "cpu") -> FeatureNetwork:
        """The network, with its accuracy on the held-out samples if there are any. Raises UserError without classes."""
        samples, labels = training.samples, training.labels
        if labels is None or labels.is_floating_point() or len(labels.unique()) < 2:
            numbers = "labels that are numbers" if labels is not None and labels.is_floating_point() else ""
            raise UserError(
                "extractor=classifier learns to tell the data set's classes apart, but this data set has"
                f" {'no labels' if labels is None else numbers or 'a single class'}: use extractor=identity, or"
                " extractor=inception for pictures."
            )
        classes = int(labels.max()) + 1
        with torch.device("meta"):  # no random numbers are spent
            network = ClassifierNetwork(tuple(samples.shape[1:]), classes, self.width)
        folder = whole(self.cache_dir) if self.cache_dir else cache_folder("classifiers")
        file = folder / f"{self._key(training, held_out)}.safetensors"
        facts = load(network, file)
        if facts is None:
            log.info("Training a classifier of the data set's %d classes, once: it is kept in %s.", classes, file)
            network = train_classifier(samples, labels, classes, self.seed, self.steps, self.width)
            facts = {"trained on": len(samples)}
            if held_out.labels is not None and len(held_out.labels) > 0:
                facts["accuracy"] = accuracy(network, held_out.samples, held_out.labels)
            try:
                save(network, facts, file)
            except (OSError, SafetensorError) as error:
                log.warning("Cannot write %s (%s): the classifier will be trained again next time.", file, error)
        module = network.eval().requires_grad_(False).to(device)
        return FeatureNetwork("classifier", module, weights_hash(network), facts=facts, own_classes=True)

    def _key(self, *sets: SampleSet) -> str:
        """A name for the classifier of these sets, trained this way."""
        digest = hashlib.sha256(json.dumps([VERSION, self.steps, self.width, self.seed]).encode())
        for tensor in (tensor for each in sets for tensor in (each.samples, each.labels) if tensor is not None):
            _update(digest, tensor)
        return digest.hexdigest()


def _update(digest: "hashlib._Hash", tensor: Tensor) -> None:
    """Adds a tensor's type, shape and values to a hash."""
    digest.update(json.dumps([str(tensor.dtype), list(tensor.shape)]).encode())
    for chunk in torch.atleast_1d(tensor).split(CHUNK):
        digest.update(chunk.cpu().contiguous().numpy())


def weights_hash(network: nn.Module) -> str:
    """The SHA-256 of a network's parameters and buffers, in order of name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        _update(digest, tensor)
    return digest.hexdigest()


def save(network: nn.Module, facts: dict[str, Any], file: Path) -> None:
    """Writes the weights, with the facts and the weights' hash in the metadata.

    The file appears whole or not at all, whoever else writes it at the same time.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"facts": json.dumps(facts), "sha256": weights_hash(network)}
    with replacing(file, shared=True) as temporary:
        save_file(network.state_dict(), temporary, metadata=metadata)


def load(network: nn.Module, file: Path) -> dict[str, Any] | None:
    """Fills a network with what `save` wrote, and returns the facts; None if the file is not there, or not whole."""
    try:
        with safe_open(file, framework="pt") as stored:
            metadata = stored.metadata() or {}
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (not a mapping)
        facts: dict[str, Any] = parse_json(metadata["facts"])
        if any(tensor.dtype != network.state_dict()[name].dtype for name, tensor in tensors.items()):
            return None
        network.load_state_dict(tensors, assign=True)
        is_sound = all(type(value) in (int, float) for value in facts.values())
        return facts if is_sound and metadata["sha256"] == weights_hash(network) else None
    except Exception:  # safetensors and torch raise half a dozen types for a damaged file
        return None
