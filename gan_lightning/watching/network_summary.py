"""A table of the networks, layer by layer."""

from pytorch_lightning.callbacks import RichModelSummary


class NetworkSummary(RichModelSummary):
    """Lightning's table of modules down to `max_depth` levels (-1: all), with no other settings: its own takes any."""

    def __init__(self, max_depth: int = 3) -> None:
        super().__init__(max_depth=max_depth)
