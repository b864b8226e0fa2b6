"""The arms of `slipstream bench peers`: Slipstream and every setting of the other engines, on every file of a model."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from slipstream.bench.cell import Arm, Role
from slipstream.bench.child import environment
from slipstream.bench.child_arm import ChildArm
from slipstream.bench.peers import catalog
from slipstream.bench.peers.arm import Refused, Watched
from slipstream.bench.peers.ports import Job, Offer, Question, Setting
from slipstream.bench.runner import Measures
from slipstream.bench.schedule import Block
from slipstream.bench.workload import Prompt
from slipstream.core.errors import RequestError
from slipstream.engine.tokenizer import LlamaTokenizer
from slipstream.host import launch
from slipstream.models.gguf import read_header

OURS, PLAIN, STACK, TUNED = "slipstream", "slipstream plain", "slipstream stack", "slipstream tuned"
WORKER = (sys.executable, "-m", "slipstream", "worker")
ROOM = 64
"""Tokens of context beside the longest prompt and its answer: a draft may go past the answer's end."""
WARM_UP = 64
"""Tokens of the text that ships with the package, which every engine is given first."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An arm, the model file whose plain answers its own are held against, and what measures it; no `open` for the
    repetition of the baseline."""

    arm: Arm
    file: Path
    open: Callable[[], Measures] | None = None


def files(plan: Mapping[str, Any]) -> list[Path]:
    """The model's files, the one that was named first."""
    return [Path(file) for file in dict.fromkeys([plan["model"], *plan.get("variants", ())])]


def plain_of(plan: Mapping[str, Any], file: Path) -> str:
    """The arm that decodes this file plainly."""
    return _on(PLAIN, plan, file)


def absent(plan: Mapping[str, Any]) -> list[Setting]:
    """Peers that aren't installed, each with how to get it."""
    return [one for one in catalog.settings(_offer(plan, files(plan)[0]), plan["peers"]) if one.absent]


def listed(plan: Mapping[str, Any], job: Job, tokenizer: LlamaTokenizer) -> list[Listed]:
    """All arms of a run, or those named in its plan as `only`, with the plain arm of every file that is left; the
    baseline first. UnknownName or RequestError for a peer that isn't there."""
    found = list(_all(plan, job, tokenizer))
    only = plan.get("only")
    if only is None:
        return found
    kept = [one for one in found if one.arm.name in only or one.arm.role != "candidate"]
    names = {one.arm.name for one in kept} | {plain_of(plan, one.file) for one in kept}
    return [one for one in found if one.arm.name in names]


def _all(plan: Mapping[str, Any], job: Job, tokenizer: LlamaTokenizer) -> Iterator[Listed]:
    for number, file in enumerate(files(plan)):
        here = replace(job, model=file)
        yield _ours(plan, here, "plain", _settings(plan, here, "off"), "candidate" if number else "baseline")
        if not number:
            again = Arm(name=f"{PLAIN}, again", role="repeat", configuration={"peer": OURS})
            yield Listed(again, file)
            if plan.get("tuned") is not None:
                yield _ours(plan, here, "tuned", {**_settings(plan, here, "auto"), **plan["tuned"]})
        yield _ours(plan, here, "stack", _settings(plan, here, "auto"))
        for setting in catalog.settings(_offer(plan, file), plan["peers"]):
            if not setting.absent:
                yield _theirs(plan, here, tokenizer, setting)


def _ours(plan: Mapping[str, Any], job: Job, name: str, settings: dict[str, Any], role: Role = "candidate") -> Listed:
    # Tuning may have chosen another file: that one is what its answers are those of.
    file = Path(settings["model"])
    arm = Arm(
        name=_on(f"{OURS} {name}", plan, job.model), role=role,
        configuration={"peer": OURS, "setting": _on(name, plan, job.model), "settings": settings},
    )  # fmt: skip
    return Listed(arm, file, partial(our_arm, arm.name, settings, job))


def _theirs(plan: Mapping[str, Any], job: Job, tokenizer: LlamaTokenizer, setting: Setting) -> Listed:
    about = {"peer": setting.peer, "setting": _on(setting.name, plan, job.model), **setting.configuration}
    started = setting.open(job) if setting.open else None
    if started:
        about["argv"] = list(launch.arguments(started.argv))

    def arm() -> Measures:
        if started is None:
            return Refused(setting.problem)
        from slipstream.host.load import Sentinel

        return Watched(started, tokenizer.decode, job.ends, job.max_tokens, Sentinel())

    return Listed(Arm(name=_on(setting.arm, plan, job.model), configuration=about), job.model, arm)


def _on(name: str, plan: Mapping[str, Any], file: Path) -> str:
    return name if str(file) == plan["model"] else f"{name}, {file.name}"


def our_arm(name: str, settings: Mapping[str, Any], job: Job) -> Measures:
    """Slipstream in processes of its own."""
    told = partial(_told, name, settings, job)
    return ChildArm(WORKER, environment({}), told, job.scratch, job.load_seconds, job.answer_seconds)


def _told(name: str, settings: Mapping[str, Any], job: Job, block: Block) -> dict[str, Any]:
    prompts = [asdict(job.questions[prompt].prompt) for prompt in block.prompts]
    return {"arm": name, "settings": dict(settings), "repetition": block.repetition, "prompts": prompts}


def _settings(plan: Mapping[str, Any], job: Job, draft: str) -> dict[str, Any]:
    """Of an arm of ours."""
    return {
        "model": str(job.model),
        "context_length": job.context,
        "threads": plan["threads"],
        "max_tokens": plan["max_tokens"],
        "draft": draft,
        **({"draft_model": plan["draft_model"]} if draft != "off" and plan["draft_model"] else {}),
    }


def tuned_settings(path: Path) -> dict[str, Any]:
    """Settings of an arm as the model's stored profile has them. RequestError without one."""
    from slipstream import config
    from slipstream.engine.build import engine_build
    from slipstream.host import cpu
    from slipstream.host.fingerprint import fingerprint
    from slipstream.models.gguf import identity
    from slipstream.profile import Key, Profiles

    key = Key(host=fingerprint(cpu.read()), engine=engine_build().build_id, model=identity(path))
    profiles = Profiles.open(config.load().data_root.path / "state")
    profile = profiles.find(key, path)
    if profile is None:
        why = "".join(f": {note}" for note in profiles.notes)
        raise RequestError(f"{path.name} has no profile here{why}", hint=f"make one: slipstream tune {path.name}")
    found = dict(profile.options)
    if (drafters := found.pop("drafters", None)) is not None:
        found["draft"] = list(drafters) or "off"
    return found


def _offer(plan: Mapping[str, Any], file: Path) -> Offer:
    header = read_header(file)
    return Offer(
        lengths=tuple(plan["lengths"]),
        draft_model=Path(plan["draft_model"]) if plan["draft_model"] else None,
        native_head=bool(header.metadata.get(f"{header.architecture}.nextn_predict_layers")),
        binary=Path(plan["binary"]) if plan["binary"] else None,
    )


def job_of(plan: Mapping[str, Any], prompts: Sequence[Mapping[str, Any]], opened: ExitStack) -> tuple[Job, Any]:
    """What all are given, and the tokenizer, which stays open. RequestError for a model without a chat template,
    ContextOverflow if it wasn't trained for that much."""
    from importlib import resources

    from slipstream import config
    from slipstream.engine.chat import open_chat_template
    from slipstream.engine.model import LlamaModel

    path = Path(plan["model"])
    model = opened.enter_context(LlamaModel.load_vocabulary(path))
    tokenizer = LlamaTokenizer(model)
    template = open_chat_template(model, tokenizer)
    questions = {}
    for prompt in (Prompt(**one) for one in prompts):
        text = template.render([{"role": "user", "content": prompt.text}])
        questions[prompt.id] = Question(prompt, tuple(tokenizer.encode_prompt(text, special=True)))
    longest = max(len(question.tokens) for question in questions.values())
    sample = resources.files("slipstream.bench").joinpath("sample.txt").read_text("utf-8")
    return Job(
        model=path,
        questions=questions,
        warm_up=tuple(tokenizer.encode_prompt(sample)[:WARM_UP]),
        ends=tokenizer.end_tokens,
        max_tokens=plan["max_tokens"],
        threads=plan["threads"],
        context=model.slot_context(longest + plan["max_tokens"] + ROOM),
        scratch=config.load().data_root.tmp,
        draft_model=Path(plan["draft_model"]) if plan["draft_model"] else None,
        answer_seconds=plan["limit"],
    ), tokenizer
