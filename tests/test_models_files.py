"""Exported programs and other packages' models: data is read, code is refused, counts equal those of the source."""

import io
import json
import pickle
import zipfile

import pytest
import torch
from torch import nn

from hardware_db.errors import MissingExtra, ModelError, UnknownModel, UsageError
from profiles.definitions import profile_definition
from profiles.models import resolve, torchvision_shim
from profiles.models.networks import resnet
from profiles.request import ProfileRequest


def small():
    return nn.Sequential(
        nn.Embedding(50, 16), nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), nn.Linear(16, 50)
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("exported")
    ids, model = torch.randint(50, (2, 8)), small().eval()
    batch, sequence = torch.export.Dim("batch"), torch.export.Dim("sequence", min=2, max=512)
    program = torch.export.export(model, (ids,), dynamic_shapes=({0: batch, 1: sequence},))
    torch.export.save(program, path / "free.pt2")
    torch.export.save(torch.export.export(model, (ids,)), path / "fixed.pt2")
    return path


def forward_flops(definition, **sizes):
    return profile_definition(definition, ProfileRequest(mode="forward", **sizes)).matmul_flops.forward


def by_hand(batch, sequence):
    """Two products of 16 x 48 and 16 x 16, two of 16 x 32, one of 16 x 50 a token; two of attention."""
    tokens = batch * sequence
    products = tokens * (16 * 48 + 16 * 16 + 2 * 16 * 32 + 16 * 50)
    return 2 * (products + 2 * batch * sequence * sequence * 16)


@pytest.mark.parametrize(("batch", "sequence"), [(2, 8), (3, 24)])
def test_an_exported_program_counts_as_its_source(folder, batch, sequence):
    definition = resolve("free.pt2", base=folder)
    assert (definition.batch_size, definition.sequence_length) == (2, 8)
    assert forward_flops(definition, batch_size=batch, sequence_length=sequence) == by_hand(batch, sequence)


def test_sizes_an_export_has_fixed(folder):
    definition = resolve("fixed.pt2", base=folder)
    definition.inputs(2, 8, None)
    with pytest.raises(UsageError, match=r"exported for a batch of 2 only; 4 was given"):
        definition.inputs(4, 8, None)


class Payload:
    def __reduce__(self):
        return print, ("code of a stranger ran",)


def poisoned(folder, tmp_path, name, content):
    """A copy of a good archive with one member put in its place."""
    target = tmp_path / "bad.pt2"
    with zipfile.ZipFile(folder / "free.pt2") as good, zipfile.ZipFile(target, "w") as bad:
        for member in good.namelist():
            if not member.endswith(name):
                bad.writestr(member, good.read(member))
        bad.writestr(f"free/{name}", content)
    return target


def member(folder, name):
    with zipfile.ZipFile(folder / "free.pt2") as archive:
        return archive.read(next(member for member in archive.namelist() if member.endswith(name)))


def test_an_archive_with_a_pickle_is_refused(folder, tmp_path, capsys):
    config = json.dumps({"config": {"w": {"path_name": "weight_x", "use_pickle": True}}}).encode()
    target = poisoned(folder, tmp_path, "data/weights/model_weights_config.json", config)
    with zipfile.ZipFile(target, "a") as archive:
        archive.writestr("free/data/weights/weight_x", pickle.dumps(Payload()))
    with pytest.raises(ModelError, match="holds a pickled object"):
        resolve("bad.pt2", base=tmp_path)
    assert "stranger" not in capsys.readouterr().out


def test_an_archive_with_pickled_examples_is_refused(folder, tmp_path, capsys):
    poisoned(folder, tmp_path, "data/sample_inputs/model.pt", pickle.dumps(Payload()))
    with pytest.raises(ModelError, match="holds a pickled object"):
        resolve("bad.pt2", base=tmp_path)
    assert "stranger" not in capsys.readouterr().out


def test_an_archive_with_compiled_code_is_refused(folder, tmp_path):
    poisoned(folder, tmp_path, "data/aotinductor/model/x.so", b"\x7fELF")
    with pytest.raises(ModelError, match="holds compiled code"):
        resolve("bad.pt2", base=tmp_path)


@pytest.mark.parametrize(
    "expression", ["__import__('os')", "().x", "exec('a')", "print(1)", "Symbol('a').free_symbols"]
)
def test_an_archive_with_an_expression_that_is_a_program_is_refused(folder, tmp_path, expression):
    content = member(folder, "models/model.json").replace(b'"expr_str":', b'"expr_str_was":')
    tree = json.loads(content)
    tree["extra"] = {"expr_str": expression}
    poisoned(folder, tmp_path, "models/model.json", json.dumps(tree))
    with pytest.raises(ModelError, match="which is no arithmetic"):
        resolve("bad.pt2", base=tmp_path)


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("missing.pt2", UnknownModel, "There is no file"),
        ("text.pt2", ModelError, "text.pt2 is no torch.export archive"),
        ("weights.safetensors", ModelError, "holds weights but not the model they belong to"),
        ("model.h5", ModelError, "Load it in Keras 3 and save it again"),
        ("model.tflite", ModelError, "python -m tf2onnx.convert --tflite model.tflite"),
        ("saved", ModelError, "python -m tf2onnx.convert --saved-model saved --opset 13"),
        ("model.pkl", ModelError, "opening it runs whatever code it holds"),
        ("model.ckpt", ModelError, "opening it runs whatever code it holds"),
    ],
)
def test_other_files_say_what_to_give_instead(tmp_path, name, error, said):
    (tmp_path / "text.pt2").write_text("nothing")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"")
    with pytest.raises(error) as caught:
        resolve(name, base=tmp_path)
    assert said in str(caught.value) and len(str(caught.value).splitlines()) <= 3


@pytest.mark.parametrize(
    ("spec", "package", "extra"),
    [
        ("timm:resnet18", "timm", "vision"),
        ("torchvision:resnet18", "torchvision", "vision"),
        ("model.onnx", "onnx2torch", "onnx"),
        ("model.keras", "keras", "keras"),
    ],
)
def test_a_missing_package_names_the_extra(monkeypatch, spec, package, extra):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == package else real(name))
    with pytest.raises(
        MissingExtra, match=rf"needs {package}, which is not installed.\npip install 'flopcast\[{extra}\]'"
    ):
        resolve(spec)


def test_timm_and_torchvision_count_as_our_own_network():
    torchvision_shim.prepare()
    pytest.importorskip("timm")
    own = forward_flops(resolve("resnet18"), image_size=64)
    for spec in ("timm:resnet18", "torchvision:resnet18"):
        assert forward_flops(resolve(spec), image_size=64) == own
        with torch.device("meta"):
            assert sum(p.numel() for p in resolve(spec).build().parameters()) == 11_689_512


def test_names_and_options_of_other_packages():
    torchvision_shim.prepare()
    pytest.importorskip("timm")
    with torch.device("meta"):
        assert resolve("timm:resnet18,num_classes=7,in_chans=1").build().fc.out_features == 7
        assert resolve("timm:resnet18,in_chans=1").inputs(2, None, None)[0][0].shape == (2, 1, 224, 224)
        assert resolve("timm:vit_base_patch16_384").inputs(1, None, None)[0][0].shape == (1, 3, 384, 384)
        for spec in ("timm:resnet1800", "torchvision:resnet1800"):
            with pytest.raises(UnknownModel, match=r"No model 'resnet1800' in (timm|torchvision)\. Did you mean"):
                resolve(spec).build()


@pytest.mark.parametrize("spec", ["vit-b-16", "timm:vit_base_patch16_224", "torchvision:vit_b_16"])
def test_a_vision_transformer_is_built_for_the_images_asked_for(spec):
    """torchvision documents 86,859,496 parameters for ViT-B/16 of 384 pixels: 577 positions instead of 197."""
    torchvision_shim.prepare()
    if ":" in spec:
        pytest.importorskip(spec.partition(":")[0])
    definition = resolve(spec)
    with torch.device("meta"):
        assert sum(p.numel() for p in definition.for_images(384).build().parameters()) == 86_859_496
        assert sum(p.numel() for p in definition.for_images(None).build().parameters()) == 86_567_656
    assert definition.for_images(384).fingerprint != definition.fingerprint


def test_images_of_a_part_that_sees():
    with torch.device("meta"):
        model = resolve("hf:clip").for_images(384).build()
    assert model.vision_model.embeddings.position_embedding.weight.shape[0] == (384 // 32) ** 2 + 1


def test_a_network_that_takes_any_image_is_the_same_for_all():
    with torch.device("meta"):
        assert sum(p.numel() for p in resolve("timm:resnet18").for_images(384).build().parameters()) == 11_689_512


def test_an_empty_onnx_file_is_called_so(tmp_path):
    pytest.importorskip("onnx2torch")
    (tmp_path / "nothing.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"^nothing\.onnx is empty\. torch\.onnx\.export"):
        resolve("nothing.onnx", base=tmp_path)


def test_a_name_like_none_says_how_to_see_them_all():
    torchvision_shim.prepare()
    with pytest.raises(UnknownModel, match=r"No model 'nope' in torchvision\. It has \d+, .* All of them: torchvision"):
        resolve("torchvision:nope").build()


def test_an_onnx_graph_counts_as_its_source(tmp_path):
    torchvision_shim.prepare()
    pytest.importorskip("onnx2torch")
    model, image = resnet.imagenet((1, 1, 1, 1), False).eval(), torch.zeros(2, 3, 64, 64)
    buffer = io.BytesIO()
    torch.onnx.export(
        model, (image,), buffer, dynamo=False, opset_version=13, input_names=["x"], dynamic_axes={"x": {0: "batch"}}
    )
    (tmp_path / "net.onnx").write_bytes(buffer.getvalue())
    definition = resolve("net.onnx", base=tmp_path)
    profile = profile_definition(definition, ProfileRequest(batch_size=4))
    assert profile.rung == "meta"
    stem = 2 * 4 * 32 * 32 * 64 * 3 * 49
    assert profile.matmul_flops.forward > 4 * stem
    assert profile.matmul_flops.backward == 2 * profile.matmul_flops.forward - stem


def test_a_keras_model_counts_by_hand(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    pytest.importorskip("keras")
    import keras

    layers = keras.layers
    model = keras.Sequential([layers.Input((32, 32, 3)), layers.Conv2D(8, 3), layers.Flatten(), layers.Dense(10)])
    model.save(tmp_path / "net.keras")
    definition = resolve("net.keras", base=tmp_path)
    profile = profile_definition(definition, ProfileRequest(batch_size=2))
    convolution, dense = 2 * 2 * 900 * 8 * 27, 2 * 2 * 7200 * 10
    assert profile.matmul_flops.forward == convolution + dense
    assert profile.matmul_flops.backward == convolution + 2 * dense
    assert (profile.parameters, profile.rung) == (model.count_params(), "meta")


def test_an_onnx_operator_that_nobody_converts_is_named_without_advice_on_opsets(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnx2torch")
    value = onnx.helper.make_tensor_value_info
    node = onnx.helper.make_node("DynamicQuantizeLinear", ["x"], ["y", "scale", "zero"])
    kinds = onnx.TensorProto
    outputs = [value("y", kinds.UINT8, [2, 4]), value("scale", kinds.FLOAT, []), value("zero", kinds.UINT8, [])]
    graph = onnx.helper.make_graph([node], "quantised", [value("x", kinds.FLOAT, [2, 4])], outputs)
    file = tmp_path / "quantised.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]), file)
    with pytest.raises(ModelError, match="onnx2torch knows no DynamicQuantizeLinear: profile the code") as refusal:
        resolve(str(file)).build()
    assert "opset" not in str(refusal.value)
