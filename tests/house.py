"""The house rules that import-linter's contracts (pyproject.toml) cannot say.

Every test collects what breaks its rule and shows all of it at once, as `file:line: what`.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
PACKAGES: Final = ("proto", "node", "coordinator", "deploy", "loadtest")
LONGEST: Final = 320

# Only these modules, or modules of these packages, may import what stands on the left.
IMPORTERS: Final[dict[str, tuple[str, ...]]] = {
    "aetcd": ("coordinator.registry",),
    "apsw": ("node.store",),
    "sqlite3": (),
    "locust": ("loadtest",),
    "gevent": ("loadtest",),
    "click": ("kessai", "deploy.cli", "loadtest"),
}
# On the node, only the modules named so know the wire's messages.
WIRE: Final = re.compile(r"node\.rpc\.wire(_\w+)?")

# What a pure module must not reach for; the contract in pyproject.toml has the rest.
IMPURE_IMPORTS: Final = frozenset(
    {"concurrent", "multiprocessing", "secrets", "socket", "subprocess", "tempfile", "threading"}
)
IMPURE_CALLS: Final = frozenset({"print", "open", "input", "hash", "now", "utcnow", "today"})

PRIVATE_ADDRESS: Final = re.compile(
    r"\b(?:10\.\d{1,3}|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d{1,3}\.\d{1,3}\b"
)
TEXT: Final = frozenset({".py", ".toml", ".proto", ".md", ".txt", ".json", ".yml", ".sh", ""})
SHAPELESS: Final = frozenset({"utils", "util", "helpers", "misc", "common", "shared"})


def sources() -> Iterator[Path]:
    """Our own Python files: not what protoc made."""
    yield ROOT / "kessai.py"
    for package in (*PACKAGES, "tests"):
        for path in sorted((ROOT / package).rglob("*.py")):
            if "_pb2" not in path.stem:
                yield path


def module(path: Path) -> str:
    """The dotted name of a source file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def within(name: str, packages: tuple[str, ...]) -> bool:
    """Is the module one of `packages`, or in one of them?"""
    return any(name == each or name.startswith(f"{each}.") for each in packages)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every imported module (and `from` name) with its line, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield node.lineno, f"{node.module}.{alias.name}"


def pure_modules() -> tuple[str, ...]:
    """The modules that pyproject.toml's contract calls pure."""
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (contract,) = (
        each
        for each in settings["tool"]["importlinter"]["contracts"]
        if each["name"].startswith("Pure modules")
    )
    return tuple(contract["source_modules"])


def place(path: Path, line: int) -> str:
    """`file:line`, as an editor understands it."""
    return f"{path.relative_to(ROOT)}:{line}"


def test_a_module_has_one_idea() -> None:
    long = [
        f"{path.relative_to(ROOT)}: {count} lines, at most {LONGEST}"
        for path in sources()
        if not within(module(path), ("tests",))
        and (count := len(path.read_text().splitlines())) > LONGEST
    ]
    assert not long, "\n".join(long)


def test_a_module_is_named_after_its_idea() -> None:
    shapeless = [
        str(path.relative_to(ROOT))
        for path in sources()
        if SHAPELESS.intersection(path.relative_to(ROOT).with_suffix("").parts)
    ]
    assert not shapeless, "\n".join(shapeless)


def test_one_door_to_each_library() -> None:
    found = [
        f"{place(path, line)}: {module(path)} imports {name}; only {', '.join(allowed) or 'nobody'}"
        for path in sources()
        for line, name in imports(path)
        for library, allowed in IMPORTERS.items()
        if within(name, (library,)) and not within(module(path), (*allowed, "tests"))
    ]
    assert not found, "\n".join(found)


def test_one_translator_of_the_wire_on_the_node() -> None:
    found = [
        f"{place(path, line)}: {name}"
        for path in sources()
        if within(module(path), ("node",)) and not WIRE.fullmatch(module(path))
        for line, name in imports(path)
        if re.search(r"^proto\.\w+_pb2(?!_grpc)", name)
    ]
    assert not found, "\n".join(found)


def test_pure_modules_take_time_and_chance_as_arguments() -> None:
    found = []
    for path in sources():
        if not within(module(path), pure_modules()):
            continue
        for line, name in imports(path):
            if name.partition(".")[0] in IMPURE_IMPORTS:
                found.append(f"{place(path, line)}: imports {name}")
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Call):
                called = node.func
                name = called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")
                # A method of that name is its object's affair, but for the clock's.
                clock = name in ("now", "utcnow", "today")
                if name in IMPURE_CALLS and (clock or isinstance(called, ast.Name)):
                    found.append(f"{place(path, node.lineno)}: calls {name}()")
            elif isinstance(node, ast.Global):
                found.append(f"{place(path, node.lineno)}: global {', '.join(node.names)}")
    assert not found, "\n".join(found)


def test_pure_modules_exist() -> None:
    names = {module(path) for path in sources()}
    assert [pure for pure in pure_modules() if pure not in names] == []


def test_no_address_of_a_private_network() -> None:
    found = [
        f"{place(path, number)}: {match.group(0)}"
        for folder in (*PACKAGES, "tests", "docs", ".ci")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and path.suffix in TEXT and "_pb2" not in path.stem
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if (match := PRIVATE_ADDRESS.search(line))
    ]
    assert not found, "\n".join(found)


def test_what_is_public_says_what_it_is_for() -> None:
    found = []
    for path in sources():
        if within(module(path), ("tests",)):
            continue
        tree = ast.parse(path.read_bytes())
        if path.stat().st_size and not ast.get_docstring(tree):
            found.append(f"{place(path, 1)}: the module")
        bodies: list[ast.Module | ast.ClassDef] = [tree]
        while bodies:
            for node in bodies.pop().body:
                if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    continue
                if not node.name.startswith("_") and not ast.get_docstring(node):
                    found.append(f"{place(path, node.lineno)}: {node.name}")
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    bodies.append(node)
    assert not found, "\n".join(found)


def test_no_test_is_skipped() -> None:
    marks = {"skip", "skipif", "xfail", "importorskip"}
    found = [
        f"{place(path, node.lineno)}: {node.attr}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Attribute) and node.attr in marks
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("network", ["10.1", "192.168", "172.31"])
def test_a_private_address_would_be_seen(network: str) -> None:
    assert PRIVATE_ADDRESS.search(f"at {network}.2.3:7101")


@pytest.mark.parametrize("address", ["127.0.0.1", "198.18.0.1", "172.32.0.1", "0.10.1.2"])
def test_other_addresses_are_free_to_use(address: str) -> None:
    assert not PRIVATE_ADDRESS.search(f"at {address}:7101")
