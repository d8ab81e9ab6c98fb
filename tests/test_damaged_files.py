"""Files that are damaged, or made so by a stranger: one line says so, and no more memory is taken than they have."""

import csv
import io
import json
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from omegaconf import OmegaConf
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gan_lightning.__main__ import main
from gan_lightning.commands.resuming import changes
from gan_lightning.errors import UserError, paragraph, printable
from gan_lightning.runs.folders import read_saved
from gan_lightning.watching.loggers import fenced, literal

pytestmark = pytest.mark.slow

RUN = Path(__file__).parent / "saved_runs" / "format_1"
TB = 10**12


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """What a command says that ends with status 2: one line, of no great length."""

    def run(*arguments: str) -> str:
        assert main(arguments) == 2
        told = capsys.readouterr().err.strip()
        assert len(told.splitlines()) == 1, told
        assert len(told) < 2100
        return told

    return run


def metadata() -> dict[str, str]:
    with safe_open(RUN / "generator.safetensors", "pt") as file:
        return dict(file.metadata())


def raw(header: Any, size: int = 0, claimed: int | None = None) -> Path:
    """A safetensors file of a header and so many bytes, whatever the header claims."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    Path("theirs.safetensors").write_bytes(
        struct.pack("<Q", len(text) if claimed is None else claimed) + text + bytes(size)
    )
    return Path("theirs.safetensors")


def naming(weights: dict[str, torch.Tensor] | None = None, **nodes: dict[str, Any]) -> Path:
    """A generator file whose nodes have other arguments, or other weights."""
    config = json.loads(metadata()["config"])
    config = {name: {**node, **nodes.get(name, {})} for name, node in config.items()}
    told = {**metadata(), "config": json.dumps(config)}
    save_file(weights or load_file(RUN / "generator.safetensors"), "theirs.safetensors", told)
    return Path("theirs.safetensors")


# Generator files


@pytest.mark.parametrize(
    ("header", "size", "claimed"),
    [
        ({"w": {"dtype": "F32", "shape": [TB // 4], "data_offsets": [0, TB]}}, 0, None),
        ({"w": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}}, 4, None),
        ({"w": {"dtype": "F4", "shape": [4], "data_offsets": [0, 2]}}, 2, None),
        ({}, 0, 10**18),
        ({}, 0, 2**64 - 1),
        (b"[" * 100_000, 0, None),
    ],
)
def test_headers_that_claim_too_much(refused, header, size, claimed):
    told = refused("sample", f"run={raw(header, size, claimed)}", "n=4", "out=o.png")
    assert "theirs.safetensors" in told


@pytest.mark.parametrize(
    "change",
    [
        {"config": None},
        {"config": "x"},
        {"config": "[" * 100_000},
        {"config": '{"generator": 3, "latents": {"_target_": "x"}}'},
        {"config": '{"generator": {"_target_": "gan_lightning.networks.MLPGenerator"}}'},
        {"iteration": None},
        {"iteration": "x"},
        {"iteration": "-1"},
        {"iteration": "9" * 5000},
        {"format": "x"},
        {"format": None},
    ],
)
def test_metadata_that_say_nothing(refused, change):
    changed = {name: value for name, value in {**metadata(), **change}.items() if value is not None}
    save_file(load_file(RUN / "generator.safetensors"), "theirs.safetensors", changed)
    assert "theirs.safetensors" in refused("sample", "run=theirs.safetensors", "n=4", "out=o.png")


@pytest.mark.parametrize(
    "arguments",
    [
        {"latent_dim": TB},
        {"hidden_dim": 10**9},
        {"blocks": 10**9},
        {"blocks": 10**6, "growth": 1},
        {"growth": 10**9, "blocks": 10},
        {"sample_shape": [10**6] * 3},
        {"classes": TB, "label_input": "concat"},
        {"classes": TB, "label_input": "norm"},
        {"hidden_dim": "x"},
        {"hidden_dim": None},
        {"hidden_dim": {"a": 1}},
        {"zzz": 1},
        {"_args_": [1]},
        {"_args_": "x"},
        {"_target_": "gan_lightning.networks.Generator"},
        {"_target_": "torch.nn.Linear", "in_features": TB, "out_features": 1},
        {"_target_": "gan_lightning.networks.R3GANGenerator", "blocks": 10**9},
        {"_target_": "gan_lightning.networks.PlainGenerator", "module": {"_target_": "torch.nn.ReLU"}, "latent_dim": 3},
    ],
    ids=str,
)
def test_networks_that_ask_for_more_than_the_file_has(refused, arguments):
    assert "theirs.safetensors" in refused("sample", f"run={naming(generator=arguments)}", "n=4", "out=o.png")


@pytest.mark.parametrize(
    "latents",
    [
        {"_target_": "gan_lightning.sampling.Coded", "categorical": [TB]},
        {"_target_": "gan_lightning.sampling.Coded", "continuous": TB},
        {"_target_": "gan_lightning.sampling.Uniform", "bound": "x"},
        {"_target_": "gan_lightning.sampling.Prior"},
        {"_target_": "gan_lightning.sampling.Normal", "a": 1},
    ],
    ids=str,
)
def test_priors_that_ask_for_too_much(refused, latents):
    assert "theirs.safetensors" in refused("sample", f"run={naming(latents=latents)}", "n=4", "out=o.png")


# Checkpoints


class Asks:
    """Pickled, it asks for a call."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, Any]:
        return self.function, self.arguments


def deep() -> list[Any]:
    nested: list[Any] = ["lol"] * 10
    for _ in range(12):
        nested = [nested] * 10
    return nested


def circle() -> list[Any]:
    itself: list[Any] = []
    itself.append(itself)
    return itself


def weight(value: torch.Tensor) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda kept: {**kept, "state_dict": {**kept["state_dict"], "generator.layers.0.weight": value}}


CHECKPOINTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "a tensor of stride 0": weight(torch.zeros(1).expand(10**6, 10**6)),
    "a tensor without storage": weight(torch.empty(10**6, 10**6, device="meta")),
    "a call": lambda kept: {**kept, "x": Asks(bytearray, 10**11)},
    "a tensor of a size": lambda kept: {**kept, "x": Asks(torch.Tensor, 10**11)},
    "billions of items": lambda kept: {**kept, "config": {**kept["config"], "x": deep()}},
    "a list of itself": lambda kept: {**kept, "config": {**kept["config"], "x": circle()}},
    "weights without names": lambda kept: {**kept, "state_dict": [1]},
    "an iteration below zero": lambda kept: {**kept, "global_step": -5},
    "an endless iteration": lambda kept: {**kept, "global_step": 10**30},
    "no optimizers": lambda kept: {name: value for name, value in kept.items() if name != "optimizer_states"},
}
BYTES: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda whole: b"",
    "noise": lambda whole: bytes(range(256)) * 20,
    "half": lambda whole: whole[: len(whole) // 2],
}


@pytest.fixture
def theirs() -> Path:
    """A copy of a run."""
    return Path(shutil.copytree(RUN, "theirs"))


@pytest.mark.parametrize("what", CHECKPOINTS)
def test_checkpoints_that_are_larger_than_their_file(refused, theirs, what):
    file = theirs / "checkpoints" / "last.ckpt"
    torch.save(CHECKPOINTS[what](torch.load(file, weights_only=True)), file)
    assert "last.ckpt" in refused("sample", "run=theirs", "weights=raw", "n=2", "out=o.png")


@pytest.mark.parametrize("what", [*BYTES, "compressed"])
def test_checkpoints_that_are_none(refused, theirs, what):
    file = theirs / "checkpoints" / "last.ckpt"
    whole = file.read_bytes()
    if what == "compressed":
        with zipfile.ZipFile(io.BytesIO(whole)) as kept, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as bomb:
            for entry in kept.infolist():
                bomb.writestr(entry.filename, kept.read(entry))
    else:
        file.write_bytes(BYTES[what](whole))
    assert "last.ckpt" in refused("sample", "run=theirs", "weights=raw", "n=2", "out=o.png")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("loops", {"a": 1}),
        ("callbacks", None),
        ("optimizer_states", []),
        ("optimizer_states", [{}, {}]),
        ("running_means", 10**30),
        ("pytorch-lightning_version", None),
        ("config", {}),
    ],
)
def test_checkpoints_that_can_not_be_gone_on_with(refused, theirs, key, value):
    file = theirs / "checkpoints" / "last.ckpt"
    torch.save({**torch.load(file, weights_only=True), key: value}, file)
    assert "last.ckpt" in refused("resume=theirs", "trainer.max_steps=22")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("hidden_dim: 4", "hidden_dim: 100000000", "are not those of the network"),
        ("  image_shape: ${dataset.image_shape}\n  batch", "  image_shape: [1, 9, 9]\n  batch", "data.sample_shape is"),
        ("  samples: 100\n", "  samples: 1000000000000\n", "evaluation.samples is"),
        ("n_critic: 2", "n_critic: 1000000000000", "n_critic is"),
    ],
)
def test_a_saved_config_that_asks_for_more_than_its_checkpoint_has(refused, theirs, before, after, told):
    """It is refused before anything in the folder is written, Hydra's log among it."""
    saved = theirs / ".hydra" / "config.yaml"
    text = saved.read_text()
    assert before in text
    saved.write_text(text.replace(before, after))
    files = {path: path.read_bytes() for path in theirs.rglob("*") if path.is_file()}
    assert told in refused("resume=theirs", "trainer.max_steps=22")
    assert {path: path.read_bytes() for path in theirs.rglob("*") if path.is_file()} == files


def test_data_that_are_a_list(refused, theirs):
    content = yaml.safe_load((theirs / "config.yaml").read_text())
    (theirs / "config.yaml").write_text(yaml.safe_dump({**content, "data": [1, 2]}))
    told = refused("evaluate", "run=theirs", "samples=20", "metric=[sliced]", "intervals=0")
    assert "config.yaml can't be resolved" in told


@pytest.mark.parametrize("group", ["trainer", "evaluation"])
def test_a_list_where_a_group_was_saved_differs_from_it(group):
    saved = read_saved(RUN)
    config = OmegaConf.create(OmegaConf.to_container(saved))
    saved[group] = [1]
    assert any(change.startswith(f"++{group}.") for change in changes(config, saved))


# Text

TEXTS = {
    "nothing": b"",
    "no UTF-8": b"\xff\xfe",
    "deep": b"[" * 100_000,
    "endless": b"x" * (1 << 25),
    "null": b"null",
    "a list": b"[1]",
    "laughs": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (k + 1, k + 1, b",".join([b"*%c" % k] * 9)) for k in range(97, 110)),
    "grows": b"a: 'xxxxxxxxxx'\n" + b"".join(b"%c: '%s'\n" % (k + 1, b"${%c}" % k * 9) for k in range(97, 110)),
    "circle": b"a: ${b}\nb: ${a}\n",
}


@pytest.mark.parametrize("what", TEXTS)
@pytest.mark.parametrize(
    ("file", "arguments"),
    [
        ("config.yaml", ("evaluate", "run=theirs", "samples=20", "metric=[sliced]", "intervals=0")),
        ("results.json", ("evaluate", "run=theirs", "samples=20", "metric=[sliced]", "intervals=0")),
        (".hydra/config.yaml", ("resume=theirs", "trainer.max_steps=22")),
    ],
)
def test_texts(refused, theirs, file, arguments, what):
    (theirs / file).write_bytes(TEXTS[what])
    assert file in refused(*arguments)


def test_a_table_stands_in_no_runs_way(theirs, capsys):
    """What else happens to tables is tried in tests/watching/test_tables.py."""
    content = (theirs / "metrics.csv").read_bytes()
    (theirs / "metrics.csv").write_bytes(content + bytes(4096))
    assert main(["resume=theirs", "trainer.max_steps=22", "evaluation.every=null"]) == 0
    assert "metrics.csv had a line that can't be read" in capsys.readouterr().out
    with (theirs / "metrics.csv").open(newline="") as file:
        assert [int(row["iteration"]) for row in csv.DictReader(file)] == [5, 10, 15, 20, 22]
    assert (theirs / "metrics.damaged.csv").read_bytes() == content + bytes(4096)


# Any key of a configuration with a value of another kind: one in four hundred of all such pairs.

VALUES = [None, [], {}, "x", -1, 1e999, "y" * 10_000, ["x"], {"a": {"b": [1]}}, "${", "${x}", "???", {"_target_": "x"}]
EVERY = 400


def places(node: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for name, value in items:
        yield (*place, name)
        yield from places(value, (*place, name))


def changed(content: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at a place."""
    copied = json.loads(json.dumps(content))
    node = copied
    for name in place[:-1]:
        node = node[name]
    node[place[-1]] = value
    return copied


@pytest.mark.parametrize(
    ("file", "arguments", "first"),
    [
        ("config.yaml", ("evaluate", "run=theirs", "samples=20", "metric=[sliced]", "intervals=0"), 5),
        ("results.json", ("evaluate", "run=theirs", "samples=20", "metric=[sliced]", "intervals=0"), 11),
        (".hydra/config.yaml", ("resume=theirs", "trainer.max_steps=20"), 23),
    ],
)
def test_any_value(theirs, capsys, file, arguments, first):
    content = (json.loads if file.endswith("json") else yaml.safe_load)((theirs / file).read_text())
    pairs = [(place, value) for place in places(content) for value in VALUES][first::EVERY]
    assert len(pairs) > 1
    for place, value in pairs:
        text = json.dumps(changed(content, place, value))
        shutil.rmtree("theirs")
        shutil.copytree(RUN, "theirs")
        (theirs / file).write_text(text)
        status = main(arguments)
        told = capsys.readouterr().err.strip()
        assert status in (0, 2), (place, value, told)
        assert status == 0 or len(told.splitlines()) == 1, (place, value, told)


# What is shown of them


def test_text_for_a_terminal():
    assert printable("a\x1b[31mb\r\n\u202ec[red]é") == "a\\x1b[31mb\\r\\n\\u202ec[red]é"
    assert len(paragraph(UserError("x" * 10**6))) < 2100


def test_a_run_of_a_strange_name(refused):
    strange = "no\x1b]0;run\x07\u202e"
    assert "no\\x1b]0;run\\x07\\u202e" in refused("sample", f"run={strange}", "n=1", "out=o.png")


def test_text_for_tensorboard():
    assert fenced("yaml", "a: '```'\n<script>") == "````yaml\na: '```'\n<script>\n````"
    assert literal("[x](javascript:1) <b>*_`") == "\\[x\\](javascript:1) &lt;b&gt;\\*\\_\\`"
