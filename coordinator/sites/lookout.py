"""What one coordinator does all day: probe every node, report, listen, judge, and act.

Each node is asked by a task of its own, so that a silent one holds up nobody. Reporting, hearing
the others, judging and acting are one round after another: a slow etcd makes rounds rarer, never
more of them at once.
"""

from __future__ import annotations

import asyncio
from typing import Final

from coordinator import translate
from coordinator.configuration import Configuration
from coordinator.keyvalue import Get, OutcomeUnknown, Put, RegistryError
from coordinator.ports import Registry
from coordinator.recording import Recorder
from coordinator.records import Keys, ReportRecord
from coordinator.settings import CoordinatorSettings, Watched
from coordinator.sites.judgement import (
    Blocked,
    Decision,
    Look,
    MoveLeader,
    Propose,
    Switch,
    complaint,
    judge,
)
from coordinator.sites.moving import ask_to_hand_over
from coordinator.sites.ports import Means, Telling
from coordinator.sites.probe import Probe
from coordinator.sites.reports import ReportBook
from coordinator.sites.sight import Answer, Sight
from coordinator.switching import SwitchRefused, switch

REPORT_MS: Final = 300
"""How often a round begins, unless etcd takes longer."""

ASK_AGAIN_MS: Final = 10_000
"""A leader that was asked to hand over, and leads on unreached, is asked again: it may have been
busy, and where the standby is not in sync nothing else can help the terminals."""


class Lookout:
    """One coordinator's eyes and hands. `run` it once, on the loop it was made on."""

    def __init__(
        self,
        settings: CoordinatorSettings,
        registry: Registry,
        recorder: Recorder,
        journal: Telling,
        means: Means,
    ) -> None:
        self._settings = settings
        self._switching = settings.switching
        self._registry = registry
        self._recorder = recorder
        self._journal = journal
        self._means = means
        self._keys = Keys(settings.cluster)
        self._sight = Sight(
            {node.node: node.site for node in settings.nodes},
            self._switching.probe_ms + self._switching.probe_deadline_ms,
            self._switching.agree_ms,
            _now_ms(),
        )
        self._book = ReportBook(self._switching.fresh_ms)
        self._nodes = {node.node: node for node in settings.nodes}
        self._sequence = 0
        self._away_since_ms: float | None = None
        self._etcd_away_ms = 0
        self._says = "began to look"
        self._proposal = ""
        self._told = ""  # the decision the operator was last told of
        self._complained = False
        self._moved_epoch = 0
        self._moved_at_ms = 0.0
        self._moving: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Look, report and act until cancelled. Raises only what is a defect."""
        async with asyncio.TaskGroup() as tasks:
            for node in self._settings.nodes:
                tasks.create_task(self._watch(node))
            tasks.create_task(self._rounds())

    async def _watch(self, node: Watched) -> None:
        """Ask one node again and again."""

        def late(answer: Answer) -> None:
            now_ms = _now_ms()
            self._sight.saw(node.node, answer, now_ms, now_ms)

        lines = [self._means.dial(each) for each in node.over_each(node.terminals)]
        probe = Probe(lines, self._switching.probe_deadline_ms, late)
        try:
            while True:
                asked_ms = _now_ms()
                answer = await probe.ask()
                self._sight.saw(node.node, answer, asked_ms, _now_ms())
                await _until(asked_ms + self._switching.probe_ms)
        finally:
            await probe.close()

    async def _rounds(self) -> None:
        try:
            while True:
                begun_ms = _now_ms()
                try:
                    await self._round()
                except RegistryError as problem:
                    self._etcd_is_away(str(problem), begun_ms)
                await _until(begun_ms + REPORT_MS)
        finally:
            if self._moving is not None:
                self._moving.cancel()

    async def _round(self) -> None:
        """One report, one look at the others', one judgement. Raises `RegistryError`."""
        keys, own = self._keys, self._keys.report(self._settings.place)
        report = self._report()
        outcome = await self._registry.transact(
            (), (Put(own, report.to_json()), Get(keys.configuration), Get(keys.leader))
        )
        listing = await self._registry.list(keys.reports)
        self._etcd_is_back()
        seen = translate.seen_in_outcome(keys, outcome)
        configuration = seen.configuration
        now_ms = _now_ms()
        if configuration is not None:
            self._sight.configured(seen.configuration_revision, configuration.active_site, now_ms)
        self._sight.led(seen.leader.node if seen.leader else "", seen.epoch, now_ms)
        heard = self._book.look(listing.pairs, now_ms)
        mine = self._report()
        look = Look(configuration, seen.configuration_revision, mine, heard)
        self._note_complaint(mine, configuration)
        await self._act(judge(look, self._switching), look)

    def _report(self) -> ReportRecord:
        view = self._sight.view(_now_ms())
        self._sequence += 1
        return ReportRecord(
            place=self._settings.place,
            source=self._settings.name,
            sequence=self._sequence,
            at_ms=self._means.stamp().at_ms,
            mode=self._switching.mode,
            revision=view.revision,
            active_site=view.active_site,
            unserved_ms=view.unserved_ms,
            awaited=view.awaited,
            leader=view.leader,
            epoch=view.epoch,
            led_ms=view.led_ms,
            leader_unreached_ms=view.leader_unreached_ms,
            failover_ms=view.failover_ms,
            nodes=view.nodes,
            etcd=self._registry.endpoint,
            etcd_ok=self._away_since_ms is None,
            etcd_away_ms=self._etcd_away_ms,
            says=self._says,
            proposal=self._proposal,
        )

    # --- Acting -------------------------------------------------------------------------------

    async def _act(self, decision: Decision, look: Look) -> None:
        self._proposal = ""
        match decision:
            case Switch(to, evidence):
                self._says = f"switches to site {to}: {evidence}"
                await self._switch(to, evidence, look.revision)
            case MoveLeader(node, epoch, evidence):
                self._says = f"asks {node} to hand over: {evidence}"
                self._move(node, epoch, evidence)
            case Propose(kind, text):
                self._says = self._proposal = text
                self._tell(kind, text)
            case Blocked(reason):
                self._says = reason
                self._tell("switch-blocked", reason)
            case _:
                self._says = decision.reason
                self._told = ""

    async def _switch(self, to: str, evidence: str, revision: int) -> None:
        """Send the guarded switch; in the next round it is seen what came of it."""
        try:
            done = await switch(
                self._registry,
                self._settings.cluster,
                to,
                by=self._settings.name,
                why=evidence,
                place=self._settings.place,
                stamp=self._means.stamp(),
                revision=revision,
            )
        except SwitchRefused as refused:
            self._journal.say("switch-refused", refused.reason)
        except OutcomeUnknown as problem:
            self._journal.say("switch-unknown", str(problem))
        else:
            self._journal.say("site-switch", f"revision {done.revision}: {evidence}")

    def _move(self, node: str, epoch: int, evidence: str) -> None:
        """Ask a leadership now and then, on the side: the next round must not wait for it."""
        now_ms = _now_ms()
        lately = epoch == self._moved_epoch and now_ms - self._moved_at_ms < ASK_AGAIN_MS
        if lately or node not in self._nodes:
            return
        if self._moving is not None and not self._moving.done():
            return
        self._moved_epoch, self._moved_at_ms = epoch, now_ms

        async def ask() -> None:
            where = self._nodes[node]
            came = await ask_to_hand_over(
                self._means.dial,
                where.over_each(where.terminals),
                where.over_each(where.peers),
                self._switching.probe_deadline_ms,
            )
            why = f"{evidence}; {node}: {came}"
            self._journal.say("leader-unreached", why)
            self._recorder.say("leader-unreached", why, epoch)

        self._moving = asyncio.ensure_future(ask())

    def _tell(self, kind: str, text: str) -> None:
        """Tell the operator, once as long as it stays so."""
        if kind != self._told:
            self._told = kind
            self._journal.say(kind, text)
            self._recorder.say(kind, text)

    def _note_complaint(self, mine: ReportRecord, configuration: Configuration | None) -> None:
        """Write down when terminals here begin to be served by nobody, and when that ends."""
        if self._complained:
            if mine.awaited or mine.unserved_ms:
                return
            kind, what = "served", "served here again"
        else:
            words = complaint(mine, configuration, self._switching) if configuration else ""
            if not words:
                return
            kind, what = "unserved", f"not served here for {words}"
        self._complained = not self._complained
        why = f"terminals of site {mine.active_site} are {what}"
        self._journal.say(kind, why)
        self._recorder.say(kind, why, mine.epoch)

    # --- etcd ---------------------------------------------------------------------------------

    def _etcd_is_away(self, why: str, since_ms: float) -> None:
        if self._away_since_ms is None:
            self._away_since_ms = since_ms
            self._journal.say("etcd-away", why)

    def _etcd_is_back(self) -> None:
        if self._away_since_ms is not None:
            self._etcd_away_ms = int(_now_ms() - self._away_since_ms)
            self._away_since_ms = None
            why = f"etcd did not answer {self._settings.place} for {self._etcd_away_ms} ms"
            self._journal.say("etcd-back", why)
            self._recorder.say("etcd-back", why)


def _now_ms() -> float:
    return asyncio.get_running_loop().time() * 1000


async def _until(at_ms: float) -> None:
    """Sleep until `at_ms`; gives others a turn in any case."""
    await asyncio.sleep(max(0.0, at_ms - _now_ms()) / 1000)
