"""Every name of the zoo builds into a model with the published number of parameters, and runs."""

import subprocess
import sys

import pytest
import torch

from hardware_db.errors import UnknownModel, UsageError
from profiles.definitions import ProfileRequest, profile_definition
from profiles.models import model_loss, names, resolve
from profiles.models.zoo import ALIASES, configurations
from profiles.models.zoo_networks import NETWORKS

OWN = [entry.name for entry in NETWORKS]
CONFIGURED = list(configurations())
QUICK = ["gpt2", "bert-base", "llama-3.1-8b", "mixtral-8x7b", "t5-small"]


def parameters(name: str) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in resolve(name).build().parameters())


@pytest.mark.parametrize("row", names(), ids=lambda row: row.name)
def test_names_have_a_source_and_a_task(row):
    definition = resolve(row.name)
    assert row.source and row.task and row.parameters > 0
    assert (definition.name, definition.source) == (row.name, row.source)
    assert definition.sizes().sequence_length == row.sequence_length
    assert definition.fingerprint


def test_names_and_fingerprints_are_distinct():
    rows = names()
    assert len({row.name for row in rows}) == len(rows) >= 90
    same = {"llama-7b", "llama-3-8b"}  # the same shapes as llama-2-7b and llama-3.1-8b, but for positions
    marks = [resolve(row.name).fingerprint for row in rows if row.name not in same]
    assert len(set(marks)) == len(marks)


def test_aliases_lead_to_names():
    for alias, name in ALIASES.items():
        assert resolve(alias).name == name
        assert alias not in OWN + CONFIGURED


def test_resolving_needs_neither_torch_nor_transformers():
    program = (
        "import sys, profiles.models as m\n"
        "for row in m.names(): m.resolve(row.name)\n"
        "m.resolve('hf:llama,num_hidden_layers=2#ForCausalLM'); m.resolve('params=7B')\n"
        "for unknown in ('nosuchmodel', 'convnext_tiny'):\n"
        "    try: m.resolve(unknown)\n"
        "    except Exception as error: assert 'No model' in str(error)\n"
        "    else: raise SystemExit(f'{unknown} is known')\n"
        "print([name for name in ('torch', 'transformers', 'torchvision', 'timm') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("entry", NETWORKS, ids=lambda entry: entry.name)
def test_own_networks_have_the_published_parameters(entry):
    assert parameters(entry.name) == entry.parameters


@pytest.mark.parametrize("name", QUICK)
def test_common_configurations_have_the_published_parameters(name):
    assert parameters(name) == configurations()[name].parameters


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGURED)
def test_configurations_have_the_published_parameters(name):
    assert parameters(name) == configurations()[name].parameters


@pytest.mark.parametrize("name", [name for name in OWN if name not in ("las", "dcgan")])
def test_own_networks_train_on_meta(name):
    definition = resolve(name)
    sizes = definition.sizes(batch_size=2)
    with torch.device("meta"):
        model = definition.build()
        args, kwargs = definition.inputs(sizes.batch_size, sizes.sequence_length, sizes.image_size)
        loss = definition.loss(model(*args, **kwargs), args, kwargs)
    loss.backward()
    assert loss.shape == ()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


def test_las_trains_on_a_short_utterance():
    definition = resolve("las")
    with torch.device("meta"):
        model = definition.build()
        args, kwargs = definition.inputs(2, 3, None)
        scores = model(*args, **kwargs)
    assert args[0].shape == (2, 24, 40) and scores.shape == (2, 3, 43)


def test_dcgan_trains_each_network_with_its_own_optimizer():
    definition = resolve("dcgan")
    with torch.device("meta"):
        model = definition.build()
        args, kwargs = definition.inputs(4, None, None)
        rounds = []
        for loss, trained in definition.step(model, *args, **kwargs):
            model.zero_grad()
            loss.backward()
            rounds.append({id(parameter) for parameter in trained})
            touched = {id(parameter) for parameter in model.parameters() if parameter.grad is not None}
            assert rounds[-1] <= touched
    assert rounds[0] == {id(parameter) for parameter in model.discriminator.parameters()}
    assert rounds[1] == {id(parameter) for parameter in model.generator.parameters()}


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("gpt-2", "gpt2, gpt2-xl, gpt2-large"),
        ("ResNet-5O", "resnet50"),
        ("llama31-8b", "llama-3.1-8b"),
        ("bert_base", "bert-base"),
    ],
)
def test_mistyped_name_gets_neighbours(given, meant):
    with pytest.raises(UnknownModel) as caught:
        resolve(given)
    message = str(caught.value)
    assert message.startswith(f"No model {given!r}. Did you mean {meant}")
    assert message.endswith("Names: flopcast models. Your own: path/to/file.py:function")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("densenet121", "torchvision:densenet121, timm:densenet121"),
        ("convnext_atto", "timm:convnext_atto"),
        ("fasterrcnn_resnet50_fpn", "torchvision:fasterrcnn_resnet50_fpn"),
    ],
)
def test_a_name_of_another_package_says_how_it_is_written(given, meant):
    with pytest.raises(UnknownModel) as caught:
        resolve(given)
    assert str(caught.value).startswith(f"No model {given!r}. Did you mean {meant}?")


def test_a_name_like_nothing_gets_no_neighbours():
    with pytest.raises(UnknownModel, match=r"^No model 'xyzzy-q'\. Names: flopcast models"):
        resolve("xyzzy-q")


@pytest.mark.parametrize(
    ("name", "sizes", "said"),
    [
        ("resnet50", {"sequence_length": 512}, "resnet50 has no sequence length"),
        ("gpt2", {"image_size": 224}, "gpt2 takes no images"),
        ("gpt2", {"batch_size": 0}, "must be 1 or more"),
        ("mnist-cnn", {"image_size": 64}, "takes no images of variable size"),
        ("gpt2", {"sequence_length": 4096}, "1,024 positions"),
    ],
)
def test_sizes_a_model_does_not_have(name, sizes, said):
    with pytest.raises(UsageError, match=said):
        resolve(name).sizes(**sizes)


def test_a_vision_transformer_is_built_for_its_image_size():
    definition = resolve("vit-b-16")
    assert definition.depth.counts()[:3] == (2, 3, 4)
    with torch.device("meta"):
        shallow = definition.depth.with_layers(3).build()
    assert len(shallow.blocks) == 3


def test_a_diffusion_transformer_takes_what_its_paper_says():
    """Peebles and Xie 2023, table 1: 118.64 billion multiply-adds for DiT-XL/2 at 256 x 256."""
    profile = profile_definition(resolve("dit-xl-2"), ProfileRequest(mode="forward", batch_size=2))
    assert profile.matmul_flops.forward / 2 / 2 / 1e9 == pytest.approx(118.64, abs=0.03)


def test_recommenders_count_their_layers_and_not_their_tables():
    """One sample: 256x256 + 256x128 + 128x64 + 128 multiply-adds (NCF)."""
    profile = profile_definition(resolve("ncf"), ProfileRequest(mode="forward", batch_size=8))
    assert profile.matmul_flops.forward == 8 * 2 * (256 * 256 + 256 * 128 + 128 * 64 + 128)
    profile = profile_definition(resolve("dlrm"), ProfileRequest(mode="forward", batch_size=8))
    below = 13 * 512 + 512 * 256 + 256 * 128
    above = 479 * 1024 + 1024 * 1024 + 1024 * 512 + 512 * 256 + 256
    assert profile.matmul_flops.forward == 8 * 2 * (below + 27 * 27 * 128 + above)


def test_inputs_leave_the_random_state_alone():
    torch.manual_seed(1)
    before = torch.get_rng_state()
    resolve("gpt2").inputs(2, 8, None)
    resolve("resnet18").inputs(1, None, 32)
    assert torch.equal(before, torch.get_rng_state())


def test_integers_are_real_and_floats_lie_on_the_default_device():
    with torch.device("meta"):
        (ids,), _ = resolve("lstm-lm").inputs(2, 5, None)
        (image,), _ = resolve("resnet18").inputs(2, None, 64)
    assert ids.device.type == "cpu" and ids.max() < 10_000
    assert image.device.type == "meta" and image.shape == (2, 3, 64, 64)


def test_loss_of_plain_outputs_is_their_mean():
    values = torch.arange(4.0, requires_grad=True)
    assert model_loss((values, {"ids": torch.ones(2, dtype=torch.long)}), (), {}).item() == 1.5
    assert model_loss({"loss": values.sum()}, (), {}).item() == 6.0
