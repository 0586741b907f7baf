"""Every message of the core comes out of its envelope as it went in."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.core import messages as core
from node.rpc.wire_replication import (
    Envelope,
    EnvelopeError,
    Hello,
    Welcome,
    decode,
    decode_welcome,
    encode,
    encode_welcome,
    from_envelope,
    to_envelope,
)

KINDS = (*get_args(core.Message), Hello)

uint64s = st.integers(0, 2**64 - 1)
entries = st.builds(core.Entry, uint64s, uint64s, st.binary(max_size=50), st.binary(max_size=32))
of_type: dict[str, st.SearchStrategy[Any]] = {
    "int": uint64s,
    "bool": st.booleans(),
    "bytes": st.binary(max_size=32),
    "str": st.text(max_size=20),
    "tuple[Entry, ...]": st.lists(entries, max_size=4).map(tuple),
}


def messages_of(kind: type) -> st.SearchStrategy[Any]:
    """Any message of one kind."""
    return st.builds(kind, **{each.name: of_type[str(each.type)] for each in fields(kind)})


@given(st.one_of([messages_of(kind) for kind in KINDS]))
def test_a_message_comes_out_as_it_went_in(message: core.Message | Hello) -> None:
    envelope = decode(encode(to_envelope(message)))
    assert envelope is not None
    assert from_envelope(envelope) == message


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_an_envelope_of_its_own(kind: type) -> None:
    message = kind(*(_DEFAULT[str(each.type)] for each in fields(kind)))
    assert type(from_envelope(to_envelope(message))) is kind


_DEFAULT = {"int": 0, "bool": False, "bytes": b"", "str": "", "tuple[Entry, ...]": ()}


def test_an_empty_envelope_is_refused() -> None:
    with pytest.raises(EnvelopeError):
        from_envelope(Envelope())


def test_bytes_that_are_no_envelope_are_none() -> None:
    assert decode(b"\xff\xff") is None
    assert decode_welcome(b"\xff\xff") is None


def test_a_welcome_comes_out_as_it_went_in() -> None:
    assert decode_welcome(encode_welcome(Welcome("n1", "d1"))) == Welcome("n1", "d1")
