"""Every word that a report says of its own, in both languages. Records are quoted as they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from loadtest.faults import BETWEEN_SITES, SITE, SWITCH, TERMINALS_LINK


@dataclass(frozen=True, slots=True)
class Words:
    """The same thing twice."""

    en: str
    ja: str


def same(text: str) -> Words:
    """A name or a figure that reads alike in both."""
    return Words(text, text)


TABLE: Final[dict[str, Words]] = {
    # The page.
    "report": Words("Drill report", "障害訓練 報告書"),
    "overview": Words("Overview", "総括"),
    "language": Words("Language", "表示言語"),
    "theme": Words("Appearance", "配色"),
    "theme_auto": Words("Auto", "自動"),
    "theme_light": Words("Light", "明"),
    "theme_dark": Words("Dark", "暗"),
    "to_top": Words("Back to the overview", "総括へ戻る"),
    # Verdicts.
    "pass": Words("Pass", "合格"),
    "fail": Words("Fail", "不合格"),
    "inconclusive": Words("Inconclusive", "判定不能"),
    "unknown": Words("Unknown", "不明"),
    "met": Words("met", "適合"),
    "not_met": Words("not met", "不適合"),
    "not_judged": Words("told, not judged", "参考値"),
    "not_known": Words("not known", "不明"),
    "not_played": Words("not played", "未実施"),
    # The figures at the top.
    "gap": Words("Longest time without settlement", "決済できなかった時間（最長）"),
    "lost": Words("Approvals lost", "失われた承認"),
    "doubled": Words("Double effects", "二重計上"),
    "unknown_at_end": Words("Unknown at the end", "最後まで結果不明"),
    "p99": Words("p99 from the intended start", "応答時間 p99（送信予定時刻から）"),
    "limit": Words("limit", "基準"),
    "services": Words("Services still offered", "サービス提供"),
    "operator_steps": Words("Operator steps", "運用者の操作"),
    "of_seven": Words("{} of 7", "7 中 {}"),
    "ended_operators": Words("until people let the standby take over", "運用者による切替まで"),
    "ended_repair": Words("until the repair", "復旧まで"),
    "ended_never": Words("to the end of the load", "負荷終了まで"),
    # Section headings.
    "timeline": Words("The course of events", "経過"),
    "phases": Words("How the service came back", "復旧の段階"),
    "limits": Words("Measured against the limits", "基準との比較"),
    "heard": Words("What the terminals heard", "端末が受け取った応答"),
    "invariants": Words("What must never break, and how it was checked", "守るべき性質とその検証"),
    "grounds": Words("What it was played on", "構成"),
    "record": Words("The runner's record", "訓練の記録"),
    "origin": Words("Where this is from, and how to repeat it", "実施条件と再現方法"),
    # The timeline.
    "settled_a_second": Words("settled a second", "決済件数／秒"),
    "latency": Words("latency from the intended start", "応答時間（送信予定時刻から）"),
    "failures": Words("failures a second", "失敗件数／秒"),
    "no_failures": Words(
        "no slot was refused or went unanswered past its deadline",
        "エラー応答、期限内に応答のなかった取引はありません",
    ),
    "refused_short": Words("refused", "エラー応答"),
    "unknown_short": Words("no answer in time", "期限内に応答なし"),
    "meant": Words("slots meant", "予定件数"),
    "lane_faults": Words("done to it", "障害・操作"),
    "lane_leader": Words("leader", "リーダー"),
    "lane_mode": Words("sites", "サイト間同期"),
    "seconds": Words("seconds since the load began", "負荷開始からの経過秒"),
    "epoch": Words("epoch", "エポック"),
    "mode_in_sync": Words("both sites in sync", "両サイト同期"),
    "mode_batches": Words("standby in batches", "待機系へ一括送信"),
    "mode_degraded": Words("degraded: one site only", "縮退運転（片サイト）"),
    "timeline_about": Words(
        "Latencies count from the moment at which a terminal meant to send, so waiting during an "
        "outage is in them. Second by second; shaded while something was done and not yet undone.",
        "応答時間は端末の送信予定時刻から数えるため、停止中の待ち時間も含みます。"
        "1 秒ごとの集計で、網掛けは障害が続いている間を示します。",
    ),
    # What was done.
    "kill": Words("{} killed", "{} 強制停止"),
    "pause": Words("{} paused", "{} 一時停止（応答なし）"),
    "stop": Words("{} stopped", "{} 停止"),
    "losedisk": Words("{} loses its disk", "{} ディスク喪失"),
    "cut": Words("{} cut", "{} 切断"),
    "isolate": Words("{} cut off", "{} ネットワーク孤立"),
    "cutoff": Words("{} cut off from others", "{} 一部との通信断"),
    "switchdown": Words("{} down", "{} 停止"),
    "portdown": Words("port of {} down", "{} のポート断"),
    "lossy": Words("{} loses packets", "{} パケット損失"),
    "slow": Words("{} slow", "{} 遅延"),
    "slowdisk": Words("disk of {} slow", "{} ディスク遅延"),
    "fulldisk": Words("disk of {} full", "{} ディスク満杯"),
    "failingdisk": Words("disk of {} fails", "{} ディスク障害"),
    "wrongclock": Words("clock of {} wrong", "{} 時刻ずれ"),
    "rate": Words("load: {}", "負荷変更（{}）"),
    "rollover": Words("business date ends, {}", "業務日付の切替（{}）"),
    "handover": Words("{} hands over", "{} からリーダー交代"),
    "switch": Words("switch to {}", "{} へ切替"),
    # The phases.
    "noticed": Words("Noticed", "異常の検知"),
    "decided": Words("Move decided", "切替・交代の決定"),
    "won": Words("Epoch won", "新エポックの獲得"),
    "recovered": Words("Log recovered, serving", "ログ復元・受付再開"),
    "settled": Words("First settlement", "最初の決済"),
    "back": Words("Every waiting terminal answered", "待機中の全端末へ応答"),
    "phase": Words("Stage", "段階"),
    "after": Words("After the fault", "発生からの時間"),
    "floor": Words("Configured floor", "設定上の下限"),
    "floor_line": Words("configured floor", "設定上の下限"),
    "source": Words("Told by", "根拠"),
    "unbounded": Words("no timing bounds it", "設定による下限なし"),
    "at_once": Words("at once", "即時"),
    "from_histories": Words("the terminals' histories", "端末の記録"),
    "waited": Words(
        "{} slots were due before the first settlement",
        "最初の決済より前に予定されていた取引 {} 件",
    ),
    "no_takeover": Words(
        "The lead did not change hands after anything that was done.",
        "実施した障害・操作のあと、リーダーの交代はありませんでした。",
    ),
    "nothing_done": Words("Nothing was done to the cluster.", "障害・操作は実施されませんでした。"),
    "phases_about": Words(
        "The floor is what the configured timings alone take, before any work is done. They count "
        "from the last sign of life, so a stage can come up to one heartbeat or probe sooner. "
        "Journals are stamped by each host's own clock, to the millisecond.",
        "下限は設定されたタイマだけで決まる時間です。タイマは最後の応答から数えるため、"
        "ハートビートまたは監視 1 回分だけ早まることがあります。"
        "ノードの記録時刻は各ホストの時計によるもので、ミリ秒単位です。",
    ),
    # Limits.
    "figure": Words("Figure", "項目"),
    "measured": Words("Measured", "実測"),
    "bound": Words("Limit", "基準"),
    "result": Words("Result", "判定"),
    "new_leader": Words("a new epoch", "新しいエポック"),
    "same_leader": Words("the same epoch", "同じエポック"),
    # What terminals heard.
    "count": Words("Count", "件数"),
    "answer": Words("Answer", "応答"),
    "slots": Words("Slots due", "予定された取引"),
    "approved": Words("Approved", "承認"),
    "declined": Words("Declined", "不承認"),
    "mismatched": Words("Closes whose totals differ", "日計の合計不一致"),
    "read": Words("Inquiries answered", "照会応答"),
    "refused": Words("Refused with a reason", "エラー応答"),
    "slips": Words("Fault slips: no answer by the deadline", "障害伝票（期限内に応答なし）"),
    "unknown_end": Words("Unknown at the end", "最後まで結果不明"),
    "unserved": Words("Slots never served", "処理されなかった取引"),
    "retried": Words("Needed more than one attempt", "再送を要した取引"),
    "repeats": Words("Repeated on purpose with the same key", "同じ取引キーでの意図的な再要求"),
    "resolved": Words("How the late ones were heard after all", "遅れて判明した結果の内訳"),
    "refused_why": Words("Why some were refused", "エラー応答の内訳"),
    # Invariants.
    "question": Words("Question", "検証項目"),
    "how": Words("How it was checked", "検証方法"),
    "looked_at": Words("Compared", "照合件数"),
    "verdict": Words("Verdict", "判定"),
    "affected": Words("affected", "該当"),
    "and_more": Words("more in verdict.json", "件は verdict.json を参照"),
    "no_findings": Words("No checker was asked.", "検証は行われませんでした。"),
    # Grounds.
    "site": Words("site", "サイト"),
    "active": Words("active at the start", "開始時アクティブ"),
    "standby": Words("standby", "スタンバイ"),
    "witness": Words("place without settlement nodes", "決済ノードのない拠点"),
    "nodes": Words("settlement node", "決済ノード"),
    "etcd": Words("etcd member", "etcd メンバー"),
    "coordinators": Words("coordinator", "監視役"),
    "terminals": Words("terminals", "端末"),
    "replication": Words("replication", "複製"),
    "timings": Words("Timings", "タイマ設定"),
    "copies_min": Words("disks that must hold a settlement", "決済を保持すべきディスク数（最小）"),
    "no_topology": Words(
        "The evidence does not hold the topology.", "構成は証跡に含まれていません。"
    ),
    "network": Words("network switch", "スイッチ"),
    "in_real_time": Words("kept in sync, in real time", "常時同期（リアルタイム）"),
    "in_batches": Words("batches, every {} s", "一括転送（{} 秒ごと）"),
    "all_services": Words("offers all seven services", "全 7 サービスを提供"),
    "some_services": Words("offers, while active: {}", "アクティブ時の提供：{}"),
    # The record.
    "when": Words("Second", "経過秒"),
    "what": Words("What", "内容"),
    "detail": Words("In its words", "記録（原文）"),
    # Origin.
    "started": Words("Began", "開始日時"),
    "repeat": Words("Repeat it", "再実施"),
    "verify": Words("Check it again from the files", "証跡からの再検証"),
    "seed": Words("Seed", "シード"),
    "load": Words("Load", "負荷"),
    "load_from": Words("slots a second, terminals:", "件／秒、端末数："),
    "ground": Words("Ground", "実行環境"),
    "ground_processes": Words(
        "processes on loopback, one machine", "1 台のマシン上のプロセス（ループバック）"
    ),
    "ground_netns": Words(
        "a network namespace for each host, one machine",
        "1 台のマシン上のネットワーク名前空間（ホストごと）",
    ),
    "versions": Words("Versions", "バージョン"),
    "evidence": Words("Evidence", "証跡"),
    "files": Words("files", "ファイル"),
    "seal": Words("SHA-256 of the manifest", "マニフェストの SHA-256"),
    "intact": Words(
        "no file has changed since it was sealed", "封印後に変更されたファイルはありません"
    ),
    "altered": Words("changed, missing or added since it was sealed", "封印後に変更・欠落・追加"),
    "caveat": Words(
        "What this cannot show: all of it ran on one machine, with a shared processor and disk and "
        "virtual equipment. It shows the order of things and their correctness, not the speed of "
        "hardware.",
        "本報告の限界：全構成要素が 1 台のマシン上で動作し、CPU とディスクを共有しています。"
        "示せるのは動作の順序と正しさであり、実機の性能ではありません。",
    ),
    # The overview.
    "drill": Words("Drill", "訓練"),
    "topology": Words("Topology", "構成"),
    "passed": Words("{0} of {1} passed", "{1} 件中 {0} 件合格"),
    "min_median_max": Words("least / median / greatest", "最小／中央／最大"),
    "wait": Words("Longest wait of a terminal", "端末の最長待ち時間"),
    # Before and after.
    "renewal": Words("Before and after the renewal", "更改前と更改後"),
    "before": Words("before", "更改前"),
    "after_renewal": Words("after", "更改後"),
    "no_settlement": Words("Time without settlement", "決済できなかった時間"),
    "settlements_lost": Words("Settlements lost", "失われた決済"),
    "doubled_short": Words("Doubled", "二重計上"),
    "in_words": Words("In words", "評価"),
    "beside_as_well": Words(
        "As well: the old system meets the same limits", "同等：更改前も同じ基準を満たす"
    ),
    "beside_only_after": Words("Only after the renewal", "更改後のみ基準を満たす"),
    "beside_only_before": Words("Only before the renewal", "更改前のみ基準を満たす"),
    "beside_neither": Words("Neither meets the limits", "いずれも基準を満たさない"),
    "beside_no_equipment": Words("No such equipment", "該当する機器なし"),
    "beside_not_known": Words("No verdict", "判定不能"),
    "absent": Words("no such equipment: {}", "該当する機器なし：{}"),
    "left_out": Words("Not played", "未実施"),
    "repeat_all": Words("The command that repeats it", "再実施のコマンド"),
    "renewal_about": Words(
        "Each drill was played on both systems with the same seed, the same load, the same limits "
        "(those of the renewed system) and the same timings, one after the other, on one machine "
        "with a network namespace for each host. What is assumed of the old system stands, key by "
        "key, in its topology file. Lost: what a terminal heard (approved, declined, closed) and a "
        "ledger that counts does not hold as it was told.",
        "各訓練は、同じシード・負荷・基準（更改後のもの）・タイマ設定で、更改前と更改後の両構成に対し、"
        "1 台のマシン上のネットワーク名前空間（ホストごと）で順に実施しました。"
        "更改前の構成についての仮定は、構成ファイルに項目ごとに記載しています。"
        "「失われた決済」は、端末が受け取った応答（承認・拒否・締め）のうち、有効な元帳に同じ内容で残っていないものです。",
    ),
}


def filled(name: str, *values: object) -> Words:
    """The words for `name` with these in their places."""
    words = word(name)
    return Words(words.en.format(*values), words.ja.format(*values))


def deed(kind: str, names: str) -> Words:
    """What was done to whom; `names` as the runner writes them, with commas between."""
    found = [_target(name) for name in names.split(", ")]
    en, ja = ", ".join(each.en for each in found), "、".join(each.ja for each in found)
    words = word(kind)
    return Words(words.en.format(en), words.ja.format(ja))


def _target(name: str) -> Words:
    """A name, a place, the link between two, a switch of a site."""
    if name == BETWEEN_SITES:
        return Words("the link between the sites", "サイト間回線")
    if name.startswith(TERMINALS_LINK):
        site = name.removeprefix(TERMINALS_LINK)
        return Words(f"the terminals' link of site {site}", f"サイト {site} の端末回線")
    if name.startswith(SWITCH):
        site, _, number = name.removeprefix(SWITCH).partition("/")
        return Words(f"switch {number} of site {site}", f"サイト {site} のスイッチ {number}")
    place = name.removeprefix(SITE)
    return same(name) if place == name else Words(f"site {place}", f"サイト {place}")


def word(name: str) -> Words:
    """The words for `name`. Raises `KeyError` for a name that is not in the table."""
    return TABLE[name]
