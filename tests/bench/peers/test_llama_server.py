"""What a llama-server can do is read off its help, and nothing else is asked of it."""

from pathlib import Path

import pytest

from slipstream.bench.peers import llama_server
from slipstream.bench.peers.llama_server import Abilities, ServerArm, listed, probe, read_help, settings
from slipstream.bench.peers.ports import Offer
from slipstream.core.errors import EngineError
from tests.bench.peers.fake_server import HELP
from tests.bench.peers.made import binary, job

TYPES = ("draft-simple", "draft-eagle3", "draft-mtp", "ngram-simple", "ngram-map-k", "ngram-mod", "ngram-cache",
         "brand-new")  # fmt: skip


def test_flags_and_types_are_read_off_the_help() -> None:
    found = read_help(HELP)
    assert found.types == TYPES
    assert {"-m", "--model", "-np", "--spec-type", "--spec-ngram-mod-n-min"} <= found.flags
    # What only a description names is no flag.
    assert "-1" not in found.flags and "--spec-ngram-map-k-size-n" not in found.flags


def test_types_in_the_older_form() -> None:
    text = "--spec-type [none|ngram-cache|ngram-simple]\n                    type of speculation\n"
    assert read_help(text).types == ("ngram-cache", "ngram-simple")
    assert read_help("-m, --model FNAME  model\n") == Abilities(frozenset({"-m", "--model"}), ())


def test_every_type_with_its_own_defaults_and_every_length(tmp_path: Path) -> None:
    names = [name for name, _ in listed(read_help(HELP), Offer(lengths=(8, 16)))]
    assert names == [
        "plain", "ngram-simple", "ngram-simple 8", "ngram-simple 16", "ngram-map-k", "ngram-map-k 8", "ngram-map-k 16",
        "ngram-mod", "ngram-mod 8", "ngram-mod 16", "ngram-cache", "brand-new",
    ]  # fmt: skip
    offer = Offer(lengths=(8,), draft_model=tmp_path / "draft.gguf", native_head=True)
    found = dict(listed(read_help(HELP), offer))
    draft = ("-md", str(tmp_path / "draft.gguf"), "--spec-type")
    assert found["draft-simple 8"] == (*draft, "draft-simple", "--spec-draft-n-max", "8")
    assert found["draft-mtp"] == ("--spec-type", "draft-mtp")
    assert found["ngram-mod 8"][2:] == ("--spec-ngram-mod-n-match", "4", "--spec-ngram-mod-n-max", "8",
                                        "--spec-ngram-mod-n-min", "1")  # fmt: skip
    assert found["ngram-map-k, draft-simple 8"][:4] == (*draft, "ngram-map-k,draft-simple")
    assert not any("eagle" in name for name in found)


def test_a_setting_whose_flag_is_missing_fails_and_the_others_run(tmp_path: Path) -> None:
    offer = Offer(lengths=(8,), binary=binary(tmp_path))
    found = {one.name: one for one in settings(offer)}
    assert found["ngram-map-k 8"].problem == "this llama-server has no --spec-ngram-map-k-size-n"
    assert found["ngram-map-k 8"].open is None and not found["ngram-map-k 8"].absent
    made = found["ngram-simple 8"].open
    assert made is not None
    arm = made(job(tmp_path))
    assert isinstance(arm, ServerArm)
    assert list(arm.argv)[-6:] == ["--spec-type", "ngram-simple", "--spec-ngram-simple-size-n", "4",
                                   "--spec-ngram-simple-size-m", "8"]  # fmt: skip
    assert found["plain"].arm == "llama-server plain" and found["plain"].configuration["arguments"] == []


def test_a_binary_that_is_none(tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\n")
    silent.chmod(0o755)
    with pytest.raises(EngineError, match="lists no flag"):
        probe(silent)
    (only,) = settings(Offer(lengths=(8,), binary=tmp_path / "nowhere"))
    assert only.open is None and "can't be run" in only.problem and not only.absent


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(llama_server, "PACKAGE", "slipstream-no-such-package")
    assert llama_server.installed() is None
    (only,) = settings(Offer(lengths=(8,)))
    assert only.absent
