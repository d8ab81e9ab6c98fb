"""Every kind of mistake in a config gets its one paragraph; what a constructor can take passes."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from omegaconf import OmegaConf

import gan_lightning
from gan_lightning.config.check import check
from gan_lightning.errors import UserError
from gan_lightning.suggest import did_you_mean, nearest

SAMPLE = """
    raise RuntimeError('imported')
    import typing
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import Annotated, Any, Literal, Optional, Union
    from torch import Tensor
    from gan_lightning.types import PositiveInt, Range
    def shape(
        whole: int = 0, number: float = 0.0, flag: bool = False, text: str = '', nothing: None = None,
        maybe: Optional[int] = None, either: int | bool = 0, union: typing.Union[int, Sequence[str]] = 0,
        choice: Literal['mean', 'sum'] = 'mean', mixed: Literal[1, 'one', None] = 1,
        items: list[int] = [], pair: tuple[float, float] = (0, 0), many: tuple[int, ...] = (), bare: list = [],
        nested: Sequence[tuple[str, int]] = (), table: dict[str, int] = {}, mapping: Mapping[str, Any] = {},
        ranged: Annotated[float, Range(0, 1, open_low=True)] = 1, floor: Annotated[int, Range(low=1)] | None = 1,
        inner_floor: Annotated[int | None, Range(low=1)] = 1, lists: list[int] | list[str] = [],
        quoted: list['int'] = [], floors: list[Annotated[int, Range(low=1)]] = [],
        tensor: float | Tensor = 0, unknown: Path = None, function: Callable[[], None] = None,
        union_unknown: int | Path = 0,
        free=None, forward: 'int' = 0, broken: 'no expression' = 0, computed: Literal[Path] = 0,
    ): ...
    Own = Literal['a', 'b']
    Json = list['Json'] | int
    def aliases(own: Own = 'a', json: Json = 1, foreign: PositiveInt = 1): ...
    class Two:
        def __init__(self, first: int, second: str): ...
    class Thirteen:
        def __init__(self, a=0, b=0, c=0, d=0, e=0, f=0, g=0, h=0, i=0, j=0, k=0, l=0, last=0): ...
    class Open:
        def __init__(self, first: int, **others): ...
    class Nothing: ...
    """


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checked")
    (folder / "sample_shapes.py").write_text(textwrap.dedent(SAMPLE))
    return folder


@pytest.fixture(scope="module")
def module(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        yield "sample_shapes"


def mistake(config, target, key=""):
    with pytest.raises(UserError) as error:
        check(OmegaConf.create(config), target, key)
    return str(error.value)


TARGET = {"_target_": "gan_lightning.losses.Wasserstein"}
SCHEDULE = {"_target_": "gan_lightning.schedules.Linear", "start": 1, "end": 0}
A_SCHEDULE = "a schedule such as ${linear:1e-4,0}"


@pytest.mark.parametrize(
    "config",
    [
        {"whole": -3},
        {"number": 1},
        {"number": 1e-4},
        {"flag": True},
        {"text": "abc"},
        {"text": 123},
        {"text": 1.5},
        {"nothing": None},
        {"maybe": None},
        {"maybe": 3},
        {"either": True},
        {"union": ["a", "b"]},
        {"union": 3},
        {"choice": "sum"},
        {"mixed": 1},
        {"mixed": "one"},
        {"mixed": None},
        {"items": [1, 2]},
        {"items": []},
        {"items": TARGET},
        {"pair": [0, 0.5]},
        {"pair": TARGET},
        {"many": [1, 2, 3]},
        {"bare": ["a", None]},
        {"nested": [["a", 1], ["b", 2]]},
        {"table": {"a": 1}},
        {"table": TARGET},
        {"mapping": {}},
        {"ranged": 1},
        {"ranged": 0.001},
        {"floor": 1},
        {"floor": None},
        {"inner_floor": None},
        {"lists": ["a"]},
        {"tensor": 0.5},
        {"tensor": SCHEDULE},
        {"unknown": 3},
        {"unknown": TARGET},
        {"function": {"_partial_": True, **TARGET}},
        {"union_unknown": "abc"},
        {"free": [{"any": "thing"}]},
        {"forward": 3},
        {"broken": "abc"},
        {"computed": "abc"},
        {"_convert_": "all", "_recursive_": False, "_partial_": True, "_target_": "never.looked.at"},
    ],
)
def test_good_values(module, config):
    check(OmegaConf.create(config), f"{module}.shape")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"whole": "abc"}, "whole is 'abc', but shape expects a whole number there."),
        ({"whole": 1.5}, "whole is 1.5, but shape expects a whole number there."),
        ({"whole": True}, "whole is true, but shape expects a whole number there."),
        ({"whole": None}, "whole is null, but shape expects a whole number there."),
        (
            {"whole": TARGET},
            "whole is {'_target_': 'gan_lightning.losses.Wasserstein'}, but shape expects a whole number there.",
        ),
        ({"number": "1e-4"}, "number is '1e-4', but shape expects a number there."),
        ({"number": float("inf")}, "number is inf, but it must be a finite number of 32 bits."),
        ({"number": float("nan")}, "number is nan, but it must be a finite number of 32 bits."),
        ({"unknown": [1.0, float("-inf")]}, "unknown[1] is -inf, but it must be a finite number of 32 bits."),
        ({"number": 1e39}, "number is 1e+39, but it must be a finite number of 32 bits."),
        ({"whole": 2**63}, "whole is 9223372036854775808, but it must be below 2^63."),
        ({"number": False}, "number is false, but shape expects a number there."),
        ({"flag": 1}, "flag is 1, but shape expects true or false there."),
        ({"flag": "yes"}, "flag is 'yes', but shape expects true or false there."),
        ({"text": True}, "text is true, but shape expects text there."),
        ({"text": ["a"]}, "text is ['a'], but shape expects text there."),
        (
            {"text": list(range(10, 99))},
            "text is [10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, ..., but shape expects text there.",
        ),
        ({"nothing": 0}, "nothing is 0, but shape expects null there."),
        ({"maybe": "a"}, "maybe is 'a', but shape expects a whole number or null there."),
        ({"either": 0.5}, "either is 0.5, but shape expects a whole number or true or false there."),
        ({"union": "a"}, "union is 'a', but shape expects a whole number or a list there."),
        ({"choice": "maen"}, "choice is 'maen', but shape expects 'mean' or 'sum' there. Did you mean mean?"),
        ({"choice": "product"}, "choice is 'product', but shape expects 'mean' or 'sum' there."),
        ({"mixed": True}, "mixed is true, but shape expects 1, 'one' or null there."),
        ({"items": 3}, "items is 3, but shape expects a list there."),
        ({"items": [1, "b"]}, "items[1] is 'b', but shape expects a whole number there."),
        ({"pair": [0.5]}, "pair is [0.5], but shape expects a list of 2 items there."),
        ({"pair": [0.5, "b"]}, "pair[1] is 'b', but shape expects a number there."),
        ({"many": [1, 2, 0.5]}, "many[2] is 0.5, but shape expects a whole number there."),
        ({"bare": "abc"}, "bare is 'abc', but shape expects a list there."),
        ({"nested": [["a", 1], ["b", "c"]]}, "nested[1][1] is 'c', but shape expects a whole number there."),
        ({"table": [1]}, "table is [1], but shape expects a mapping there."),
        ({"mapping": "a"}, "mapping is 'a', but shape expects a mapping there."),
        ({"ranged": 0}, "ranged is 0, but it must be above 0 and at most 1."),
        ({"ranged": 1.5}, "ranged is 1.5, but it must be above 0 and at most 1."),
        ({"ranged": float("nan")}, "ranged is nan, but it must be a finite number of 32 bits."),
        ({"ranged": "a"}, "ranged is 'a', but shape expects a number there."),
        ({"floor": 0}, "floor is 0, but it must be at least 1."),
        ({"floor": "a"}, "floor is 'a', but shape expects a whole number or null there."),
        ({"inner_floor": 0}, "inner_floor is 0, but it must be at least 1."),
        ({"lists": 3}, "lists is 3, but shape expects a list there."),
        ({"quoted": ["a"]}, "quoted[0] is 'a', but shape expects a whole number there."),
        ({"floors": [1, 0]}, "floors[1] is 0, but it must be at least 1."),
        ({"tensor": "1e-4x"}, f"tensor is '1e-4x', but shape expects a number or {A_SCHEDULE} there."),
        (
            {"tensor": TARGET},
            "tensor is {'_target_': 'gan_lightning.losses.Wasserstein'},"
            f" but shape expects a number or {A_SCHEDULE} there.",
        ),
        ({"number": SCHEDULE}, f"number is {str(SCHEDULE)[:57]}..., but shape expects a number there."),
        ({"forward": "a"}, "forward is 'a', but shape expects a whole number there."),
    ],
)
def test_values_that_do_not_fit(module, config, message):
    assert mistake(config, f"{module}.shape") == message


@pytest.mark.parametrize(
    ("target", "config", "message"),
    [
        (
            "Two",
            {"first": 1, "secnd": "abc"},
            "k.secnd is not a key of Two (it is set to 'abc'). Known keys: first, second. Did you mean k.second?",
        ),
        (
            "Two",
            {"xyz": "${nowhere}"},
            "k.xyz is not a key of Two (it is set to '${nowhere}'). Known keys: first, second.",
        ),
        ("Thirteen", {"lats": 1}, "k.lats is not a key of Thirteen (it is set to 1). Did you mean k.last?"),
        ("Nothing", {"first": None}, "k.first is not a key of Nothing (it is set to null)."),
        ("Two", {"first": 1}, "k.second needs a value: Two can't do without it."),
        ("Two", {"_args_": [1]}, "k.second needs a value: Two can't do without it."),
        ("Open", {"frist": 1}, "k.first needs a value: Open can't do without it."),
        ("Two", {"first": 1, "second": "???"}, "k.second needs a value."),
        ("Two", {"first": 1, "second": "???", "_partial_": True}, "k.second needs a value."),
        ("Noting", {}, "k._target_ is 'sample_shapes.Noting', but sample_shapes has no Noting. Did you mean Nothing?"),
    ],
)
def test_keys_that_do_not_fit(module, target, config, message):
    assert mistake(config, f"{module}.{target}", "k") == message


@pytest.mark.parametrize(
    ("target", "config"),
    [
        ("Two", {"first": 1, "second": "a"}),
        ("Two", {"_partial_": True}),
        ("Two", {"_args_": [1, "a"]}),
        ("Two", {"_args_": [1], "second": "a"}),
        ("Open", {"first": 1, "anything": [2]}),
        ("Nothing", {}),
    ],
)
def test_good_keys(module, target, config):
    check(OmegaConf.create(config), f"{module}.{target}")


@pytest.mark.parametrize(
    ("target", "config"),
    [
        ("gan_lightning.training.EMA", {"decay": SCHEDULE, "half_life": SCHEDULE}),
        ("gan_lightning.training.EMA", {"decay": 0.5, "half_life": None}),
        ("gan_lightning.training.CriticUpdates", {"n_critic": SCHEDULE}),
        ("gan_lightning.losses.InstanceNoise", {"std": SCHEDULE}),
        ("gan_lightning.losses.R1", {"weight": SCHEDULE}),
        ("torch.optim.Adam", {"_partial_": True, "lr": SCHEDULE, "betas": [0.0, SCHEDULE]}),
    ],
)
def test_schedules_fit_wherever_a_constructor_takes_one(target, config):
    check(OmegaConf.create(config), target)


@pytest.mark.parametrize(
    ("target", "config", "message"),
    [
        ("training.ema.EMA", {"decay": 1.5}, "decay is 1.5, but it must be at least 0 and at most 1."),
        ("training.ema.EMA", {"decay": None}, f"decay is null, but EMA expects a number or {A_SCHEDULE} there."),
        ("training.ema.EMA", {"half_life": TARGET}, f"expects a number, {A_SCHEDULE} or null there."),
        ("losses.regularizers.R1", {"every": SCHEDULE}, "but R1 expects a whole number there."),
        ("losses.regularizers.WeightClipping", {"bound": SCHEDULE}, "but WeightClipping expects a number there."),
        ("schedules.Linear", {"start": SCHEDULE, "end": 0}, "but Linear expects a number there."),
        ("schedules.Linear", {"start": 1, "end": 0, "unit": "epochs"}, "'iterations' or 'images' there."),
        ("training.ema.EMA", {"decay": SCHEDULE | {"stop": 1}}, "decay.stop is not a key of Linear (it is set to 1)."),
        ("losses.regularizers.R1", {"weight": {"start": 1, "end": 0}}, f"expects a number or {A_SCHEDULE} there."),
    ],
)
def test_schedules_do_not_fit_elsewhere(target, config, message):
    assert message in mistake(config, f"gan_lightning.{target}")


def test_only_the_aliases_of_its_own_package_and_this_one_are_read(module):
    target = f"{module}.aliases"
    assert mistake({"own": "c"}, target) == "own is 'c', but aliases expects 'a' or 'b' there."
    assert (
        mistake({"json": [1, ["b"]]}, target)
        == "json[1][0] is 'b', but aliases expects a list or a whole number there."
    )
    assert mistake({"foreign": -1}, target) == "foreign is -1, but it must be at least 1."
    check(OmegaConf.create({"own": "b", "json": [1, [2]], "foreign": 1}), target)


GOOD = """
    first: 1
    latent_dim: 8
    n_critic: 2
    size: 28
    shape: [1, "${size}", "${size}"]
    trainer:
      _target_: pytorch_lightning.Trainer
      _partial_: true
      max_steps: 100
      devices: [0, 1]
      accelerator: auto
    logger:
      _target_: pytorch_lightning.loggers.TensorBoardLogger
      save_dir: .
      max_queue: 10
    callbacks:
      - _target_: pytorch_lightning.callbacks.ModelCheckpoint
        save_last: link
    optimizers:
      generator: {_target_: torch.optim.Adam, _partial_: true, lr: 1e-4, betas: [0.5, 0.9]}
      discriminator: ${.generator}
    model:
      generator:
        _target_: gan_lightning.networks.DCGANGenerator
        latent_dim: ${latent_dim}
        sample_shape: ${shape}
        norm: none
      schedule:
        _target_: gan_lightning.training.CriticUpdates
        n_critic: ${n_critic}
      optimizer: ${optimizers.discriminator}
    """
ROOT = "sample_shapes.Open"


def good(*changes):
    config = OmegaConf.create(textwrap.dedent(GOOD))
    for change in changes:
        key, _, value = change.partition("=")
        OmegaConf.update(config, key, OmegaConf.create(f"value: {value}")._get_node("value"), merge=False)
    return config


@pytest.mark.parametrize(
    "changes",
    [
        [],
        ["n_critic=${size}"],
        ["trainer.devices=auto", "trainer.precision=16-mixed"],
        ["optimizers.generator={_target_: torch.optim.RMSprop, _partial_: true, lr: 5e-5}"],
    ],
)
def test_good_configs_of_real_targets(module, changes):
    check(good(*changes), ROOT)


ADAM = "optimizers.generator"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("trainer.max_steps=abc", "trainer.max_steps is 'abc', but Trainer expects a whole number there."),
        (
            "trainer.acelerator=cpu",
            "trainer.acelerator is not a key of Trainer (it is set to 'cpu'). Did you mean trainer.accelerator?",
        ),
        ("trainer.devices=[0,a]", "trainer.devices[1] is 'a', but Trainer expects a whole number there."),
        ("logger.save_dir=???", "logger.save_dir needs a value."),
        (
            "callbacks=[{_target_: pytorch_lightning.callbacks.ModelCheckpoint, save_top_k: all}]",
            "callbacks[0].save_top_k is 'all', but ModelCheckpoint expects a whole number there.",
        ),
        (f"{ADAM}.lr=abc", f"{ADAM}.lr is 'abc', but Adam expects a number or {A_SCHEDULE} there."),
        (f"{ADAM}.betas=[0.5]", f"{ADAM}.betas is [0.5], but Adam expects a list of 2 items there."),
        (f"{ADAM}._partial_=false", f"{ADAM}.params needs a value: Adam can't do without it."),
        (
            f"{ADAM}._target_=torch.optim.Adm",
            f"{ADAM}._target_ is 'torch.optim.Adm', but torch.optim has no Adm. Did you mean Adam?",
        ),
        (
            f"{ADAM}._target_=os.system",
            f"{ADAM}._target_ is 'os.system', but it must lie in gan_lightning, torch.nn, torch.optim, torchvision,"
            " torchmetrics or pytorch_lightning.",
        ),
        (f"{ADAM}._target_=torch.optimizer", f"{ADAM}._target_ is 'torch.optimizer', but it must lie in gan_lightning"),
        (f"{ADAM}._target_=3", f"{ADAM}._target_ is 3, but it must be the dotted path of a class."),
        (f"{ADAM}._target_=???", f"{ADAM}._target_ needs a value."),
        (
            "model.generator.norm=bacth",
            "model.generator.norm is 'bacth', but DCGANGenerator expects 'none', 'batch', 'layer', 'group', 'instance'"
            " or 'spectral' there. Did you mean batch?",
        ),
        ("model.generator.width=0", "model.generator.width is 0, but it must be at least 1."),
        ("latent_dim=0", "latent_dim is 0, but it must be at least 1 (model.generator.latent_dim is taken from it)."),
        (
            "n_critic=true",
            f"n_critic is true, but CriticUpdates expects a whole number or {A_SCHEDULE} there"
            " (model.schedule.n_critic is taken from it).",
        ),
        ("size=big", "size is 'big', but DCGANGenerator expects a whole number there (shape[1] is taken from it)."),
        ("n_critic=${steps}", "n_critic is '${steps}', which can't be resolved: Interpolation key 'steps' not found."),
        ("size=???", "size needs a value."),
        ("first=${late}", "late needs a value (first is taken from it)."),
    ],
)
def test_mistakes_in_a_config_of_real_targets(module, change, message):
    assert mistake(good(change, "late=???"), ROOT).startswith(message)


def test_a_chain_of_interpolations_is_reported_at_its_end(module):
    config = good("n_critic=${counts.critic}", "counts.critic=0")
    assert mistake(config, ROOT).startswith("counts.critic is 0, but it must be at least 1 and at most 1e+06 (model.")


def test_a_missing_value_at_the_end_of_a_chain_is_asked_for(module):
    config = {"first": "${second.third}", "second": {"third": "${.fourth}", "fourth": "???"}}
    assert mistake(config, ROOT) == "second.fourth needs a value (first is taken from it)."


def test_a_node_taken_from_elsewhere_is_reported_where_it_is_written(module):
    config = {"first": 1, "early": "${late}", "late": {"_target_": "torch.optim.Adam", "_partial_": True, "eps": "x"}}
    assert mistake(config, ROOT) == "late.eps is 'x', but Adam expects a number there."


def test_a_computed_value_is_reported_at_its_own_key(module):
    config = {"first": "${oc.env:GAN_LIGHTNING_NO_SUCH_VARIABLE,abc}"}
    assert mistake(config, ROOT, "k") == "k.first is 'abc', but Open expects a whole number there."


def test_interpolations_in_a_circle(module):
    assert "can't be resolved: Recursive interpolation" in mistake({"first": "${other}", "other": "${first}"}, ROOT)


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        ("n_critic=2", "good"),
        (
            "n_critic=0",
            "n_critic is 0, but it must be at least 1 and at most 1e+06 (model.schedule.n_critic is taken from it).",
        ),
        (f"{ADAM}._target_=torch.optim.Adm", f"{ADAM}._target_ is 'torch.optim.Adm', but torch.optim has no Adm."),
    ],
)
def test_neither_torch_nor_lightning_is_imported(folder, change, answer):
    script = """
        import sys
        from omegaconf import OmegaConf
        from gan_lightning.config.check import check
        from gan_lightning.errors import UserError
        config = OmegaConf.create(sys.stdin.read())
        try:
            check(config, "sample_shapes.Open")
            print("good")
        except UserError as error:
            print(error)
        print([name for name in ("torch", "torchvision", "pytorch_lightning", "torchmetrics") if name in sys.modules])
        """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), str(Path(gan_lightning.__file__).parents[1])]),
    }
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        input=OmegaConf.to_yaml(good(change)),
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    said, imported = result.stdout.splitlines()
    assert said.startswith(answer)
    assert imported == "[]"


@pytest.mark.parametrize(
    ("word", "choices", "expected"),
    [
        ("los", ["loss", "seed"], "loss"),
        ("LOSS", ["loss", "seed"], "loss"),
        ("trainer.acelerator", ["callbacks", "trainer.accelerator"], "trainer.accelerator"),
        ("trainer.foo", ["trainer.logger", "trainer.profiler"], None),
        ("acelerator", ["trainer.accelerator", "trainer.logger"], "trainer.accelerator"),
        ("acelerator", ["trainer.accelerator", "accelerator"], "accelerator"),
        ("trianer.logger", ["data.logger", "trainer.logger"], "trainer.logger"),
        ("anything", [], None),
    ],
)
def test_nearest_spelling(word, choices, expected):
    assert nearest(word, choices) == expected
    assert did_you_mean(word, choices) == (f" Did you mean {expected}?" if expected else "")


@pytest.mark.parametrize(
    ("target", "config", "message"),
    [
        (
            "gan_lightning.training.GAN",
            {"latents": {"_target_": "gan_lightning.sampling.Normal", "_partial_": True}},
            "GAN expects a node with a _target_, not _partial_ or null there",
        ),
        *(
            (
                "gan_lightning.training.GAN",
                {"generator_optimizer": {"_target_": "torch.optim.SGD", "_partial_": True, name: 2.5}},
                f"k.generator_optimizer.{name} is 2.5, but it must be true or false.",
            )
            for name in ("_partial_", "_recursive_")
        ),
        (
            "gan_lightning.training.GAN",
            {"ema": {"_target_": "gan_lightning.training.EMA", "_args_": [1]}},
            "k.ema._args_ can't be set: gan_lightning.training.EMA takes arguments by their names.",
        ),
    ],
)
def test_keys_of_hydras(target, config, message):
    with pytest.raises(UserError) as caught:
        check(OmegaConf.create(config), target, "k")
    assert message in str(caught.value)
