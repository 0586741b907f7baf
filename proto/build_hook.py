"""Build hook: generates the protobuf and gRPC stubs at install, so that none is ever committed.

Run by hatchling (see `[tool.hatch.build.hooks.custom]` in pyproject.toml) and, for a stale
checkout, by hand: `python proto/build_hook.py`.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent.parent


def generate(root: Path) -> list[str]:
    """Write the stubs of every `proto/*.proto` below `root` beside it.

    Returns the generated paths relative to `root`. Raises `RuntimeError` naming the file that
    protoc refused.
    """
    import grpc_tools
    from grpc_tools import protoc

    included = Path(str(resources.files(grpc_tools))) / "_proto"
    # google/rpc/*.proto ship with googleapis-common-protos, not with protoc.
    import google.rpc.error_details_pb2 as error_details

    google_root = Path(str(error_details.__file__)).resolve().parents[2]
    made: list[str] = []
    for source in sorted((root / "proto").glob("*.proto")):
        arguments = [
            "protoc",
            f"-I{root}",
            f"-I{included}",
            f"-I{google_root}",
            f"--python_out={root}",
            f"--pyi_out={root}",
            f"--grpc_python_out={root}",
            str(source),
        ]
        if protoc.main(arguments) != 0:
            raise RuntimeError(f"protoc refused {source.relative_to(root)}")
        stem = source.stem
        made += [f"proto/{stem}_pb2.py", f"proto/{stem}_pb2.pyi", f"proto/{stem}_pb2_grpc.py"]
    return made


class StubsHook(BuildHookInterface):  # type: ignore[type-arg]
    """Hatchling's entry: generate the stubs and ship them in the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects files; `version` is the build target's."""
        build_data["artifacts"] += generate(Path(self.root))


if __name__ == "__main__":
    for path in generate(ROOT):
        print(path)
