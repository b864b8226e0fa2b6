"""`slipstream tune` on whole models: in time, and never slower than the default settings on prompts it didn't see.

Left out by default; shows its progress with `-m real -s`, and leaves its result as JSON in SLIPSTREAM_RESULTS.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import find_model

from slipstream.models.embedded import embedded_model

MINUTES = 10
HELD_OUT = [
    ("edit", "Give this list back with the years removed and nothing else changed:\n- The plough (1837)\n- The lens"
     " (1608)\n- The steam engine (1712)\n- The telegraph (1844)\n- The bicycle (1817)\n- The match (1826)"),
    ("edit", "Rename the variable `n` to `count` in this function and return the whole function:\n\ndef shares(n,"
     " total):\n    if n < 1:\n        raise ValueError('n is below one')\n    share, rest = divmod(total, n)\n"
     "    return [share + (place < rest) for place in range(n)]"),
    ("edit", "Correct the spelling and leave everything else as it is: The harbour lies at the mouth of a small river."
     " Evry morning the boats leave befor sunrise, and most of them come back around noon. The fish is sold at the"
     " quay, were buyers from the town wait with ther carts."),
    ("chat", "What should I think about before I move from a large city to a village?"),
    ("chat", "Write a short letter to a neighbour who has looked after my garden during the summer."),
    ("chat", "How do clouds form, and why do some of them rain while others don't?"),
]  # fmt: skip
"""Neither chosen on nor checked on by the tuning, which takes the built-in prompts."""
RESULTS = os.environ.get("SLIPSTREAM_RESULTS")


def run(*arguments: object) -> Any:
    """The JSON that a command prints; its progress goes to our standard error."""
    command = [sys.executable, "-m", "slipstream", *map(str, arguments), "--json"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


@pytest.mark.real
@pytest.mark.parametrize("name", ["SmolLM2", "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf"])
def test_in_time_and_never_slower(name: str, tmp_path: Path) -> None:
    model = embedded_model() if name == "SmolLM2" else find_model(name)
    begin = time.monotonic()
    tuned = run("tune", model, "--minutes", MINUTES)
    seconds = time.monotonic() - begin

    workload = tmp_path / "held-out.jsonl"
    rows = [{"id": f"{task}-{place}", "task": task, "prompt": text} for place, (task, text) in enumerate(HELD_OUT)]
    workload.write_text("".join(json.dumps(row) + "\n" for row in rows))
    arms = ("--arm", "default: profile=false", "--arm", "tuned: profile=true")
    compared = run("bench", "compare", "-m", model, *arms, "--fresh", "--no-control", "--workload", workload, "-n", 96)
    claim = next(one for one in compared["claims"] if (one["arm"], one["task"]) == ("tuned", "all"))

    result = {"model": model.name, "seconds": seconds, "tuned": tuned, "compared": compared}
    file = Path(RESULTS or tmp_path) / f"tune-{model.stem}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=1))
    options = tuned["profile"]["options"]
    print(f"{model.name}: tuned in {seconds:.0f} s: {options or 'default'}; {claim['value']:.3f}x, {claim['verdict']}"
          f" (noise floor {claim['floor']:.3f}); {file}")  # fmt: skip
    assert seconds <= 60 * MINUTES
    assert claim["verdict"] in ("faster", "no difference seen"), claim
