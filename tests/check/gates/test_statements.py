"""Diagnosis, advice and mentions of the prompt: synthetic sentences that contain them, and similar ones that do not."""

from __future__ import annotations

import pytest

from mentallama.check.gates.statements import check_advice, check_diagnosis, find_statements
from mentallama.tasks import load_tasks
from mentallama.text.quote_extraction import replace_quotes
from tests.factories.gate_rows import row

DIAGNOSES = [
    "The poster has major depressive disorder.",
    "The poster clearly has depression.",
    "It is evident: the user has severe depression and cannot work.",
    "The writer is clinically depressed.",
    "The author meets the criteria for major depressive disorder.",
    "They meet all the diagnostic criteria for PTSD.",
    "The person fulfils the DSM-5 criteria for generalized anxiety disorder.",
    "I diagnose the poster with depression.",
    "Based on the symptoms, I would diagnose a depressive disorder.",
    "My diagnosis is depression.",
    "Diagnosis: major depressive disorder.",
    "A diagnosis of bipolar disorder is warranted.",
    "The user can be diagnosed with clinical depression.",
    "This confirms a diagnosis of borderline personality disorder.",
    "The poster is diagnosed with depression.",
    "This is a clear case of bipolar disorder.",
    "It is a textbook case of clinical depression.",
    "The poster is bipolar and unstable.",
    "The individual is suffering from post-traumatic stress disorder.",
    "The writer suffers from a severe anxiety disorder.",
    "The user is experiencing a major depressive episode.",
    "The poster is mentally ill.",
    "The author lives with an untreated eating disorder.",
    "She has obsessive-compulsive disorder.",
    "The poster definitively has depression.",
    "The user is in the midst of a manic episode.",
    "La autora padece de un trastorno depresivo mayor.",
    "La persona cumple los criterios de depresión mayor.",
    "L'auteur a une dépression majeure.",
    "La personne remplit tous les critères d'un trouble anxieux.",
    "Der Verfasser hat eine schwere Depression.",
    "Die Person erfüllt die Kriterien für eine Angststörung.",
    "O autor tem transtorno bipolar.",
    "A pessoa preenche os critérios para depressão maior.",
    "Gönderiyi yazan kişi tanı kriterlerini karşılıyor.",
    "发帖人患有抑郁症。",
    "该用户符合重度抑郁障碍的诊断标准。",
    "작성자는 우울증을 앓고 있다.",
    "작성자는 주요우울장애의 진단 기준을 모두 충족한다.",
]

NO_DIAGNOSES = [
    "Yes, the poster suffers from depression.",
    "No, the poster does not suffer from depression.",
    "The poster shows signs of depression.",
    "The poster may have depression.",
    "The wording suggests that the poster has depression.",
    "The poster mentions that they have bipolar disorder.",
    "The writer says she has an anxiety disorder.",
    "The author wonders whether he has ADHD.",
    "The poster does not meet the criteria for depression.",
    "The user asks if they have depression.",
    "The symptoms are consistent with clinical depression.",
    "The poster's brother has schizophrenia, which weighs on the family.",
    "This post shows mental disorder symptoms related to depression.",
    "The poster might be suffering from post-traumatic stress disorder.",
    "The user describes being diagnosed with depression two years ago.",
    "The writer believes they have borderline personality disorder.",
    "The post reads “I have depression”, in plain words.",
    "The poster feels depressed and tired.",
    "The poster is experiencing stress at work.",
    "The poster has anxiety about the exam.",
    "They have not been diagnosed with anything.",
    "The post does not say that the writer has a mental illness.",
    "The poster has trouble sleeping and no appetite.",
    "The poster fears that she has inherited her mother's depression.",
    "There is talk of criteria for admission to the course.",
    "The poster has lost interest in music, as in depression.",
    "These feelings are often associated with a depressive disorder.",
    "If the poster has PTSD, the post does not show it.",
    "El texto sugiere que la autora tiene depresión.",
    "La persona dice que tiene un trastorno de ansiedad.",
    "L'auteur pense qu'il a une dépression.",
    "Der Verfasser schreibt, dass er eine Depression hat.",
    "O autor diz que tem depressão.",
    "Gönderiyi yazan kişi çok yorgun ve yalnız hissediyor.",
    "发帖人表现出抑郁的迹象。",
    "发帖人说自己患有抑郁症。",
    "작성자는 우울증이 의심된다고 말한다.",
]

ADVICE = [
    "You should talk to a doctor.",
    "I recommend seeking professional help.",
    "Please reach out to someone you trust.",
    "It is important to seek help from a mental health professional.",
    "The poster should seek professional help.",
    "They need to see a therapist as soon as possible.",
    "If you are in crisis, call 988.",
    "You can text HOME to 741741.",
    "The Samaritans can be reached on 116 123.",
    "Seek professional help.",
    "The tone is bleak. Talk to a friend or a counsellor.",
    "It would be beneficial for the poster to talk to a therapist.",
    "You are not alone.",
    "I would strongly encourage the poster to see a psychiatrist.",
    "It is crucial to take these thoughts seriously.",
    "The poster is advised to consult a doctor.",
    "The writer would benefit from therapy.",
    "Seeking support from friends may be helpful.",
    "Professional help is recommended.",
    "Don't give up, things will get better.",
    "You might want to consider counselling.",
    "Try to practise mindfulness every day.",
    "We suggest that the poster take a break.",
    "Your feelings are valid.",
    "The user must contact a crisis hotline.",
    "This requires immediate attention from professionals.",
    "The post should be taken seriously and support should be provided.",
    "It's best to speak with a professional about these feelings.",
    "Remember that help is available.",
    "Given the explicit mention of despair, it is crucial to seek help.",
    "It is important to note that such posts should be taken seriously.",
    "Deberías buscar ayuda profesional.",
    "Es importante que la persona busque ayuda.",
    "Vous devriez consulter un médecin.",
    "Il est important de demander de l'aide.",
    "Du solltest dir Hilfe suchen.",
    "Es ist wichtig, professionelle Hilfe zu suchen.",
    "Você deveria procurar ajuda.",
    "É importante buscar ajuda profissional.",
    "Bir uzmana başvurmalısın.",
    "建议您尽快寻求专业帮助。",
    "发帖人应该寻求心理咨询。",
    "전문가의 도움을 받으세요.",
    "상담을 받는 것이 좋습니다. 당신은 혼자가 아닙니다.",
]

NO_ADVICE = [
    "The poster asks for advice.",
    "The poster asks whether they should seek professional help.",
    "The writer wonders if she should talk to a therapist.",
    "The poster says “you should all see a doctor” to the others.",
    "The user advises others to seek help.",
    "The poster is seeking professional help.",
    "They mention that they need to see a doctor.",
    "The poster feels that he should get help but is ashamed.",
    "The writer's friends told him that he should see a therapist.",
    "The poster has called a hotline before.",
    "The post is a list of tips on how to sleep better.",
    "The poster recommends a book to other readers.",
    "The writer expresses a need for support.",
    "The post mentions the need to finish a paper.",
    "It is important to note that the post gives no cause.",
    "It is best to read this as a joke.",
    "The poster thinks it is important to talk to family.",
    "The poster should not be read as angry here.",
    "The label should be seen in the light of the last sentence.",
    "The writer encourages a friend to reach out to a counsellor.",
    "A lack of support from parents is described.",
    "The poster believes that seeking help would be useless.",
    "She mentions a therapist, medication and a support group.",
    "The poster does not know what they should do next.",
    "The text is a call for help.",
    "The writer works in a clinic and talks to patients every day.",
    "The poster reaches out to others for encouragement.",
    "The writer pays 988 euros of rent.",
    "The poster ends with a thank you to the readers.",
    "The poster needs to get a good grade.",
    "La autora pregunta si debería buscar ayuda.",
    "La persona menciona que necesita hablar con un médico.",
    "L'auteur se demande s'il devrait consulter un médecin.",
    "Der Verfasser fragt, ob er Hilfe suchen sollte.",
    "O autor pergunta se deveria procurar ajuda.",
    "Kişi yardım istiyor.",
    "发帖人问自己是否应该寻求帮助。",
    "发帖人提到朋友建议去看医生。",
    "작성자는 도움을 구하고 있다.",
]

LEAKS = [
    "As an AI language model, I cannot know.",
    "As a large language model, this is hard to say.",
    "I am an AI, and the post is sad.",
    "The label given is yes, so the post is sad.",
    "The label provided fits the tone.",
    "The given label is supported by the wording.",
    "This agrees with the assigned label.",
    "The ground-truth label says so.",
    "Since the label is given, the reason follows.",
    "The answer was provided, and the words support it.",
    "I was asked to explain the answer.",
    "I was given the label no.",
    "The prompt asks for an explanation.",
    "The instructions say that quotes are needed.",
    "According to the instructions, two sentences are written.",
    "In the prompt there is a label.",
    "Sure! The post speaks of grief.",
    "Certainly, here is the explanation.",
    "Here's the reasoning: the tone is flat.",
    "Here is my analysis of the post.",
    "<|im_start|>assistant The tone is flat.",
    "[INST] The tone is flat. [/INST]",
    "The tone is flat.</s>",
    "### Response: The tone is flat.",
    "Assistant: The tone is flat.",
    "<post> The tone is flat. </post>",
    "Apologies, but the post is empty.",
    "I cannot provide the reasoning for this example.",
    "Please provide more information about the post.",
    "Let me know if more is needed.",
    "I have assigned the label because of the tone.",
    "Como modelo de lenguaje, no puedo saberlo.",
    "La etiqueta proporcionada es correcta.",
    "En tant que modèle de langage, je ne sais pas.",
    "Als KI-Sprachmodell kann ich das nicht wissen.",
    "Das vorgegebene Label passt.",
    "Como um modelo de linguagem, não sei.",
    "Bir yapay zeka olarak bunu bilemem.",
    "作为一个人工智能语言模型，我无法判断。",
    "给定的标签是正确的。",
    "주어진 라벨에 따르면 그렇다.",
]

NO_LEAKS = [
    "The poster's wording is flat.",
    "The appropriate label for this post is School.",
    "This falls under the category of work.",
    "She was given a label at school and never lost it.",
    "The poster is labelled lazy by his father.",
    "The post says “as an AI I would not feel this”.",
    "The poster lost a job as an assistant.",
    "The task at work overwhelms the writer.",
    "The poster assigned blame to herself.",
    "No answer was given by the landlord.",
    "The poster was asked to leave the house.",
    "They were told to work harder.",
    "The writer follows the doctor's instructions.",
    "The question at the end is rhetorical.",
    "The poster gives an answer to a friend.",
    "The response of the family hurts the writer.",
    "The writer feels like a machine.",
    "The post sounds like a prompt for pity, some would say.",
    "The writer is sorry for everything.",
    "A label such as lonely fits best.",
    "The poster cannot sleep.",
    "The poster says I cannot go on.",
    "Of the four causes, money is named first.",
    "The words carry the answer.",
    "The post here is about the rent.",
    "The user interface of the app annoys the poster.",
    "The most suitable label, given the lack of context, is work.",
    "El autor no puede dormir.",
    "L'auteur répond à son ami.",
    "Der Verfasser gibt keine Antwort.",
    "发帖人睡不着。",
    "작성자는 잠을 못 잔다.",
]


@pytest.mark.parametrize("sentence", DIAGNOSES)
def test_a_diagnosis_stated_as_fact_is_found(sentence: str) -> None:
    verdict = check_diagnosis(row(f"The tone is low. {sentence}"))
    assert not verdict.ok
    assert (verdict.gate, verdict.score) == ("diagnosis", 1)
    assert sentence not in str(verdict.reason)


@pytest.mark.parametrize("sentence", NO_DIAGNOSES)
def test_other_statements_than_diagnoses_pass(sentence: str) -> None:
    assert check_diagnosis(row(sentence)).ok


@pytest.mark.parametrize("sentence", ADVICE)
def test_advice_is_found(sentence: str) -> None:
    verdict = check_advice(row(f"The tone is low. {sentence}"))
    assert not verdict.ok
    assert verdict.gate == "advice"
    assert sentence not in str(verdict.reason)


@pytest.mark.parametrize("sentence", NO_ADVICE)
def test_other_statements_than_advice_pass(sentence: str) -> None:
    assert check_advice(row(sentence)).ok


@pytest.mark.parametrize("sentence", LEAKS)
def test_mentions_of_the_prompt_are_found(sentence: str) -> None:
    assert list(find_statements("leak", sentence))


@pytest.mark.parametrize("sentence", NO_LEAKS)
def test_other_statements_than_mentions_of_the_prompt_pass(sentence: str) -> None:
    explained = row(sentence)
    own_words = replace_quotes(explained.reading.explanation, explained.quotes)
    assert not list(find_statements("leak", own_words))


def test_repeating_the_post_is_not_a_diagnosis() -> None:
    said = "Two doctors told me it is bipolar disorder, I was diagnosed with it in May."
    assert check_diagnosis(row("The poster has bipolar disorder.", said)).ok
    assert check_diagnosis(row("The poster was diagnosed with a disorder.", said)).ok
    assert not check_diagnosis(row("The poster has an eating disorder.", said)).ok
    assert not check_diagnosis(row("The poster was diagnosed with a disorder.", "The rain again.")).ok


def test_a_hotline_that_the_post_names_is_not_advice() -> None:
    assert check_advice(row("The writer once dialled 988.", "I called 988 last night.")).ok
    assert not check_advice(row("Help is a call away at 988.", "The rain again.")).ok


def test_a_hedge_applies_to_its_own_clause_only() -> None:
    assert not check_advice(row("The poster mentions the rain, and it is important to seek help.")).ok
    assert not check_diagnosis(row("The poster may be tired. The poster has clinical depression.")).ok


def test_a_statement_is_found_once_with_its_span() -> None:
    text = "It rains. YOU SHOULD seek help. You’re not alone."
    assert [text[start:end] for start, end in find_statements("advice", text)] == [
        "YOU SHOULD",
        "You’re not alone",
    ]
    assert check_advice(row(text)).reason == "gives advice, 2 times"


def test_offsets_are_right_if_the_lower_case_is_longer() -> None:
    text = "İİİİ. You should rest."
    assert [text[start:end] for start, end in find_statements("advice", text)] == ["You should"]


def test_no_published_answer_sentence_states_a_diagnosis_or_advice() -> None:
    sentences = [
        label.answer.for_form(form)
        for task in load_tasks().values()
        for label in task.labels.values()
        for form in ("instruction", "completion")
    ]
    assert len(sentences) > 50
    for sentence in sentences:
        assert check_diagnosis(row(sentence)).ok, sentence
        assert check_advice(row(sentence)).ok, sentence
        assert not list(find_statements("leak", sentence)), sentence
