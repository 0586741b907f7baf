"""deploy/topology: what is accepted, and that each refusal names file, key and expectation."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

import coordinator.settings
from coordinator.settings import Switching
from deploy import topology
from node import settings

ONE_SITE = topology.FOLDER / "one-site-3node.toml"
LEGACY = topology.FOLDER / "legacy-2node.toml"


@pytest.fixture
def text() -> str:
    """One site."""
    return ONE_SITE.read_text()


@pytest.fixture
def two() -> str:
    """Two sites, with coordinators."""
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
    assert [node.name for node in loaded.nodes] == ["a1", "a2", "a3", "b1", "b2", "b3"]
    assert loaded.nodes[0].terminals == "127.0.0.1:7101"
    assert loaded.nodes[5].metrics == "127.0.0.1:7313"
    assert loaded.copies_min == 2
    assert loaded.timings == settings.Timings()
    assert loaded.limits == settings.Limits()
    assert loaded.switching == Switching()


def test_what_stands_at_a_place() -> None:
    loaded = topology.load(topology.DEFAULT)
    assert loaded.places() == ("a", "b", "witness")
    assert loaded.at("a") == ("a1", "a2", "a3", "e1", "ca")
    assert loaded.at("b") == ("b1", "b2", "b3", "e2", "cb")
    assert loaded.at("witness") == ("e3", "cw")
    with pytest.raises(KeyError):
        loaded.at("c")
    assert topology.load(ONE_SITE).places() == ("a",)


def test_settings_of_a_coordinator_are_those_it_reads(tmp_path: Path) -> None:
    made = topology.load(topology.DEFAULT).coordinator_settings("cw")
    path = tmp_path / "cw.json"
    path.write_bytes(coordinator.settings.dump(made))
    read = coordinator.settings.load(path)
    assert read == made
    assert read.place == "witness"
    assert read.etcd == ("127.0.0.1:7403", "127.0.0.1:7401", "127.0.0.1:7402")  # its own first
    assert [node.node for node in read.nodes] == ["a1", "a2", "a3", "b1", "b2", "b3"]
    assert read.nodes[3].site == "b"
    assert read.nodes[3].terminals == "127.0.0.1:7111"
    assert read.nodes[3].paths == ()
    with pytest.raises(KeyError):
        topology.load(topology.DEFAULT).coordinator_settings("cx")


def test_a_coordinator_is_told_the_other_addresses_of_each_node() -> None:
    loaded = topology.load(ONE_SITE)
    (site,) = loaded.sites
    wired = replace(site.nodes[0], paths=("198.18.1.11",))
    nodes = (wired, *site.nodes[1:])
    watched = replace(
        loaded, sites=(replace(site, nodes=nodes),), coordinators=(topology.Coordinator("c", "a"),)
    )
    told = watched.coordinator_settings("c").nodes
    assert [node.paths for node in told] == [("198.18.1.11",), *(() for _ in nodes[1:])]


def test_settings_of_a_node_are_those_the_node_reads(tmp_path: Path) -> None:
    made = topology.load(topology.DEFAULT).settings("a2", tmp_path / "a2")
    path = tmp_path / "a2.json"
    path.write_bytes(settings.dump(made))
    read = settings.load(path)
    assert read == made
    assert read.terminals == "127.0.0.1:7102"
    assert [peer.node for peer in read.others] == ["a1", "a3", "b1", "b2", "b3"]
    assert read.etcd == ("127.0.0.1:7401", "127.0.0.1:7402", "127.0.0.1:7403")


def test_settings_of_an_unknown_node() -> None:
    with pytest.raises(KeyError):
        topology.load(topology.DEFAULT).settings("b9", Path("x"))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("copies_min = 2", "copies_min = 3", "copies_min: expected 1 to 2"),
        ("copies_min = 2", "copies_min = 0", "copies_min: expected 1 to 2"),
        ("copies_min = 2", 'copies_min = "2"', "copies_min: expected `int`, got `str`"),
        ("copies_min = 2", "copies_mni = 2", "copies_mni: unknown key; did you mean 'copies_min'?"),
        ("copies_min = 2", "", "copies_min: expected, and missing"),
        ('active_site = "a"', 'active_site = "b"', "active_site: expected one of the sites (a)"),
        ('cluster = "one-site"', 'cluster = "a/b"', "cluster: expected a name of small letters"),
        ("127.0.0.1:7102", "127.0.0.1:7101", "sites[0].nodes[1].terminals: '127.0.0.1:7101' is"),
        ("127.0.0.1:7502", "127.0.0.1:7301", "etcd[1].peers: '127.0.0.1:7301' is already"),
        ('name = "a2"', 'name = "a1"', "sites[0].nodes[1].name: 'a1' is already"),
        ('name = "e2"', 'name = "a1"', "etcd[1].name: 'a1' is already sites[0].nodes[0].name"),
        (":7203", ":72030", "sites[0].nodes[2].peers: expected a port from 1024 to 65535"),
        (":7203", ":80", "sites[0].nodes[2].peers: expected a port from 1024 to 65535, not 80"),
        ("127.0.0.1:7203", "7203", "sites[0].nodes[2].peers: expected host:port"),
        ("127.0.0.1:7203", "nodes:7203", "sites[0].nodes[2].peers: expected an IP address"),
        ("127.0.0.1:7203", "192.0.2.1:7203", "sites[0].nodes[2].peers: expected a loopback"),
        (
            'place = "a"',
            'place = "b"',
            "etcd[0].place: expected a site or the witness (a, witness)",
        ),
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


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('name = "b"', 'name = "witness"', "sites[1].name: expected another one: 'witness' is"),
        ('place = "b"', 'place = "c"', "etcd[1].place: expected a site or the witness (a, b, wit"),
        ('place = "b"', 'place = "witness"', "etcd: expected a member in site 'b'"),
        ('place = "witness"', 'place = "a"', "etcd: expected no majority in site 'a' (e1, e3)"),
        (
            'name = "cb"\nplace = "b"',
            'name = "cb"\nplace = "a"',
            "coordinators: expected one in each of three places (a, b, witness), of which two "
            "agree; none in b",
        ),
        ('name = "cb"', 'name = "a1"', "coordinators[1].name: 'a1' is already sites[0].nodes[0]"),
        ('mode = "automatic"', 'mode = "auto"', "switching.mode: expected one of automatic, man"),
        ("probe_ms = 250", "probe = 250", "switching.probe: unknown key; did you mean 'probe_ms'"),
        ("probe_ms = 250", "probe_ms = 0", "switching.probe_ms: expected at least 1 millisecond"),
        ("fresh_ms = 1500", "fresh_ms = 700", "switching.fresh_ms: expected at least probe_ms"),
        ("agree_ms = 1200", "agree_ms = 700", "switching.move_leader_ms: expected less than agr"),
        ("[switching]", "[[sites]]\nname='c'\nnodes=[]\n[switching]", "sites: expected one or"),
    ],
)
def test_a_mistake_about_two_sites_is_named(
    tmp_path: Path, two: str, old: str, new: str, words: str
) -> None:
    assert old in two
    assert refusal(tmp_path, two.replace(old, new, 1)).startswith(words)


def test_two_coordinators_in_one_place(tmp_path: Path, two: str) -> None:
    words = refusal(tmp_path, two + '\n[[coordinators]]\nname = "cx"\nplace = "a"\n')
    assert words.startswith("coordinators[3].place: 'a' is already coordinators[0].place")


def test_one_site_needs_no_coordinator(tmp_path: Path, text: str) -> None:
    words = refusal(tmp_path, text + '\n[[coordinators]]\nname = "ca"\nplace = "a"\n')
    assert words == "coordinators: expected none: with one site there is nothing to switch to"


def test_two_sites_may_do_without_coordinators(tmp_path: Path, two: str) -> None:
    path = tmp_path / "two.toml"
    path.write_text(two[: two.index("[[coordinators]]")])
    loaded = topology.load(path)
    assert loaded.coordinators == ()
    assert loaded.at("witness") == ("e3",)
    assert {peer.site for peer in loaded.settings("a1", tmp_path).others} == {"a", "b"}


def test_hosts_in_network_namespaces_have_addresses_of_their_own(tmp_path: Path, two: str) -> None:
    path = tmp_path / "apart.toml"
    path.write_text(two.replace("127.0.0.1:7101", "198.18.1.11:7101").replace("7102", "7101"))
    assert topology.load(path).nodes[0].terminals == "198.18.1.11:7101"


def test_the_switches_of_a_site(tmp_path: Path, two: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(two.replace("switches = 2\n", "", 1).replace("switches = 2", "switches = 1"))
    assert [site.switches for site in topology.load(path).sites] == [2, 1]
    words = refusal(tmp_path, two.replace("switches = 2", "switches = 3", 1))
    assert words == "sites[0].switches: expected 1 or 2 network switches, not 3"


def test_the_old_system_differs_in_servers_switches_and_standby_alone() -> None:
    old, new = topology.load(LEGACY), topology.load(topology.DEFAULT)
    assert old.timings == new.timings
    assert old.limits == new.limits
    assert [(member.place, member.client) for member in old.etcd] == [
        (member.place, member.client) for member in new.etcd
    ]
    a, b = old.sites
    assert ([node.name for node in a.nodes], a.switches, a.batch_every_ms) == (["a1", "a2"], 1, 0)
    assert ([node.name for node in b.nodes], b.switches, b.batch_every_ms) == (["b1"], 1, 5000)
    assert (a.services, b.services) == ((), ("CREDIT",))
    assert (old.copies_min, old.coordinators, old.switching.mode) == (1, (), "manual")
    assert not old.operators.network_failures


def test_every_assumption_about_the_old_system_says_that_it_is_one() -> None:
    text = LEGACY.read_text()
    for key in ("copies_min = 1", "decide_s", "batch_every_ms = ", "services = ", "switches = 1"):
        around = (
            text[: text.index(key)].splitlines()[-4:] + text[text.index(key) :].splitlines()[:1]
        )
        assert "e assume" in " ".join(around), key


def test_a_node_is_told_how_the_standby_is_fed_what_is_offered_and_the_paths(
    tmp_path: Path,
) -> None:
    text = LEGACY.read_text().replace(
        'metrics = "127.0.0.1:7311"', 'metrics = "127.0.0.1:7311"\npaths = ["198.18.2.1"]'
    )
    (tmp_path / "mine.toml").write_text(text)
    loaded = topology.load(tmp_path / "mine.toml")
    a1, b1 = (loaded.settings(name, tmp_path) for name in ("a1", "b1"))
    assert {peer.node: peer.batch_every_ms for peer in a1.others} == {"a2": 0, "b1": 5000}
    assert {peer.node: peer.paths for peer in a1.others} == {"a2": (), "b1": ("198.18.2.1",)}
    assert (a1.services, a1.batch_every_ms, a1.paths) == ((), 0, ())
    assert (b1.services, b1.batch_every_ms, b1.paths) == (("CREDIT",), 5000, ("198.18.2.1",))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "batch_every_ms = 5000",
            "batch_every_ms = -1",
            "sites[1].batch_every_ms: expected 0 (in real time) or milliseconds, not -1",
        ),
        (
            'active_site = "a"',
            'active_site = "b"',
            "sites[1].batch_every_ms: expected none for 'b': it is the active site at the first",
        ),
        (
            '["CREDIT"]',
            '["CREDIT", "CHEQUES"]',
            "sites[1].services: expected some of CREDIT, UNIONPAY, J_DEBIT, E_MONEY, POINT, "
            "COUPON, DCC, not 'CHEQUES'",
        ),
        (
            "copies_min = 1",
            "copies_min = 3",
            "copies_min: expected 1 to 2, the copies that the nodes' majorities make without the "
            "site that is fed in batches, not 3",
        ),
        ("decide_s = 10.0", "decide_s = -1.0", "operators.decide_s: expected 0 seconds or more"),
        ("decide_s = 10.0", "decides = 1.0", "operators.decides: unknown key; did you mean"),
        (
            'metrics = "127.0.0.1:7301"',
            'metrics = "127.0.0.1:7301"\npaths = ["upstairs"]',
            "sites[0].nodes[0].paths[0]: expected an IP address",
        ),
        (
            'metrics = "127.0.0.1:7301"',
            'metrics = "127.0.0.1:7301"\npaths = ["192.0.2.1"]',
            "sites[0].nodes[0].paths[0]: expected a loopback address",
        ),
        (
            'metrics = "127.0.0.1:7301"',
            'metrics = "127.0.0.1:7301"\npaths = ["127.0.0.1"]',
            "sites[0].nodes[0].paths[0]: '127.0.0.1:7101' is already sites[0].nodes[0].terminals",
        ),
        (
            'peers = "127.0.0.1:7503"',
            'peers = "127.0.0.1:7503"\npaths = ["198.18.2.1", "198.18.2.1"]',
            "etcd[2].paths[1]: '198.18.2.1:7403' is already etcd[2].paths[0]",
        ),
    ],
)
def test_a_mistake_about_the_standby_or_the_paths_is_named(
    tmp_path: Path, old: str, new: str, words: str
) -> None:
    text = LEGACY.read_text()
    assert old in text
    assert refusal(tmp_path, text.replace(old, new, 1)).startswith(words)
