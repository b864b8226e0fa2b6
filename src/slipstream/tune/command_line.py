"""The same settings for upstream's llama-server, as far as it has them."""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

DRAFT_LENGTH = 16
"""Upstream drafts a fixed number of tokens where Slipstream chooses one every round."""
KINDS: Mapping[type, str] = {bool: "bool", int: "int", float: "float", str: "str"}


def command_line(model: str, options: Mapping[str, Any], *, threads: int, context: int) -> list[str]:
    """Arguments of llama-server for fields of assembly's Options (JSON values, only those that differ from the
    defaults). `threads` and `context` are what the default settings come to."""
    narrow = options.get("threads", threads)
    words = ["llama-server", "-m", options.get("model", model), "-c", str(context), "-t", str(narrow)]
    words += ["-tb", str(options.get("batch_threads") or narrow)]
    words += ["-b", str(options.get("batch_size", 512)), "-ub", str(options.get("micro_batch", 512))]
    words += ["-fa", options.get("flash_attention", "auto")]
    words += ["-ctk", options.get("key_type", "f16"), "-ctv", options.get("value_type", "f16")]
    words += [] if options.get("mmap", True) else ["--no-mmap"]
    words += ["--mlock"] if options.get("mlock") else []
    words += [] if options.get("repack", True) else ["--no-repack"]
    words += ["--numa", options["numa"]] if options.get("numa", "off") != "off" else []
    for key, value in (options.get("kv_overrides") or {}).items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        words += ["--override-kv", f"{key}={KINDS[type(value)]}:{text}"]
    return words + _drafting(options)


def _drafting(options: Mapping[str, Any]) -> list[str]:
    """Upstream's nearest kinds of speculation, mixed as the sources are here."""
    draft, sources = options.get("draft_model"), options.get("drafters")
    words = ["-md", draft, "--spec-draft-n-max", str(DRAFT_LENGTH)] if draft else []
    kinds = ["draft-simple"] if draft else []
    if sources is None or {"suffix", "prompt_lookup"} & set(sources):
        kinds.append("ngram-mod" if sources is None or "suffix" in sources else "ngram-simple")
    return [*words, "--spec-type", ",".join(kinds)] if kinds else words


def shown(words: Sequence[str]) -> str:
    """For a shell."""
    return shlex.join(words)
