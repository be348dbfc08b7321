"""Hugging Face configurations: the grammar, the heads, the inputs, the layers, and a message for every mistake."""

import dataclasses
from pathlib import Path

import pytest
import torch

from hardware_db.errors import ModelError, UnknownModel, UsageError
from profiles.models import hf_config, hf_tables, resolve
from profiles.models.hf_depth import period_and_prefix
from profiles.models.hf_spec import parse

HERE = Path(__file__).parent / "fixtures_models"
TINY = "num_hidden_layers=2,hidden_size=32,num_attention_heads=4,intermediate_size=64,vocab_size=100"
TINY_T5 = "d_model=32,d_ff=64,num_layers=2,num_decoder_layers=2,num_heads=4,d_kv=8,vocab_size=100"


def run(spec, batch=2, sequence=16, image=None):
    """Build for real, small, and run forward, loss and backward: values exist, so wrong inputs fail."""
    definition = resolve(spec, base=HERE)
    sizes = definition.sizes(batch, sequence, image)
    model = definition.build()
    args, kwargs = definition.inputs(sizes.batch_size, sizes.sequence_length, sizes.image_size)
    outputs = model(*args, **kwargs)
    definition.loss(outputs, args, kwargs).backward()
    return model, kwargs, outputs


@pytest.mark.parametrize(
    ("head", "made", "fed"),
    [
        ("ForPreTraining", "BertForPreTraining", {"input_ids", "labels", "next_sentence_label"}),
        ("ForMaskedLM", "BertForMaskedLM", {"input_ids", "labels"}),
        ("ForQuestionAnswering", "BertForQuestionAnswering", {"input_ids", "start_positions", "end_positions"}),
        ("ForSequenceClassification", "BertForSequenceClassification", {"input_ids", "labels"}),
        ("ForTokenClassification", "BertForTokenClassification", {"input_ids", "labels"}),
        ("ForMultipleChoice", "BertForMultipleChoice", {"input_ids", "labels"}),
        ("ForNextSentencePrediction", "BertForNextSentencePrediction", {"input_ids", "labels"}),
        ("ForCausalLM", "BertLMHeadModel", {"input_ids", "labels"}),
        ("Model", "BertModel", {"input_ids"}),
        ("BertForTokenClassification", "BertForTokenClassification", {"input_ids", "labels"}),
    ],
)
def test_heads_of_bert(head, made, fed):
    model, kwargs, outputs = run(f"hf:bert,{TINY}#{head}")
    assert type(model).__name__ == made and set(kwargs) == fed
    assert head == "Model" or outputs.loss.shape == ()


@pytest.mark.parametrize(
    ("model_type", "made"),
    [
        ("gpt2", "GPT2LMHeadModel"),
        ("bert", "BertForMaskedLM"),
        ("t5", "T5ForConditionalGeneration"),
        ("whisper", "WhisperForConditionalGeneration"),
        ("vit", "ViTForImageClassification"),
        ("wav2vec2", "Wav2Vec2ForCTC"),
        ("clip", "CLIPModel"),
        ("detr", "DetrForObjectDetection"),
    ],
)
def test_usual_head_of_a_model_type(model_type, made):
    assert hf_tables.find_head(model_type, None).class_name == made


def test_causal_model_learns_its_own_input():
    _, kwargs, _ = run(f"hf:llama,{TINY}#ForCausalLM")
    assert torch.equal(kwargs["labels"], kwargs["input_ids"]) and kwargs["input_ids"].shape == (2, 16)


def test_labels_are_named_so_that_inference_can_drop_them():
    definition = resolve(f"hf:bert,{TINY}#ForPreTraining")
    _, kwargs = definition.inputs(1, 8, None)
    assert {name for name in kwargs if name not in definition.labels} == {"input_ids"}


def test_a_t5_decoder_writes_what_its_pretraining_wrote():
    _, kwargs, _ = run(f"hf:t5,{TINY_T5}#ForConditionalGeneration", sequence=24)
    assert kwargs["input_ids"].shape == (2, 24) and kwargs["labels"].shape == (2, 114)
    _, kwargs, _ = run(f"hf:t5,{TINY_T5},decoder_sequence_length=7", sequence=24)
    assert kwargs["labels"].shape == kwargs["decoder_input_ids"].shape == (2, 7)


@pytest.mark.parametrize(
    "spec", ["blenderbot", "whisper", "roberta", "mpnet", "roberta,max_position_embeddings=130", "clip", "albert"]
)
def test_the_default_length_fits_the_positions(spec):
    definition = resolve(f"hf:{spec}")
    args, kwargs = definition.inputs(1, definition.sizes().sequence_length, None)  # refuses more tokens than positions
    assert args == () and kwargs


def test_a_file_is_data_and_its_strange_parts_are_said():
    model, _, _ = run("hf:config.json")
    assert type(model).__name__ == "LlamaForCausalLM" and len(model.model.layers) == 3
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    notes = resolve("config.json", base=HERE).notes
    assert len(notes) == 2 and "quantization_config" in notes[0] and "is not run" in notes[1]


def test_a_file_may_be_changed_and_given_another_head():
    model, _, _ = run("hf:config.json,num_hidden_layers=1#ForSequenceClassification", batch=1)
    assert type(model).__name__ == "LlamaForSequenceClassification" and len(model.model.layers) == 1


def test_options_reach_into_parts():
    spec = parse("gemma3,text_config.num_hidden_layers=2,text_config.rope_theta=10,depths=[2,2,6,2],a=x", None)
    assert spec.options == {
        "text_config": {"num_hidden_layers": 2, "rope_theta": 10},
        "depths": [2, 2, 6, 2],
        "a": "x",
    }


def test_attention_is_fused_unless_asked_otherwise():
    assert resolve(f"hf:bert,{TINY}").build().config._attn_implementation == "sdpa"
    eager = resolve(f"hf:bert,{TINY},attn_implementation=eager")
    assert eager.build().config._attn_implementation == "eager"
    assert eager.fingerprint != resolve(f"hf:bert,{TINY}").fingerprint


def test_nothing_is_kept_for_generation():
    assert resolve("hf:gpt2,n_layer=2").build().config.use_cache is False


MIXTURE = f"hf:mixtral,{TINY},num_key_value_heads=2,num_local_experts=4"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_experts_run_as_one_product_on_meta(dtype):
    definition = resolve(f"{MIXTURE}#ForCausalLM")
    with torch.device("meta"):
        model = definition.build().to(dtype)
        layer = model.model.layers[0].mlp.experts
        rows = torch.empty(6, 32, dtype=dtype)
        chosen, weights = torch.empty(6, 2, dtype=torch.int64), torch.empty(6, 2, dtype=dtype)
        assert layer(rows, chosen, weights).shape == (6, 32)


def test_experts_compute_what_they_always_did():
    torch.manual_seed(0)
    definition = resolve(f"{MIXTURE}#ForCausalLM")
    ours = definition.build().eval()
    plain = resolve(f"{MIXTURE},experts_implementation=eager#ForCausalLM").build().eval()
    plain.load_state_dict(ours.state_dict())
    ids = torch.arange(12).reshape(2, 6)
    assert torch.allclose(ours(input_ids=ids).logits, plain(input_ids=ids).logits, atol=1e-5)


@pytest.mark.parametrize(
    ("spec", "counts"),
    [
        ("gpt2", (2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)),
        # five local layers and a global one, six times and two more
        ("hf:gemma3_text,num_hidden_layers=26", (8, 14, 20, 26)),
        # three dense layers, then experts
        (
            "hf:deepseek_v3,num_hidden_layers=8,first_k_dense_replace=3,n_routed_experts=8,n_group=1,topk_group=1",
            (4, 5, 6, 7, 8),
        ),
        ("t5-small", (2, 3, 4, 5, 6)),
        ("hf:qwen3_moe,num_hidden_layers=6,decoder_sparse_step=2,num_experts=4", (2, 4, 6)),
    ],
)
def test_repeated_layers(spec, counts):
    depth = resolve(spec).depth
    assert depth.counts() == counts
    with torch.device("meta"):
        sizes = [sum(p.numel() for p in depth.with_layers(n).build().parameters()) for n in (*counts[:2], counts[-1])]
        whole = sum(p.numel() for p in resolve(spec).build().parameters())
    # parameters lie on a straight line over the number of layers, and the line meets the whole model
    slope = (sizes[1] - sizes[0]) // (counts[1] - counts[0])
    assert sizes[0] + slope * (counts[-1] - counts[0]) == sizes[2] == whole


@pytest.mark.parametrize(
    ("types", "answer"),
    [
        ("aaaa", (1, 0)),
        ("abab", (2, 0)),
        ("xxaaa", (1, 2)),
        ("aaabaaab", (4, 0)),
        ("abcd", (4, 0)),
        ("xababab", (2, 1)),
    ],
)
def test_period_and_prefix(types, answer):
    assert period_and_prefix(list(types)) == answer


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("hf:lama,num_hidden_layers=2", UnknownModel, "transformers has no model type 'lama'. Did you mean llama"),
        ("hf:llama,num_layer=2", UsageError, "llama has no option 'num_layer'. Did you mean num_hidden_layers"),
        ("hf:llama,2", UsageError, "'2' is no option; expected key=value, for example num_hidden_layers=32"),
        ("hf:step3p5", UnknownModel, "transformers has no task that step3p5 is used for: it is part of another model."),
        ("hf:llama#ForBreakfast", UnknownModel, "llama has no head 'ForBreakfast'. It has: LlamaForCausalLM, "),
        ("hf:llama,hidden_size=big", UsageError, "transformers refuses this llama configuration: "),
        ("hf:nowhere.json", UnknownModel, "Cannot read nowhere.json: No such file or directory"),
        ("hf:mine.py", UnknownModel, "transformers has no model type 'mine.py'."),
        ("hf:gpt2,n_positions=8", UsageError, "hf:gpt2,n_positions=8 has 8 positions; a sequence of 16"),
    ],
)
def test_mistakes_say_what_would_work(spec, error, message):
    with pytest.raises(error) as caught:
        run(spec)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value).splitlines()) <= 3


def test_a_file_without_a_model_type(tmp_path):
    (tmp_path / "c.json").write_text("{}")
    with pytest.raises(ModelError, match="expected a Hugging Face config"):
        resolve("c.json", base=tmp_path)
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(ModelError, match="is not JSON"):
        resolve("c.json", base=tmp_path)


def test_a_model_that_only_generates_is_refused_with_the_reason():
    with pytest.raises(ModelError, match="BarkModel has no forward pass: it only generates"), torch.device("meta"):
        resolve("hf:bark").build()


def test_a_default_configuration_that_makes_no_model_is_mended_and_said():
    """The vision part of Qwen2-VL writes vectors of the width of the text part, whatever that is."""
    definition = resolve("hf:qwen2_vl,text_config.hidden_size=1024")
    config = hf_config.configuration(parse("qwen2_vl,text_config.hidden_size=1024", None))
    assert config.vision_config.hidden_size == config.get_text_config().hidden_size == 1024
    assert definition.notes == (
        "transformers' default configuration of qwen2_vl makes no model; mended: vision_config",
    )
    assert "mended" in definition.fingerprint


def test_what_is_given_is_not_mended():
    given = parse("dots1,n_routed_experts=8", None)
    config = hf_config.configuration(given)
    assert (config.n_routed_experts, config.n_shared_experts) == (8, 2)
    assert hf_config.configuration(dataclasses.replace(given, published=True)).n_shared_experts is None
    assert resolve("hf:gpt2").notes == ()
