"""Propose, plan, verify, accept, rewind, commit, emit: one step is one target pass over all active slots."""

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from slipstream.core.accept import accept
from slipstream.core.draft import Draft
from slipstream.core.errors import ContextOverflow, RequestError, UnknownName
from slipstream.core.plan import Plan, SlotView, Snapshot
from slipstream.core.ports import Clock, Drafter, Feed, PaidDrafter, Policy, Sampler, Target, Tokenizer
from slipstream.core.request import FinishReason, Request
from slipstream.core.stats import Paid, RoundRecord, SlotRound
from slipstream.decode.pursue import pursue
from slipstream.decode.slot import Chunk, Slot
from slipstream.decode.text import TextStream

Trace = Callable[[RoundRecord, float, float], None]


class Loop:
    """Drives slots on one target. Not thread-safe: one caller steps it.

    `trace`, if given, sees every round's record, the milliseconds spent learning from it and those of the whole
    round. `reserve` tokens of each slot's context are kept free for filler. `reuse_prefix` keeps the KV of a prompt's
    beginning that the slot still holds. `drafters` are the free sources, `paid` those that cost a model pass;
    `automatic` names those that "auto" stands for (None: all).
    """

    def __init__(
        self,
        target: Target,
        tokenizer: Tokenizer,
        drafters: Mapping[str, Drafter],
        policy: Policy,
        clock: Clock,
        trace: Trace | None = None,
        reuse_prefix: bool = True,
        reserve: int = 0,
        automatic: Collection[str] | None = None,
        paid: Mapping[str, PaidDrafter] | None = None,
    ) -> None:
        self.target = target
        self.tokenizer = tokenizer
        self.drafters = drafters
        self.paid = paid or {}
        self.policy = policy
        self.clock = clock
        self.trace = trace
        self.reuse_prefix = reuse_prefix
        self.context_length = target.context_length - reserve
        self.automatic = tuple(name for name in self.sources if automatic is None or name in automatic)
        self.active: dict[int, Slot] = {}

    def submit(self, request: Request) -> Slot:
        """Put a request into a free slot; its prompt is computed by the following steps.

        Raises ContextOverflow if the prompt leaves no room for a token, RequestError if no slot is free, UnknownName
        for a drafter that isn't there.
        """
        limit = self.context_length
        if len(request.prompt) > limit:
            raise ContextOverflow(
                f"the prompt has {len(request.prompt)} tokens but the context holds {limit}",
                hint="shorten the prompt or raise --context",
            )
        free = [index for index in range(self.target.slots) if index not in self.active]
        if not free:
            raise RequestError(f"all {self.target.slots} slots are busy", hint="wait for one or open with more slots")
        names = self._chosen(request)
        index = free[0]
        sampler = self.target.sampler(index, request.sampling, request.prompt)
        drafters = tuple(d for name, d in self.drafters.items() if name in names and d.begin(index, request))
        paid = tuple(d for name, d in self.paid.items() if name in names and d.begin(index, request))
        text = TextStream(request.stop)
        slot = Slot(index, request, self.tokenizer, sampler, drafters, paid, text, list(request.prompt))
        slot.computed = self.target.reuse(index, slot.tokens) if self.reuse_prefix else 0
        if not self.reuse_prefix:
            self.target.rewind(index, 0)
        slot.stats.prompt_tokens, slot.stats.reused_tokens = len(slot.tokens), slot.computed
        self.active[index] = slot
        self.policy.begin(index, request)
        return slot

    def stream(self, request: Request) -> Generator[Chunk, None, None]:
        """Generate, yielding a chunk a round."""
        yield from self.drive(self.submit(request))

    def drive(self, slot: Slot) -> Generator[Chunk, None, None]:
        """The slot's chunks until it finishes. Closing the iterator cancels the request and leaves KV clean. Several
        slots may be driven in turn: a step advances all, and what it gave another slot waits there."""
        try:
            while True:
                while slot.pending:
                    yield slot.pending.popleft()
                if slot.finish is not None:
                    break
                owners = dict(self.active)
                for chunk in self.step():
                    owners[chunk.slot].pending.append(chunk)
        finally:
            self.cancel(slot)

    def cancel(self, slot: Slot) -> None:
        """End a request wherever it is. Harmless if it already ended."""
        if slot.finish is None:
            self._finish(slot, "cancelled")

    def step(self) -> list[Chunk]:
        """One pass: prefill of a waiting slot, else one round over every active slot."""
        start = self.clock()
        waiting = next((slot for slot in self.active.values() if slot.waiting > 0), None)
        if waiting:
            self._prefill(waiting, start)
            return []
        slots = tuple(self.active.values())
        snapshot = Snapshot(tuple(self._propose(slot) for slot in slots))
        snapshot, paid = self._pursue(snapshot)
        proposed = self.clock()
        plan = self.policy.plan(snapshot)
        planned = self.clock()
        slots[-1].quiet = max(slots[-1].quiet, plan.quiet)
        self._verify(slots, plan)
        verified = self.clock()
        shares = self._accept(slots, snapshot, plan)
        accepted = self.clock()
        record = RoundRecord(
            slots=shares,
            width=plan.width + sum(view.owed for view in snapshot.slots),
            depth=snapshot.depth,
            reason=plan.reason,
            draft_ms=1000 * (proposed - start),
            plan_ms=1000 * (planned - proposed),
            target_ms=1000 * (verified - planned),
            predicted_ms=plan.predicted_ms,
            paid=paid,
        )
        self._commit(slots, shares)
        self.policy.observe(record)
        learn_ms = 1000 * (self.clock() - accepted)
        chunks = [self._emit(slot, share) for slot, share in zip(slots, shares, strict=True)]
        total = 1000 * (self.clock() - start)
        for slot, share in zip(slots, shares, strict=True):
            slot.stats.add(share, record, total)
        if self.trace:
            self.trace(record, learn_ms, total)
        return chunks

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of all drafters."""
        return (*self.drafters, *self.paid)

    def _chosen(self, request: Request) -> tuple[str, ...]:
        if request.draft == "off" or self.target.capabilities.rewind == "none":
            return ()
        if request.draft == "auto":
            return self.automatic
        for name in request.draft:
            if name not in self.sources:
                raise UnknownName("drafter", name, self.sources)
        return tuple(request.draft)

    def _prefill(self, slot: Slot, start: float) -> None:
        chunk = slot.tokens[slot.computed : slot.computed + min(slot.waiting, self.target.batch_size)]
        self.target.decode([Feed(slot.index, slot.computed, chunk, 0)])
        slot.computed += len(chunk)
        slot.stats.prefill_ms += 1000 * (self.clock() - start)

    def _propose(self, slot: Slot) -> SlotView:
        owed = self.target.owed(slot.index)
        room = slot.room(self.context_length, self.target.batch_size - owed)
        drafts: tuple[Draft, ...] = ()
        asked = not slot.quiet
        slot.quiet = max(0, slot.quiet - 1)
        if asked and room:
            drafts = tuple(d for drafter in slot.drafters if (d := drafter.propose(slot.index, room)))
        paid = tuple((drafter.name, drafter.behind(slot.index)) for drafter in slot.paid)
        left = slot.request.max_tokens - slot.generated
        free = self.target.capabilities.free_rewind
        return SlotView(slot.index, slot.computed, room, drafts, asked and slot.by_match, paid, left, owed, free)

    def _pursue(self, snapshot: Snapshot) -> tuple[Snapshot, tuple[Paid, ...]]:
        """The snapshot with the paid drafts that the policy wants, and what they cost."""
        wishes = self.policy.wishes(snapshot) if self.paid else ()
        if not wishes:
            return snapshot, ()
        drafts, paid = pursue(wishes, snapshot, self.active, self.paid)
        views = (replace(view, drafts=(*drafts.get(view.slot, ()), *view.drafts)) for view in snapshot.slots)
        return Snapshot(tuple(views)), paid

    def _verify(self, slots: Sequence[Slot], plan: Plan) -> None:
        feeds = []
        for slot, choice in zip(slots, plan.choices, strict=True):
            tokens = [slot.tokens[-1], *choice.draft.tokens]
            feeds.append(Feed(slot.index, slot.computed, tokens, len(tokens)))
        if plan.padding:
            # Filler behind the last slot's draft keeps the pass at an allowed width; nothing of it can be accepted.
            last = feeds[-1]
            filled = [*last.tokens, *[slots[-1].tokens[-1]] * plan.padding]
            feeds[-1] = Feed(last.slot, last.position, filled, len(filled))
        self.target.decode(feeds)

    def _accept(self, slots: Sequence[Slot], snapshot: Snapshot, plan: Plan) -> tuple[SlotRound, ...]:
        shares = []
        row = 0
        for slot, view, choice in zip(slots, snapshot.slots, plan.choices, strict=True):
            emitted = accept(choice.draft.tokens, partial(_sample, slot.sampler, row), slot.ends)
            row += 1 + len(choice.draft)
            matched = sum(1 for ours, theirs in zip(choice.draft.tokens, emitted, strict=False) if ours == theirs)
            shares.append(SlotRound(slot.index, view.drafts, choice.draft, matched, tuple(emitted)))
            slot.tokens += emitted
            fed = slot.computed + 1 + len(choice.draft) + (plan.padding if slot is slots[-1] else 0)
            slot.computed += len(emitted)
            if slot.computed < fed:
                self.target.rewind(slot.index, slot.computed)
        return tuple(shares)

    def _commit(self, slots: Sequence[Slot], shares: Sequence[SlotRound]) -> None:
        for slot, share in zip(slots, shares, strict=True):
            for drafter in slot.sources:
                drafter.commit(slot.index, share.emitted)

    def _emit(self, slot: Slot, share: SlotRound) -> Chunk:
        finish: FinishReason | None = None
        if slot.ended or slot.text.stopped:
            finish = "stop"
        elif slot.generated >= slot.request.max_tokens:
            finish = "length"
        elif len(slot.tokens) > self.context_length:
            finish = "context"
        if finish:
            slot.fresh += slot.text.finish()
            self._finish(slot, finish)
        text, slot.fresh = slot.fresh, ""
        return Chunk(
            slot.index, share.emitted, text, share.chosen.source if share.accepted else "", share.accepted, finish
        )

    def _finish(self, slot: Slot, reason: FinishReason) -> None:
        slot.finish = reason
        slot.sampler.close()
        for drafter in slot.sources:
            drafter.end(slot.index)
        self.policy.end(slot.index)
        del self.active[slot.index]


def _sample(sampler: Sampler, row: int, position: int) -> int:
    return sampler.sample(row + position)
