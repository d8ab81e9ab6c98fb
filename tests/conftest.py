"""What every test gets: no network, and few threads, so that the suite can run in parallel processes."""

import logging
import os
import socket
from collections.abc import Iterator

import pytest
import torch
from small import small

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny() -> tuple[str, ...]:
    """Overrides that make an iteration take milliseconds."""
    return (*small(), "dataset.batch_size=16", "trainer.accelerator=cpu")


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What is kept for later, trained classifiers and decoded images, is kept in a folder of the tests' own."""
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def _logs_closed() -> Iterator[None]:
    """The log of a run that was started in this process is closed with the test."""
    root = logging.getLogger()
    before = list(root.handlers)
    yield
    for handler in [each for each in root.handlers if isinstance(each, logging.FileHandler) and each not in before]:
        root.removeHandler(handler)
        handler.close()


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections to anywhere but this machine fail at once."""
    connect = socket.socket.connect

    def local_only(self: socket.socket, address: object) -> None:
        if self.family != socket.AF_UNIX and isinstance(address, tuple) and address[0] not in ("127.0.0.1", "::1"):
            raise OSError(f"tests are offline; something asked for {address[0]}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", local_only)


# Fixtures that train, that run a command, or that start processes which do.
TRAINING = {"command", "tiny", "tiny_command", "tiny_in_module", "trained", "two_ranks"}


@pytest.hookimpl(tryfirst=True)  # before pytest looks at the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Marks what uses a fixture that trains as slow, and deselects what needs a GPU where there is none.

    The acceptance test comes first: it takes minutes, in which one worker waits, and must not begin when others end.
    """
    for item in items:
        if TRAINING & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.path.name != "test_quality.py")
    needing = [] if torch.cuda.is_available() else [item for item in items if item.get_closest_marker("gpu")]
    if needing:
        config.hook.pytest_deselected(items=needing)
        items[:] = [item for item in items if item not in needing]
