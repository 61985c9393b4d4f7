"""Made-up everyday sentences of many languages, with the punctuation and signs that people type."""

from __future__ import annotations

SENTENCES: dict[str, tuple[str, ...]] = {
    "Spanish": (
        "Vivo en otro país y me siento solo; ¿qué hago mañana? ¡Nada!",
        "Vos sentís que nada vale, decís que no oís a nadie…",
        "Ahí está mi Luís, oyó el “ruido” y se rió: «así es».",
        "MAÑANA NO IRÉ, QUIÉN SABE POR QUÉ. ¿TÚ SÍ?",
    ),
    "Portuguese": (
        "Não dormi; a manhã é difícil e o coração dói.",
        "Minha avó e meu irmão estão em São Luís, lá é verão…",
        "À noite, às três, não há ninguém: “só eu”.",
        "NÃO, IRMÃ… A MANHÃ É FRIA À BEÇA – ÓTIMO!",
    ),
    "Czech": (
        "Prosím, nevím co mám dělat, cítím se sám a žít se mi nechce.",
        "Příliš žluťoučký kůň; „řekl jsem“ – dobře…",
        "NEVÍM, PROČ SE CÍTÍM TAK UNAVENÝ.",
    ),
    "Polish": (
        "Nie mogę spać, źle się czuję i wciąż płaczę.",
        "„Dziś jest lepiej” – mówię sobie, choć to nieprawda…",
        "ŻÓŁĆ, GĘŚ I ŁÓDŹ, CZĘŚĆ!",
    ),
    "Vietnamese": (
        "Tôi buồn quá, không ai hiểu tôi cả.",
        "Hôm nay mẹ nấu phở, ăn xong tôi đi ngủ… “Ừ nhỉ”",
        "TÔI MỆT LẮM RỒI, ĐÃ BA ĐÊM KHÔNG NGỦ. LÀ Ã…",
        "Bà ấy bảo: ‘À, thế à?’ rồi về.",
    ),
    "Turkish": (
        "Çok yorgunum, gözümü kapatamıyorum; ışık şimdi ağır.",
        "İYİ DEĞİLİM, ÇÜNKÜ UYUYAMIYORUM.",
        "“Şöyle böyle” dedim, öğlen geçti…",
    ),
    "Hungarian": (
        "Nem tudok aludni, és félek, hogy egyedül maradok örökre.",
        "Őszintén: fáradt vagyok, „nincs erőm” – mondtam…",
        "ÁRVÍZTŰRŐ TÜKÖRFÚRÓGÉP",
    ),
    "Romanian": (
        "Nu pot să dorm și mă simt singură în fiecare noapte.",
        "„Ești bine?” m-a întrebat; țin totul în mine…",
        "ÎNTR-O ZI VA FI MAI BINE, ÎN ROMÂNIA.",
    ),
    "French": (
        "Je n’ai pas dormi, ça m’épuise où que j’aille…",
        "« Voilà » dit-elle ; « l’été… » c’est fini !",
        "À bientôt ! Être là, c’est déjà ça : «\xa0voilà\xa0».",
        "ÊTRE SEUL À NOËL, C’EST DUR. L’ÉTÉ…», «ÇÀ ET LÀ»",
        "Le maïs naïf, Anaïs, l’île, l’œuf, la sœur.",
    ),
    "German": (
        "Ich bin müde und weiß nicht, warum – größer als früher.",
        "‚Äh, nein‘, sagte sie. „Schön“ ist anders…",
        "ÜBERMÜDET UND TRAURIG: ÄRGER, ÖDE, GROẞ.",
        "»Ach so«, sagte er, ›na ja‹.",
    ),
    "Danish": (
        "Jeg kan ikke sove, og på arbejdet går det dårligt.",
        "»Åh nej,« sagde hun. Ær, ø og å…",
        "PÅ ØEN ER DER INGEN. Å…",
    ),
    "Icelandic": (
        "Ég get ekki sofið og mér líður illa; ís og prís.",
        "Það er erfitt að fara á fætur… „já“ sagði ég.",
        "ÞAÐ ER ENGINN HÉR, ÉG ER EIN Í DÍSAHÚSI.",
    ),
    "Catalan": (
        "No puc dormir, i ningú no m’entén al meu país.",
        "És així, col·lega: “què hi farem”, deia l’àvia…",
        "AQUÍ NO HI HA NINGÚ, AIXÒ ÉS TRIST",
    ),
    "Croatian": (
        "Ne mogu spavati, osjećam se loše i često plačem.",
        "„Što je?“ pitala je, a ja šutim… žao mi je.",
        "ŽIVOT JE TEŽAK, ČINI SE.",
    ),
    "Greek": (
        "Δεν μπορώ να κοιμηθώ και νιώθω μόνος.",
        "«Τι έγινε;» ρώτησε – τίποτα…",
        "ΕΙΜΑΙ ΠΟΛΥ ΚΟΥΡΑΣΜΕΝΗ ΣΉΜΕΡΑ.",
    ),
    "Russian": (
        "Сегодня я очень устал, не могу уснуть.",
        "«Всё нормально», – сказала она… Рак – это животное.",
        "Я НЕ ХОЧУ НИКОГО ВИДЕТЬ. Я С НИМ, А ВЫ С НЕЙ?",
        "Р.С. С уважением, Р. Сёмин.",
    ),
    "Ukrainian": (
        "Я не можу спати і почуваюся самотньо, їй-богу.",
        "«Що сталося?» – спитав ґазда… Її не було.",
        "Я ДУЖЕ ВТОМИЛАСЯ СЬОГОДНІ, ЄДИНИЙ",
    ),
    "Bulgarian": (
        "Не мога да спя и се чувствам сам.",
        "„Добре съм“, казах – ъгълът е тъмен…",
        "НЕ ИСКАМ ДА ВИДЯ НИКОГО",
    ),
    "Hebrew": (
        "אני לא מצליח לישון ואני מרגיש לבד.",
        "„שלום” – אמרה… ‘כן’",
        "לֹא יָדַעְתִּי מָה לַעֲשׂוֹת",
    ),
    "Arabic": (
        "لا أستطيع النوم وأشعر بالوحدة.",
        "قالت: «لا بأس»، ثم بكت… “نعم”",
        "أَنَا مُتْعَبٌ جِدًّا اليَوْمَ؟",
    ),
    "Persian": (
        "نمی\u200cتوانم بخوابم و تنها هستم.",
        "«خوبی؟» پرسید، گفتم: می\u200cخواهم بخوابم…",
    ),
    "Urdu": (
        "میں بہت تھکا ہوا ہوں، نیند نہیں آتی۔",
        "اس نے کہا: ”ٹھیک ہے“ اور چلی گئی…",
    ),
    "Hindi": (
        "मुझे नींद नहीं आती और मैं अकेला महसूस करता हूँ।",
        "उसने कहा: “ठीक है” – फिर चली गई…",
    ),
    "Bengali": (
        "আমি ঘুমাতে পারি না, খুব একা লাগে।",
        "সে বলল: ‘ঠিক আছে’…",
    ),
    "Tamil": ("என்னால் தூங்க முடியவில்லை, தனிமையாக உணர்கிறேன்.",),
    "Thai": (
        "ฉันนอนไม่หลับและรู้สึกเหงามาก",
        "เธอพูดว่า “ไม่เป็นไร” แล้วก็ไป… น้ำ",
    ),
    "Khmer": ("ខ្ញុំគេងមិនលក់ ហើយមានអារម្មណ៍ឯកោ។",),
    "Korean": (
        "오늘은 정말 피곤해요. 잠이 안 와요…",
        "“괜찮아?”라고 물었다. ‘아니’라고 했다.",
    ),
    "Chinese": (
        "我今天很累，想回家睡觉。“真的吗？”",
        "医生说：‘多休息’……可是我做不到！",
        "联通",
    ),
    "Chinese, traditional": (
        "我聽不到你說話，你聽得到我嗎",
        "聽 music 的時候，我才覺得好一點。",
        "「聽」",
        "他說:聽!",
        "聽、說、讀、寫",
        "愛聽music",
    ),
    "Japanese": (
        "今日はとても疲れた。「もう無理」と言った…",
        "ｶﾀｶﾅとひらがな、眠れない夜が続く。",
        "～♪ 歌うと、少し楽になる（笑）",
    ),
    "Dutch": (
        "Ik kan niet slapen, één nacht maar; ’s avonds huil ik.",
        "Zoë’s coördinatie, “geïrriteerd” – m’n ideeën…",
    ),
    "Swedish": (
        "Jag kan inte sova, det är för tungt på jobbet.",
        "”Nej”, sa hon – så är det… Å andra sidan.",
        "ÅÄÖ: JAG MÅR DÅLIGT. HÅLL UT! ÅÅ…",
    ),
    "Finnish": (
        "En saa unta ja päivät ovat hämäriä.",
        "”Älä huoli”, hän sanoi… Yö on pitkä.",
        "ÄÄNI ON HILJAA. ÄITI!",
    ),
    "Italian": (
        "Non riesco a dormire, è già l’alba e così sia.",
        "«Perché?» chiese lui… Non c’è più, città vuota.",
        "PERCHÉ NON C’È PIÙ NESSUNO? LA CITTÀ È VUOTA, È COSÌ… “SÌ”",
    ),
    "Irish": (
        "Tá brón orm; ní féidir liom codladh, arís agus arís.",
        "SÍ, ARÍS! Fís agus cíos…",
    ),
    "Estonian": (
        "Ma ei saa magada, öösel on üksildane tunne.",
        "„Õige,“ ütles ta… PÕHJUS ON ÄREVUS, ŠOKK, ŽANR",
    ),
    "Lithuanian": (
        "Negaliu užmigti ir jaučiuosi vieniša, ūžia galva.",
        "„Gerai“, sakiau… ĄŽUOLAS ĘĖĮŠŲŪŽ",
    ),
    "Latvian": (
        "Es nevaru aizmigt, jūtos vientuļš, šķiet, ka viss ir slikti…",
        "ŠĶIET, ĀRĀ LĪST, ČAU",
    ),
    "Slovak": (
        "Neviem spať, cítim sa sám a vôbec nič ma neteší.",
        "„Prečo?“ – spýtala sa… ŽIAĽ, NIČ. Ľúbim ťa, kôň",
    ),
    "Slovene": ("Ne morem spati, počutim se osamljeno, življenje je težko.",),
    "Esperanto": ("Mi ne povas dormi, ĉar mi sentas min sola, ĝis ŝanĝo venos…",),
    "Indonesian": ("Aku tidak bisa tidur, “sedih” sekali… Rp5.000",),
    "Swahili": ("Siwezi kulala, najisikia peke yangu – ‘pole’",),
    "Yoruba": ("Mi ò lè sùn, ó sì dà bí ẹni pé mo dá wà.",),
    "Azerbaijani": (
        "Yata bilmirəm, özümü tək hiss edirəm, ağlayıram…",
        "ƏLA DEYİLƏM",
    ),
    "Kazakh": ("Мен ұйықтай алмаймын, өзімді жалғыз сезінемін.",),
    "Serbian": ("Не могу да спавам, осећам се лоше, ђаво га знао.",),
    "Armenian": ("Ես չեմ կարողանում քնել, ինձ միայնակ եմ զգում։",),
    "Georgian": ("ვერ ვიძინებ და თავს მარტო ვგრძნობ.",),
    "Amharic": ("መተኛት አልቻልኩም፣ ብቸኝነት ይሰማኛል።",),
    "English": (
        "I can’t sleep — it’s “fine”, she said… at the café 😭💔",
        "√2 ≈ 1.41, √π, a ‚quote‘, 5 °C, ½ pill, £3, €4, 10 µg ± 2, ×3, ≥ 5",
        "naïve Zoë, San José; 20°… ©2020 Acme® ™ §3 ¶ • bullet ¿",
        "¯\\_(ツ)_/¯ ಠ_ಠ (╯°□°)╯︵ ┻━┻ ʕ•ᴥ•ʔ ( ͡° ͜ʖ ͡°)",
        "don't worry, it’s Ann’s – 24°C 🙂👍🏽👨\u200d👩\u200d👧 ❤️",
        "I AM SO TIRED OF THE CAFÉ… ‘NO’",
        "α, β and γ: Δ = 3 ≠ π ∑ ∏ ∫ Ω ∞",
        "√π is irrational",
        "price: £5 – “£6”; 30¢; ¥100; €1,50…",
        "Âge ? Ã la carte",
        "10 ½ % off…",
        "Ænima, Björk, Motörhead, Sinéad, Beyoncé’s",
    ),
}
