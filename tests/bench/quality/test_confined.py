"""The filter of system calls as a table: what it says about a call, without a kernel."""

import os
import sys

import pytest

from slipstream.bench.quality import confined

ALLOW, DENY = confined.ALLOW, confined.DENY


def verdict(machine: str, architecture: int, number: int, *arguments: int) -> int:
    """What the kernel's interpreter would return."""
    memory = {confined.NUMBER: number, confined.ARCHITECTURE: architecture}
    memory |= {confined.ARGUMENTS + 8 * place: value for place, value in enumerate(arguments)}
    steps, place, value = confined.program(machine), 0, 0
    while True:
        code, yes, no, operand = steps[place]
        place += 1
        if code == confined.RETURN:
            return operand
        if code == confined.LOAD:
            value = memory[operand]
        elif code == confined.JUMP_EQUAL:
            place += yes if value == operand else no
        else:
            place += yes if value & operand else no


@pytest.mark.parametrize("machine", confined.MACHINES)
def test_the_filter_allows_its_table_and_no_more(machine: str) -> None:
    architecture, column = confined.MACHINES[machine]
    allowed = {numbers[column] for numbers in confined.ALLOWED.values()} - {None}
    opening = {numbers[column]: numbers[2] for numbers in confined.OPENING.values() if numbers[column] is not None}
    for number in range(500):
        reading = [os.O_RDONLY | os.O_CLOEXEC] * 6
        assert verdict(machine, architecture, number, *reading) == (
            ALLOW if number in allowed or number in opening else DENY
        )
    for opened, place in opening.items():
        for flags in (os.O_WRONLY, os.O_RDWR, os.O_CREAT, os.O_TRUNC | os.O_CLOEXEC):
            arguments = [0] * 6
            arguments[place] = flags
            assert verdict(machine, architecture, opened or 0, *arguments) == DENY


@pytest.mark.parametrize("machine", confined.MACHINES)
def test_calls_of_another_architecture_are_denied(machine: str) -> None:
    architecture, column = confined.MACHINES[machine]
    number = confined.ALLOWED["read"][column] or 0
    assert verdict(machine, architecture, number) == ALLOW
    assert verdict(machine, architecture ^ 1, number) == DENY
    assert verdict(machine, architecture, number | 0x40000000) == DENY  # x86-64's other numbering


def test_no_number_stands_twice() -> None:
    for column in range(2):
        numbers = [row[column] for row in (*confined.ALLOWED.values(), *confined.OPENING.values())]
        found = [number for number in numbers if number is not None]
        assert len(found) == len(set(found))


def test_elsewhere_it_says_that_it_can_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert confined.confine().startswith("programs can be confined on Linux on x86_64 and aarch64, not on darwin")
