"""deploy/topology: what is accepted, and that each refusal names file, key and expectation."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy import topology
from node import settings


@pytest.fixture
def text() -> str:
    return topology.DEFAULT.read_text()


def refusal(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    with pytest.raises(topology.TopologyError) as caught:
        topology.load(path)
    words = str(caught.value)
    assert words.startswith(f"{path}: ")
    return words.removeprefix(f"{path}: ")


def test_every_topology_that_ships_is_good() -> None:
    shipped = sorted(topology.FOLDER.glob("*.toml"))
    assert topology.DEFAULT in shipped
    for path in shipped:
        assert topology.load(path).nodes


def test_the_default_is_what_the_documents_say() -> None:
    loaded = topology.load(topology.DEFAULT)
    assert [node.name for node in loaded.nodes] == ["a1", "a2", "a3"]
    assert loaded.nodes[0].terminals == "127.0.0.1:7101"
    assert loaded.copies_min == 2
    assert loaded.timings == settings.Timings()


def test_settings_of_a_node_are_those_the_node_reads(tmp_path: Path) -> None:
    made = topology.load(topology.DEFAULT).settings("a2", tmp_path / "a2")
    path = tmp_path / "a2.json"
    path.write_bytes(settings.dump(made))
    read = settings.load(path)
    assert read == made
    assert read.terminals == "127.0.0.1:7102"
    assert [peer.node for peer in read.others] == ["a1", "a3"]
    assert read.etcd == ("127.0.0.1:7401", "127.0.0.1:7402", "127.0.0.1:7403")


def test_settings_of_an_unknown_node() -> None:
    with pytest.raises(KeyError):
        topology.load(topology.DEFAULT).settings("b1", Path("x"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("copies_min = 2", "copies_min = 3", "copies_min: expected 1 to 2"),
        ("copies_min = 2", "copies_min = 0", "copies_min: expected 1 to 2"),
        ("copies_min = 2", 'copies_min = "2"', "copies_min: expected `int`, got `str`"),
        ("copies_min = 2", "copies_mni = 2", "copies_mni: unknown key; did you mean 'copies_min'?"),
        ("copies_min = 2", "", "copies_min: expected, and missing"),
        ('active_site = "a"', 'active_site = "b"', "active_site: expected one of the sites (a)"),
        ('cluster = "renewed"', 'cluster = "a/b"', "cluster: expected a name of small letters"),
        ("127.0.0.1:7102", "127.0.0.1:7101", "sites[0].nodes[1].terminals: '127.0.0.1:7101' is"),
        ("127.0.0.1:7502", "127.0.0.1:7301", "etcd[1].peers: '127.0.0.1:7301' is already"),
        ('name = "a2"', 'name = "a1"', "sites[0].nodes[1].name: 'a1' is already"),
        ('name = "e2"', 'name = "a1"', "etcd[1].name: 'a1' is already sites[0].nodes[0].name"),
        (":7203", ":72030", "sites[0].nodes[2].peers: expected a port from 1024 to 65535"),
        (":7203", ":80", "sites[0].nodes[2].peers: expected a port from 1024 to 65535, not 80"),
        ("127.0.0.1:7203", "7203", "sites[0].nodes[2].peers: expected host:port"),
        ("127.0.0.1:7203", "nodes:7203", "sites[0].nodes[2].peers: expected an IP address"),
        ("127.0.0.1:7203", "198.18.0.1:7203", "sites[0].nodes[2].peers: expected a loopback"),
        ('metrics = "127.0.0.1:7303"', "", "sites[0].nodes[2].metrics: expected, and missing"),
        ('client = "127.0.0.1:7403"', "", "etcd[2].client: expected, and missing"),
        ("heartbeat_ms = 50", "heartbeat = 50", "timings.heartbeat: unknown key; did you mean"),
        ("heartbeat_ms = 50", "heartbeat_ms = 0", "timings.heartbeat_ms: expected at least 1"),
        ("suspicion_ms = 500", "suspicion_ms = 100", "timings.suspicion_ms: expected at least"),
        ("eviction_ms = 1500", "eviction_ms = 500", "timings.eviction_ms: expected more than"),
        ("lease_ms = 5000", "lease_ms = 2500", "timings.lease_ms: expected whole seconds"),
        ("[timings]", "[limits]\nbatch_commands = 0\n[timings]", "limits.batch_commands: expected"),
        ("[timings]", "[timings", "is not TOML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, old: str, new: str, words: str) -> None:
    assert old in text
    assert refusal(tmp_path, text.replace(old, new, 1)).startswith(words)


def test_an_empty_site(tmp_path: Path, text: str) -> None:
    words = refusal(tmp_path, text + '\n[[sites]]\nname = "b"\nnodes = []\n')
    assert words == "sites[1].nodes: expected at least one node in site 'b'"


def test_a_site_twice(tmp_path: Path, text: str) -> None:
    words = refusal(tmp_path, text + '\n[[sites]]\nname = "a"\nnodes = []\n')
    assert words.startswith("sites[1].name: 'a' is already sites[0].name")


def test_an_even_number_of_etcd_members(tmp_path: Path, text: str) -> None:
    words = refusal(tmp_path, text[: text.index('[[etcd]]\nname = "e3"')])
    assert words.startswith("etcd: expected 1, 3 or 5 members")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(topology.TopologyError, match=r"none\.toml: cannot be read: No such file"):
        topology.load(tmp_path / "none.toml")


def test_a_second_site_fits_the_shape(tmp_path: Path, text: str) -> None:
    path = tmp_path / "two.toml"
    path.write_text(
        text.replace("copies_min = 2", "copies_min = 3")
        + '\n[[sites]]\nname = "b"\n[[sites.nodes]]\nname = "b1"\n'
        'terminals = "127.0.0.1:7111"\npeers = "127.0.0.1:7211"\nmetrics = "127.0.0.1:7311"\n'
    )
    loaded = topology.load(path)
    assert loaded.site_of("b1") == "b"
    assert {peer.site for peer in loaded.settings("a1", tmp_path).others} == {"a", "b"}
