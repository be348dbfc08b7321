"""Texts that nobody would type, into every parser of the command line: taken, or refused in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import hardware_db
from estimator.cli.device_filters import read_memory, read_years
from estimator.cli.market_options import read_prices
from estimator.cli.plan import read_counts
from estimator.cli.profile_answers import read_limits
from estimator.cli.quantities import read_integers, read_size, read_tokens
from estimator.parallel.asked import read_split
from hardware_db import units
from hardware_db.errors import FlopcastError
from profiles.models import declared, hf_spec, input_text, zoo
from tests.hostile import refusal, texts

OPTION = click.Option(["--option"])


def of_option(read: Callable[..., object]) -> Callable[[str], object]:
    return lambda text: read(click.Context(click.Command("x")), OPTION, text)


PARSERS: dict[str, tuple[Callable[[str], object], tuple[str, ...]]] = {
    "count": (units.parse_count, ("10B", "300_000", "1.5T", "1e9")),
    "bytes": (units.parse_bytes, ("80GB", "16GiB", "1.5TB")),
    "duration": (units.parse_duration_s, ("3d", "1d12h", "45min")),
    "dollars": (units.parse_usd, ("$500", "1.5k", "$2M")),
    "precision": (units.parse_precision, ("bf16", "amp_float16", "fp16-mixed")),
    "measure": (lambda text: units.parse_measure(text, "byte/s"), ("3.35 TB/s", "900 GB/s")),
    "tokens": (of_option(read_tokens), ("10B", "5000")),
    "size": (of_option(read_size), ("512", "4k")),
    "integers": (of_option(read_integers), ("1,8,64",)),
    "device counts": (read_counts, ("1,8,64", "8..64")),
    "years": (of_option(read_years), ("2020..2024", "2022")),
    "memory": (of_option(read_memory), ("80GB", "24GiB")),
    "limits": (of_option(read_limits), ("flops=+2%,memory=+5%",)),
    "prices": (lambda text: of_option(read_prices)((text,)), ("h100-sxm=2.5", "t4=$0.35")),  # type: ignore[arg-type]
    "split": (read_split, ("tp=8,pp=4,zero=1", "recompute=full,schedule=1f1b")),
    "input": (input_text.parse_inputs, ("8x3x224x224", "ids=int64:8x128")),
    "sizes of a model": (declared.resolve, ("params=7B,layers=32,hidden=4096", "params=7B,active=2B")),
    "configuration": (
        lambda text: hf_spec.parse(text, None),
        ("llama,num_hidden_layers=16", "bert#x,a.b=[1,2]"),
    ),
    "model": (zoo.find, ("gpt2", "resnet50")),
    "device": (lambda text: hardware_db.load().device(text), ("h100-sxm", "NVIDIA A100")),
    "devices": (lambda text: hardware_db.load().match(text), ("a100-*", "h100-sxm,t4", "[a-")),
}
ANY = st.sampled_from(sorted(PARSERS)).flatmap(lambda name: st.tuples(st.just(name), texts(*PARSERS[name][1])))


def fuzz(examples: int) -> None:
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(ANY)
    def attempt(parser_and_text: tuple[str, str]) -> None:
        name, text = parser_and_text
        refusal(lambda: PARSERS[name][0](text))

    attempt()


@pytest.mark.parametrize("examples", [400, pytest.param(10_000, marks=pytest.mark.slow)])
def test_any_text_is_taken_or_refused_in_a_sentence(examples):
    for read, _ in PARSERS.values():
        with suppress(FlopcastError):
            read("\0=?,?")  # what is imported once takes its time here
    fuzz(examples)


@pytest.mark.parametrize("name", PARSERS)
def test_sound_texts_are_taken_and_noise_is_refused(name):
    read, sound = PARSERS[name]
    assert refusal(lambda: read(sound[0])) is None
    assert refusal(lambda: read("\0=?,?")) is not None
