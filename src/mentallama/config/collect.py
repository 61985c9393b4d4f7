"""Settings of `collect`: tables, splits and the leak guard."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from mentallama.config.base import Settings
from mentallama.tasks import Source

_REMOVED = "removed|deleted|unavailable|redacted|withheld|withdrawn|censored"
_PART = "this|the|a|content|post|comment|text|body|title|message|submission|tweet|data|user|author|account"
_VERB = "is|was|has|have|been"
REMOVED_TEXT_PATTERNS = (
    # [removed], [ Removed by Reddit on account of … ], [This post was deleted], but not [removed myself from the group]
    rf"[^\w\[({{<]*[\[({{<]\W*((?:{_PART}|{_VERB})\W+)*(?:{_REMOVED})"
    r"(\W+(by|for|on account|due|because|as|per|in response|at the request)\b[^\[\]]*)?\W*",
    r"\W*[\[({<]\W*((게시글이?|글이?|댓글이?|내용이?)\s*)?(삭제|제거)(됨|된 .{1,4}|되었습니다)?\W*",
    r"\W*[\[({<（【]\W*(内容|內容|帖子|投稿|このコメント)?[は]?(已?被?[删刪]除|削除(済み|されました)?)\W*",
    r"\W*[\[({<]\W*(gelöscht|entfernt|supprimé|effacé|eliminad[oa]|borrad[oa]|removid[oa]|apagad[oa]|excluíd[oa]|"
    r"rimoss[oa]|eliminat[oa]|cancellat[oa]|verwijderd|silindi|удален[оа]?|محذوف|حذف شدہ|हटाया गया)\W*",
    # the sentences of Twitter and of forums
    rf"this (\w+ )?(tweet|post|comment|message|submission|content) "
    rf"(({_VERB}) )+({_REMOVED}|no longer available|not available)"
    r"( (by|from) (the |a |its )?(\w+ )?(author|moderators?|mods|user|owner|reddit|twitter))?\W*",
    r"this (tweet|post) is from (a suspended account|an account that no longer exists)\W*",
    r"(comment|post|submission) (removed|deleted) by (the )?(moderators?|mods|user|author)\W*",
    # what programs write for a missing value or an error
    r"(nan|nat|null|undefined|<na>|\\n|\[\]|\{\}|\"\"|''|\[(null|none|nan)\])",
    r"#(n/a|n/d|nv|¡?null!|¡?nulo!|¡?ref!|bezug!|rif!|¡?val(ue|or|eur|ore)!|wert!|¡?div/0!|(name|nome|nom|nombre)\?|"
    r"¡?num!|¡?núm!|zahl!|spill!|calc!|field!|error!)",
)
"""Marks of platforms (`[removed]`, `[ Removed by Reddit … ]`), missing values of programs, and errors of spreadsheets.
Not "none" or "NA", which people write."""

_NOBODY = (
    "deleted|removed|suspended|deactivated|unavailable|redacted|unknown|anon|anonymous|none|null|nan|na|n/a|"
    "undefined"
)
UNKNOWN_AUTHOR_PATTERNS = (
    r"[\W_]*",
    r"\[.*\]",
    rf"(/?u/)?[\W_]*({_NOBODY})[\W_]*(user|author|account)?\W*",
    rf"[\W_]*(user|author|account)[\W_]*({_NOBODY})?\W*|(no|not)[\W_]*({_NOBODY}|author|user|available)\W*",
    r"(facebook|reddit|twitter|instagram) user|-1",
    r"gelöscht\w*|unbekannt\w*|anonym\w?|an[oó]nim[oa]|inconnue?|desconocid[oa]|desconhecid[oa]|sconosciut[oa]|onbekend|"
    r"аноним\w*|неизвестн\w*|bilinmeyen|匿名\w{0,3}|名無し\w{0,3}|익명\w{0,2}|미상|알 ?수 ?없음|مجهول|نامعلوم|अज्ञात",
    r"[+-]?\d(?:[.,]\d+)?e\+\d\d",
)
"""Names that stand for many people: no letter, anything in brackets, words for an unknown or deleted account, and long
numbers as a spreadsheet rounds them (1.23E+18)."""


class Collect(Settings):
    """How posts are read, cleaned, split and kept apart from test posts."""

    leak_guard: Literal["question", "run"] = "run"
    """run: drop training and validation posts that are copies or near-copies of a test post of any set in the run, and
    training posts that are those of a validation post; needed for a model trained on several sets and for every
    held-out claim. question: compare only posts of the same set."""
    held_out: tuple[str, ...] = ()
    """Sets that are only tested on: their training and validation posts are dropped."""
    validation_share: float = Field(default=0.1, ge=0, lt=0.5)
    test_share: float = Field(default=0.0, ge=0, lt=0.5)
    """Share of posts drawn for a split that the files of a set do not define."""
    allowed_rejects: float = Field(default=0.01, ge=0, le=1)
    """Largest share of rejected rows at which the command still exits with code 0 rather than 3."""
    tables: dict[str, tuple[Source, ...]] = {}
    """The user's tables by set: files below sources/<set>/ and their field maps."""
    phone_regions: tuple[str, ...] = ()
    """Countries of the posts, as ISO codes such as KR, GB or FR: their phone numbers are masked in every national
    format; needs `mentallama[pii]`. Without it, only numbers that their form gives away are masked: those with a
    country code, an area code in parentheses or a leading 0, and North American ones."""
    author_salt: str = "mentallama"
    """Salt for the hashes of author names."""
    removed_text_patterns: tuple[str, ...] = REMOVED_TEXT_PATTERNS
    """Regular expressions. A text of a table that one of them matches as a whole, in any case, stands for removed text;
    its row is rejected."""
    unknown_author_patterns: tuple[str, ...] = UNKNOWN_AUTHOR_PATTERNS
    """Regular expressions for names that stand for an unknown author; such posts are not kept together."""

    @field_validator("removed_text_patterns", "unknown_author_patterns")
    @classmethod
    def _patterns_compile(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as fault:
                raise ValueError(f"{pattern!r} is not a regular expression: {fault}") from None
        return patterns

    @model_validator(mode="after")
    def _held_out_needs_the_run_level(self) -> Collect:
        if self.held_out and self.leak_guard != "run":
            raise ValueError(
                "held_out needs leak_guard: run, because a post may be in the training rows of another set"
            )
        return self
