"""A generator as a graph for other programs: written, read again, and compared with what the sampler draws."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from gan_lightning.errors import RunFailed, UserError
from gan_lightning.files import replacing
from gan_lightning.pictures import drawable, to_pixels
from gan_lightning.sampling.drawing import draw_latents
from gan_lightning.sampling.sampler import Sampler

NAMES = ("latents", "labels")
OUTPUT = "samples"
TOLERANCE = 1e-5  # of samples, or of the largest number in them if that is above 1; pixels may round to the next level
COUNTS = (1, 2, 5)  # samples at a time
LEVELS = 127.5


class Graph(nn.Module):
    """Latents (n, latent_dim), and labels of a generator that takes some, to samples (n, ...); or to pixels, uint8 (n,
    3, H, W).
    """

    def __init__(self, network: nn.Module, pixels: bool) -> None:
        super().__init__()
        self.network = network
        self.pixels = pixels

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        samples: Tensor = self.network(latents, labels)
        if not self.pixels:
            return samples
        coloured = drawable(samples).expand(-1, 3, -1, -1)
        return ((coloured + 1) * LEVELS).round().clamp(0, 255).to(torch.uint8)


def export(sampler: Sampler, out: Path, format: Literal["onnx", "torch_export"], pixels: bool) -> str:
    """Writes a sampler's generator, and returns a sentence on how it compares.

    Raises UserError for pixels of what are no images, and for a network that can't be written down and run; RunFailed,
    with nothing written, where what was written computes something else.
    """
    if pixels and sampler.sample(1).ndim != 4:
        raise UserError("pixels is true, but these samples are no images.")
    graph = Graph(sampler.network, pixels).eval()
    write, read = (write_onnx, read_onnx) if format == "onnx" else (write_program, read_program)
    with replacing(out) as temporary, quietly(), torch.no_grad():
        try:
            write(graph, inputs(sampler, 2), temporary)
            compute = read(temporary)
            difference = max(compared(sampler, compute, count, pixels) for count in COUNTS)
        except RunFailed:
            raise
        except Exception as error:  # torch's exporters and ONNX Runtime raise a dozen kinds
            told = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"run's generator, {type(sampler.network).__name__}, can't be written and run as format={format}"
                f" ({told}); format=safetensors takes any."
            ) from error
    return (
        f"Compared with the sampler on {sum(COUNTS)} samples, {', '.join(map(str, COUNTS))} at a time: the largest"
        f" difference is {difference:.2g}{' levels of 256' if pixels else ''}."
    )


def inputs(sampler: Sampler, count: int) -> tuple[Tensor, ...]:
    """What the sampler feeds its network with for the first samples of seed 0."""
    latents = draw_latents(sampler.latents, sampler.network.latent_dim, count, seed=0)
    labels = sampler.labels(count, None)
    return (latents,) if labels is None else (latents, labels)


def compared(sampler: Sampler, compute: Callable[..., Tensor], count: int, pixels: bool) -> float:
    """The largest difference from the sampler's own samples. Raises RunFailed for more than is rounding."""
    expected, found = sampler.sample(count), compute(*inputs(sampler, count))
    if pixels:
        expected = to_pixels(drawable(expected)).expand(-1, 3, -1, -1)
    if found.shape != expected.shape or found.dtype != expected.dtype:
        raise RunFailed(f"What was exported gives {found.dtype} of shape {tuple(found.shape)}; nothing is written.")
    difference = float((found.double() - expected.double()).abs().max())
    allowed = 1 if pixels else TOLERANCE * max(1.0, float(expected.abs().max()))
    if not difference <= allowed:
        raise RunFailed(f"What was exported differs by {difference:.3g} from what is sampled; nothing is written.")
    return difference


def dynamic(given: tuple[Tensor, ...]) -> dict[str, dict[int, torch.export.Dim]]:
    """That any number of samples may be asked for."""
    count = torch.export.Dim("n")
    return {name: {0: count} for name, _ in zip(NAMES, given, strict=False)}


def write_program(graph: nn.Module, given: tuple[Tensor, ...], path: Path) -> None:
    program = torch.export.export(graph, given, dynamic_shapes=dynamic(given))
    with path.open("wb") as file:
        torch.export.save(program, file)


def read_program(path: Path) -> Callable[..., Tensor]:
    with path.open("rb") as file:
        module: Callable[..., Tensor] = torch.export.load(file).module()
    return module


def write_onnx(graph: nn.Module, given: tuple[Tensor, ...], path: Path) -> None:
    torch.onnx.export(
        graph,
        given,
        str(path),
        input_names=NAMES[: len(given)],
        output_names=[OUTPUT],
        dynamic_shapes=dynamic(given),
        dynamo=True,
        external_data=False,
        verbose=False,
    )


def read_onnx(path: Path) -> Callable[..., Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def compute(*given: Tensor) -> Tensor:
        named = {name: tensor.numpy() for name, tensor in zip(NAMES, given, strict=False)}
        return torch.from_numpy(session.run([OUTPUT], named)[0])

    return compute


@contextmanager
def quietly() -> Iterator[None]:
    """Without what exporters say of their own workings."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
