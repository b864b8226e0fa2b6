"""What a search is scored on: prompts with the target's own greedy answers, made by the unmasked model."""

import hashlib
import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from slipstream.control.measure import Progress
from slipstream.core.errors import RequestError
from slipstream.core.ports import Feed
from slipstream.core.skip import SkipSet
from slipstream.selfdraft.ports import Masked

Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Text:
    """Tokens of a prompt and of the target's answer to it."""

    prompt: tuple[int, ...]
    answer: tuple[int, ...]

    def split(self, length: int) -> "tuple[Text, Text]":
        """Two texts: the first `length` tokens of the answer, and the rest with all before it as its prompt."""
        first, rest = self.answer[:length], self.answer[length:]
        return Text(self.prompt, first), Text(self.prompt + first, rest)


def generate(
    model: Masked,
    prompts: Sequence[Sequence[int]],
    length: int,
    ends: Collection[int],
    report: Report = lambda progress: None,
) -> list[Text]:
    """The full model's greedy answers, at most `length` tokens each, all prompts in one pass a token (a slot each).

    An answer ends before an end token. RequestError if none has two tokens: nothing could be compared then.
    """
    model.mask(SkipSet())
    texts = [list(prompt) for prompt in prompts]
    open_slots = list(range(len(prompts)))
    for slot, prompt in enumerate(prompts):
        report(Progress(0, length, f"prompt {slot + 1} of {len(prompts)}"))
        model.hold(slot, prompt[:-1])
    for done in range(length):
        report(Progress(done, length, "the model's own answers"))
        model.run([Feed(slot, len(texts[slot]) - 1, texts[slot][-1:], 1) for slot in open_slots])
        tokens = model.predictions(len(open_slots))
        going = []
        for slot, token in zip(open_slots, map(int, tokens), strict=True):
            if token not in ends:
                texts[slot].append(token)
                going.append(slot)
        open_slots = going
        if not open_slots:
            break
    report(Progress(length, length, "the model's own answers"))
    answers = [Text(tuple(prompt), tuple(text[len(prompt) :])) for prompt, text in zip(prompts, texts, strict=True)]
    if not any(len(text.answer) > 1 for text in answers):
        raise RequestError("the model ends its answer at once on every prompt", hint="give other prompts")
    return [text for text in answers if len(text.answer) > 1]


def digest(texts: Sequence[Text]) -> str:
    """16 hex digits that stand for the texts: scores of other texts are of no use to a search."""
    data = json.dumps([[text.prompt, text.answer] for text in texts]).encode()
    return hashlib.sha256(data).hexdigest()[:16]
