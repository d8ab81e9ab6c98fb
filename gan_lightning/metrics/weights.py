"""Weights of published networks, from files that the user has put there: nothing is downloaded."""

import hashlib
from pathlib import Path

from jaxtyping import Num
from torch import Tensor, nn

from gan_lightning.archives import load_archive
from gan_lightning.errors import UserError, reason
from gan_lightning.files import cache_folder
from gan_lightning.paths import shell_word, whole
from gan_lightning.samples import kind_of

AT_ONCE = 32  # pictures of 224 to 299 pixels a side: about half a gigabyte of a deep network's results


def weights_file(weights: str | None, url: str) -> Path:
    """The file `weights`, by default one of the URL's name in the cache folder. Raises UserError if it isn't there."""
    file = whole(weights) if weights else cache_folder("weights") / url.rsplit("/", 1)[1]
    if not file.is_file():
        raise UserError(
            f"There is no file {file} of weights. Fetch it once, or name another by extractor.weights=FILE:"
            f" curl -fL --create-dirs -o {shell_word(str(file))} {url}"
        )
    return file


def file_hash(file: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fill(network: nn.Module, file: Path) -> None:
    """Loads a state dict, all names and shapes of it, that torch.save wrote. Raises UserError for any other file."""
    try:
        state: dict[str, Tensor] = load_archive(file)
        network.load_state_dict(state, assign=True)
    except Exception as error:  # torch raises half a dozen types for a damaged file
        raise UserError(
            f"{file} does not hold the weights of this network ({reason(error, 200)}): expected is a state dict of"
            f" {type(network).__name__} as torch.save writes it."
        ) from error


def require_pictures(samples: Num[Tensor, "n ..."], extractor: str) -> None:
    """Raises UserError unless samples are grey or colour images, (N, 1, H, W) or (N, 3, H, W)."""
    if samples.ndim != 4 or samples.shape[1] not in (1, 3):
        kind = f"images of {samples.shape[1]} channels" if samples.ndim == 4 else kind_of(samples.shape[1:])
        raise UserError(
            f"extractor={extractor} looks at grey or colour pictures, but this data set's samples are {kind}:"
            " use extractor=classifier or extractor=identity."
        )


def in_colour(images: Num[Tensor, "n c h w"]) -> Num[Tensor, "n 3 h w"]:
    """Images (N, 1, H, W) or (N, 3, H, W) -> (N, 3, H, W): grey becomes red, green and blue alike."""
    return images.expand(-1, 3, -1, -1)
