"""Text conversations with a `World`: commands, and under a `----` what came of them.

A file is a list of paragraphs: `#` comments, one command, `----`, the expected output (or `ok`),
an empty line. The commands are the methods named `do_<command>` below. `KESSAI_REWRITE=1 pytest
tests/node/core/test_scenarios.py` writes what came instead of comparing: read the difference.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import takewhile

from coordinator.configuration import switch_refusal
from node.core import Timings
from node.core.inputs import HandoverAsked, Input, PeerRefused, SwitchAsked, Tick
from node.core.log import Log
from node.core.messages import (
    Ack,
    Append,
    Entries,
    Entry,
    Fence,
    Fetch,
    Message,
    Mismatch,
    Offer,
    Promise,
    Refuse,
    Suspicion,
)
from node.core.outputs import (
    Answer,
    Fenced,
    Install,
    NotProposed,
    Output,
    Placed,
    ReadReady,
    ReadRefused,
    Write,
)
from tests.node.core.registry import Request, describe, describe_sets
from tests.node.core.world import Packet, Promotion, World

NO_SUCH = "no such message is on its way"


@dataclass(slots=True)
class Paragraph:
    """One command with its comments before, and the output the file gives."""

    before: list[str]
    command: str
    expected: list[str]


def parse(text: str) -> list[Paragraph]:
    """The paragraphs of a scenario. Raises `ValueError` where one has no command or no `----`."""
    paragraphs: list[Paragraph] = []
    for block in text.strip().split("\n\n"):
        lines = block.splitlines()
        before = list(takewhile(lambda line: line.startswith("#"), lines))
        rest = lines[len(before) :]
        if not rest:
            paragraphs.append(Paragraph(before, "", []))
            continue
        if len(rest) < 2 or rest[1] != "----":
            raise ValueError(f"expected a command and ---- in: {block!r}")
        paragraphs.append(Paragraph(before, rest[0], rest[2:]))
    return paragraphs


def render(paragraphs: list[Paragraph], outputs: list[list[str]]) -> str:
    """The scenario with these outputs."""
    blocks = [
        "\n".join([*p.before, *([p.command, "----", *output] if p.command else [])])
        for p, output in zip(paragraphs, outputs, strict=True)
    ]
    return "\n\n".join(blocks) + "\n"


@dataclass(slots=True)
class Scenario:
    """A world that is spoken to in words, and writes down what happens in it.

    Single steps are written in full; while time runs only events, answers and etcd are.
    """

    world: World = field(default_factory=lambda: World({"a": ["a1"]}))
    lines: list[str] = field(default_factory=list)
    quiet: bool = False
    promotion: Promotion | None = None

    def say(self, command: str) -> list[str]:
        """Carry one command out. Returns what came of it, `ok` if nothing did."""
        self.lines, self.quiet = [], False
        word, *words = command.split()
        handler: Callable[..., None] | None = getattr(self, "do_" + word.replace("-", "_"), None)
        if handler is None:
            raise ValueError(f"no such command: {word}")
        names = {key: value for key, _, value in (w.partition("=") for w in words if "=" in w)}
        handler(*[w for w in words if "=" not in w], **names)
        return self.lines or ["ok"]

    # -- time -----------------------------------------------------------------------------------

    def do_cluster(self, *names: str, copies_min: str = "2", keep: str = "", **more: str) -> None:
        """cluster a1 a2 a3 b1 [copies_min=N] [keep=N in_memory=N]: the first letter is the site;
        the first is active. `keep`, `in_memory`: entries kept on disk beyond the floor, and in
        memory
        """
        sites: dict[str, list[str]] = {}
        for name in names:
            sites.setdefault(name[0], []).append(name)
        timings = Timings()
        if keep:
            memory = int(more["in_memory"])
            timings = Timings(log_keep_entries=int(keep), entries_in_memory=memory)
        self.world = World(sites, copies_min=int(copies_min), timings=timings)
        self.world.watcher = self._watch

    def do_run(self, ms: str) -> None:
        """run MS: time passes, and all happens that is not held back"""
        self.quiet = True
        self.world.run(float(ms))

    def do_settle(self) -> None:
        """settle: no time passes, and all happens that is not held back"""
        self.quiet = True
        self.world.settle()

    def do_wait(self, ms: str) -> None:
        """wait MS: time passes, and nothing happens"""
        self.world.now += float(ms)

    def do_tick(self, *names: str) -> None:
        """tick NODE...: they notice the time"""
        self.world.tick(*names)

    # -- work -----------------------------------------------------------------------------------

    def do_propose(self, name: str, *payloads: str) -> None:
        """propose NODE PAYLOAD...: a batch each"""
        for payload in payloads:
            self.world.propose(name, payload.encode())

    def do_inquire(self, name: str) -> None:
        """inquire NODE: a read that must be current"""
        self.world.inquire(name)

    def do_handover(self, name: str, target: str = "") -> None:
        """handover NODE [TARGET]: a person asks for it"""
        self.world.step(name, HandoverAsked(target))

    def do_switch(self, name: str, site: str) -> None:
        """switch NODE SITE: a person asks the leader for a planned switch (H2)"""
        self.world.step(name, SwitchAsked(site))

    def do_coordinator(self, site: str) -> None:
        """coordinator SITE: one that sees two agreeing reports sends the guarded switch (E5)"""
        planned = self.world.plan_switch(site)
        if planned is None:
            refusal = switch_refusal(self.world.registry.configuration, site)
            self.lines.append(f"refused: {refusal}")
        else:
            self.world.switch(planned)

    def do_fence_all(self, site: str) -> None:
        """fence-all SITE: SITE is to be promoted with loss; every live replica is fenced (X4)"""
        self.promotion = self.world.begin_promotion(site)

    def do_promote(self) -> None:
        """promote: the promotion's one transaction, if a takeover quorum has vowed (X4)"""
        assert self.promotion is not None, "fence-all first"
        made = self.world.promote(self.promotion)
        self.lines.append("made" if made else "refused: the old site is not fenced")

    # -- the network ----------------------------------------------------------------------------

    def do_deliver(self, way: str = "-", kind: str = "") -> None:
        """deliver FROM-TO [KIND]: these messages arrive, in the order sent"""
        self._each(way, kind, self.world.deliver)

    def do_duplicate(self, way: str, kind: str = "") -> None:
        """duplicate FROM-TO [KIND]: a copy of each arrives"""
        self._each(way, kind, lambda packet: self.world.deliver(packet, keep=True))

    def do_reverse(self, way: str, kind: str = "") -> None:
        """reverse FROM-TO [KIND]: these messages arrive, the last one first"""
        self._each(way, kind, self.world.deliver, -1)

    def do_drop(self, way: str = "-", kind: str = "") -> None:
        """drop FROM-TO [KIND]: these messages are lost"""
        sender, _, target = way.partition("-")
        for packet in self._packets(sender, target, kind):
            self.world.packets.remove(packet)
            self.lines.append(f"lost: {describe_packet(packet)}")

    def do_packets(self, way: str = "-", kind: str = "") -> None:
        """packets FROM-TO [KIND]: what is on its way"""
        sender, _, target = way.partition("-")
        self.lines += [describe_packet(p) for p in self._packets(sender, target, kind)] or ["none"]

    def do_cut(self, one: str, other: str) -> None:
        """cut NODE NODE: messages between them are lost from now on"""
        self.world.cut |= {(one, other), (other, one)}

    def do_cut_sites(self) -> None:
        """cut-sites: messages between the sites are lost from now on"""
        nodes = self.world.nodes.values()
        self.world.cut |= {(n.name, m.name) for n in nodes for m in nodes if n.site != m.site}

    def do_isolate(self, name: str) -> None:
        """isolate NODE: cut it off from its peers, not from etcd"""
        self.world.isolate(name)

    def do_heal(self) -> None:
        """heal: every link, every disk and etcd work again"""
        self.world.heal()

    # -- disks and processes --------------------------------------------------------------------

    def do_persist(self, name: str, count: str = "") -> None:
        """persist NODE [N]: its first N waiting writes, or all, are synced"""
        self.world.persist(name, int(count) if count else None)

    def do_apply(self, name: str) -> None:
        """apply NODE: its ledger takes what it was given, before any sync"""
        self.world.apply(name)

    def do_slow_disk(self, name: str) -> None:
        """slow-disk NODE: while time runs nothing is synced there"""
        self.world.slow_disks.add(name)

    def do_fast_disk(self, name: str) -> None:
        """fast-disk NODE: the contrary"""
        self.world.slow_disks.discard(name)

    def do_slow_fetch(self, name: str) -> None:
        """slow-fetch NODE: a snapshot on its way there does not arrive"""
        self.world.slow_fetches.add(name)

    def do_fast_fetch(self, name: str) -> None:
        """fast-fetch NODE: the contrary"""
        self.world.slow_fetches.discard(name)

    def do_crash(self, name: str, refuse: str = "") -> None:
        """crash NODE [refuse]: with `refuse` the others find its port closed at once"""
        self.world.crash(name, refuse=bool(refuse))

    def do_refused(self, name: str, by: str) -> None:
        """refused NODE BY: NODE finds the port of BY closed"""
        self.world.step(name, PeerRefused(by))

    def do_restart(self, name: str) -> None:
        """restart NODE: a new life from what its disk holds"""
        self.world.restart(name)

    def do_lose_disk(self, name: str) -> None:
        """lose-disk NODE: a stopped node is given an empty disk of another id"""
        self.world.lose_disk(name)

    def do_pause(self, name: str) -> None:
        """pause NODE: it stands still, what is sent to it waits"""
        self.world.pause(name)

    def do_wake(self, name: str) -> None:
        """wake NODE: it goes on"""
        self.world.wake(name)

    # -- etcd -----------------------------------------------------------------------------------

    def do_etcd(self, what: str, name: str = "") -> None:
        """etcd away | back | requests | execute NODE | answer NODE | unknown NODE | expire NODE

        The last ones are about the first request of NODE that waits for it."""
        if what in ("away", "back"):
            self.world.etcd_away = what == "away"
        elif what == "requests":
            self.lines += [str(request) for request in self.world.requests] or ["none"]
        elif what == "expire":
            self.world.expire(name)
        else:
            request = next(
                r
                for r in self.world.requests
                if r.node == name and (what == "unknown" or r.executed == (what == "answer"))
            )
            self._etcd(what, request)

    def do_watch(self, name: str, count: str = "") -> None:
        """watch NODE [N]: it hears its first N waiting watch events, or all"""
        self.world.watch(name, int(count) if count else None)

    # -- looking --------------------------------------------------------------------------------

    def do_status(self, *names: str) -> None:
        """status [NODE...]: what each is and has, and what etcd holds"""
        for name in names or self.world.nodes:
            node = self.world.nodes[name]
            disk = f"disk {node.disk.disk_id} promised {node.disk.promised} "
            disk += logged(node.disk.entries[node.disk.pruned :], node.disk.pruned)
            if node.replica is None:
                self.lines.append(f"{name} down; {disk}")
                continue
            state = node.replica.state
            self.lines.append(
                f"{name} {node.replica.role.role}{' serving' if node.replica.serving else ''}"
                f"{' paused' if node.paused else ''} promised {state.promised} "
                f"log {logged(_window(state.log), state.log.base_index)} "
                f"commit {state.commit} applied {state.applied}; {disk}"
            )
        if not names:
            held, registry = self.world.registry.leader, self.world.registry
            leader = f"leader {held.replica.node} epoch {held.epoch}" if held else "no leader"
            self.lines.append(
                f"etcd {leader}; configuration {registry.configuration_revision} "
                f"{describe_sets(registry.configuration)}"
            )

    def do_committed(self) -> None:
        """committed: every payload any leader has committed, in order"""
        entries = sorted(self.world.witness.committed.items())
        self.lines.append(" ".join(e.payload.decode() or "start" for _, e in entries) or "nothing")

    # -- inside ---------------------------------------------------------------------------------

    def _packets(self, sender: str, target: str, kind: str) -> list[Packet]:
        return [
            packet
            for packet in self.world.select(sender, target)
            if kind in ("", type(packet.message).__name__)
        ]

    def _each(self, way: str, kind: str, act: Callable[[Packet], None], order: int = 1) -> None:
        sender, _, target = way.partition("-")
        packets = self._packets(sender, target, kind)
        if not packets:
            self.lines.append(NO_SUCH)
        for packet in packets[::order]:
            self.lines.append(describe_packet(packet))
            act(packet)

    def _etcd(self, what: str, request: Request) -> None:
        if what == "execute":
            self.world.execute(request)
            self.lines.append(f"{request}: {'made' if request.passed else 'guard failed'}")
        else:
            self.world.answer(request, known=what == "answer")

    def _watch(self, name: str, input: Input, output: Output) -> None:
        said = [f"{event.kind}: {event.detail}" for event in output.events]
        said += [describe_answer(answer) for answer in output.answer]
        if output.abandon:
            said.append("abandons what it had placed")
        said += [f"asks etcd: {describe(ask)}" for ask in output.ask_registry]
        if not self.quiet:
            said += [describe_write(write) for write in output.persist]
            said += [f"to {send.node}: {describe_message(send.message)}" for send in output.send]
            said += [f"applies {entry.index}" for entry in output.apply]
            said += [f"makes a snapshot for {peer}" for peer in output.make_snapshot]
            said += [f"fetches {o.index} from {of}" for of, o in output.fetch_snapshot]
            said += [f"prunes up to {output.prune}"] if output.prune else []
        stamp = f"{self.world.now:.0f} " if self.quiet or isinstance(input, Tick) else ""
        self.lines += [f"  {stamp}{name} {line}" for line in said]


def describe_packet(packet: Packet) -> str:
    """A message with its way."""
    return f"{packet.sender.node}-{packet.target} {describe_message(packet.message)}"


def describe_message(message: Message) -> str:
    """A message in a few words; hashes are left out."""
    match message:
        case Append(epoch, round_, prev, prev_epoch, _, entries, commit):
            return (
                f"Append epoch={epoch} round={round_} after={prev}:{prev_epoch} "
                f"{logged(entries)} commit={commit}"
            )
        case Ack(epoch, round_, index):
            return f"Ack epoch={epoch} round={round_} index={index}"
        case Mismatch(epoch, round_, hint):
            return f"Mismatch epoch={epoch} round={round_} hint={hint}"
        case Promise(epoch, last_epoch, last_index, commit):
            return f"Promise epoch={epoch} last={last_index}:{last_epoch} commit={commit}"
        case Fence(epoch, revision):
            return f"Fence epoch={epoch} configuration={revision}"
        case Refuse(epoch, promised, revision):
            return f"Refuse epoch={epoch} promised={promised} configuration={revision}"
        case Fetch(epoch, prev, prev_epoch, _):
            return f"Fetch epoch={epoch} after={prev}:{prev_epoch}"
        case Entries(epoch, prev, matched, entries, last):
            return (
                f"Entries epoch={epoch} after={prev} {'matched' if matched else 'not matched'} "
                f"{logged(entries)} last={last}"
            )
        case Offer(epoch, index, entry_epoch, _):
            return f"Offer epoch={epoch} snapshot at {index}:{entry_epoch}"
        case Suspicion(epoch, agreed):
            return f"Suspicion epoch={epoch} {'agreed' if agreed else 'not agreed'}"
        case _:
            return f"{type(message).__name__} epoch={message.epoch}"


def describe_write(write: Write | Install) -> str:
    """A write in a few words."""
    if isinstance(write, Install):
        return f"installs #{write.number} promised={write.promised} index {write.offer.index}"
    cut = f" cut after {write.truncate_after}" if write.truncate_after is not None else ""
    entries = f" {logged(write.entries)}" if write.entries else ""
    return f"writes #{write.number} promised={write.promised}{cut}{entries}"


def describe_answer(answer: Answer) -> str:
    """An answer in a few words."""
    match answer:
        case Placed(ticket, index, epoch):
            return f"placed {ticket} at {index}:{epoch}"
        case NotProposed(ticket, leader):
            return f"not proposed {ticket}, leader {leader or 'unknown'}"
        case ReadReady(read):
            return f"read {read} is current"
        case ReadRefused(read, leader):
            return f"read {read} refused, leader {leader or 'unknown'}"
        case Fenced(_, promise):
            return f"fence answered: {describe_message(promise)}"


def logged(entries: list[Entry] | tuple[Entry, ...], base: int = 0) -> str:
    """Entries as index:epoch."""
    shown = [f"{entry.index}:{entry.epoch}" for entry in entries]
    return f"[{' '.join([f'..{base}', *shown] if base else shown)}]"


def _window(log: Log) -> tuple[Entry, ...]:
    return tuple(log.between(log.base_index + 1, log.last_index))
