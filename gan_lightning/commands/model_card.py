"""A model card: what a generator was made of and by, what it makes, and how it has been measured, in Markdown."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_lightning import __version__
from gan_lightning.config.trust import read_settings
from gan_lightning.errors import UserError
from gan_lightning.run_folder import CONFIG, find_generator
from gan_lightning.runs import results
from gan_lightning.samples import Units, kind_of
from gan_lightning.sampling.files import read_generator
from gan_lightning.sampling.latents import Normal, Uniform
from gan_lightning.studies.markdown import literal
from gan_lightning.watching.loggers import fenced

if TYPE_CHECKING:
    from gan_lightning.commands.export import Exporting
    from gan_lightning.runs.results import Record, Results
    from gan_lightning.sampling.sampler import Sampler

UNKNOWN = "not stated"
MOST_CLASSES = 20
USES = {
    "onnx": """\
import numpy, onnxruntime

session = onnxruntime.InferenceSession({name!r})
inputs = {{{inputs}}}
(samples,) = session.run(["samples"], inputs)""",
    "torch_export": """\
import torch

generator = torch.export.load({name!r}).module()
samples = generator({inputs})""",
    "safetensors": """\
from gan_lightning import load_generator

samples = load_generator({name!r}).sample(16)""",
}


def card(options: "Exporting", sampler: "Sampler", out: Path, parity: str) -> str:
    """The text of a card. What comes out of files is shown as it stands."""
    folder = Path(options.run)
    found = results.find(folder) if folder.is_dir() else None
    rows = [f"| {name} | {literal(value)} |" for name, value in facts(options, sampler, folder, found).items()]
    blocks = [
        f"---\nlicense: {json.dumps(options.license or UNKNOWN)}\ntags: [gan, gan_lightning]\n---",
        f"# {literal(out.name)}",
        "\n".join(["| | |", "| --- | --- |", *rows]),
        "## What goes in and comes out",
        "\n".join(f"- {line}" for line in shapes(options, sampler)),
        parity,
        "## Measured",
        *measured(found, sampler, options.weights),
        "## Use",
        use(options, sampler, out.name),
    ]
    return "\n\n".join(blocks) + "\n"


def facts(options: "Exporting", sampler: "Sampler", folder: Path, found: "Results | None") -> dict[str, str]:
    """What it is made of, by name."""
    settings: Mapping[str, Any] = {}
    if folder.is_dir():
        try:
            settings = read_settings(folder / CONFIG)
        except UserError:  # which is no reason not to export what is there
            settings = {}
    origin = read_generator(find_generator(options.run)).origin or (found.origin if found else {})
    weights = {"ema": "the moving average", "raw": "the last ones", "best": "the average at the best evaluation"}
    count = sum(each.numel() for each in sampler.network.parameters())
    told = {group: named(settings, group) for group in ("dataset", "loss", "network", "conditioning")}
    return {
        "data set": told["dataset"],
        "loss": told["loss"],
        "network": f"{told['network']}: {type(sampler.network).__name__}, {count:,} parameters",
        "conditioning": told["conditioning"],
        "weights": f"{weights[options.weights]}, of iteration {sampler.iteration}",
        "seed": str(found.seed) if found else UNKNOWN,
        "began with": json.dumps(dict(origin)) if origin else "random weights",
        "trained by": f"gan_lightning {found.versions.get('gan_lightning', UNKNOWN)}" if found else UNKNOWN,
        "commit": (found and found.git) or UNKNOWN,
        "exported by": f"gan_lightning {__version__}",
        "license": options.license or UNKNOWN,
    }


def named(settings: Mapping[str, Any], group: str) -> str:
    """The option of a group that a run was trained with."""
    node = settings.get(group)
    return str(node.get("name", UNKNOWN)) if isinstance(node, dict) else UNKNOWN


def shapes(options: "Exporting", sampler: "Sampler") -> Iterator[str]:
    """A line on each input and the output, of n samples."""
    network, shape = sampler.network, tuple(sampler.sample(1).shape[1:])
    yield f"`latents`: float32 (n, {network.latent_dim}), drawn from {literal(sampler.latents)}"
    if sampler.conditions is not None:
        names = ", ".join(literal(name) for name in sampler.conditions.units.names)
        yield f"`labels`: float32 (n, {network.classes}), each from -1 to 1: {names}"
    elif network.classes:
        names = ", ".join(literal(name) for name in sampler.classes[:MOST_CLASSES])
        more = ", …" if len(sampler.classes) > MOST_CLASSES else ""
        yield f"`labels`: int64 (n,), 0 to {network.classes - 1}{': ' if names else ''}{names}{more}"
    if options.pixels:
        yield f"`samples`: uint8 (n, 3, {shape[1]}, {shape[2]}), 0 to 255"
    else:
        of = f"{kind_of(shape)}{' in [-1, 1]' if len(shape) == 3 else ''}"
        yield f"`samples`: float32 (n, {', '.join(map(str, shape))}), {of}"
        if sampler.units is not None:
            yield f"in the numbers of the data's files, x of `samples` is {', '.join(restored(sampler.units))}"


def restored(units: Units) -> Iterator[str]:
    """What leads from each number of a sample to those of the data's files; for all, for each channel, or by name."""
    count = max(len(units.scale), len(units.shift), len(units.names), len(units.whole))
    scale, shift, whole = (
        each * count if len(each) == 1 else each for each in (units.scale, units.shift, units.whole or (False,))
    )
    for k in range(count):
        name = f"{literal(units.names[k])}: " if units.names else f"{k}: " if count > 1 else ""
        yield f"{name}`x * {scale[k]!r} + {shift[k]!r}`{' rounded' if whole[k] else ''}"


def use(options: "Exporting", sampler: "Sampler", name: str) -> str:
    """Code that draws samples; of a prior that takes more than a line, that there is none."""
    inputs = example(options, sampler)
    if inputs is None and options.format != "safetensors":
        return f"There is no code here for latents drawn from {literal(sampler.latents)}."
    return fenced("python", USES[options.format].format(name=name, inputs=inputs))


def measured(found: "Results | None", sampler: "Sampler", weights: str) -> Iterator[str]:
    """The numbers of the evaluations of these weights, each with its protocol."""
    records = [*found.evaluations, *found.evaluation.values()] if found else []
    kind = "raw" if weights == "raw" else "ema"
    fitting: list[Record] = [
        each
        for each in records
        if each["iteration"] == sampler.iteration and each["protocol"].get("weights", "ema") == kind
    ]
    if not fitting:
        yield "There are no evaluations of these weights; `python -m gan_lightning evaluate run=…` makes some."
    for place, record in enumerate(fitting):
        if record in fitting[:place]:  # the last may be the best
            continue
        yield "\n".join(["| | | 95 % |", "| --- | --- | --- |", *numbers(record)])
        yield fenced("json", json.dumps(record["protocol"], indent=2))


def numbers(record: "Record") -> Iterator[str]:
    """A row for each number of a record."""
    for name, value in record.get("values", {}).items():
        low, high = record.get("intervals", {}).get(name) or (None, None)
        interval = f"{low:.4g} to {high:.4g}" if isinstance(low, float) and isinstance(high, float) else ""
        yield f"| {literal(name)} | {'-' if value is None else f'{value:.4g}'} | {interval} |"


def example(options: "Exporting", sampler: "Sampler") -> str | None:
    """The arguments by which samples are drawn, as code of a format; None for a prior that isn't normal or uniform."""
    prior = sampler.latents
    if not isinstance(prior, Normal | Uniform):
        return None
    latent_dim, classes = sampler.network.latent_dim, sampler.network.classes
    if options.format == "onnx":
        labels = f'"labels": numpy.random.randint({classes}, size=16)'
        if sampler.conditions is not None:
            labels = f'"labels": numpy.random.uniform(-1, 1, (16, {classes})).astype("float32")'
        drawn = f"randn(16, {latent_dim})"
        if isinstance(prior, Uniform):
            drawn = f"uniform({-prior.bound}, {prior.bound}, (16, {latent_dim}))"
        latents = f'"latents": numpy.random.{drawn}.astype("float32")'
    else:
        labels = f"torch.randint({classes}, (16,))"
        if sampler.conditions is not None:
            labels = f"torch.rand(16, {classes}) * 2 - 1"
        latents = f"torch.randn(16, {latent_dim})"
        if isinstance(prior, Uniform):
            latents = f"(torch.rand(16, {latent_dim}) * 2 - 1) * {prior.bound}"
    return f"{latents}, {labels}" if classes else latents
