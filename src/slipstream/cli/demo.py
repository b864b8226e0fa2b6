"""`slipstream demo`: a tour with the embedded model, from a first answer to a measured speed-up."""

import sys
from pathlib import Path

TASK = "edit/1"


def demo() -> None:
    """A two-minute tour with the embedded model: generate, look at the machine's curve, compare with plain decoding."""
    from slipstream.bench import workload
    from slipstream.cli import calibrate, compare, run
    from slipstream.cli import options as shared

    path = _model()
    prompts = workload.built_in()
    task = next(prompt for prompt in prompts if prompt.id == TASK)
    print(f"1. An answer (slipstream run --stats): {path.name} is asked\n")
    print("   " + task.text.replace("\n", "\n   ") + "\n")
    with shared.open_session(model=path, memory=False, learn=False, profile=False) as session:
        for text in session.stream(task.text, max_tokens=200):
            print(text, end="", flush=True)
        print("\n")
        print("\n".join("   " + line for line in run.lines(session.stats)))
        print("\n2. What a pass over n tokens costs here (slipstream calibrate): why only some drafts pay\n")
        calibrate.show(path.name, session.keep)
        print("\n3. The same prompts with and without drafts, in turn (slipstream compare)\n")
        compare.show(session, compare.run(session, workload.pick(prompts, ("edit", "copy", "chat")), 160, 2))
    print("\nNext: slipstream run -m YOUR.gguf --stats 'your prompt', or slipstream compare -m YOUR.gguf")


def _model() -> Path:
    """A Q8_0 copy of the embedded model, made once: it verifies drafts far cheaper than the Q4_1 file that is
    shipped."""
    from slipstream import config
    from slipstream.models.embedded import embedded_model

    source = embedded_model()
    copy = config.load().data_root.models / "SmolLM2-135M-Instruct.Q8_0.gguf"
    if not copy.exists():
        from slipstream.engine.requantize import requantize

        print(f"making a Q8_0 copy of {source.name} (it verifies drafts cheaper): {copy}", file=sys.stderr)
        requantize(source, copy, "Q8_0")
    return copy
