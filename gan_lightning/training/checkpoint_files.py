"""How Lightning writes checkpoints here: beside their place, flushed to the disk, then renamed."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from gan_lightning.archives import require_whole
from gan_lightning.files import replacing


class CheckpointFiles(TorchCheckpointIO):
    """Lightning's own way of writing checkpoints goes through memory and the folder for temporary files.

    So it takes the room of a checkpoint there too, and leaves such a file if the process is killed. Addresses of other
    file systems, such as s3://, go Lightning's way.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Replaces the file. Raises OSError with its name if it can't be written, and leaves what was there."""
        if storage_options is not None or "://" in str(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        with replacing(place) as temporary, temporary.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:  # that the archive isn't finished, which follows from the first error
                raise error.__context__ if isinstance(error.__context__, OSError) else error from None

    def load_checkpoint(
        self, path: Any, map_location: Callable[..., Any] | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Lightning's, once the file is known to be what was written. Raises ValueError if it isn't."""
        if Path(path).is_file():
            require_whole(Path(path))
        content: dict[str, Any] = super().load_checkpoint(path, map_location or to_cpu, weights_only)
        return content


def to_cpu(storage: Any, location: str) -> Any:
    """Leaves what is loaded where it was read to."""
    return storage
