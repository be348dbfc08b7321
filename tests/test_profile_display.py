"""What people see of a profile: the tree of modules, groups, text and HTML."""

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from made_traces import direct, made, operation, product, profile

from profiles.breakdown import by_label
from profiles.display import headline, summary, text
from profiles.display_work import work_sheet
from profiles.sheets import OUTSIDE, amount, figure, module_sheet, scale_of

PROFILE = profile().at(8, 1024)


# ---------------------------------------------------------------------------------------------------------------- text

GOLDEN = """\
invented · 88.6 k parameters · batch 8 × 1,024 tokens · bfloat16 · AdamW · one training step

MODULE              PARAMETERS   FORWARD   BACKWARD    SHARE   ACTIVATIONS   FLOP/BYTE
                             k    GFLOPs     GFLOPs        %            MB
(itself)                     -   0.00818          -   0.0321             -       0.167
model.embed               64.0         -          -        -          1.05           -
model.layers (×3)         24.6      6.85       16.5     91.7          16.1         265
  (itself)                   -   0.00315    0.00315   0.0247          6.29       0.167
  attn                    24.6      6.85       16.5     91.7          9.83         463
head                    (tied)      1.05       1.05     8.24          16.4        59.7
(optimizer)                  -         -          -   <0.001             -       0.167
                          ----      ----       ----      ---          ----         ---
total                     88.6      7.91       17.6      100          33.6         145

WORK              FORWARD   BACKWARD   OPTIMIZER    TOTAL
                   GFLOPs     GFLOPs      GFLOPs   GFLOPs
matrix products      7.89       17.6           -     25.5
  as GMACs           3.95       8.78           -     12.7
vector work        0.0113    0.00315      <0.001   0.0146
                     ----       ----      ------     ----
step                 7.91       17.6      <0.001     25.5
  share %            31.0       69.0      <0.001      100
model FLOPs          7.89       14.3           -     22.2
executed FLOPs       4.68       9.51      <0.001     14.2

Step      25.5 GFLOPs, 3.11 MFLOPs per token, 35.1 × parameters (1 multiply-add = 2 FLOPs)
MFU       counts model FLOPs, the matrix products without 3.22 GFLOPs that attention's backward pass computes again
Time      follows from executed FLOPs, the step without 11.3 GFLOPs of masked attention, which kernels skip
Memory    34.2 MB peak in forward (head): 0.177 parameters + 0.354 optimizer + 33.6 activations + 0.0655 inputs
Counted   72.0 % of the bytes; without a formula (FLOPs estimated): my.loss (1 call, 28.0 %)"""


def test_the_page_of_a_profile():
    assert repr(PROFILE) == GOLDEN


def work(profile):
    """The block of work: label -> figures of the phases and their total."""
    sheet = work_sheet(profile)
    return {line.label: line.cells for line in (*sheet.lines, sheet.total, *sheet.below)}


def test_the_block_of_work_by_hand():
    """A product of 4x10x5 each way, one of the two backward computed again; attention that skips half; 30 for AdamW."""
    mm = product("a", "forward", 4, 10, 5)
    vector = {"model_flops": 0, "flops": 30, "executed_flops": 30}
    seen = [
        mm,
        replace(mm, phase="backward"),
        replace(mm, phase="backward", recomputed=True, model_flops=0),
        replace(mm, family="attention", flops=1000, model_flops=1000, executed_flops=500),
        operation("a", **vector),
        operation("", "optimizer", **vector),
    ]
    assert work(made(seen)) == {
        "matrix products": ("1.40", "0.800", "-", "2.20"),
        "as kMACs": ("0.700", "0.400", "-", "1.10"),
        "vector work": ("0.0300", "-", "0.0300", "0.0600"),
        "step": ("1.43", "0.800", "0.0300", "2.26"),
        "share %": ("63.3", "35.4", "1.33", "100"),
        "model FLOPs": ("1.40", "0.400", "-", "1.80"),
        "executed FLOPs": ("0.930", "0.800", "0.0300", "1.76"),
    }
    lines = dict(summary(made(seen)))
    assert lines["MFU"] == (
        "counts model FLOPs, the matrix products without 400 FLOPs that activation checkpointing computes again"
    )
    assert lines["Time"] == (
        "follows from executed FLOPs, the step without 500 FLOPs of masked attention, which kernels skip"
    )


def test_what_kernels_compute_besides_is_said():
    unasked = product("a", "backward", 4, 10, 5)
    lines = dict(summary(made([replace(unasked, family="rnn", executed_flops=600)])))
    assert lines["Time"].endswith("the step with 200 FLOPs more of gradients that its kernels compute unasked")
    assert "MFU" not in lines


def test_nothing_is_explained_where_all_counts_agree():
    assert {"MFU", "Time"} & set(dict(summary(made([product("a", "forward", 4, 8, 8)])))) == set()


def test_a_forward_pass_has_one_column_of_work():
    forward = replace(made([product("a", "forward", 4, 10, 5)]), mode="forward", optimizer=None)
    assert work(forward)["matrix products"] == ("400",)
    assert "share %" not in work(forward)


def test_a_narrow_page_shows_fewer_columns_and_never_wraps_a_row():
    heads = {width: text(PROFILE, width=width).splitlines()[2].split() for width in (120, 80, 60, 45)}
    assert heads[80] == ["MODULE", "PARAMETERS", "FORWARD", "BACKWARD", "SHARE", "ACTIVATIONS"]
    assert heads[60] == ["MODULE", "PARAMETERS", "FORWARD", "BACKWARD", "SHARE"]
    assert heads[45] == ["MODULE", "FORWARD", "BACKWARD"]
    for width in heads:
        body = text(PROFILE, width=width).splitlines()[2:]
        assert max(map(len, body)) <= width


@pytest.mark.parametrize("by", ["family", "operator", "phase", "precision", "source"])
def test_the_page_by_groups_names_them_all(by):
    shown = text(PROFILE, by)
    for row in by_label(PROFILE, by):
        if row.flops.total or row.bytes_moved.total:
            assert (row.name or OUTSIDE) in shown
    assert "1 multiply-add = 2 FLOPs" in shown


def test_what_has_no_formula_is_marked():
    assert re.search(r"^my\.loss \* ", text(PROFILE, "operator"), re.MULTILINE)
    lines = dict(summary(made([operation("a", counted=False, operator="my.op", count=2)])))
    assert lines["Counted"] == "0.0 % of the bytes; without a formula (FLOPs estimated): my.op (2 calls, 100 %)"
    still = [operation("a", counted=False, operator="my.op", bytes_read=0, bytes_written=0), operation("b")]
    assert "my.op (1 call, no bytes)" in dict(summary(made(still)))["Counted"]
    assert dict(summary(made([operation("a")])))["Counted"] == "every operation has a formula"


def test_a_tiny_part_without_a_formula_is_not_rounded_away():
    raw = [operation("a", bytes_read=10**9), operation("b", counted=False, operator="my.op", bytes_read=1)]
    assert dict(summary(made(raw)))["Counted"].startswith("99.9 % of the bytes")


def test_many_views_share_a_line():
    raw = [operation("a", operator=f"aten.view{at}", flops=0, bytes_read=0, bytes_written=0) for at in range(5)]
    shown = text(made([*raw, operation("a")]), "operator")
    assert "5 that only look at tensors" in shown
    assert "view3" not in shown


def test_of_very_many_modules_the_least_share_a_line():
    raw = [product(f"m{at}", "forward", 4, 8, at + 1) for at in range(100)]
    sheet = module_sheet(made(raw))
    assert [line.label for line in sheet.lines][-1] == "… 77 more"
    assert len(sheet.lines) == 24


def test_inference_has_no_backward_column():
    shown = repr(replace(profile(direct(2, 64)), mode="forward", optimizer=None))
    assert "one forward pass" in shown
    assert "BACKWARD" not in shown
    assert "AdamW" not in shown


def test_what_is_unknown_is_left_out():
    shown = repr(made([operation("a")]))
    assert "PARAMETERS" not in shown
    assert "ACTIVATIONS" not in shown
    assert "Memory    not recorded" in shown


def test_how_it_was_traced_is_said_unless_it_is_the_usual_way():
    assert "Traced" not in repr(PROFILE)
    shown = repr(replace(PROFILE, rung="cpu", rung_reason="Router.forward reads values"))
    assert "Traced    by running on the CPU: Router.forward reads values" in shown
    assert "Note      loss given" in repr(replace(PROFILE, notes=("loss given",)))


def test_batch_size_one_that_was_not_traced_is_noted():
    single = profile().at(1)
    assert "follows from larger ones" not in repr(single)
    unproven = replace(single, trace=replace(single.trace, single=None))
    assert "batch size 1 follows from larger ones" in repr(unproven)


def test_images_are_said_by_their_size():
    image = made([operation("conv")], image_size=224)
    assert "batch 2 × 224² pixels" in headline(image)
    assert "FLOPs per sample" in repr(image)


def test_a_page_has_no_escape_codes_and_no_trailing_blanks():
    for by in (None, "operator"):
        for line in text(PROFILE, by).splitlines():
            assert line == line.rstrip()
            assert "\x1b" not in line


def test_markup_in_names_is_text():
    shown = text(made([operation("[red]a", operator="[bold]x")], model="[link]m"), "operator")
    assert "[bold]x" in shown
    assert "[link]m" in shown


# ---------------------------------------------------------------------------------------------------------------- HTML


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen, self.words = [], Counter(), []

    def handle_starttag(self, tag, attrs):
        self.seen[tag] += 1
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_a_notebook_shows_the_same_escaped_and_without_colours():
    hostile = "<script>alert(1)</script>"
    shown = replace(PROFILE, model=hostile, notes=(hostile,))._repr_html_()
    tags = Tags()
    tags.feed(shown)
    assert not tags.open
    assert "script" not in tags.seen
    assert tags.seen["tr"] == 2 + len(module_sheet(PROFILE).lines) + 8
    assert any(hostile in word for word in tags.words)
    assert "color" not in shown
    assert "model.layers (×3)" in tags.words


# ------------------------------------------------------------------------------------------------------------- figures


@pytest.mark.parametrize(
    ("value", "unit", "shown"),
    [
        (7.14e12, 1e12, "7.14"),
        (124_439_808, 1e6, "124"),
        (99.96, 1, "100"),
        (9.996, 1, "10.0"),
        (1234567, 1, "1,230,000"),
        (0, 1, "-"),
        (0.000_4, 1, "<0.001"),
        (0.0123, 1, "0.0123"),
        (float("nan"), 1, "-"),
        (float("inf"), 1, "-"),
        (-4.31e6, 1e6, "-4.31"),
    ],
)
def test_figures_have_three_digits(value, unit, shown):
    assert figure(value, unit) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(7.14e12, "7.14 TFLOPs"), (999_600, "1.00 MFLOPs"), (0, "0 FLOPs"), (12, "12 FLOPs")]
)
def test_amounts_carry_their_unit(value, shown):
    assert amount(value, "FLOPs") == shown


def test_scales_change_where_the_figure_would_have_four_digits():
    assert scale_of(999_499) == (1e3, "k")
    assert scale_of(999_500) == (1e6, "M")
