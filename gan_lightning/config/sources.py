"""Where configs are found: conf/, and folders of the user's own. Imports no torch."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from hydra import initialize_config_dir
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.singleton import Singleton
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.version import VersionBase
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from gan_lightning.config.places import CONF
from gan_lightning.config.resolvers import register_resolvers
from gan_lightning.plugins import conf_folders, granted


class OwnOptions(SearchPathPlugin):
    """Has Hydra search some folders before its primary one, so that an option there goes before one of its name."""

    folders: ClassVar[tuple[Path, ...]] = ()

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in reversed(self.folders):
            search_path.prepend("own options", f"file://{folder}", SearchPathQuery(provider="main"))


@dataclass(frozen=True)
class Sources:
    """Where configs are found, and whose classes they may name.

    `name` is the primary config's, in `folder`; `extra` are folders of the user's (--config-dir), and `plugins` the
    packages that the user trusts. Options there go before those of the same name in `folder`.
    """

    name: str
    folder: Path = CONF
    extra: tuple[Path, ...] = ()
    plugins: tuple[str, ...] = ()

    @property
    def own(self) -> tuple[Path, ...]:
        """The folders that are searched before the primary one."""
        return (*self.extra, *conf_folders(self.plugins))

    def trusting(self, named: Sequence[Any]) -> "Sources":
        """The same, with what the user trusts: by name, by their own configs, or by standing consent (plugins.py).

        Raises UserError for a package that can't be imported.
        """
        folders = [*self.extra, *([self.folder] if self.folder != CONF else [])]
        return replace(self, plugins=granted([*named, *(name for folder in folders for name in named_in(folder))]))

    @contextmanager
    def searched(self) -> Iterator[None]:
        """Lets whatever starts Hydra find the user's own options."""
        Plugins.instance().register(OwnOptions)
        before, OwnOptions.folders = OwnOptions.folders, self.own
        try:
            yield
        finally:
            OwnOptions.folders = before

    @contextmanager
    def open(self) -> Iterator[ConfigLoader]:
        """Hydra, initialised to search them; within a program of Hydra's too, whose state is put back."""
        register_resolvers()
        with self.searched(), a_hydra_of_its_own(), initialize_config_dir(str(self.folder)):
            yield GlobalHydra.instance().config_loader()


@contextmanager
def a_hydra_of_its_own() -> Iterator[None]:
    """Puts back what there was before of what Hydra has one of in a process."""
    kinds: tuple[type, ...] = (GlobalHydra, VersionBase)
    before = {kind: Singleton._instances.pop(kind) for kind in kinds if kind in Singleton._instances}
    try:
        yield
    finally:
        for kind in kinds:
            Singleton._instances.pop(kind, None)
        Singleton._instances.update(before)


def named_in(folder: Path) -> list[Any]:
    """The packages that the configs in a folder of the user's name by a key `plugins` at the top."""
    named: list[Any] = []
    for file in sorted(folder.rglob("*.yaml")):
        try:
            content = OmegaConf.to_container(OmegaConf.load(file))
        except (OSError, ValueError, YAMLError, OmegaConfBaseException):
            continue  # whatever is wrong there is said where it is chosen
        names = content.get("plugins") if isinstance(content, dict) else None
        named += names if isinstance(names, list) else []
    return named
