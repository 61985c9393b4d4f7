"""Repair of mis-decoded text: what was broken is mended, what was right is left."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mentallama.text.repair import repair
from tests.factories.sentences import SENTENCES

BROKEN = [
    # UTF-8 read as Mac Roman
    ("I‚Äôm tired", "I’m tired"),
    ("‚Äúfine‚Äù, she said", "“fine”, she said"),
    ("well‚Ä¶ no ‚Äì yes ‚Äî no", "well… no – yes — no"),
    ("Windows’ own: I donít, itís, weíre, Iíll", "Windows’ own: I don’t, it’s, we’re, I’ll"),
    ("Je n‚Äôai plus envie, m√™me d√®s le matin", "Je n’ai plus envie, même dès le matin"),
    ("¬øQu√© tal? ma√±ana ‚Äì nada", "¿Qué tal? mañana – nada"),
    # as Windows-1252
    ("itâ€™s late", "it’s late"),
    ("â€œfineâ€\x9d she said", "“fine” she said"),
    ("cafÃ© maÃ±ana", "café mañana"),
    ("Ã¼ber mÃ¼de", "über müde"),
    # as GBK
    ("it鈥檚 fine", "it’s fine"),
    ("I don鈥檛 know", "I don’t know"),
    # twice over
    ("itÃ¢â‚¬â„¢s late", "it’s late"),
    ("I donít know, theyíve said sheís fine", "I don’t know, they’ve said she’s fine"),
    ("it鈥檚 fine 鈥� I said 鈥渘o鈥�", "it鈥檚 fine 鈥� I said 鈥渘o鈥�"),  # some bytes are lost: left alone
    ("so low \uf8ffüòî and \uf8ffü§ò", "so low 😔 and 🤘"),
    ("I am sad ¬ø¬ø", "I am sad ¿¿"),
    ("I love âœ¨", "I love ✨"),
    ("â€œfineâ€ she said, â€œitâ€™s lateâ€\ufffd", "“fine” she said, “it’s late”"),  # the last byte is lost
    # HTML
    ("you &amp; me", "you & me"),
    ("a &lt;b&gt; c &quot;d&quot; &#39;e&#39; &#x27;f&#x27;", "a <b> c \"d\" 'e' 'f'"),
    ("twice &amp;amp;lt; escaped", "twice < escaped"),
    ("zero&#x200B;width", "zerowidth"),
    # invisible characters and line breaks
    ("\ufeffbegins here\0", "begins here"),
    ("so\u00adft hy\u200bphen\u2060s", "soft hyphens"),
    ("bell\x07 and escape\x1b[0m", "bell and escape[0m"),
    ("one\r\ntwo\rthree\u2028four\u2029five", "one\ntwo\nthree\nfour\nfive"),
    ("  \n\u200b around \ufeff ", "around"),
    ("one\x0btwo\x0cthree", "one\ntwo\nthree"),  # the line breaks of text processors and pages
    # NFC
    ("cafe\u0301", "café"),
]

RIGHT = [
    "I’m “fine” – really — yes…",
    "plain, with tabs\tand\nline breaks",
    "Çok yorgunum, gözümü kapatamıyorum; ışık şimdi ağır.",
    "Llevo días sin dormir; ¿y mañana? ¡Qué va! Aquí y ahí, así.",
    "Je n’ai pas dormi, ça m’épuise où que j’aille.",
    "Ich bin müde und weiß nicht, warum – größer als früher.",
    "Não dormi; a manhã é difícil.",
    "میں بہت تھکا ہوا ہوں، نیند نہیں آتی۔",
    "می‌خواهم بخوابم",  # with a zero-width non-joiner, which Persian needs
    "我今天很累，想回家睡觉。“真的吗？”",
    "我聽不到你說話，你聽得到我嗎",  # holds 聽, one of the signs of GBK
    "오늘은 정말 피곤해요. 잠이 안 와요.",
    "今日はとても疲れた。",
    "Сегодня я очень устал.",
    "family 👨‍👩‍👧‍👦 and flag 🏳️‍🌈 and ❤️ and 👍🏽",
    "√2 ≈ 1.41, a ‚quote‘ in German, √π",
    "5 °C, ½ a pill, £3, €4, 10 µg, naïve, Zoë, San José, El Niño",
    "¯\\_(ツ)_/¯",
    "ខ្ញុំ\u200bហត់\u200bណាស់",  # the zero-width space separates words
    "AT&T, R&D, a & b, x<y>z",
    "",
]


@pytest.mark.parametrize(("broken", "mended"), BROKEN)
def test_what_was_broken_is_mended(broken: str, mended: str) -> None:
    assert repair(broken) == mended


@pytest.mark.parametrize("text", RIGHT)
def test_what_was_right_is_left(text: str) -> None:
    assert repair(text) == text


@pytest.mark.parametrize("text", [text for text in RIGHT if text.isascii() is False])
def test_right_text_beside_broken_text_survives(text: str) -> None:
    # one post may hold both: its own accents, and a quotation pasted from elsewhere
    assert repair(f"{text} I‚Äôm") == f"{text} I’m"


LANGUAGES = [text for text in RIGHT if not text.isascii() and "€" not in text and "¯" not in text]


@pytest.mark.parametrize("text", LANGUAGES)
def test_every_language_comes_back_from_windows_and_from_latin(text: str) -> None:
    # Windows leaves five bytes undefined; real software passes them through, as here
    misread = "".join(
        bytes([byte]).decode("cp1252") if byte not in {0x81, 0x8D, 0x8F, 0x90, 0x9D} else chr(byte)
        for byte in text.encode()
    )
    assert misread != text
    assert repair(misread) == text


@pytest.mark.parametrize("language", SENTENCES)
def test_sound_text_of_any_language_is_left(language: str) -> None:
    frames = ("{}", "{} 😭", "“{}”", "«{}»", "({})", "#tag {} @x", "I can‘t, {} the end", "{}\n\n{}")
    for sentence in SENTENCES[language]:
        for cased in {sentence, sentence.upper(), sentence.lower(), sentence.title()}:
            for frame in frames:
                text = frame.format(cased, cased)
                composed = unicodedata.normalize("NFC", text)
                assert repair(composed) == composed
                assert repair(unicodedata.normalize("NFD", text)) == composed


def misread_as(encoding: str, text: str) -> str:
    """UTF-8 read in another encoding; undefined bytes of Windows-1252 pass through, as in browsers."""
    if encoding == "cp1252":
        return "".join(
            chr(byte) if byte in {0x81, 0x8D, 0x8F, 0x90, 0x9D} else bytes([byte]).decode("cp1252")
            for byte in text.encode()
        )
    return text.encode().decode(encoding)


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize(
    "encoding", ["cp1252", "latin-1", "mac_roman", "gbk", "gb18030", "cp1251", "cp1254", "cp437"]
)
def test_misread_text_comes_back_or_is_left_and_never_becomes_a_third(encoding: str, language: str) -> None:
    for sentence in SENTENCES[language]:
        text = unicodedata.normalize("NFC", sentence)
        try:
            misread = misread_as(encoding, text)
        except UnicodeDecodeError:
            continue  # this encoding does not read it
        left = unicodedata.normalize("NFC", re.sub("[\x80-\x84\x86-\x9f\xad]", "", misread)).replace(
            "\x85", "\n"
        )
        assert repair(misread) in {text, left.strip()}


def test_most_misread_text_comes_back() -> None:
    sentences = [unicodedata.normalize("NFC", text) for texts in SENTENCES.values() for text in texts]
    for encoding, share in {"cp1252": 0.97, "latin-1": 0.97, "mac_roman": 0.9}.items():
        back = sum(repair(misread_as(encoding, text)) == text for text in sentences)
        assert back > share * len(sentences), encoding
    twice = sum(repair(misread_as("cp1252", misread_as("cp1252", text))) == text for text in sentences)
    assert twice > 0.95 * len(sentences)


PIECES = [
    "&amp;", "&", "amp;", "lt;", "#39;", "’", "‚Äô", "â€™", "鈥檚", "鈥", "í", "t", "s ", " ",
    "\u200b", "\r", "\n",
    "\x85", "don", "é", "Ã©", "Ñ", "ü", "我", "锛", "�", "\ufeff", "😀", "\u200d", "ş", "ı", "¿", "ا", "€",
    "™", "“",
    "聽", "¼", "Â", "\xa0",
]  # fmt: skip


@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=9).map("".join))
@example("\xa0Ã©")
@example("聽â€™")
@example("&amp;amp;amp;")
@example("&\u200bamp;")
def test_repairing_twice_changes_nothing(text: str) -> None:
    once = repair(text)
    assert repair(once) == once


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="&")))
def test_plain_english_is_only_stripped(text: str) -> None:
    assert repair(text) == text.strip()


CONTROLS = {chr(code) for code in range(0xA0) if chr(code) not in "\t\n" and not 0x20 <= code < 0x7F}


@given(st.text() | st.text(st.sampled_from([*sorted(CONTROLS), "a", "Ã", "©"])))
def test_no_control_character_is_left(text: str) -> None:
    assert not CONTROLS & set(repair(text))


@pytest.mark.parametrize(
    ("unit", "repaired"),
    [("amp;", "&"), ("amp", "&"), ("#38;", "&"), ("#x26;", "&"), ("\u200bamp;", "&")],
)
@pytest.mark.parametrize("times", [1, 2, 40_000, 200_000])
@pytest.mark.timeout(60)  # milliseconds in one pass; hours with a pass for each level
def test_an_ampersand_escaped_many_times_is_one(unit: str, repaired: str, times: int) -> None:
    assert repair("so tired &" + unit * times) == f"so tired {repaired}"


@pytest.mark.parametrize(
    "unit",
    [
        "&",
        "&#",
        "&lt;",
        "Ã",
        "Ã‚",
        "ÃƒÂ",
        "√",
        "‚Ä",
        "鈥",
        "鈥檚",
        "â€",
        "donít",
        "\r",
        "e\u0301",
        "à ",
        "пїЅ",
        "&amp;Ã©",
    ],
)
@pytest.mark.timeout(60)  # a second where each pass is linear and there are few
def test_a_long_text_of_nothing_but_signs_is_repaired(unit: str) -> None:
    repair(unit * (100_000 // len(unit)))
