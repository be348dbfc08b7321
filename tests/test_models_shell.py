"""`flopcast profile MODEL` from the shell, once for every kind of MODEL, each against FLOPs counted by hand."""

import io
import json

import pytest
import torch
from click.testing import CliRunner

from estimator.cli import main
from profiles.models import torchvision_shim

CODE = """\
import torch


class Two(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.left, self.right = torch.nn.Linear(4, 8), torch.nn.Linear(6, 8)

    def forward(self, left, more):
        return self.left(left) + self.right(more["right"][0])


def nested():
    return Two(), {"left": torch.rand(5, 4), "more": {"right": [torch.rand(5, 6)]}}


def frozen():
    model = torch.nn.Sequential(torch.nn.Linear(16, 16), torch.nn.Linear(16, 16))
    model[0].requires_grad_(False)
    return model, torch.rand(3, 16)


def compiled():
    return torch.compile(torch.nn.Linear(16, 16)), torch.rand(3, 16)


def tied():
    model = torch.nn.Sequential(torch.nn.Embedding(50, 16), torch.nn.Linear(16, 50, bias=False))
    model[1].weight = model[0].weight
    return model, torch.zeros(2, 7, dtype=torch.int64)


def own_step():
    def step(model, x):
        return model(model(x)).sum()

    return torch.nn.Linear(16, 16, bias=False), (torch.rand(3, 16),), step
"""
TINY_LLAMA = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "num_hidden_layers": 2, "hidden_size": 64,
    "num_attention_heads": 4, "num_key_value_heads": 4, "intermediate_size": 128, "vocab_size": 100,
}  # fmt: skip


def llama(tokens, batch):
    """Four projections, three of the MLP, the head, and two products of attention counted in full, per token."""
    layers = 2 * (4 * 64 * 64 + 3 * 64 * 128 + 2 * tokens * 64)
    return 2 * batch * tokens * (layers + 64 * 100)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "mine.py").write_text(CODE)
    (tmp_path / "shellpackage").mkdir()
    (tmp_path / "shellpackage" / "net.py").write_text(CODE)
    (tmp_path / "config.json").write_text(json.dumps(TINY_LLAMA))
    return tmp_path


def answer(*arguments, code=0):
    result = CliRunner().invoke(main, ["profile", *arguments])
    assert result.exit_code == code, result.output
    return result


def products(*arguments):
    """Forward and backward FLOPs of matrix products, by the JSON a script would read."""
    found = json.loads(answer(*arguments, "--json").stdout)

    totals = found["results"][0]["matmul_flops"]
    return totals["forward"], totals["backward"]


@pytest.mark.parametrize(
    ("factory", "forward", "backward"),
    [
        # no gradient of the inputs: one product backward for each forward
        ("nested", 2 * 5 * 8 * (4 + 6), 2 * 5 * 8 * (4 + 6)),
        # only the last layer learns, and nothing before it
        ("frozen", 2 * 2 * 3 * 16 * 16, 2 * 3 * 16 * 16),
        ("compiled", 2 * 3 * 16 * 16, 2 * 3 * 16 * 16),
        ("tied", 2 * 14 * 16 * 50, 2 * 2 * 14 * 16 * 50),
        ("own_step", 2 * 2 * 3 * 16 * 16, 3 * 2 * 3 * 16 * 16),
    ],
)
@pytest.mark.parametrize("place", ["mine.py", "shellpackage.net"])
def test_code_of_the_user(place, factory, forward, backward):
    assert products(f"{place}:{factory}") == (forward, backward)


@pytest.mark.parametrize(
    "spec",
    [
        "config.json",
        "hf:config.json,num_hidden_layers=2",
        "hf:llama,num_hidden_layers=2,hidden_size=64,num_attention_heads=4,num_key_value_heads=4,"
        "intermediate_size=128,vocab_size=100#ForCausalLM",
    ],
)
def test_configurations_of_hugging_face(spec):
    assert products(spec, "--batch-size", "3", "--sequence-length", "32", "--inference")[0] == llama(32, 3)


@pytest.mark.parametrize("spec", ["resnet18", "timm:resnet18", "torchvision:resnet18"])
def test_image_models_are_the_same_from_every_source(spec):
    forward, backward = products(spec, "--batch-size", "2", "--image-size", "64")
    stem = 2 * 2 * 32 * 32 * 64 * 3 * 49
    assert backward == 2 * forward - stem
    # 1.814 billion multiply-adds at 224 x 224 (torchvision's documentation), of which all but the head scale with area
    head = 2 * 2 * 512 * 1000
    assert (forward - head) / 4 / (64 / 224) ** 2 / 1e9 == pytest.approx(1.814 - 512e-6, abs=0.001)


def test_an_exported_program(folder):
    model = torch.nn.Sequential(torch.nn.Linear(12, 20), torch.nn.ReLU(), torch.nn.Linear(20, 3))
    torch.export.save(torch.export.export(model, (torch.zeros(4, 12),)), folder / "net.pt2")
    assert products("net.pt2")[0] == 2 * 4 * (12 * 20 + 20 * 3)


def test_an_onnx_graph(folder):
    torchvision_shim.prepare()
    model, buffer = torch.nn.Sequential(torch.nn.Linear(12, 20), torch.nn.Linear(20, 3)), io.BytesIO()
    torch.onnx.export(model, (torch.zeros(4, 12),), buffer, dynamo=False, opset_version=13, input_names=["x"])
    (folder / "net.onnx").write_bytes(buffer.getvalue())
    assert products("net.onnx")[0] == 2 * 4 * (12 * 20 + 20 * 3)


def test_a_keras_file(folder, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    import keras

    keras.Sequential([keras.layers.Input((12,)), keras.layers.Dense(20), keras.layers.Dense(3)]).save("net.keras")
    assert products("net.keras", "--batch-size", "4")[0] == 2 * 4 * (12 * 20 + 20 * 3)


def test_a_keras_model_of_a_factory_trains_all_its_weights(folder, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    (folder / "kept.py").write_text(
        "import keras\n\n\ndef make():\n    layers = keras.layers\n"
        "    return keras.Sequential([layers.Input((12,)), layers.Dense(20), layers.Dense(3)])\n"
    )
    assert products("kept.py:make", "--batch-size", "4") == (2 * 4 * (12 * 20 + 20 * 3), 2 * 4 * (12 * 20 + 2 * 20 * 3))
    memory = json.loads(answer("kept.py:make", "--json").stdout)["results"][0]["memory"]
    weights = 4 * (13 * 20 + 21 * 3)
    assert (memory["parameter_bytes"], memory["gradient_bytes"], memory["optimizer_state_bytes"]) == (
        weights,
        weights,
        pytest.approx(2 * weights, rel=0.02),
    )


def test_sizes_alone():
    forward, backward = products("params=7B", "--batch-size", "2", "--sequence-length", "10")
    assert (forward, backward) == (pytest.approx(2 * 7e9 * 20, rel=1e-6), pytest.approx(4 * 7e9 * 20, rel=1e-6))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("resnet5O", "Error: No model 'resnet5O'. Did you mean resnet50"),
        ("timm:resnet5O", "Error: No model 'resnet5O' in timm. Did you mean resnet50"),
        ("hf:lama", "Error: transformers has no model type 'lama'. Did you mean llama"),
        ("hf:llama,hiden_size=8", "Error: llama has no option 'hiden_size'. Did you mean hidden_size"),
        ("mine.py:nestd", "Error: mine.py has no function 'nestd'"),
        ("weights.bin", "Error: weights.bin is a pickle: opening it runs whatever code it holds, so it is refused."),
        ("missing.onnx", "Error: "),
    ],
)
def test_mistakes_end_with_a_message_and_no_traceback(spec, said):
    result = answer(spec, code=2)
    assert result.stderr.startswith(said) and "Traceback" not in result.output


def test_images_of_another_size_reach_a_model_built_for_one():
    """Two by two patches of 16 x 16 x 3 pixels, 32 features each."""
    tiny = "hf:vit,hidden_size=32,num_hidden_layers=1,num_attention_heads=2,intermediate_size=64"
    result = answer(tiny, "--image-size", "32", "--inference", "--by", "operator", "--json")
    rows = {row["name"]: row["flops"]["total"] for row in json.loads(result.stdout)["results"][0]["breakdown"]}
    assert rows["aten.convolution"] == 2 * 4 * 16 * 16 * 3 * 32


def test_a_detector_of_torchvision_trains_symbolically():
    """Which boxes match is guessed, and said; the backbone and the heads are counted whatever the boxes."""
    result = answer("torchvision:fasterrcnn_mobilenet_v3_large_320_fpn", "--json")
    profile = json.loads(result.stdout)["results"][0]
    assert profile["rung"] == "meta" and any("guessed" in note for note in profile["notes"])
    totals = profile["matmul_flops"]
    # torchvision documents 0.719 billion multiply-adds at inference; training looks at 512 regions, 13.9 M each
    assert totals["forward"] / 2e9 > 0.719 and totals["backward"] > totals["forward"]


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("hf:llama,num_hidden_layers=1000000000", "num_hidden_layers of 1e+09 is beyond any model: at most 10,000"),
        ("hf:llama,num_hidden_layers=-3", "num_hidden_layers of -3 is no number of layers"),
        ("hf:llama,vocab_size=1e12", "beyond any model"),
        ("params=7Q", "7e+15 parameters are beyond any model: at most 1Q is counted"),
        ("params=7B,layers=100000,hidden=64", "layers of 1e+05 is beyond any model"),
    ],
)
def test_sizes_beyond_any_model_are_refused_before_anything_is_built(model, said):
    result = CliRunner().invoke(main, ["profile", model])
    assert result.exit_code == 2 and said in result.stderr


def test_a_described_model_of_many_layers_is_traced_by_few():
    result = CliRunner().invoke(main, ["profile", "params=8.3T", "--json"])
    (found,) = json.loads(result.stdout)["results"]
    # 6 FLOPs a parameter and token; the head leaves over less than its width.
    products = sum(found["matmul_flops"][phase] for phase in ("forward", "backward"))
    assert products == pytest.approx(6 * 8.3e12 * 1024, rel=1e-3)
