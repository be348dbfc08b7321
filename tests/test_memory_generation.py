"""Keys and values: by hand, and against the caches that real models fill; what writing text must hold."""

import pytest

import hardware_db
from estimator.fit import fit_generation
from estimator.memory import Generation, generation_of, kv_cache_bytes, kv_cache_of
from estimator.memory.windows import configuration_of, window_rules, windows_of
from hardware_db.errors import UsageError
from profiles.library import Question, find

RECORDED = {
    "gpt2": 2 * 12 * 64 * 12,
    "llama-2-7b": 2 * 32 * 128 * 32,
    "llama-3.1-8b": 2 * 8 * 128 * 32,
    "llama-3.1-70b": 2 * 8 * 128 * 80,
    "llama-3.1-405b": 2 * 8 * 128 * 126,
    "mistral-7b": 2 * 8 * 128 * 32,
    "mixtral-8x7b": 2 * 8 * 128 * 32,
    "t5-small": 2 * 8 * 64 * 6,
    "whisper-small": 2 * 12 * 64 * 12,
}
"""Published dimensions: 2 x heads with keys of their own x width of a head x layers."""


def recorded(name):
    return find(Question(name, "train", "amp_bfloat16", "adamw", "cuda"))


@pytest.mark.parametrize(("name", "elements"), RECORDED.items())
def test_published_models_keep_what_their_heads_say(name, elements):
    assert kv_cache_of(recorded(name)).elements_per_token == elements


def test_bytes_grow_with_sequences_tokens_and_precision():
    profile = recorded("llama-3.1-8b")
    assert kv_cache_bytes(profile, 1, 8192) == 2**30
    assert kv_cache_bytes(profile, 16, 1024) == 2 * 2**30
    assert kv_cache_bytes(profile, 1, 8192, precision="float8") == 2**29
    assert kv_cache_bytes(profile, 1, 8192, precision="fp32") == 2**31


def test_blocks_are_filled_up():
    one = kv_cache_bytes(recorded("gpt2"), 1, 16)
    assert kv_cache_bytes(recorded("gpt2"), 1, 17, block_tokens=16) == 2 * one
    assert kv_cache_bytes(recorded("gpt2"), 1, 32, block_tokens=16) == 2 * one


def test_heads_are_shared_and_none_is_divided():
    profile = recorded("llama-3.1-8b")
    whole = kv_cache_bytes(profile, 1, 1024)
    assert kv_cache_bytes(profile, 1, 1024, tensor_parallel=4) == whole // 4
    assert kv_cache_bytes(profile, 1, 1024, tensor_parallel=8) == whole // 8
    assert kv_cache_bytes(profile, 1, 1024, tensor_parallel=16) == whole // 8


def test_a_window_ends_the_growth():
    profile = recorded("mistral-7b")
    assert kv_cache_bytes(profile, 1, 32768) == kv_cache_bytes(profile, 1, 4096) == 2**29
    assert kv_cache_bytes(profile, 1, 2048) == 2**28


def test_cross_attention_keeps_what_the_encoder_read():
    of_a_token = 2 * 12 * 64 * 12 * 2
    assert kv_cache_bytes(recorded("whisper-small"), 1, 100) == (1500 + 100) * of_a_token


@pytest.mark.parametrize("name", ["bert-base", "resnet50", "vit-b-16", "imdb-lstm"])
def test_models_that_do_not_write_keep_nothing(name):
    with pytest.raises(UsageError, match="keeps no keys and values"):
        kv_cache_of(recorded(name))


@pytest.mark.parametrize("sizes", [(0, 1), (1, 0), (1, -5)])
def test_sizes_below_one_are_refused(sizes):
    with pytest.raises(UsageError, match="1 or more"):
        kv_cache_bytes(recorded("gpt2"), *sizes)


def test_windows_alternate_as_the_configuration_says():
    gemma = configuration_of("gemma-2-9b")
    assert windows_of(gemma, 4) == (4096, None, 4096, None)
    assert windows_of({"model_type": "qwen3", "sliding_window": 4096}, 2) == (None, None)
    named = {"model_type": "new", "sliding_window": 64, "layer_types": ["full_attention", "sliding_attention"]}
    assert windows_of(named, 2) == (None, 64)


@pytest.mark.parametrize("model_type", window_rules())
def test_defaults_are_those_of_the_class(model_type):
    """What the class says of its layers is what is read from the text of the same configuration."""
    from transformers import CONFIG_MAPPING

    for options in ({}, {"sliding_window": 96, "use_sliding_window": True, "max_window_layers": 3}):
        config = CONFIG_MAPPING[model_type](num_hidden_layers=8, **options)
        types = getattr(config, "layer_types", None) or ["sliding_attention"] * 8
        real = tuple((config.sliding_window or None) if each == "sliding_attention" else None for each in types)
        assert windows_of({"model_type": model_type, **options}, 8) == real


SMALL = "num_hidden_layers=4,hidden_size=64,num_attention_heads=4,intermediate_size=96,vocab_size=128"
MODELS = {
    "grouped": f"llama,{SMALL},num_key_value_heads=2",
    "all heads": "gpt2,n_layer=3,n_embd=64,n_head=4,vocab_size=128,n_positions=64",
    "one head": "falcon,num_hidden_layers=4,hidden_size=64,num_attention_heads=4,vocab_size=128,multi_query=true",
    "fused": f"phi3,{SMALL},num_key_value_heads=2,pad_token_id=0",
    "rotary": f"gpt_neox,{SMALL}",
    "latent": f"deepseek_v3,{SMALL},num_key_value_heads=4,kv_lora_rank=24,qk_rope_head_dim=8,qk_nope_head_dim=16,"
    "v_head_dim=16,q_lora_rank=32,n_routed_experts=4,num_experts_per_tok=2,n_group=1,topk_group=1,"
    "moe_intermediate_size=32,first_k_dense_replace=1",
    "window": f"mistral,{SMALL},num_key_value_heads=2,sliding_window=16",
    "every second window": f"gemma2,{SMALL},num_key_value_heads=2,head_dim=16,sliding_window=16",
    "plain products": "bloom,n_layer=3,hidden_size=64,n_head=4,vocab_size=128",
    "sinks": f"gpt_oss,{SMALL},num_key_value_heads=2,head_dim=16,num_local_experts=4,num_experts_per_tok=2,"
    "sliding_window=16",
}


def small(kind, models=MODELS):
    from profiles.definitions import profile_definition
    from profiles.models import resolve
    from profiles.request import ProfileRequest

    definition = resolve(f"hf:{models[kind]}#ForCausalLM")
    request = ProfileRequest(batch_size=2, sequence_length=48, mode="forward", precision="float32")
    return definition, profile_definition(definition, request)


@pytest.mark.parametrize("kind", MODELS)
def test_a_real_cache_is_met_to_the_byte(kind):
    """Filled by the library itself; of a window it drops the token that the next one pushes out."""
    import torch

    torch.manual_seed(0)
    definition, profile = small(kind)
    model = definition.build().eval()
    with torch.no_grad():
        cache = model(torch.randint(0, 128, (2, 48)), use_cache=True).past_key_values
    real = sum(t.numel() * t.element_size() for layer in cache.layers for t in (layer.keys, layer.values))
    found = kv_cache_of(profile)
    pushed_out = sum(part.layers * part.elements * 2 * 4 for part in found.parts if part.window)
    assert kv_cache_bytes(found, 2, 48) == real + pushed_out


RECURRENT = {
    "mamba": "mamba,num_hidden_layers=3,hidden_size=64,vocab_size=128",
    "mamba2": "mamba2,num_hidden_layers=3,hidden_size=64,num_heads=8,head_dim=16,state_size=32,n_groups=2,"
    "vocab_size=128",
    "rwkv": "rwkv,num_hidden_layers=3,hidden_size=64,attention_hidden_size=64,vocab_size=128,context_length=64",
}


def kept_tensors(kept):
    """Tensors of a state of whatever form: lists, caches of layers."""
    import torch

    if isinstance(kept, torch.Tensor):
        return {kept.data_ptr(): kept}
    inside = kept.values() if isinstance(kept, dict) else getattr(kept, "layers", None) or kept
    inside = [vars(each) if hasattr(each, "conv_states") else each for each in inside]
    found = [kept_tensors(each) for each in inside if isinstance(each, (torch.Tensor, list, dict))]
    return {key: tensor for each in found for key, tensor in each.items()}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", RECURRENT)
def test_a_real_state_is_met_to_the_byte_whatever_the_length(kind, precision):
    import torch

    from estimator.memory import KvCache
    from estimator.memory.recurrent import state_of_sequence
    from profiles.models import resolve

    name = f"hf:{RECURRENT[kind]}#ForCausalLM"
    cache = KvCache((), precision, state=state_of_sequence(configuration_of(name)))
    model = resolve(name).build().to(getattr(torch, precision)).eval()
    for tokens in (8, 24):
        with torch.no_grad():
            out = model(torch.randint(0, 128, (2, tokens)), use_cache=True)
        tensors = kept_tensors(out.state if kind == "rwkv" else out.cache_params)
        real = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
        assert kv_cache_bytes(cache, 2, tokens) == kv_cache_bytes(cache, 2, 2048) == real > 0


def test_defaults_of_recurrent_models_are_those_of_their_classes():
    from transformers import CONFIG_MAPPING

    from estimator.memory.recurrent import RULES

    for model_type, (_, defaults) in RULES.items():
        config = CONFIG_MAPPING[model_type]()
        assert {name: getattr(config, name) for name in defaults} == defaults


def test_a_state_space_model_writes_with_its_state_alone():
    """3 layers of 128 channels, 4 of the convolution and 16 of the state, 4 bytes each."""
    found = fit_generation(small("mamba", RECURRENT)[1], "l4")
    assert found.need.cache_bytes == 3 * 128 * (4 + 16) * 4
    assert "State" in repr(found) and not any("keys and values" in way.changes[0] for way in found.ways)


def test_layers_that_only_look_like_attention_keep_nothing():
    """A projection called in_proj and one called out_proj, and no scores in between."""
    import torch

    from profiles import profile_model

    class Mixer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.in_proj, self.out_proj = torch.nn.Linear(32, 96), torch.nn.Linear(64, 32)

        def forward(self, x):
            return self.out_proj(self.in_proj(x)[..., :64])

    class Writer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.mixer = torch.nn.Embedding(50, 32), Mixer()

        def forward(self, tokens):
            return self.mixer(self.words(tokens))

    step = profile_model(Writer(), torch.zeros(2, 16, dtype=torch.long), mode="forward")
    with pytest.raises(UsageError, match="keeps no keys and values"):
        kv_cache_of(step)


@pytest.fixture(scope="module")
def writer():
    return small("grouped")[1]


def test_writing_holds_weights_keys_and_the_larger_pass(writer):
    found = generation_of(writer, Generation(context_length=1000, batch_size=4))
    assert found.decode.cache_bytes == found.cache_bytes == kv_cache_bytes(writer, 4, 1000)
    assert found.prefill.cache_bytes == kv_cache_bytes(writer, 4, 999)
    assert found.weight_bytes == writer.parameters * 4
    assert found.prefill.activation_bytes > found.decode.activation_bytes
    assert found.peak is found.prefill
    assert sum(found.peak.parts.values()) == pytest.approx(found.peak.total_bytes, abs=20)


def test_a_short_prompt_takes_less_than_a_long_one(writer):
    short, long = (generation_of(writer, Generation(1000, prompt_length=size)) for size in (10, 999))
    assert short.prefill.total_bytes < long.prefill.total_bytes
    assert short.decode == long.decode


def test_scores_of_the_prompt_are_not_kept():
    """4,096 scores a token are computed for the last token only."""
    from profiles import profile_model

    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    config = transformers.GPT2Config(n_layer=2, n_embd=64, n_head=4, vocab_size=4096, use_cache=False)
    model = transformers.GPT2LMHeadModel(config)
    step = profile_model(model, torch.zeros(8, 512, dtype=torch.long), mode="forward", precision="bfloat16")
    scores = 8 * 512 * 4096 * 2
    found = generation_of(step, Generation(513, batch_size=8))
    assert step.memory.activation_bytes > scores > 2 * found.prefill.activation_bytes


def test_what_is_asked_for_must_make_sense(writer):
    with pytest.raises(UsageError, match="prompt_length"):
        Generation(context_length=10, prompt_length=11)
    with pytest.raises(UsageError, match="batch_size"):
        Generation(context_length=10, batch_size=0)
    with pytest.raises(UsageError, match="training step"):
        generation_of(recorded("gpt2"), Generation(10))


def test_a_profile_of_one_length_is_scaled_and_that_is_said():
    """Windows make other calls below and above them, so that Mistral is recorded at 4,096 tokens only."""
    profile = find(Question("mistral-7b", "forward", "bfloat16", None, "cuda"))
    half, whole = (generation_of(profile, Generation(size, prompt_length=size)) for size in (2048, 4096))
    assert half.prefill.activation_bytes * 2 == pytest.approx(whole.prefill.activation_bytes, rel=1e-6)
    assert half.decode.activation_bytes < half.prefill.activation_bytes / 20
    assert any("4,096 tokens, the only length recorded" in note for note in half.cache.notes)


def test_the_most_sequences_fit_and_one_more_does_not(writer):
    found = fit_generation(writer, "l4", how=Generation(4096))
    assert found.as_it_is
    at = found.most_sequences
    card = hardware_db.load().device("l4")
    needs = [generation_of(writer, Generation(4096, batch_size=size), card).peak for size in (at, at + 1)]
    assert needs[0].total_bytes <= card.usable_memory_bytes < needs[1].total_bytes


def test_changes_help_in_their_own_part(writer):
    found = fit_generation(writer, "l4", 4, how=Generation(4096, batch_size=4000))
    ways = {way.changes: way for way in found.ways}
    assert not found.as_it_is
    assert ways["float8 keys and values",].need.cache_bytes * 4 == found.need.cache_bytes
    assert ways["int8 weights",].need.weight_bytes < found.need.weight_bytes
    assert ways["over 2 devices",].need.cache_bytes * 2 == found.need.cache_bytes
    assert all(way.time is None or 0 < way.time < 1 for way in found.ways)
