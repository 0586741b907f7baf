"""Which etcd member leads, asked of the members themselves."""

from __future__ import annotations

import http.client
from collections.abc import Iterable

import msgspec

from deploy.topology import EtcdMember


class _Header(msgspec.Struct, frozen=True):
    member_id: str


class _Status(msgspec.Struct, frozen=True, rename={"raft_term": "raftTerm"}):
    """etcd's maintenance status, as its JSON gateway tells it: numbers as strings."""

    header: _Header
    leader: str = ""
    raft_term: str = "0"


def leader(members: Iterable[EtcdMember], timeout_s: float = 1.0) -> str:
    """The name of the member that says it leads, in the highest term if several do; empty if none
    does. Each may take `timeout_s` to answer."""
    found = [(int(said.raft_term), name) for name, said in _asked(members, timeout_s)]
    return max(found)[1] if found else ""


def _asked(members: Iterable[EtcdMember], timeout_s: float) -> Iterable[tuple[str, _Status]]:
    for member in members:
        said = _status(member.client, timeout_s)
        if said is not None and said.leader == said.header.member_id:
            yield member.name, said


def _status(client: str, timeout_s: float) -> _Status | None:
    connection = http.client.HTTPConnection(client, timeout=timeout_s)
    try:
        connection.request("POST", "/v3/maintenance/status", "{}")
        return msgspec.json.decode(connection.getresponse().read(), type=_Status)
    except (OSError, http.client.HTTPException, msgspec.MsgspecError):
        return None
    finally:
        connection.close()
