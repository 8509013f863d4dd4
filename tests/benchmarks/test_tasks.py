"""Discriminative tasks end to end on made-up examples: they learn, they know chance, nothing is NaN, failures count."""

import math
from dataclasses import replace

import pytest
import torch

from benchmarks.contract import Budget, Example, Outcome, Split, Trial
from benchmarks.tasks import Assignment, TaskContext, TaskError, get_task, task_names
from benchmarks.training import TrainingError
from codectok.errors import FormatError, UnknownNameError
from tests.benchmarks.toy_examples import KINDS, toy_info, toy_split

CLASSES = ("0", "1", "2")
TEXTS = ("a b", "cad", "fed", "bad e")
TINY = {"dim": 16, "width": 16}
DISCRIMINATIVE = ("asr", "pr", "er", "ic", "ks", "si", "lid", "sv", "st")
CELLS = [
    (task, probe, kind)
    for task in DISCRIMINATIVE
    for probe in get_task(task).probes
    for kind in KINDS
    # To a probe, quantized features are features: once a task is enough.
    if kind != "quantized" or probe == get_task(task).probes[0]
]


def labels_of(task: str) -> tuple[str, ...]:
    return TEXTS if task in ("asr", "pr", "st") else CLASSES


def run(
    task: str, kind: str = "discrete", probe: str = "", budget: Budget | None = None, seed: int = 0, **more
) -> Outcome:
    dataset, split = more.pop("data", None) or toy_split(kind, labels_of(task))
    context = TaskContext(options=TINY | more.pop("options", {}))
    return get_task(task).run(Assignment(dataset, toy_info(kind), split, probe, budget or Budget(2, 6), seed, context))


@pytest.mark.parametrize(("task", "probe", "kind"), CELLS)
def test_every_task_and_probe_runs_on_every_kind_of_input(task, probe, kind):
    found = run(task, kind, probe, Budget(2, 6))
    assert [s.metric for s in found.scores] == list(get_task(task).metrics)
    assert all(s.test == "test" and s.failures == 0 and math.isfinite(s.value) for s in found.scores)
    assert all(s.n == (66 if task == "sv" else 12) for s in found.scores)
    assert set(found.chance) == set(get_task(task).metrics)
    assert found.rate == 1e-3
    assert found.parameters > 0
    assert found.macs_per_second > 0
    assert not found.failures
    assert all(isinstance(value, str) for value in found.notes.values())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("probe", ["linear", pytest.param("ecapa", marks=pytest.mark.slow), "xvector"])
def test_what_can_be_told_apart_is_learned_and_shuffled_labels_stay_at_chance(kind, probe):
    # A speaker a class, and nothing else to hear: a probe of noise answers alike for all of a class.
    dataset, split = toy_split(kind, "012345", 60, speakers=6)
    budget = Budget(30, 20, (1e-2,))
    found = run("si", kind, probe, budget, data=(dataset, split))
    assert found.scores[0].value > 90
    floor = run("si", kind, probe, budget, data=(dataset, shuffled(split)))
    low, high = floor.chance["accuracy"]
    assert low <= floor.scores[0].value <= high
    assert high < 60


def shuffled(split: Split) -> Split:
    def mixed(examples):
        order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(0)).tolist()
        labels = [examples[i].clip.label for i in order]
        return tuple(replace(e, clip=replace(e.clip, label=n)) for e, n in zip(examples, labels, strict=True))

    return replace(split, train=mixed(split.train), valid=mixed(split.valid))


@pytest.mark.parametrize(
    ("task", "metric", "beam", "steps", "rate"),
    [("asr", "wer", 4, 100, 1e-2), pytest.param("pr", "per", 1, 400, 1e-2, marks=pytest.mark.slow)],
)
def test_texts_are_learned(task, metric, beam, steps, rate):
    texts = ("a b", "c e", "f a", "b f", "d c", "e d")
    data, budget = toy_split("discrete", texts, 48), Budget(steps, 24, (rate,))
    found = run(task, "discrete", "bilstm", budget, data=data, options={"dropout": 0.0, "beam": beam})
    score = found.scores[0]
    assert (score.metric, score.n) == (metric, 48)
    assert score.value < 25
    rows = [row for row in found.items if row.metric == metric]
    assert 100 * sum(r.value for r in rows) / sum(r.weight for r in rows) == pytest.approx(score.value)
    assert found.chance[metric][0] > 60
    assert found.notes["decoding"] == ("greedy" if beam == 1 else f"beam {beam}")


def test_translations_are_learned():
    data = toy_split("continuous", ("abc", "cab", "fed", "bad"), 24)
    words = {"abc": "one two three four", "cab": "four three two one", "fed": "a b c d e", "bad": "no"}

    def put(example: Example) -> Example:
        return replace(example, clip=replace(example.clip, label=words[example.clip.label]))

    dataset, split = data
    split = Split(
        tuple(map(put, split.train)), tuple(map(put, split.valid)), {"test": tuple(map(put, split.tests["test"]))}
    )
    dataset = replace(dataset, tests={"test": tuple(e.clip for e in split.tests["test"])})
    found = run("st", "continuous", "linear", Budget(60, 8, (5e-3,)), data=(dataset, split))
    assert found.scores[0].value > 90


def test_verification_tells_speakers_apart_whom_it_has_not_heard():
    _, train = toy_split("continuous", ("0", "1", "2", "3"), 48)
    dataset, test = toy_split("continuous", ("4", "5"), 24, seed=1)
    split = Split(train.train, train.valid, test.tests)
    found = run("sv", "continuous", "linear", Budget(30, 16, (1e-2,)), data=(dataset, split))
    assert [s.metric for s in found.scores] == ["eer", "mindcf"]
    assert found.scores[0].value < 10
    assert found.scores[0].n == len(dataset.trials["test"])
    assert found.chance["eer"][0] > 10
    assert not get_task("sv").shuffled_floor


@pytest.mark.parametrize("task", ["lid", "asr", "sv", "st"])
def test_the_same_seed_gives_the_same_outcome_twice(task):
    budget = Budget(4, 5, (1e-3, 1e-2), 2)
    first, again = run(task, budget=budget, seed=3), run(task, budget=budget, seed=3)
    assert first == again


@pytest.mark.parametrize("task", ["lid", "asr", "st"])
def test_a_clip_that_fails_is_counted_and_the_others_keep_their_scores(task):
    dataset, split = toy_split("discrete", labels_of(task))
    whole = run(task, data=(dataset, split))
    tests = list(split.tests["test"])
    bad, gone, empty = tests[0], tests[5], tests[7]
    tests[0] = replace(bad, x=bad.x + 50)  # codes that no table has
    tests[7] = replace(empty, x=empty.x[:, :0])
    del tests[5]
    found = run(task, data=(dataset, replace(split, tests={"test": tuple(tests)})))
    assert [(s.n, s.failures) for s in found.scores] == [(9, 3)] * len(found.scores)
    assert set(found.failures) == {bad.clip.id, gone.clip.id, empty.clip.id}
    assert "shorter than one frame" in found.failures[empty.clip.id]
    assert "gave nothing" in found.failures[gone.clip.id]
    assert [i for i in whole.items if i.clip not in found.failures] == list(found.items)


def test_trials_of_a_clip_that_failed_are_failures():
    dataset, split = toy_split("discrete", CLASSES)
    tests = split.tests["test"][1:]
    found = run("sv", data=(dataset, replace(split, tests={"test": tests})))
    assert all((s.n, s.failures) == (55, 11) for s in found.scores)


def test_nothing_scored_is_none_and_never_nan():
    dataset, split = toy_split("discrete", CLASSES)
    for task in ("lid", "sv", "st", "asr"):
        found = run(task, data=(dataset, replace(split, tests={})))
        assert all(s.value is None and s.n == 0 for s in found.scores), task
        assert all(s.failures == (66 if task == "sv" else 12) for s in found.scores)
    silent = replace(dataset, tests={"test": tuple(replace(c, label="") for c in dataset.tests["test"])})
    scores = run("asr", data=(silent, split)).scores
    assert all(s.value is None and s.n == 12 for s in scores)
    same = replace(dataset, trials={"test": (Trial("test-0", "test-3", True),)})
    assert all(s.value is None for s in run("sv", data=(same, split)).scores)


def test_a_label_that_no_training_clip_has_is_a_failure_not_a_wrong_answer():
    dataset, split = toy_split("discrete", CLASSES)
    clips = tuple(replace(c, label="new") if i == 2 else c for i, c in enumerate(dataset.tests["test"]))
    found = run("lid", data=(replace(dataset, tests={"test": clips}), split))
    assert (found.scores[0].n, found.scores[0].failures) == (11, 1)
    assert "no training clip" in found.failures["test-2"]


def test_empty_and_unknown_texts_are_handled():
    dataset, split = toy_split("discrete", ("a b", "", "cad"))
    clips = tuple(replace(c, label="zzz") if i == 3 else c for i, c in enumerate(dataset.tests["test"]))
    found = run("asr", data=(replace(dataset, tests={"test": clips}), split))
    assert all(math.isfinite(s.value) and s.n == 12 for s in found.scores)
    with pytest.raises(TaskError, match="empty"):
        run("asr", data=toy_split("discrete", ("", " ")))


def test_training_clips_with_too_few_frames_are_noted():
    dataset, split = toy_split("discrete", ("aaaaaa",))
    short = tuple(replace(e, x=e.x[:, :4]) for e in split.train)
    found = run("asr", data=(dataset, replace(split, train=short)))
    assert found.notes["too short"].startswith("12 of 12")
    assert math.isfinite(found.scores[0].value)


def test_what_cannot_be_run_says_so():
    with pytest.raises(UnknownNameError, match="no task 'vad'"):
        get_task("vad")
    with pytest.raises(TaskError, match="no probe 'contextnet'"):
        run("si", probe="contextnet")
    with pytest.raises(TaskError, match="1 class"):
        run("lid", data=toy_split("discrete", ("0",)))
    with pytest.raises(FormatError, match="options: unknown key 'layers': there are size"):
        run("lid", options={"layers": 3})
    with pytest.raises(TrainingError):
        run("lid", budget=Budget(0))


def test_pieces_of_clips_in_training_change_the_training_alone():
    whole, pieces = run("lid"), run("lid", options={"crop_seconds": 0.1})
    assert whole.parameters == pieces.parameters
    assert pieces == run("lid", options={"crop_seconds": 0.1})


def test_code_vectors_start_the_tables_where_there_are_any():
    class Input:
        @staticmethod
        def vectors():
            return [torch.randn(8, 4, generator=torch.Generator().manual_seed(i)) for i in range(2)]

    dataset, split = toy_split("discrete", CLASSES)
    context = TaskContext(input=Input(), options=TINY | {"start": "vectors"})
    found = get_task("lid").run(Assignment(dataset, toy_info("discrete"), split, "", Budget(2, 6), 0, context))
    assert found.notes["embeddings"] == "code vectors"
    assert "has no code vectors" in run("lid", options={"start": "vectors"}).notes["embeddings"]


def test_every_name_is_listed():
    assert set(DISCRIMINATIVE) < set(task_names())
    assert {"se", "ss", "tts", "resynthesis"} < set(task_names())
