"""The explanation is in the language of the task or of the post."""

from __future__ import annotations

import pytest

from mentallama.check.gates.language import check_language, confusable_languages, language_probabilities
from tests.factories.gate_rows import row

SAID = {
    "en": "The poster describes sleepless nights and a quiet house, and says that nobody has called for weeks.",
    "es": "La persona describe noches sin dormir y una casa silenciosa, y dice que nadie la llama desde hace semanas.",
    "fr": "La personne décrit des nuits sans sommeil et une maison silencieuse, et personne ne l'appelle plus.",
    "de": "Die Person beschreibt schlaflose Nächte und ein stilles Haus, und seit Wochen hat niemand angerufen.",
    "pt": "A pessoa descreve noites sem dormir e uma casa silenciosa, e diz que ninguém liga há semanas.",
    "tr": "Kişi uykusuz gecelerden ve sessiz bir evden söz ediyor, haftalardır kimsenin aramadığını söylüyor.",
    "zh": "发帖人描述了失眠的夜晚和安静的房子，并说几个星期以来没有人打过电话。",
    "ko": "작성자는 잠 못 이루는 밤과 조용한 집에 대해 쓰고, 몇 주 동안 아무도 전화하지 않았다고 말한다.",
    "ru": "Автор описывает бессонные ночи и тихий дом и говорит, что уже несколько недель никто не звонил.",
    "ur": "لکھنے والا بے خواب راتوں اور خاموش گھر کا ذکر کرتا ہے اور کہتا ہے کہ ہفتوں سے کسی نے فون نہیں کیا۔",
    "ar": "يصف الكاتب ليالي بلا نوم وبيتا هادئا ويقول إن أحدا لم يتصل به منذ أسابيع طويلة.",
}


@pytest.mark.parametrize("written", SAID)
@pytest.mark.parametrize("asked", ["en", "es", "zh", "tr"])
@pytest.mark.parametrize("posted", ["en", "ko", "es"])
def test_only_the_languages_of_the_task_and_the_post_pass(written: str, asked: str, posted: str) -> None:
    verdict = check_language(row(SAID[written], SAID[posted], task_language=asked, language=posted))
    assert verdict.gate == "language"
    assert verdict.ok == (written in {asked, posted})
    assert SAID[written][:8] not in str(verdict.reason)


@pytest.mark.parametrize("posted", SAID)
def test_the_language_of_a_post_is_detected_if_not_given(posted: str) -> None:
    assert check_language(row(SAID[posted], SAID[posted], task_language="en")).ok
    other = "de" if posted != "de" else "fr"
    if posted != "en":
        assert not check_language(row(SAID[other], SAID[posted], task_language="en")).ok


def test_the_reason_names_the_languages() -> None:
    assert check_language(row(SAID["de"], SAID["en"])).reason == "written in de, where en was expected"
    assert (
        check_language(row(SAID["de"], SAID["ko"], language="ko")).reason
        == "written in de, where en or ko was expected"
    )


def test_quotations_do_not_count() -> None:
    quoted = f"The poster says “{SAID['es']}” and “{SAID['fr']}”, which is telling in its way."
    assert check_language(row(quoted)).ok


@pytest.mark.parametrize("short", ["", "Yes.", "Tired, alone.", "累", "“so quiet”"])
def test_a_text_too_short_to_identify_passes_without_a_score(short: str) -> None:
    verdict = check_language(row(short))
    assert (verdict.ok, verdict.score) == (True, None)


def test_a_switch_to_another_script_is_found() -> None:
    drifted = (
        "The poster describes sleepless nights and says that nobody calls, 因此发帖人感到非常孤独和绝望。"
    )
    verdict = check_language(row(drifted))
    assert not verdict.ok
    assert "another script" in str(verdict.reason)
    assert check_language(row(drifted, SAID["zh"], language="zh")).ok  # the post's own script is no drift


def test_english_words_in_another_script_pass() -> None:
    text = "发帖人在 Reddit 上写道自己睡不着，提到 Netflix 和 Spotify，并说没有人打过电话给自己。"
    assert check_language(row(text, SAID["zh"], language="zh", task_language="zh")).ok


def test_a_language_that_the_identifier_does_not_know_passes_without_a_score() -> None:
    roman = "Likhne wala kehta hai ke usay raat ko neend nahi aati aur ghar bohat khamosh hai."
    verdict = check_language(row(roman, "raat ko neend nahi aati mujhe aaj kal", language="ur-Latn"))
    assert (verdict.ok, verdict.score) == (True, None)


def test_near_languages_count_as_one() -> None:
    assert {"zh", "yue"} <= confusable_languages("zh-Hant-HK")
    assert "pcm" in confusable_languages("en_GB")
    assert confusable_languages("th") == {"th"}


def test_probabilities_are_of_one() -> None:
    shares = language_probabilities(SAID["tr"])
    assert shares is not None
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-3)
    assert max(shares, key=shares.__getitem__) == "tr"
    assert language_probabilities("short") is None
