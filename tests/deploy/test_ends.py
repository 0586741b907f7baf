"""deploy/ends: who may carry a site on that was promoted with loss, and what that surely keeps."""

from __future__ import annotations

from coordinator.configuration import ReplicaId
from deploy.answers import Fenced
from deploy.ends import Ends, choose


def end(node: str, epoch: int, index: int, commit: int) -> Fenced:
    return Fenced(True, 0, f"d{node}", epoch, index, "00", commit)


def chosen(*ends: tuple[str, int, int, int], given_up: frozenset[ReplicaId] = frozenset()) -> Ends:
    found = choose({each[0]: end(*each) for each in ends}, given_up)
    assert found is not None
    return found


def nodes(ends: Ends) -> list[str]:
    return sorted(replica.node for replica in ends.survivors)


def test_nobody_there() -> None:
    assert choose({}, frozenset()) is None
    given_up = frozenset([ReplicaId("b1", "db1")])
    assert choose({"b1": end("b1", 5, 10, 9)}, given_up) is None


def test_equal_ends_survive_together() -> None:
    ends = chosen(("b1", 5, 10, 9), ("b2", 5, 10, 9), ("b3", 5, 10, 9))
    assert nodes(ends) == ["b1", "b2", "b3"]
    assert (ends.epoch, ends.index, ends.commit_index) == (5, 10, 9)


def test_what_only_the_longest_has_is_not_sure_to_stay() -> None:
    ends = chosen(("b1", 5, 12, 9), ("b2", 5, 11, 9), ("b3", 5, 10, 9))
    assert nodes(ends) == ["b1", "b2", "b3"]
    # Two of three vote: b2 and b3 may be the two, and b2 knows of 11.
    assert ends.index == 11
    ends = chosen(("b1", 5, 12, 9), ("b2", 5, 11, 9))
    assert ends.index == 11  # one vote is enough of two


def test_one_that_lacks_what_was_committed_may_not_be_elected() -> None:
    ends = chosen(("b1", 5, 12, 11), ("b2", 5, 12, 10), ("b3", 5, 8, 8))
    assert nodes(ends) == ["b1", "b2"]
    assert ends.index == 12


def test_a_long_log_of_an_older_epoch_is_no_proof() -> None:
    ends = chosen(("b1", 6, 12, 11), ("b2", 5, 20, 9), ("b3", 6, 12, 11))
    assert nodes(ends) == ["b1", "b3"]


def test_an_older_epoch_that_knows_of_the_whole_commitment_is_fine() -> None:
    ends = chosen(("b1", 6, 12, 11), ("b2", 5, 11, 11))
    assert nodes(ends) == ["b1", "b2"]
    assert ends.index == 11


def test_a_disk_that_was_given_up_stays_out() -> None:
    given_up = frozenset([ReplicaId("b3", "db3")])
    ends = chosen(("b1", 5, 10, 9), ("b2", 5, 10, 9), ("b3", 6, 99, 99), given_up=given_up)
    assert nodes(ends) == ["b1", "b2"]
    assert ends.commit_index == 9


def test_up_to_where_the_logs_of_both_sites_are_the_same() -> None:
    ends = chosen(("b1", 5, 10, 8), ("b2", 5, 10, 8))
    assert ends.shared_with(end("a1", 5, 40, 39)) == 10
    assert ends.shared_with(end("a1", 5, 9, 9)) == 9
    # Another leader wrote the end of the other log: perhaps over what these have uncommitted.
    assert ends.shared_with(end("a1", 7, 40, 39)) == 8
