"""The LLM probe end to end on made-up examples: every arm trains, listens or not as it says; one seed, one row."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import pytest
import torch

from benchmarks.contract import Budget, NotComputed, Outcome
from benchmarks.llm_probe import ARMS
from benchmarks.llm_probe.arms import read_arm, swap_audio
from benchmarks.llm_probe.options import LLMOptions
from benchmarks.runner import read_suite
from benchmarks.runner.work import run_assignment
from benchmarks.tasks import Assignment, TaskContext, TaskError, get_task
from codectok.errors import FormatError
from codectok.transforms.unit_bpe import UnitBPE
from tests.benchmarks.toy_examples import KINDS, toy_info, toy_split

CLASSES = "012"
TEXTS = ("a b", "cad", "fed", "bad e")
TINY = {"size": "tiny"}
OWN = {"discrete": "discrete", "continuous": "continuous", "quantized": "quantized"}
CELLS = [(arm, kind) for arm in ARMS for kind in ARMS[arm].kinds]


def run(task: str, arm: str, kind: str, budget: Budget | None = None, seed: int = 0, **more) -> Outcome:
    dataset, split = more.pop("data", None) or toy_split(kind, TEXTS if task in ("asr", "pr", "st") else CLASSES)
    context = TaskContext(more.pop("input", None), options=TINY | more)
    info = toy_info(kind)
    return run_assignment(
        get_task(task), Assignment(dataset, info, split, f"llm:{arm}", budget or Budget(2, 6), seed, context)
    )


@pytest.mark.parametrize("task", ["asr", "si"])
@pytest.mark.parametrize(("arm", "kind"), CELLS)
def test_every_arm_trains_and_gives_the_tasks_own_scores(task, arm, kind):
    found = run(task, arm, kind, pieces=270)
    assert [s.metric for s in found.scores] == list(get_task(task).metrics)
    assert all(s.n == 12 and s.failures == 0 and math.isfinite(s.value) for s in found.scores)
    assert set(found.chance) == set(get_task(task).metrics)
    assert (found.rate, not found.failures) == (1e-3, True)
    assert found.parameters > 1000
    assert all(isinstance(value, str) for value in found.notes.values())
    assert "made here" in found.notes["llm"]


@pytest.mark.parametrize("task", ["pr", "st", "er", "ic", "ks", "lid"])
def test_every_discriminative_task_with_labels_runs(task):
    assert run(task, "discrete", "discrete").scores[0].n == 12


@pytest.mark.parametrize("arm", ["discrete", "continuous", "no-audio", "shuffled-audio"])
def test_what_can_be_told_apart_is_learned_by_those_that_hear_it_alone(arm):
    kind = "discrete" if arm == "discrete" else "continuous"
    found = run("si", arm, kind, Budget(30, 20, (3e-3,)), data=toy_split(kind, CLASSES, 60))
    value, (low, high) = found.scores[0].value, found.chance["accuracy"]
    assert high < 60
    if arm == "shuffled-audio":
        assert value < 60
    elif arm == "no-audio":
        assert low <= value <= high
    else:
        assert value > 90


@pytest.mark.parametrize("arm", ["discrete", "continuous"])
def test_texts_are_written_to_their_end(arm):
    found = run("asr", arm, arm, Budget(40, 20, (3e-3,)), data=toy_split(arm, ("a b", "c e", "f a"), 60))
    assert found.scores[0].value < 20
    assert found.scores[0].value < found.chance["wer"][0]


def test_one_seed_gives_one_row_and_another_another():
    data, budget = toy_split("discrete", ("a b", "c e", "f a"), 40), Budget(12, 10, (1e-3, 3e-3), 2)
    rows = [run("asr", "discrete", "discrete", budget, seed=seed, data=data) for seed in (3, 3, 4)]
    assert rows[0] == rows[1]
    assert rows[0] != rows[2]


def test_same_row_whatever_was_drawn_before():
    first = run("si", "continuous", "continuous")
    torch.manual_seed(99)
    torch.rand(5)
    before = torch.get_rng_state()
    assert run("si", "continuous", "continuous") == first
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("arm", "kind"), [("discrete", "continuous"), ("continuous", "quantized"), ("quantized", "discrete")]
)
def test_an_arm_of_another_kind_of_input_is_not_computed(arm, kind):
    with pytest.raises(NotComputed, match=f"llm:{arm} needs {arm} audio, toy is {kind}"):
        run("si", arm, kind)


def test_wrong_words_have_one_line_that_says_what_there_is():
    with pytest.raises(TaskError, match=r"llm:deaf.*llm:no-audio"):
        run("si", "deaf", "discrete")
    with pytest.raises(NotComputed, match="not for sv"):
        run("sv", "discrete", "discrete")
    with pytest.raises(FormatError, match="unknown key 'colour': did you mean column"):
        run("si", "discrete", "discrete", colour=1)
    with pytest.raises(FormatError, match="tune is 'some': give full or lora"):
        run("si", "discrete", "discrete", tune="some")
    with pytest.raises(FormatError, match=r"row has \{inputs\}"):
        run("si", "discrete", "discrete", row="{inputs}")
    with pytest.raises(FormatError, match="subsample is -1: give a whole number of 0"):
        run("si", "discrete", "discrete", subsample=-1)
    with pytest.raises(NotComputed, match="option llm: no text tokenizer"):
        run("si", "discrete", "discrete", llm="/nowhere/at/all")
    with pytest.raises(TaskError, match="1 class"):
        run("si", "discrete", "discrete", data=toy_split("discrete", "0"))
    with pytest.raises(NotComputed, match="has no BPE"):
        run("si", "discrete", "discrete", bpe=True)


def test_places_in_tables_are_filled_in():
    words = {"table": "k x BPE", "row": "{input}, {task}", "column": "BPE {bpe}, every {subsample}"}
    notes = run("si", "discrete", "discrete", subsample=2, **words).notes
    assert [notes[key] for key in ("table", "row", "column")] == ["k x BPE", "toy, si", "BPE none, every 2"]
    assert "table" not in run("si", "discrete", "discrete").notes


@pytest.mark.parametrize(
    ("projector", "subsample", "rate"),
    [("linear", 0, "50"), ("mlp", 2, "25"), ("frame-concat", 4, "12."), ("average-pool", 2, "25"), ("q-former", 0, "")],
)
def test_projectors_and_subsampling_are_options(projector, subsample, rate):
    more = {"projector_options": {"hidden": 8}} if projector in ("mlp", "frame-concat") else {}
    found = run("si", "continuous", "continuous", projector=projector, subsample=subsample, **more)
    assert found.notes["projector"] == projector
    tokens = float(found.notes["audio tokens"].split()[0])
    # The last group of each clip may be less than full.
    assert not rate or float(rate) <= tokens < float(rate) * 1.4


def test_bpe_of_the_tokenizer_makes_fewer_tokens(tmp_path):
    dataset, split = toy_split("discrete", CLASSES)
    one = [replace(e, x=e.x[:1]) for e in (*split.train, *split.valid, *split.tests["test"])]
    split = replace(split, train=tuple(one[:12]), valid=tuple(one[12:18]), tests={"test": tuple(one[18:])})
    info = replace(toy_info("discrete", Fraction(50)), codebook_sizes=(8,))
    bpe = UnitBPE((8,), [(0, 1), (1, 0), (2, 1), (8, 8)], tokenizer_fingerprint=info.fingerprint)

    bpe.save(tmp_path)

    class Input:
        tokenizer = SimpleNamespace(
            name="toy",
            folder=tmp_path,
            fingerprint=info.fingerprint,
            codebook_sizes=info.codebook_sizes,
            knows=info.fingerprint.__eq__,
        )

    rates = {}
    for option in (False, 9, True):
        context = TaskContext(Input(), options=TINY | {"bpe": option})
        notes = run_assignment(
            get_task("si"), Assignment(dataset, info, split, "llm:discrete", Budget(2, 6), 0, context)
        ).notes
        rates[option] = float(notes["audio tokens"].split()[0])
        assert ("BPE" in notes["codes"]) == bool(option)
    assert rates[True] < rates[9] < rates[False]
    context = TaskContext(Input(), options={"bpe": 13})
    given = Assignment(dataset, info, split, "llm:discrete", Budget(2, 6), 0, context)
    with pytest.raises(NotComputed, match="vocabularies from 8 to 12, not 13"):
        run_assignment(get_task("si"), given)


def test_nobody_keeps_their_own_audio():
    _, split = toy_split("discrete", CLASSES)
    test = split.tests["test"]
    for seed in range(5):
        swapped = swap_audio(test, seed)
        assert [e.clip for e in swapped] == [e.clip for e in test]
        assert not any(a.x is b.x for a, b in zip(swapped, test, strict=True))
        assert sorted(id(e.x) for e in swapped) == sorted(id(e.x) for e in test)
    with pytest.raises(NotComputed, match="two test clips"):
        swap_audio(test[:1], 0)


@pytest.mark.parametrize("kind", KINDS)
def test_arms_of_a_kind(kind):
    fitting = [name for name in ARMS if kind in ARMS[name].kinds]
    assert fitting == [OWN[kind], "no-audio", "shuffled-audio"]
    assert all(read_arm(f"llm:{name}", toy_info(kind)).name == name for name in fitting)


def test_clips_without_a_frame_and_unknown_classes_are_failures():
    dataset, split = toy_split("discrete", CLASSES)
    test = list(split.tests["test"])
    test[0] = replace(test[0], x=test[0].x[:, :0])
    stranger = replace(test[1].clip, label="somebody else")
    clips = (test[0].clip, stranger, *(e.clip for e in test[2:]))
    dataset = replace(dataset, tests={"test": clips})
    split = replace(split, tests={"test": tuple(replace(e, clip=c) for e, c in zip(test, clips, strict=True))})
    for arm in ("discrete", "shuffled-audio", "no-audio"):
        found = run("si", arm, "discrete", data=(dataset, split))
        assert (found.scores[0].n, found.scores[0].failures) == (10, 2)
        assert set(found.failures) == {test[0].clip.id, stranger.id}


def test_what_is_too_long_for_the_model_is_left_out_and_said():
    dataset, split = toy_split("discrete", CLASSES)
    long = replace(split.train[0], x=torch.arange(600).remainder(8).expand(2, -1))
    split = replace(
        split,
        train=(long, *split.train[1:]),
        tests={"test": (replace(long, clip=split.tests["test"][0].clip), *split.tests["test"][1:])},
    )
    found = run("si", "discrete", "discrete", data=(dataset, split), max_positions=200)
    assert found.notes["too long"].startswith("1 of 12")
    assert (found.scores[0].n, found.scores[0].failures) == (11, 1)
    assert "takes 200" in found.failures[split.tests["test"][0].clip.id]


def test_merged_codes_have_no_code_vectors():
    with pytest.raises(FormatError, match="init codebook goes without bpe"):
        run("si", "discrete", "discrete", bpe=True, init="codebook")


def test_the_shipped_study_has_every_arm_in_one_table_under_one_budget():
    entries = read_suite("study").tasks
    options = [LLMOptions.read(entry.options) for entry in entries]
    for task in ("si", "asr"):
        arms = [e for e, o in zip(entries, options, strict=True) if (e.task, o.table) == (task, "LLM arms")]
        assert {probe for e in arms for probe in e.probes} == {f"llm:{name}" for name in ARMS}
        assert len({(e.budget, e.seeds, e.options["size"]) for e in arms}) == 1
        assert len({e.options["row"] for e in arms}) == len(arms)
    assert not any(o.llm for o in options)  # offline
    tables = {o.table for o in options}
    assert tables == {"LLM arms", "Codes and BPE", "Projectors", "Subsampling", "Size of the language model"}
    for entry in entries:
        assert all(name.removeprefix("llm:") in ARMS for name in entry.probes)
        kind = {"": "discrete", "features": "continuous", "quantized": "quantized"}[entry.inputs[0].partition(":")[2]]
        assert all(read_arm(name, toy_info(kind)) for name in entry.probes)


@pytest.mark.parametrize("arm", ["discrete", "continuous", "no-audio"])
def test_low_rank_updates_of_a_model_folder(arm, tmp_path):
    from tests.llm.tiny_models import folder

    path = folder(tmp_path / "lm", "qwen2", padding=3)
    kind = "continuous" if arm == "continuous" else "discrete"
    options = {"llm": str(path), "tune": "lora", "rank": 2, "table": "LLMs", "column": "{llm}"}
    budget = Budget(3, 6, (1e-3, 1e-2), 2)
    found = [run("asr", arm, kind, budget, data=toy_split(kind, TEXTS, 8), **options) for _ in range(2)]
    full = run("asr", arm, kind, budget, data=toy_split(kind, TEXTS, 8), **options | {"tune": "full"})
    assert found[0] == found[1]
    assert found[0].scores[0].n == 8
    assert 0 < found[0].parameters < full.parameters / 2
    assert found[0].notes["column"] == "lm"
    assert found[0].notes["llm"].startswith("lm, ")
