"""The user's own code: what a factory may return, and a message for everything that can go wrong."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hardware_db.errors import FlopcastError, ModelError, UnknownModel, UsageError
from profiles.definitions import ProfileRequest, profile_definition
from profiles.models import parse_inputs, resolve
from profiles.models.input_text import InputSpec, parse_input

HERE = Path(__file__).parent / "fixtures_models"


def built(spec, **changes):
    definition = resolve(spec, base=HERE, **changes)
    sizes = definition.sizes()
    with torch.device("meta"):
        model = definition.build()
        args, kwargs = definition.inputs(sizes.batch_size, sizes.sequence_length, sizes.image_size)
    return definition, model, args, kwargs


def said(spec, error, **changes):
    with pytest.raises(error) as caught:
        built(spec, **changes)
    return str(caught.value)


def test_a_module_alone_gets_a_guessed_input():
    definition, model, args, kwargs = built("mine.py:plain")
    assert args[0].shape == (1, 128) and args[0].dtype == torch.int64 and kwargs == {}
    assert (definition.batch_size, definition.sequence_length) == (1, 128)
    assert definition.notes[0] == "input guessed from the first layer: int64:1x128; --input gives another"
    assert model(args[0]).shape == (1, 128, 100)


def test_images_are_guessed_from_a_convolution():
    _, model, args, _ = built("mine.py:convolution")
    assert args[0].shape == (1, 3, 224, 224)
    assert model(*args).shape == (1, 10)


def test_inputs_of_the_factory_follow_batch_and_sequence():
    definition = resolve("mine.py:with_inputs", base=HERE)
    assert (definition.batch_size, definition.sequence_length) == (4, 16)
    _, kwargs = definition.inputs(2, 8, None)
    assert {name: tuple(value.shape) for name, value in kwargs.items()} == {"ids": (2, 8), "targets": (2, 8)}
    assert all(value.device.type == "cpu" for value in kwargs.values())


def test_the_models_own_loss_is_taken():
    definition, model, args, kwargs = built("mine.py:with_inputs")
    outputs = model(*args, **{name: value.to("meta") for name, value in kwargs.items()})
    assert definition.loss(outputs, args, kwargs) is outputs["loss"]


def test_every_build_is_a_new_model():
    definition = resolve("mine.py:plain", base=HERE)
    with torch.device("meta"):
        assert definition.build() is not definition.build()


@pytest.mark.parametrize(("factory", "rounds"), [("with_step", [2, 2]), ("with_loss_function", [4])])
def test_a_training_step_of_the_user(factory, rounds):
    definition = resolve(f"mine.py:{factory}", base=HERE)
    model = definition.build()
    args, kwargs = definition.inputs(3, None, None)
    seen = [(loss.shape, len(list(trained))) for loss, trained in definition.step(model, *args, **kwargs)]
    assert seen == [((), count) for count in rounds]


def test_a_factory_that_reads_values_is_built_all_the_same():
    _, model, args, _ = built("mine.py:reads_values")
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert model(*args).shape == (1, 6)


def test_inputs_may_be_written_on_the_command_line():
    definition, model, args, kwargs = built("mine.py:two_inputs", inputs=parse_inputs("8x4,right=8x2"))
    assert definition.batch_size == 8 and args[0].shape == (8, 4) and kwargs["right"].shape == (8, 2)
    assert model(*args, **kwargs).shape == (8, 2)


def test_inputs_may_be_written_for_a_name_of_the_zoo():
    definition = resolve("resnet18", inputs=parse_inputs("4x3x64x64"))
    assert definition.sizes().batch_size == 4 and definition.fingerprint != resolve("resnet18").fingerprint
    assert definition.inputs(4, None, None)[0][0].shape == (4, 3, 64, 64)


def test_module_and_function_by_dotted_name(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE.parent))
    _, model, _, _ = built("fixtures_models.mine:plain")
    assert type(model).__name__ == "Net"


def test_user_modules_do_not_shadow_each_other():
    resolve("mine.py:plain", base=HERE)
    assert "mine" not in sys.modules and str(HERE) not in sys.path


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        (
            "mine.py:build_model",
            UnknownModel,
            "mine.py has no function 'build_model'. It defines: Net, Pair, plain, with_inputs, with_step, "
            "with_loss_function, convolution, two_inputs, reads_values, returns_dict, needs_config, fails",
        ),
        ("nothing.py:build", UnknownModel, "There is no file nothing.py. Expected path/to/file.py:function"),
        ("mine.py", ModelError, "mine.py names a file but no function in it. Expected mine.py:function"),
        ("no_such_package.net:build", UnknownModel, "There is no module 'no_such_package.net' here. Expected package"),
        ("mine.py:returns_dict", ModelError, "mine.py:returns_dict() returned a dict; expected torch.nn.Module"),
        (
            "mine.py:needs_config",
            ModelError,
            "mine.py:needs_config needs 'config'; give a function without required arguments",
        ),
        ("mine.py:fails", ModelError, "mine.py:fails() failed at mine.py:72: hidden size must be even"),
        (
            "missing_package.py:build",
            ModelError,
            "missing_package.py:3: No module named 'flash_attn_of_the_future'\n",
        ),
        ("mine.py:two_inputs", UsageError, "mine.py:two_inputs needs 2 inputs: left, right. Give them: --input left="),
        ("weights.pt", ModelError, "weights.pt is a pickle: opening it runs whatever code it holds, so it is refused."),
        ("", UsageError, "No model was given. Names: flopcast models."),
        ("profile.json", ModelError, "profile.json is a saved profile, not a configuration: it has been traced"),
    ],
)
def test_mistakes_say_what_would_work(spec, error, message):
    text = said(spec, error)
    assert text.startswith(message)
    assert len(text.splitlines()) <= 3


def test_a_file_with_a_syntax_error(tmp_path):
    (tmp_path / "broken.py").write_text("def build(:\n    pass\n")
    with pytest.raises(ModelError, match=r"^broken.py:1: invalid syntax\nIt was needed to import your model"):
        resolve("broken.py:build", base=tmp_path)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("8x3x224x224", InputSpec((8, 3, 224, 224))),
        ("int64:8x1024", InputSpec((8, 1024), "int64")),
        ("ids=int64:8x128", InputSpec((8, 128), "int64", "ids")),
        ("scalar", InputSpec(())),
    ],
)
def test_written_inputs(text, spec):
    assert parse_input(text) == spec


@pytest.mark.parametrize("text", ["8x", "complex:8", "8x0", "int:8x2", "x", "8,x"])
def test_malformed_inputs_are_refused(text):
    with pytest.raises(UsageError):
        parse_inputs(text)


@pytest.mark.parametrize(
    ("spec", "forward_per_token", "parameters"),
    [
        ("params=7B", 14e9, 7e9),
        # 2 x 7e9 + 4 x 32 x 4096 x 256, by hand
        ("params=7B,layers=32,hidden=4096", 14e9 + 134_217_728, 7e9),
        ("params=47B,active=13B", 26e9, 47e9),
    ],
)
def test_sizes_alone_describe_a_model(spec, forward_per_token, parameters):
    definition = resolve(spec)
    assert "6 FLOPs per parameter and token" in definition.notes[0]
    profile = profile_definition(definition, ProfileRequest(batch_size=2, sequence_length=256))
    assert profile.parameters == pytest.approx(parameters, rel=1e-6)
    assert profile.model_flops.forward == pytest.approx(512 * forward_per_token, rel=1e-6)
    assert profile.model_flops.backward == pytest.approx(2 * 512 * forward_per_token, rel=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("params=7B,layer=32", "'layer=32' is no size. Did you mean layers?"),
        ("params=7B,active=9B", "cannot meet more parameters"),
        ("params=7B,layers=32", "needs both layers and hidden"),
        ("params=0", "must be a whole number above 0"),
    ],
)
def test_contradicting_sizes_are_refused(text, message):
    with pytest.raises(FlopcastError, match=re.escape(message)):
        resolve(text)


QUANTISED = """
import torch


def quantised():
    layers = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
    return torch.ao.quantization.quantize_dynamic(layers, {torch.nn.Linear}, dtype=torch.qint8)
"""


def test_a_factory_that_packs_weights_in_compiled_code_is_run_for_real(tmp_path):
    """Packing reads and writes where fake tensors say that their data lies: it corrupted memory, then crashed."""
    (tmp_path / "packed.py").write_text(QUANTISED)
    command = [sys.executable, "-m", "estimator", "profile", "packed.py:quantised", "--input", "4x64", "--inference"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [*command, "--json"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=300
    )
    assert json.loads(done.stdout)["results"][0]["matmul_flops"]["total"] == 2 * 4 * 64 * 64 + 2 * 4 * 64 * 10
    assert "Warning" not in done.stderr


def test_a_file_that_ends_the_program_is_a_message(tmp_path):
    (tmp_path / "quits.py").write_text("import sys\n\n\ndef build():\n    sys.exit(3)\n")
    (tmp_path / "gone.py").write_text("raise SystemExit\n")
    with pytest.raises(
        ModelError, match=r"quits.py:build\(\) failed at quits.py:5: it ended the program with exit\(3\)"
    ):
        resolve("quits.py:build", base=tmp_path)
    with pytest.raises(ModelError, match=r"gone.py:1: it ended the program with exit\(None\)"):
        resolve("gone.py:build", base=tmp_path)
