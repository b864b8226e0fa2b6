"""Garbage is found for the right reason, and genuine answers pass."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipstream.bench.garbage import doubt, truncated
from slipstream.bench.workload import built_in

REPO = Path(__file__).resolve().parents[2]
ZEROS = "```python\nrows = [\n" + "    [0, 0, 0, 0, 0, 0],\n" * 4 + "]\n```"


def of(text: str, finish: str = "stop", limit: int = 100_000) -> str:
    """The doubt about a text that came without token numbers."""
    return doubt(text, (), limit, finish)


@pytest.mark.parametrize("text", ["", " \n\t", "\u00a0"])
def test_empty(text: str) -> None:
    assert doubt(text, (1, 2), 8, "stop") == "empty: 2 tokens and no text"


@pytest.mark.parametrize(
    "line",
    [
        "llama_model_loader: - kv   0: general.architecture str = llama",
        "llama_perf_context_print:        load time =     103.29 ms",
        "llama_context: n_ctx = 4096",
        "ggml_vulkan: Found 1 Vulkan devices:",
        "llm_load_tensors: offloaded 0/33 layers",
        "common_perf_print:    sampling time =      20.14 ms",
        "system_info: n_threads = 96 (n_threads_batch = 96) / 192 | AVX = 1",
        "main: server is listening on 127.0.0.1:8080",
        "build: 10125 (94ebb42) with GNU 14.2.0",
        "slot launch_slot_: id  0 | task 1 | processing task",
        "srv  update_slots: all slots are idle",
        "prompt eval time =     765.89 ms /   166 tokens",
        "eval time =   11640.04 ms /   165 runs",
        "[ Prompt: 216.7 t/s | Generation: 14.2 t/s ]",
    ],
)
def test_log_text_at_the_start_of_a_line(line: str) -> None:
    assert of(f"The answer is 4.\n{line}\n").startswith("engine's log in the answer: '")
    assert of(f"The log says: {line}") == ""


@pytest.mark.parametrize(
    "text",
    [
        "llama_model_params params = llama_model_default_params();\nllama_decode(context, batch);",
        "llm_model: gpt-oss\nllm_provider: local\nload_balancer: nginx\ncommon_name: example.org",
        "main: use the first argument\nslot: 4\nbuild: yes",
        "load_path: str = 'x'\nprint_width: int = 100\ntotal_time = 4",
    ],
)
def test_code_and_settings_that_look_like_a_log_pass(text: str) -> None:
    assert of(text) == ""


def test_a_loop_at_the_end() -> None:
    opening = list(range(50))
    assert doubt("x", opening + [7] * 64, 1000, "length") == "repeats itself: the same 1 tokens 64 times at its end"
    assert "the same 5 tokens 13 times" in doubt("x", opening + [1, 2, 3, 4, 5] * 13, 115, "stop")  # at its limit
    assert "the same 40 tokens 4 times" in doubt("x", opening + list(range(60, 100)) * 4, 1000, "length")
    assert doubt("x", opening + list(range(60, 100)) * 3, 1000, "length") == ""
    assert doubt("x", opening + [7] * 60, 1000, "length") == ""
    assert doubt("x", opening + [7] * 80 + list(range(200, 230)), 1000, "length") == ""


def test_an_answer_that_came_to_its_end_needs_a_longer_loop() -> None:
    opening, fence = list(range(50)), [900, 901, 902]
    assert doubt("x", opening + [7] * 100 + fence, 1000, "stop") == ""
    assert "the same 1 tokens 140 times" in doubt("x", opening + [7] * 140 + fence, 1000, "stop")
    assert "the same 2 tokens 80 times" in doubt("x", opening + [7, 8] * 80, 1000, "")  # nobody says how it ended


def test_loops_of_words_where_there_are_no_tokens() -> None:
    assert "repeats itself" in of("I think so. " + "and then we go to the sea " * 20, "length")


def test_a_line_over_and_over() -> None:
    line = "The capital of France is Paris."
    assert of(f"{line}\n" * 5).startswith("repeats a line 5 times: 'The capital")
    assert of(f"{line}\n\n" * 5).startswith("repeats a line 5 times")
    assert of(f"{line}\n" * 4) == ""


def test_tables_brackets_and_zeros_are_no_loops() -> None:
    assert of(ZEROS) == ""
    assert of("{\n" * 9 + "}\n" * 9) == ""
    assert of("| a | b |\n|---|---|\n" + "|   |   |\n" * 12) == ""
    assert of("\n".join(f"{n}. item number {n}" for n in range(1, 60))) == ""
    assert of("\n".join(f"    ('key{n}', {n * n})," for n in range(60)), "length") == ""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Die Lösung \ufffd\ufffd ist \ufffd\ufffd hier", "4 replacement"),
        ("a\x00b\x01c\x02d", "3 replacement and control"),
        ("Ã¼ber das schÃ¶ne Wetter fÃ¼r die GrÃ¶ÃŸe", "characters read in the wrong encoding"),
        ("itâ€™s thereâ€™s heâ€™s", "characters read in the wrong encoding"),
    ],
)
def test_no_language(text: str, says: str) -> None:
    assert of(text).startswith("no language: ") and says in of(text)


def test_a_character_cut_in_half_is_no_garbage() -> None:
    assert of("Reihe: 1, 2\ufffd\ufffd\ufffd", "length") == ""
    assert of("São João, ÂNGELA, fünf µm, café, “quotes”, 日本語\u200d, naïve — 4 €") == ""


def test_what_people_write_passes() -> None:
    """The package's own prose and code: whole, and cut off anywhere."""
    texts = [prompt.text for prompt in built_in()]
    texts += [path.read_text("utf-8") for path in sorted((REPO / "docs").rglob("*.md"))]
    texts += [path.read_text("utf-8") for path in sorted((REPO / "src" / "slipstream").rglob("*.py"))[::3]]
    found = {
        of(part, finish) for text in texts for part, finish in ((text, "stop"), (text[: len(text) // 2], "length"))
    }
    assert found == {""}


def test_truncated_bars_quality_and_not_speed() -> None:
    assert truncated((1, 2), 2, "length") == "cut off at its limit of 2 tokens"
    assert truncated((1, 2), 9, "context") == "cut off after 2 tokens: context"
    assert truncated((1, 2), 9, "") == "cut off after 2 tokens: unknown reason"
    assert truncated((1, 2), 2, "stop") == ""
    assert doubt("The answer is", (1, 2, 3), 3, "length") == ""


@given(
    st.lists(st.integers(0, 50), max_size=60),
    st.lists(st.integers(0, 50), min_size=1, max_size=20),
    st.integers(4, 12),
)
def test_every_loop_that_is_long_enough_is_found(opening: list[int], cycle: list[int], rounds: int) -> None:
    tokens = opening + cycle * rounds
    if len(cycle) * rounds >= 64:
        assert "repeats itself" in doubt("x", tokens, 1000, "length")


@given(st.lists(st.integers(0, 10_000), unique=True, max_size=300))
def test_tokens_that_never_repeat_are_no_loop(tokens: list[int]) -> None:
    assert doubt("x", tokens, 1000, "length") == ""
