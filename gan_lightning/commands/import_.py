"""`import`: another program's generator as a generator.safetensors of this one. Nothing in its file is run.

python -m gan_lightning import weights.pth network=dcgan network.latent_dim=100 dataset=celeba
python -m gan_lightning import generator.pth experiment=course_w2 out=digits.safetensors
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml
from omegaconf import DictConfig, OmegaConf

from gan_lightning.commands.out import wanted, writing
from gan_lightning.config.compose import compose, with_plugins
from gan_lightning.config.containers import plain, without_hydra
from gan_lightning.config.options import read_options
from gan_lightning.config.places import CONF
from gan_lightning.config.schema import TRAINING
from gan_lightning.config.sources import Sources
from gan_lightning.errors import UserError, printable, reason
from gan_lightning.files import read_text
from gan_lightning.paths import with_paths
from gan_lightning.suggest import did_you_mean
from gan_lightning.types import FilePath

if TYPE_CHECKING:
    from gan_lightning.networks.generator import Generator
    from gan_lightning.sampling.foreign import Taken

IGNORED = "ignored"
MOST_BYTES = 1 << 20  # of a map


@dataclass(frozen=True)
class Importing:
    """The keys of conf/import.yaml."""

    file: FilePath
    part: str | None
    map: FilePath | None
    out: FilePath


OWN = tuple(Importing.__dataclass_fields__)


class Map(NamedTuple):
    """What of theirs layers and tensors of ours get, and what none gets."""

    named: dict[str, str]
    ignored: list[str]


def main(arguments: list[str]) -> int:
    """Writes the generator that the arguments name, and prints what it was made of."""
    if {"-h", "--help"} & set(arguments):
        print((CONF / "import.yaml").read_text(), end="")
        return 0
    own, overrides = split(arguments)
    options = Importing(**read_options(CONF / "import.yaml", own, f"{__name__}.{Importing.__name__}"))
    out = wanted(options.out, own, is_file=True)
    given = read_map(options.map)
    sources, overrides = with_plugins(Sources("train"), with_paths(overrides))
    config = without_hydra(compose(sources, overrides, TRAINING))
    if OmegaConf.select(config, "dataset.conditions"):
        raise UserError("dataset.conditions are numbers of the data, which import doesn't read; name classes, or none.")
    generator, plan = adopted(options, given, config)
    save(generator, config, out, Path(options.file))
    print("\n".join(printable(line) for line in lines(plan)))
    print(printable(out))
    return 0


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The arguments for keys of conf/import.yaml, with the first, the file, as one of them; and those of training.

    Raises UserError if no file comes first, if there is none of that name, or if it is a folder.
    """
    first, *others = arguments or [""]
    if first.partition("=")[0] in OWN and not os.path.exists(first):
        first, others = "", list(arguments)
    own = [*([f"file={first}"] if first else []), *(text for text in others if text.partition("=")[0] in OWN)]
    path = next((text.partition("=")[2] for text in own if text.startswith("file=")), "")
    if os.path.isdir(os.path.expanduser(path)):
        raise UserError(f"import takes a file of weights, but {path} is a folder; name the file in it.")
    if not os.path.isfile(os.path.expanduser(path)):
        parent = Path(path).parent
        siblings = [str(sibling) for sibling in parent.glob("*")] if path and parent.is_dir() else []
        told = f"but there is no file {path!r}.{did_you_mean(path, siblings)}" if path else "and none is named."
        raise UserError(f"import takes a file of weights first, as in import weights.pth network=dcgan, {told}")
    return own, [text for text in others if text.partition("=")[0] not in OWN]


def read_map(file: str | None) -> Map:
    """What a YAML file says of names. Raises UserError for one that doesn't hold names alone."""
    if file is None:
        return Map({}, [])
    try:
        content = yaml.safe_load(read_text(Path(file), MOST_BYTES)) or {}
    except RecursionError as error:
        raise UserError(f"map is {file}, which can't be read (it is nested too deeply).") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"map is {file}, which can't be read ({reason(error)}).") from error
    ignored = content.pop(IGNORED, []) if isinstance(content, dict) else None
    are_names = isinstance(content, dict) and isinstance(ignored, list)
    others = (
        [name for name in [*content, *content.values(), *(ignored or [])] if not isinstance(name, str)]
        if are_names
        else []
    )
    if not are_names or others:
        quoted = " Names that YAML takes for numbers are quoted, as in layers.0: '0'."
        is_number = any(isinstance(name, int | float) for name in others)
        raise UserError(
            f"map is {file}, but expected are names, as in layers.3: main.4, and a list of such for {IGNORED}."
            f"{quoted if is_number else ''}"
        )
    return Map(content, ignored or [])


def adopted(options: Importing, given: Map, config: DictConfig) -> "tuple[Generator, list[Taken]]":
    """The generator of a configuration with the weights of the file, and what was taken.

    Raises UserError for a file that can't be read as data, and for weights that don't fit.
    """
    from gan_lightning.networks.generator import Generator
    from gan_lightning.networks.plain import as_generator
    from gan_lightning.runs.parts import require_room
    from gan_lightning.runs.restoring import wrapped
    from gan_lightning.sampling.foreign import Unfit, fitting, matched, read_foreign

    path = Path(options.file)
    try:
        content = read_foreign(path)
    except MemoryError:
        raise
    except Exception as error:  # torch and safetensors raise half a dozen types
        raise UserError(
            f"{path} can't be read as weights: {reason(error)}. Expected is a safetensors file, or a state dict that"
            " torch.save wrote; a whole pickled network is refused, since it may run what it likes."
        ) from error
    require_room(config)
    generator = wrapped(partial(as_generator, latent_dim=config.network.latent_dim), config, "model.generator")
    expected = generator.state_dict()
    try:
        plan = fitting(content, options.part, lambda state: matched(expected, state, given.named, given.ignored))
    except Unfit as error:
        raise UserError(
            f"{path} doesn't fit network={config.network.name}: {error}. Sizes are set by network.generator.* and"
            " dataset.sample_shape; map=FILE says what order and shape don't (import --help)."
        ) from error
    assert isinstance(generator, Generator)
    generator.load_state_dict({each.name: each.value for each in plan})
    require_samples(generator, config, path)
    return generator, plan


def require_samples(generator: Any, config: DictConfig, path: Path) -> None:
    """Raises UserError unless the generator makes finite samples of the configuration's shape of its latents."""
    from gan_lightning.config.build import build
    from gan_lightning.sampling.sampler import Sampler

    try:
        sample = Sampler(generator, build(config, "model.latents", config.plugins)).sample(2)
    except ValueError as error:  # of a prior
        name = config.latents._target_.rpartition(".")[2]
        raise UserError(
            f"latents are {name}, which don't fit network={config.network.name}: {reason(error)}."
        ) from error
    if list(sample.shape[1:]) != list(config.data.sample_shape):
        raise UserError(
            f"network={config.network.name} makes samples of shape {list(sample.shape[1:])}, but dataset.sample_shape"
            f" is {list(config.data.sample_shape)}."
        )
    if not sample.isfinite().all():
        raise UserError(f"{path} has weights whose samples are not finite numbers.")


def save(generator: "Generator", config: DictConfig, out: Path, file: Path) -> None:
    """Writes a generator as one of this program, with where it is from."""
    from gan_lightning.metrics.weights import file_hash
    from gan_lightning.sampling.files import node_of, save_generator

    resolved = plain(config)
    parts = {"generator": node_of(generator, resolved["network"]["generator"]), "latents": resolved["latents"]}
    origin = {"imported": file.name, "sha256": file_hash(file)}
    with writing(out):
        save_generator(generator, parts, out, iteration=0, origin=origin)


def lines(plan: "Sequence[Taken]") -> list[str]:
    """What each tensor was made of, one a line."""
    rows = [
        (each.name, sized(each.value.shape), each.source, sized(each.shape) if each.source else "", each.how)
        for each in plan
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    aligned = [[cell.ljust(width) for cell, width in zip(row, widths, strict=False)] for row in rows]
    return [
        f"{name}  {shape}  <-  {source}  {theirs}  {row[4]}".rstrip()
        for row, (name, shape, source, theirs) in zip(rows, aligned, strict=True)
    ]


def sized(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "1"
