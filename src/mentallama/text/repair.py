"""Repair mis-decoded text (mojibake), HTML escapes and invisible characters."""

from __future__ import annotations

import html
import re
import unicodedata

# Control characters except tab and line break, byte-order marks, zero-width space, invisible marks.
# The zero-width joiner and non-joiner stay: Persian, Urdu and emoji need them.
_INVISIBLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufeff\u200b\u2060\u00ad\ufffc]")
_LINE_BREAKS = re.compile("\r\n?|\x85|\u2028|\u2029")
# Curly quotes, dashes, ellipses and ™ read as Mac Roman; ftfy leaves them if the rest of the text is valid.
_MAC_RUN = re.compile("‚[ÄÑ][^\x00-\x7f]")
# Windows' apostrophe read as Mac Roman, in English contractions: "donít".
_MAC_APOSTROPHE = re.compile(r"(?<=[A-Za-z])í(?=(?:t|s|m|d|re|ve|ll)\b)")
# UTF-8 curly quotes, dashes and full-width punctuation read as GBK; these do not occur together in Chinese.
_GBK_SIGNS = re.compile("[鈥聽锛銆鈩脙]")
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
    text, before = text.strip(), ""
    while text != before:  # text may have been escaped or mis-decoded twice
        before, text = text, _repair_once(text)
    return text


def _repair_once(text: str) -> str:
    if "&" in text:
        text = html.unescape(text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", _fix_mojibake(text))
    text = _LINE_BREAKS.sub("\n", text)
    return _INVISIBLE.sub("", text).strip()


def _fix_mojibake(text: str) -> str:
    if "‚" in text or "√" in text:
        # First the whole text, with its accents: text that was decoded correctly is not valid UTF-8 after re-encoding.
        text = _redecode_utf8(text, "mac_roman")
        text = _MAC_RUN.sub(lambda run: _redecode_utf8(run[0], "mac_roman"), text)
    if "í" in text:
        text = _MAC_APOSTROPHE.sub("’", text)
    if _GBK_SIGNS.search(text):
        text = _GBK_RUN.sub(lambda run: _redecode_utf8(run[0], "gb18030"), text)
    if not _MOJIBAKE_SUSPECT.search(text):
        return text
    import ftfy

    return str(ftfy.fix_encoding(text))


def _redecode_utf8(run: str, wrong_encoding: str) -> str:
    """Decode UTF-8 that was read as `wrong_encoding`; other text (real Chinese, for example) is unchanged."""
    try:
        return run.encode(wrong_encoding).decode("utf-8")
    except UnicodeError:
        return run
