"""`export`: a generator for other programs, with a model card beside it, once it is seen to do what the sampler does.

python -m gan_lightning export run=DIR
python -m gan_lightning export run=DIR format=torch_export out=models/digits.pt2 license=cc-by-4.0
"""

from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gan_lightning.commands.out import writing
from gan_lightning.config.options import read_options
from gan_lightning.config.places import CONF
from gan_lightning.errors import UserError, printable
from gan_lightning.extras import extra
from gan_lightning.files import replacing, unused
from gan_lightning.run_folder import find_generator
from gan_lightning.types import FilePath

if TYPE_CHECKING:
    from gan_lightning.sampling.sampler import Sampler

ENDINGS = {"onnx": ".onnx", "torch_export": ".pt2", "safetensors": ".safetensors"}
NAME = "generator"


@dataclass(frozen=True)
class Exporting:
    """The keys of conf/export.yaml."""

    run: FilePath
    plugins: list[str]
    format: Literal["onnx", "torch_export", "safetensors"]
    out: FilePath | None
    weights: Literal["ema", "raw", "best"]
    pixels: bool
    license: str | None


def main(arguments: list[str]) -> int:
    """Writes the generator that the arguments name, and its card, and tells where they are."""
    if {"-h", "--help"} & set(arguments):
        print((CONF / "export.yaml").read_text(), end="")
        return 0
    options = Exporting(**read_options(CONF / "export.yaml", arguments, f"{__name__}.{Exporting.__name__}"))
    out = place(options)
    source = find_generator(options.run)  # before torch, whose import takes seconds, is imported
    if out.exists() and out.samefile(source):
        raise UserError(f"out is {out}, the run's own generator, which export doesn't replace; choose another name.")
    require_packages(options.format)

    from gan_lightning.commands.model_card import card
    from gan_lightning.sampling.files import read_generator
    from gan_lightning.sampling.sampler import load_generator

    sampler = load_generator(options.run, options.weights, "cpu", options.plugins)
    if options.weights == "ema":  # what the file holds, which another export may have written
        options = replace(options, weights=read_generator(source).held)
    described = out.with_name(f"{out.name}.md")
    with writing(out):
        told = write(options, sampler, out)
        with replacing(described, lasting=False) as temporary:
            temporary.write_text(card(options, sampler, out, told), encoding="utf-8")
    print(printable(out))
    print(printable(described))
    return 0


def place(options: Exporting) -> Path:
    """Where to write to. Raises UserError for a name of another format's ending."""
    ending = ENDINGS[options.format]
    if options.pixels and options.format == "safetensors":
        raise UserError("pixels is true, but format=safetensors has weights alone; use format=onnx or torch_export.")
    if options.out is None:
        return unused(Path(NAME).with_suffix(ending))
    if not options.out.endswith(ending):
        raise UserError(f"out is {options.out}, but the name of format={options.format} ends in {ending}.")
    return Path(options.out)


def require_packages(format: str) -> None:
    """Raises UserError where the extra isn't installed that a format takes."""
    if format != "onnx":
        return
    for package in ("onnx", "onnxscript", "onnxruntime"):
        with extra("export", package, "format=onnx"):
            import_module(package)


def write(options: Exporting, sampler: "Sampler", out: Path) -> str:
    """Writes the file, and returns a sentence on how it compares with the sampler. Raises RunFailed if it doesn't."""
    from gan_lightning.commands import exporting
    from gan_lightning.sampling.files import read_generator, save_generator

    if options.format == "safetensors":
        file = read_generator(find_generator(options.run))
        parts = {"generator": file.generator, "latents": file.latents}
        facts = (sampler.iteration or 0, file.classes, file.units, file.conditions, file.origin)
        save_generator(sampler.network, parts, out, *facts, weights=options.weights)
        return "The weights are those that the sampler draws with, bit by bit."
    return exporting.export(sampler, out, options.format, options.pixels)
