"""What may be published of how a process was started."""

from hypothesis import given
from hypothesis import strategies as st

from slipstream.host import launch


def test_only_what_can_change_speed_and_never_a_secret() -> None:
    given = {
        "OMP_NUM_THREADS": "96", "GOMP_SPINCOUNT": "1", "LD_PRELOAD": "/home/ann/lib/jemalloc.so", "USER": "ann",
        "SLIPSTREAM_API_KEY": "k", "LLAMA_TOKEN": "t", "MALLOC_ARENA_MAX": "2", "PATH": "/bin",
    }  # fmt: skip
    assert launch.environment(given) == {
        "GOMP_SPINCOUNT": "1", "LD_PRELOAD": "~/lib/jemalloc.so", "MALLOC_ARENA_MAX": "2", "OMP_NUM_THREADS": "96",
    }  # fmt: skip


def test_home_folders_and_secrets_leave_the_command_line() -> None:
    argv = [
        "/home/ann/bin/slipstream",
        "run",
        "-m",
        "/Users/bob/m.gguf",
        "--api-key",
        "sesame",
        "--hf-token=x",
        "-n",
        "8",
    ]
    shown = launch.arguments(argv)
    assert shown == (
        "~/bin/slipstream",
        "run",
        "-m",
        "~/m.gguf",
        "--api-key",
        "(hidden)",
        "--hf-token=(hidden)",
        "-n",
        "8",
    )


def test_harmless_options_that_sound_alike_stay() -> None:
    home = "/root"
    argv = [
        "--max-tokens",
        "64",
        "--key-type",
        "q8_0",
        "--tokenizer",
        "x",
        f"--root={home}/x",
        "/data/root/y",
        "/rooted",
    ]
    assert launch.arguments(argv) == (
        "--max-tokens",
        "64",
        "--key-type",
        "q8_0",
        "--tokenizer",
        "x",
        "--root=~/x",
        *argv[7:],
    )


@given(st.lists(st.text(max_size=12)))
def test_any_command_line_keeps_its_length(argv: list[str]) -> None:
    assert len(launch.arguments(argv)) == len(argv)
