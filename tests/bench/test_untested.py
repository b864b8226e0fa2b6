"""What was never tried: by content of the model's file, by method, by task."""

import shutil
from pathlib import Path

import pytest

from slipstream.bench.cell import Arm
from slipstream.bench.imports import Recorded, recorded_run
from slipstream.bench.store import ResultStore
from slipstream.bench.task_classes import CLASSES
from slipstream.bench.untested import Model, Visit, matrix, models_of
from slipstream.core.errors import ModelFileError, RequestError
from slipstream.drafters import catalog
from slipstream.models.gguf import identity
from tests.bench.stored import make_cell, make_run
from tests.engine import tiny_gguf

TINY = Model("f" * 32, "tiny")


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    store = ResultStore.open(tmp_path / "store")
    store.begin(make_run())
    return store


def entries(store: ResultStore, *models: Model, others: bool = False) -> dict[tuple[str, str, str], Visit | None]:
    found = matrix(models, store.runs(), store.coverage(), others=others)
    return {(entry.model.name, entry.method, entry.task): entry.visit for entry in found}


def visited(store: ResultStore, *models: Model, others: bool = False) -> dict[tuple[str, str, str], Visit]:
    return {place: visit for place, visit in entries(store, *models, others=others).items() if visit}


def test_a_model_nobody_measured_is_untested_in_everything(store: ResultStore) -> None:
    found = entries(store, TINY)
    assert set(found) == {
        ("tiny", method, task)
        for method in ("plain", *(name.replace("_", " ") for name in catalog.names()))
        for task in CLASSES
    }
    assert not any(found.values())


def test_a_method_that_was_tried_on_one_task_is_untested_on_the_others(store: ResultStore) -> None:
    store.append(make_run().id, make_cell())
    store.append(make_run().id, make_cell(repetition=1, started=1002.5, task="copy"))
    store.append(make_run().id, make_cell(task="chat", status="failed"))
    assert visited(store, TINY) == {
        ("tiny", "suffix", "edit"): Visit(make_run().id, 1002.5, "0.3.36-b1-abcd", False, 1)
    }


def test_a_model_is_what_its_file_holds_not_what_it_is_called(store: ResultStore) -> None:
    store.append(make_run().id, make_cell())
    assert visited(store, Model("f" * 32, "renamed"))
    assert not visited(store, Model("e" * 32, "tiny"))


def test_the_newest_visit_counts_and_its_engine(store: ResultStore) -> None:
    for name, started, engine in (("newer", 3000.0, "b2"), ("older", 500.0, "b0")):
        run = make_run(name, started, attestation={"engine": engine, "models": {"tiny.gguf": "f" * 32}})
        store.begin(run)
        store.append(name, make_cell(started=started))
    store.append(make_run().id, make_cell())
    (visit,) = visited(store, TINY).values()
    assert (visit.run, visit.engine) == ("newer", "b2")


def test_an_arm_that_knows_the_answer_is_no_trial(store: ResultStore) -> None:
    oracle = Arm(name="oracle", role="bound", configuration={"model": "tiny.gguf", "draft": ["reference"]})
    store.begin(make_run("other", arms=(oracle,)))
    store.append("other", make_cell("oracle"))
    assert not visited(store, TINY)


def test_retracted_runs_canaries_and_random_tokens_are_no_trials(store: ResultStore) -> None:
    store.append(make_run().id, make_cell("canary", task="canary"))
    store.append(make_run().id, make_cell(task="synthetic"))
    assert not visited(store, TINY)
    store.append(make_run().id, make_cell())
    assert visited(store, TINY)
    store.retract(make_run().id, "wrong")
    assert not visited(store, TINY)


def test_measured_models_methods_and_tasks_beyond_ours_are_shown_too(store: ResultStore) -> None:
    arms = (Arm(name="half", configuration={"model": "moe.gguf", "draft": "off", "experts": 4}),)
    store.begin(make_run("moe", arms=arms, attestation={"models": {"moe.gguf": "a" * 32}}))
    store.append("moe", make_cell("half", task="knitting"))
    result = Recorded(model="big", method="eagle", task="code", rate=3.0, source="a blog", measured=7.0)
    store.add(recorded_run(result, "elsewhere", (), 9.0))
    found = visited(store, others=True)
    assert set(found) == {("moe", "4 experts", "other"), ("big", "eagle", "code")}
    assert found["big", "eagle", "code"].external and found["big", "eagle", "code"].at == 7.0
    assert ("big", "suffix", "other") in entries(store, others=True)
    assert ("big", "4 experts", "other") not in entries(store, others=True)  # it is a method of another model
    assert not entries(store, others=False)


def test_a_run_that_names_no_model_but_attests_one_is_of_that(store: ResultStore) -> None:
    run = make_run("nameless", arms=(Arm(name="suffix", configuration={"draft": "suffix"}),))
    store.begin(run)
    store.append(run.id, make_cell())
    assert set(visited(store, TINY)) == {("tiny", "suffix", "edit")}


def test_models_are_found_in_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    one = tiny_gguf.dense(tmp_path / "deep" / "one.gguf")
    shutil.copy(one, tmp_path / "two.gguf")
    (tmp_path / "part-00002-of-00003.gguf").write_bytes(b"")
    (tmp_path / "broken.gguf").write_bytes(b"GGUF")
    (tmp_path / "notes.txt").write_text("")
    found, problems = models_of([tmp_path])
    assert [(model.name, model.identity) for model in found] == [("one", identity(one)), ("two", identity(one))]
    assert len(problems) == 1 and "broken.gguf" in problems[0]
    assert models_of([one]) == ([Model(identity(one), "one")], [])
    assert [entry.model.name for entry in matrix(found, [], [], others=False)[:1]] == ["two"], "they are one model"
    with pytest.raises(ModelFileError):
        models_of([tmp_path / "broken.gguf"])
    with pytest.raises(RequestError, match="there is no"):
        models_of([tmp_path / "nowhere"])
