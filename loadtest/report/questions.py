"""The checkers' questions in both languages, and how each is answered."""

from __future__ import annotations

from typing import Final

from loadtest.report.words import Words

QUESTIONS: Final[dict[str, tuple[Words, Words]]] = {
    "lost_approval": (
        Words(
            "Is every answer that a terminal heard in every in-sync ledger?",
            "端末が受け取った応答は、同期中のすべての元帳にあるか",
        ),
        Words(
            "Every answer is looked up under its key in each replica's ledger: at the index that "
            "the terminal was told, with the outcome it was told and the content it asked for.",
            "受け取った応答ごとに、全レプリカの元帳を取引キーで引き、通知された位置・結果・"
            "依頼内容と一致することを確かめます。",
        ),
    ),
    "double_effect": (
        Words(
            "Did every key take effect at most once, and only if a terminal asked?",
            "どの取引キーも、端末の依頼に対して高々 1 回だけ計上されたか",
        ),
        Words(
            "One record a key, made by the first log entry that holds it; one record a reference "
            "number; one undoing an original; no effect that no terminal wrote down beforehand.",
            "取引キーごとに記録は 1 件で、最初のログから作られたこと、照会番号の重複や二重取消、"
            "端末の記録にない計上がないことを確かめます。",
        ),
    ),
    "wrong_replay": (
        Words(
            "Did every key always get its first answer again, word for word?",
            "同じ取引キーには、常に最初と同一の応答が返されたか",
        ),
        Words(
            "All answers heard under one key, before and after a change of leader and from any "
            "node, are compared with each other and with the ledgers, field by field.",
            "同じ取引キーに対する全応答を、リーダー交代の前後やノードを問わず、"
            "互いに、また元帳とも、項目ごとに照合します。",
        ),
    ),
    "stale_read": (
        Words(
            "Was anything denied that a terminal had been told of before?",
            "端末に通知済みの取引が、後の照会で「存在しない」と回答されなかったか",
        ),
        Words(
            "Each inquiry that found nothing, and each refusal for want of an original, is "
            "compared with what terminals had heard before the question was first sent.",
            "「該当なし」の照会応答と「原取引なし」の拒否を、その送信より前に端末が受けた応答と"
            "照合します。",
        ),
    ),
    "conservation": (
        Words(
            "Do closes, open totals, originals and balances equal the sum of the records?",
            "日計・未締め合計・元取引・残高は、記録の合計と一致するか",
        ),
        Words(
            "All sums are made again from the single records, by rules of the checker's own, and "
            "compared with what each ledger holds; no balance may ever have been negative.",
            "個々の記録から検証側独自の規則で合計を作り直し、各元帳の値と照合します。"
            "残高が一度も負にならないことも確かめます。",
        ),
    ),
    "divergence": (
        Words(
            "Do all replicas hold the same log and the same ledger?",
            "すべてのレプリカは同じログと同じ元帳を持つか",
        ),
        Words(
            "Chain hashes at every shared index, the ledgers row by row, and each replica's own "
            "audit are compared pair by pair.",
            "共有する全位置のハッシュ連鎖、元帳の全行、各レプリカ自身の監査結果を、"
            "2 つずつ突き合わせます。",
        ),
    ),
}
"""By checker: the question, and how it is answered."""
