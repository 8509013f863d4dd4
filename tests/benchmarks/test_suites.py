"""Suite files: what they may say, and that those that ship say it."""

from __future__ import annotations

import pytest

from benchmarks.contract import NotComputed
from benchmarks.datasets import DATASETS
from benchmarks.inputs import clip_key, fitted_clips, open_input
from benchmarks.runner import read_suite, suite_names
from benchmarks.runner.plan import check_folders, check_names, make_plan
from benchmarks.runner.row import Place
from benchmarks.tasks import get_task
from codectok.errors import CodectokError

GOOD = """
name: s
inputs: [logmel, speech@1.5]
budget: {steps: 10, batch: 4}
seeds: 2
tasks:
  - {task: si, dataset: mini-si}
  - {task: lid, dataset: mini-lid, inputs: [random], seeds: [7], budget: {steps: 20}, probes: [linear], judge: j}
"""


def suite(tmp_path, text):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    return read_suite(str(path))


def test_tasks_take_the_defaults_and_may_replace_them(tmp_path):
    first, second = suite(tmp_path, GOOD).tasks
    assert (first.inputs, first.seeds, first.budget.steps, first.budget.batch) == (
        ("logmel", "speech@1.5"),
        (0, 1),
        10,
        4,
    )
    assert (second.inputs, second.seeds, second.budget.steps, second.budget.batch) == (("random",), (7,), 20, 4)
    assert (second.probes, second.judge) == (("linear",), "j")


@pytest.mark.parametrize("name", ["good", *suite_names()])
def test_what_is_written_down_is_the_same_suite(tmp_path, name):
    one = suite(tmp_path, GOOD) if name == "good" else read_suite(name)
    assert suite(tmp_path, one.text()) == one


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("seeds: 2", "sedes: 2", "line 5: unknown key 'sedes': did you mean seeds"),
        ("task: si,", "task: si, lr: 3,", "unknown key 'tasks.0.lr'"),
        ("steps: 10", "stpes: 10", "unknown key 'tasks.0.budget.stpes': did you mean steps"),
        ("dataset: mini-si", "probes: [linear]", "tasks.0 has no dataset"),
        ("[logmel, speech@1.5]", "logmel", "tasks.0.inputs is 'logmel': give a list"),
        ("[logmel, speech@1.5]", "[logmel, logmel]", "names something twice"),
        ("seeds: 2", "seeds: 0", "seeds is 0: give a whole number of 1 or more, or a list"),
        ("seeds: [7]", "seeds: [7, 7]", "tasks.1.seeds: names something twice"),
        ("steps: 10", "steps: many", "tasks.0.budget.steps is 'many': give a whole number"),
        ("batch: 4", "batch: 0", "batch is 0: give a whole number of 1"),
        ("batch: 4", "rates: [0.1, 0.2]", "several rates need sweep_steps"),
        ("{steps: 10, batch: 4}", "10", "budget is 10: give key: value pairs"),
        ("dataset: mini-si", "dataset: mini-si, options: [a]", r"options is \['a'\]: give key: value"),
        ("name: s", "name: ../s", "is not letters, digits"),
        ("tasks:", "tasks: []\nabout:", r"tasks is \[\]: give a list of 1 or more"),
        ("name: s", "name: [", "not YAML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, words):
    assert old in GOOD
    with pytest.raises(CodectokError, match=words):
        suite(tmp_path, GOOD.replace(old, new, 1))


def test_unknown_suites_tasks_probes_and_data(tmp_path):
    with pytest.raises(CodectokError, match=r"no suite 'minni' \(did you mean mini\?\): give a YAML file or one of"):
        read_suite("minni")
    place = Place(tmp_path, tmp_path)
    for old, new, words in (
        ("task: si", "task: sing", "no task 'sing'"),
        ("dataset: mini-si", "dataset: mini-so", "no data set 'mini-so'"),
        ("probes: [linear]", "probes: [lineal]", "no probe 'lineal'"),
        ("judge: j", "shuffled: [opus@6]", "not among its inputs"),
        ("dataset: mini-si", "dataset: mini-asr", "mini-asr is a data set of asr, not of si: take one of mini-si"),
        ("budget: {steps: 10, batch: 4}", "", "si on mini-si has no budget"),
        (
            "dataset: mini-si",
            "dataset: mini-si, options: {crop: 2}",
            "si on mini-si: options: unknown key 'crop': did you mean",
        ),
        ("{task: si, dataset: mini-si}", "{task: se, dataset: mini-se, options: {metrics: [peqs]}}", "peqs"),
        (
            "{task: si, dataset: mini-si}",
            "{task: resynthesis, dataset: mini-resynthesis, options: {metric: [pesq]}}",
            "unknown key 'metric': did you mean metrics",
        ),
    ):
        with pytest.raises(CodectokError, match=words):
            make_plan(suite(tmp_path, GOOD.replace(old, new)), place)


def test_folders_that_the_suite_has_no_use_for(tmp_path):
    """A slip in their names would cost a run whose cells are all "not computed"."""
    chosen = suite(tmp_path, GOOD.replace("dataset: mini-si", "dataset: voxceleb1-si").replace("logmel,", '"km:{w}",'))
    for given, words in (
        ({"data": {"voxceleb": "."}}, "--data voxceleb: suite s asks for voxceleb1-si"),
        ({"data": {"mini": "."}}, "--data mini: suite s asks for voxceleb1-si"),
        ({"folders": {"v": "."}}, "--folder v: suite s asks for w"),
    ):
        with pytest.raises(CodectokError, match=words):
            make_plan(chosen, Place(tmp_path, tmp_path, **given))
    check_folders(chosen, Place(tmp_path, tmp_path, {"voxceleb1": "."}, {"w": "."}))


@pytest.mark.parametrize("name", suite_names())
def test_suites_that_ship_name_what_there_is(name):
    chosen = read_suite(name)
    assert chosen.about
    check_names(chosen)
    for entry in chosen.tasks:
        assert entry.dataset in DATASETS
        assert DATASETS[entry.dataset].task == entry.task
        assert entry.budget.steps > 0 or not get_task(entry.task).trained


def test_mini_quick_is_three_tasks_four_inputs_three_seeds():
    entries = read_suite("mini-quick").tasks
    assert len(entries) == 3
    assert all(len(e.inputs) == 4 and len(e.seeds) == 3 for e in entries)


def test_dasb_has_every_task_and_probe_of_its_tables():
    named = {(e.dataset, p) for e in read_suite("dasb").tasks for p in e.probes}
    for dataset, probes in {
        "librispeech-asr": ("bilstm", "contextnet"), "commonvoice-cy-asr": ("bilstm", "dnn"),
        "commonvoice-eu-asr": ("bilstm", "dnn"), "voxceleb1-si": ("ecapa", "xvector"),
        "voxceleb1-sv": ("ecapa", "xvector"), "iemocap-er": ("ecapa", "linear"),
        "speech-commands-ks": ("xvector", "ecapa"), "slurp-ic": ("bilstm", "linear"),
        "voicebank-se": ("conformer", "crdnn"), "libri2mix-ss": ("conformer", "crdnn"),
        "ljspeech-tts": ("tokotron-deep", "tokotron-small"),
    }.items():  # fmt: skip
        assert {(dataset, probe) for probe in probes} <= named
    # As published: a task's own options do not fall back to the small sizes.
    assert {e.options.get("size") for e in read_suite("dasb").tasks} == {"published"}


def test_mini_tests_on_no_clip_that_a_shipped_model_was_fitted_on():
    from benchmarks.datasets import open_dataset
    from benchmarks.datasets.splits import audio_files

    fitted = fitted_clips(open_input("speech"))
    trained_on = set()
    for entry in read_suite("mini").tasks:
        try:
            dataset = open_dataset(entry.dataset)
        except NotComputed as error:
            pytest.skip(str(error))
        tested = {clip_key(p) for clips in dataset.tests.values() for c in clips for p in audio_files(c)}
        assert tested
        assert not tested & fitted
        trained_on |= {clip_key(p) for c in dataset.train for p in audio_files(c)} & fitted
    assert trained_on  # keys of the two tables do match
