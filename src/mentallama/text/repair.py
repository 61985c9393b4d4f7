"""Repair mis-decoded text (mojibake), HTML escapes and invisible characters."""

from __future__ import annotations

import html
import re
import unicodedata

NUL_STAND_IN = "\ufdd0"
"""Stands for NUL bytes in what is read from tables, since the csv module rejects them; a noncharacter, so never part of
a text."""

# Control characters except tab and line break, byte-order marks, zero-width space, invisible marks.
# The zero-width joiner and non-joiner stay: Persian, Urdu and emoji need them. So does the zero-width space between
# letters of Thai, Lao, Burmese and Khmer, where it separates words.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\u2060\u00ad\ufffc]"
    "|(?<![\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])\u200b|\u200b(?![\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff])"
)
_BLANK = re.compile(
    "[\\s\u00ad\u115f\u1160\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufffc\ufffd\ud800-\udfff]*"
)
_LINE_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
# UTF-8 read as Mac Roman: three-byte marks, emoji, the marks of Spanish, and accented letters beside plain ones. A root
# sign stands before these letters, so before another mathematical sign it is only taken for one inside a word.
_MAC_SIGN = re.compile(
    "‚[^\x00-\x7f]{2}|\uf8ffü|¬[ø°]|√[^\x00-\x7fπ∫∑∏Ω∞∂]|(?<=[A-Za-z])√[^\x00-\x7f]|(?<!\\d)√[^\x00-\x7f](?=[A-Za-z])"
)
# Those that sound text never holds, wherever they stand; ftfy leaves them if the rest of the text is valid.
_MAC_RUN = re.compile("‚[ÄÑ][^\x00-\x7f]|\uf8ffü[^\x00-\x7f]{2}|¬[ø°]|Ôªø")
MAX_PASSES = 12
"""Text may have been escaped or mis-decoded several times; more often than this only a hostile text was."""
# An ampersand escaped any number of times, so that one pass undoes all of them.
_ESCAPED_AMPERSAND = re.compile(r"&(?:(?:amp|AMP|#0*38(?!\d)|#[xX]0*26(?![\dA-Fa-f]));?)++")
MISREAD_MARK = re.compile("‚[ÄÑ][^\x00-\x7f]|â(?:€|\x80)[^\\s\\w]?|вЂ[^\\s\\w]?")
"""Curly quotes, dashes and ellipses in UTF-8 that was read as Mac Roman, Windows-1252 or Windows-1251."""
# A closing quote whose last byte Windows-1252 does not define, so it was dropped or replaced.
_LOST_QUOTE = re.compile("â€(?:\ufffd|(?=[\x00->@-\x7f]|$))")
# Windows' apostrophe read as Mac Roman, in English contractions: "donít". The words are listed, since í stands before
# the same letters in many languages: país, nevím.
_MAC_APOSTROPHE = re.compile(
    r"(?<![^\W\d_])(?:"
    r"((?:do|does|did|is|are|was|were|wo|ca|could|would|should|have|has|had|ai|must|need|might)n)í(?=t\b)"
    r"|(I)í(?=(?:m|d|ve|ll)\b)|(you|we|they)í(?=(?:re|d|ve|ll)\b)|(s?he|it|that|there|who|what)í(?=(?:s|d|ll)\b)"
    r"|(let|here|where|how|when|why)í(?=s\b)|((?:c|w|sh)ould|might|must)í(?=ve\b)|(y)í(?=all\b))",
    re.IGNORECASE,
)
# UTF-8 curly quotes, dashes and full-width punctuation read as GBK.
_GBK_SIGNS = re.compile("[鈥鈩锛銆]")
_GBK_RUN = re.compile(
    r"[\u4e00-\u9fff\u3000-\u303f\uff00-\uffef€][\u4e00-\u9fff\u3000-\u303f\uff00-\uffef€\w?]*"
)
# Mis-decoded text always holds a character beyond these: typographic marks, emoji, Chinese, Korean, Arabic script.
_MOJIBAKE_SUSPECT = re.compile(
    "[^\x00-\x7f‘’“”–—…•\u200d\ufe0f\u2600-\u27bf\U0001f000-\U0001faff\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff00-\uffef\u0600-\u06ff]"
)


def repair(text: str) -> str:
    """Undo wrong decoding, HTML escapes and invisible characters; normalise to NFC.

    Typographic quotes and full-width letters are left as the writer set them.

    Examples
    --------
    >>> repair("I‚Äôm tired &amp; it doesnâ€™t stop")
    'I’m tired & it doesn’t stop'
    >>> repair("it鈥檚 fine")
    'it’s fine'
    """
    text = text.strip()
    for _ in range(MAX_PASSES):
        before, text = text, _repair_once(text)
        if text == before:
            break
    return text


def is_blank(text: str) -> bool:
    """Whether nothing of a repaired text can be seen or read.

    >>> is_blank(" \\u200e\\u2800"), is_blank("?")
    (True, False)
    """
    return _BLANK.fullmatch(text) is not None


def _repair_once(text: str) -> str:
    if "&" in text:
        text = html.unescape(_ESCAPED_AMPERSAND.sub("&", text))
    if not text.isascii():
        text = unicodedata.normalize("NFC", _fix_mojibake(text))
    text = _LINE_BREAKS.sub("\n", text)
    return _INVISIBLE.sub("", text).strip()


def _fix_mojibake(text: str) -> str:
    if any(map(text.__contains__, "‚√\uf8ff¬Ô")):
        text = _fix_mac_roman(text)
    if "í" in text:
        text = _MAC_APOSTROPHE.sub(lambda word: word[0][:-1] + "’", text)
    if _GBK_SIGNS.search(text):
        text = _fix_gbk(text)
    return _fix_single_byte(text) if _MOJIBAKE_SUSPECT.search(text) else text


def _fix_single_byte(text: str) -> str:
    """Undo the reading of UTF-8 in an encoding of one byte per character, unless a part would stay misread."""
    import ftfy
    from ftfy.badness import is_bad

    fixed = str(ftfy.fix_encoding(_LOST_QUOTE.sub("â€\x9d", text)))
    has_lost_bytes = fixed.count("\ufffd") > text.count("\ufffd")
    return text if has_lost_bytes or (fixed != text and is_bad(fixed)) else fixed


def _fix_mac_roman(text: str) -> str:
    if _MAC_SIGN.search(text):
        # First the whole text, with its accents: text that was decoded correctly is not valid UTF-8 after re-encoding.
        text = _redecode_utf8(text, "mac_roman") or text
    return _MAC_RUN.sub(lambda run: _redecode_utf8(run[0], "mac_roman") or run[0], text)


def _fix_gbk(text: str) -> str:
    """Undo the reading of UTF-8 as GBK if every run of Chinese characters comes from it: real Chinese does not."""
    runs = {run: _redecode_utf8(run, "gb18030") for run in _GBK_RUN.findall(text)}
    return text if None in runs.values() else _GBK_RUN.sub(lambda run: runs[run[0]] or "", text)


def _redecode_utf8(run: str, wrong_encoding: str) -> str | None:
    """Decode UTF-8 that was read as `wrong_encoding`; None for any other text (real Chinese, for example)."""
    try:
        return run.encode(wrong_encoding).decode("utf-8")
    except UnicodeError:
        return None
