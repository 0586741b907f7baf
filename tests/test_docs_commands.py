"""Every `kessai ...` command that the README and the runbooks name exists, with its options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from kessai import main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES += sorted((ROOT / "docs" / "operations").glob("*.md"))
BY_THE_SCRIPT = ("test", "check")  # the shell script `kessai` answers these itself
ENDS = re.compile(r"\s#|[|;&>]")  # where a shell's command ends


def commands(text: str) -> list[str]:
    """What follows `kessai` in every block of code and every code span, in order."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    prose = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines += re.findall(r"`([^`\n]+)`", prose)
    found = [re.match(r"(?:\$ |watch |! )*(?:\./)?kessai (?=[a-z-])(.+)", line) for line in lines]
    return [each[1] for each in found if each]


def wrong(command: str) -> str:
    """Why click would not take this command; empty if it would."""
    without_shell = re.sub(r"\$\([^)]*\)", "x", command)
    words = shlex.split(ENDS.split(without_shell)[0])
    if words[0] in BY_THE_SCRIPT:
        return ""
    found: click.Command = main
    context = click.Context(main, info_name="kessai")
    while isinstance(found, click.Group):
        name = words.pop(0) if words else ""
        below = found.get_command(context, name)
        if below is None:
            return f"{context.command_path} has no command {name!r}"
        found, context = below, click.Context(below, context, info_name=name)
    try:
        given, extra, _ = found.make_parser(context).parse_args(words)
        for parameter in found.params:
            value = given.get(parameter.name or "")
            if parameter.required and parameter.value_is_missing(value):
                return f"{context.command_path} needs {parameter.name}"
            if isinstance(parameter.type, click.Choice) and isinstance(value, str):
                parameter.type_cast_value(context, value)
    except click.UsageError as problem:
        return problem.format_message()
    return f"{context.command_path} takes no {extra}" if extra else ""


def test_there_are_runbooks_with_commands() -> None:
    named = [command for page in PAGES for command in commands(page.read_text())]
    assert len(PAGES) > 10
    assert len(named) > 50


@pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")
def test_every_command_exists(page: Path) -> None:
    named = dict.fromkeys(commands(page.read_text()))
    assert {command: wrong(command) for command in named if wrong(command)} == {}


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("status --json", ""),
        ("pay --amount 5 --service credit   # one payment", ""),
        ("test -k nodes", ""),
        ("inquire T1.$(date +%Y%m%d).000001.0200", ""),
        ("up --topology FILE && kessai status", ""),
        ("stats", "has no command 'stats'"),
        ("status --jsn", "--jsn"),
        ("status now", "takes no"),
        ("logs", "NODE|node"),
        ("drill play x", "has no command 'play'"),
        ("load --pattern sometimes", "sometimes"),
    ],
)
def test_a_command_that_does_not_exist_is_found(command: str, why: str) -> None:
    found = wrong(command)
    assert re.search(why, found) if why else not found


def test_commands_are_found_in_blocks_and_spans() -> None:
    text = (
        "Run `kessai status`, not `kessai.py`.\n```sh\n./kessai up  # start\n$ kessai down\n```\n"
    )
    assert commands(text) == ["up  # start", "down", "status"]


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "operations" / "README.md").read_text()
    pages = {page.name for page in (ROOT / "docs" / "operations").glob("*.md")} - {"README.md"}
    assert pages == set(re.findall(r"\]\(([\w-]+\.md)\)", index))
