"""Every test at a desk ends with the books added up."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.node.ledger.desk import Desk


@pytest.fixture
def desk() -> Iterator[Desk]:
    """A fresh ledger; after the test its books must add up."""
    desk = Desk()
    yield desk
    desk.adds_up()
