#!/usr/bin/env python3
"""Makes the tokenizers and the expected ids under Tests/Golden/wordpiece with Hugging Face's `tokenizers`.

    python3 Tests/Golden/wordpiece_golden.py [--minilm DIR]

--minilm names a directory with all-MiniLM-L6-v2's tokenizer.json; without it the ids of MiniLM that are there are kept.
Needs `pip install tokenizers` (written with 0.23.3).
"""

import argparse
import json
import random
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors

FOLDER = Path(__file__).parent / "wordpiece"
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]

# Words, parts of words and single characters; chosen so that most of the texts below are spelled, and some are not.
WORDS = """the a of and to in is it film book coffee tea table grocery green red movie matrix tok token embed graph love
war star stars trek naive cafe resume uber el nino angstrom strasse istanbul office fi flu shop 19 20 99 2001 100 user item
i e u o hello world good morning""".split()
CONTINUATIONS = """##s ##es ##ed ##ing ##er ##ers ##ly ##ness ##ize ##iz ##ization ##able ##un ##ding ##en ##izer ##aff
##book ##99 ##00 ##01 ##1 ##2 ##fi ##ss ##bul ##tan ##ize ##pad ##mask""".split()
OTHER = """é ë ü ñ å ß ı σ ς λ ό г д е ж и к л м н о п р с т а б в ш я א ב ג ש ל ו ם ا ل م ر ح ب ة 一 丁 中 文 日 本 語 漢 字 か カ
が ガ ハ パ ひ あ い ᄀ ᅡ ᆨ ᄒ ᅡ ᆫ ᄂ 가 각 한 글 ก า ि क ् ष 😀 👍 👩 ❤ 🏽 € £ ° © ½ ① ｱ Ａ ﬁ ﬀ ſ K Ω Å 々 〆 ° ´ ¨""".split()
CASED = """The Film Book Café É Ü Å Straße İ I A B C D Z Ω Σ К Г İstanbul ǆ ǅ Ǆ ﬁn ＡＢ Résumé résumé e\u0301 \u0301
\u0308 u\u0308""".split()

AWKWARD = [
    "", " ", "   \t\n\r ", "a", "the film", "The  Film,the book.", "Hello, world!", "tokenization", "unaffable",
    "embedding",
    # Accents, composed and decomposed, and more marks than anyone needs.
    "café naïve résumé Über El Niño Ångström", "cafe\u0301 nai\u0308ve", "e\u0301\u0323 e\u0323\u0301 é\u0323",
    "Z\u0351\u036b\u0343a\u0328l\u0321g\u0320o",
    "\u0301", "\u0301a", " \u0301 ", "a\u20dd b\u20e3 1\ufe0f\u20e3", "\u0345\u0390\u1fb7", "ǖ ǘ ǚ ǜ", "ệ Ệ",
    # Marks whose category or decomposition changed between versions of Unicode.
    "a\u1734b \U0001171eb", "a\u1885b a\u1886b a\ua9bdb", "a\U000111c9b", "a\u166db", "a\U00011938b",
    "a\u07fdb a\u08d3b a\u0b55b", "a\u1acfb a\U0001e4ecb",
    # CJK, kana, full width, half width, compatibility forms.
    "中文字日本語", "日本語カタカナひらがな", "がガぱパ", "か\u3099", "ＡＢＣ１２３！？", "ｱｲｳ ｶﾞ", "㈱㍿①½", "豈更車 \uf900\ufaff", "々〆〇", "a中b",
    "\u33ff\u3400\u4dbf\u4dc0\u4dff\u4e00\u9fff\ua000",
    "\U0001ffff\U00020000\U0002a6df\U0002a6e0\U0002a700\U0002b739",
    "\U0002b81f\U0002b820\U0002b91f\U0002b920\U0002ceaf\U0002ceb0\U0002f800\U0002fa1f\U00030000",
    # Hangul: syllables, conjoining jamo, compatibility jamo, old jamo.
    "한글 가각", "\u1112\u1161\u11ab\u1100\u1173\u11af", "가\u11a8", "ㅎㅏㄴ", "\ua960\ud7b0\ud7cb", "힣 \ud7a3\ud7a4",
    # Emoji: plain, skin tone, ZWJ, flags, keycaps, variation selectors.
    "😀👍🏽", "👩\u200d👩\u200d👧\u200d👦", "❤\ufe0f❤\ufe0e", "🇩🇪🇫🇷", "#\ufe0f\u20e3", "🏴\U000e0067\U000e0062\U000e007f",
    "love😀love",
    # Right to left, with marks and controls of direction.
    "שלום", "שָׁלוֹם", "مرحبا", "مَرْحَبًا", "\u202bשלום\u202c abc \u200fמ\u200e", "\u2066abc\u2069", "٠١٢٣ ۴۵",
    # Controls, separators, zero widths, private use, unassigned, the replacement character.
    "a\x00b", "a\x01b\x1fc\x7fd", "a\x0bb a\x0cb", "a\x85b", "a\x80b\x9fc", "a\tb\nc\rd\r\ne", "a\u00adb",
    "a\u200bb\u200cc\u200dd\u2060e\ufefff",
    "\ufefffilm", "a\ufffdb", "a\ufffcb", "a\ue000b\uf8ffc", "a\U000f0000b\U0010fffdc", "a\u0378b",
    "a\U000e0001b\U000e0100c", "a\u061cb\u180eb\u2028b\u2029b",
    # White space of every kind.
   
    "a\u00a0b\u1680c\u2000d\u2001e\u2002f\u2003g\u2004h\u2005i\u2006j\u2007k\u2008l\u2009m\u200an\u202fo\u205fp\u3000q",
    "a\u200bb", "a\u2800b\u3164c",
    # Around the surrogates and other places that are no characters.
    "a\ud7ffb\ue000c", "a\uffffb\ufffec", "a\ufdd0b\ufdefc", "a\U0001fffeb\U0010ffffc",
    # Case: dotted and dotless i, sharp s, final sigma, titlecase digraphs, capitals of letters outside the BMP.
    "Istanbul İstanbul ISTANBUL ıstanbul", "\u0130\u0049\u0069\u0131", "STRASSE Straße STRAẞE", "ΟΔΟΣ οδος Σ σ ς ΣΣ",
    "Ǆ ǅ ǆ Ǉ ǈ", "Ω Å K ſ ﬁ ﬀ ﬃ ﬆ",
    "𐐀𐐨 \U00010d50\U0001e900", "Ა ა \u1c89 \ua7cb \ua7dc \ua7ce", "ᏸ Ꭰ ꭰ", "ΆΈΉ ᾈ ᾼ", "ⅷ Ⅷ ⓐ Ⓐ",
    # Added tokens in the text, whole, nested, broken, in other cases, next to words.
    "[MASK]", "the [MASK] film", "the[MASK]film", "[CLS] the film [SEP]", "[PAD][PAD][UNK]", "[mask] [Mask] [MASK",
    "[[MASK]]", "[MASK[MASK]", "[ MASK ]", "\u0301[MASK]\u0301",
    "[MA\u00adSK]", "MASK]", "[MASK]é[SEP]É", "[UNK]ed", "the   [MASK]   film",
    "<user> a<user>b <user>", "<USER>", "<item>  <item>x", "x<item> y", "<tag>", "a<tag>", "<tag> b",
    "<tag>_ (<tag>)", "<TAG> <Tag>", "<tag><tag>", "é<tag> \u200d<tag>",
    "<us<user>er>", "<user", "<long> <long>er", "<long>er<long>",
    # Long words and runs.
    "a" * 20, "a" * 21, "a" * 99, "a" * 100, "a" * 101, "é" * 100, "é" * 101, "e\u0301" * 60, "e\u0301" * 101,
    "한" * 40, "stars" * 25, "x" * 1000, "-" * 120,
    "a" * 50 + "-" + "b" * 50, "0123456789" * 10, "1" * 101, "19992001", "3.14159 1,000,000 1e-5",
    # Punctuation and symbols.
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "...---!!!", "it's \u2018it\u2019s\u2019 \u201cquoted\u201d", "a–b—c‒d―e",
    "a·b•c…d‥e", "¡¿§¶«»", "€£¥¢₹ ©®™ °±×÷", "´ ¨ ¸ ˚ ˆ ` ^",
    "、。「」〈〉！？", "۔؟،", "।॥", "\u055a\u0589\u05be", "a\u2e52b a\u061db a\u2e43b a\U00016e97b", "_under_score_ a_b",
    "##s #s ##", "a##s", "http://a.b/c?d=e&f=g#h", "user@item.com", "C++ C# .NET", "a/b\\c",
    # Combinations of clusters.
    "क्षि नि", "กำ น้ำ", "ก็", "ျ က္က", "བོད", "ᠮᠣᠩ\u180b\u180e", "Ṩ ṩ s\u0323\u0307 s\u0307\u0323", "\u1e9b\u0323",
    "\u0344 \u0f73 \u0f76", "𝅗𝅥 \U0001d15f", "\u2adc \u2000 \u2126 \u212a", "\U0001109a\U0001112e\U000114bc",
    "ﷺ ﷽", "ŉ ǰ", "\u1e9e", "\u037e \u0387", "\u0340 \u0341 \u0343", "〈〉 \u2329\u232a",
]


def random_texts(count):
    """Texts of random characters: some of the awkward ones, any of the BMP, any at all."""
    rng = random.Random(20)
    pool = sorted({character for text in AWKWARD for character in text})
    texts = []
    for _ in range(count):
        text = []
        for _ in range(rng.randrange(1, 24)):
            kind = rng.random()
            if kind < 0.55:
                text.append(rng.choice(pool))
            elif kind < 0.75:
                text.append(rng.choice(WORDS + SPECIAL + ["<user>", "<tag>", "<item>"]))
            else:
                point = rng.randrange(0xD800 - 0x20) + 0x20 if kind < 0.95 else rng.randrange(0xE000, 0x110000)
                text.append(chr(point))
        texts.append("".join(text))
    return texts


def vocabulary(extra):
    ascii_signs = [chr(code) for code in range(0x21, 0x7F)]
    letters = [sign for sign in ascii_signs if sign.isalnum() and not sign.isupper()]
    tokens = SPECIAL + ascii_signs + WORDS + OTHER + extra
    tokens += ["##" + letter for letter in letters] + CONTINUATIONS
    tokens += ["##" + sign for sign in OTHER]
    return {token: index for index, token in enumerate(dict.fromkeys(tokens))}


def make_uncased():
    vocab = vocabulary([])
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])]
    )
    tokenizer.add_special_tokens(SPECIAL)
    # What users of the file would set, and readers for other uses must ignore.
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    return tokenizer


def make_cased():
    """Other settings throughout, and added tokens of every kind."""
    vocab = vocabulary(CASED + ["##e\u0301", "##\u0301", "##A", "##É"])
    tokenizer = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]", max_input_chars_per_word=20))
    tokenizer.normalizer = normalizers.BertNormalizer(
        clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", vocab["[SEP]"]), ("[CLS]", vocab["[CLS]"]))
    tokenizer.add_special_tokens(SPECIAL)
    add_tokens(tokenizer)
    return tokenizer


def make_accented():
    """Lower case with accents, added tokens that are looked for after normalisation."""
    tokenizer = make_uncased()
    tokenizer.normalizer = normalizers.BertNormalizer(strip_accents=False)
    add_tokens(tokenizer)
    return tokenizer


def add_tokens(tokenizer):
    tokenizer.add_special_tokens(
        [
            AddedToken("<user>", lstrip=True, rstrip=True, normalized=False),
            AddedToken("<item>", rstrip=True, normalized=False),
        ]
    )
    tokenizer.add_tokens(
        [
            AddedToken("<tag>", single_word=True, normalized=True),
            AddedToken("<long>", normalized=False),
            AddedToken("<long>er", normalized=False),
        ]
    )


def make_from_vocabulary(path):
    from tokenizers import BertWordPieceTokenizer

    return BertWordPieceTokenizer(str(path), lowercase=True, strip_accents=False, handle_chinese_chars=False)


def ids(tokenizer, texts):
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minilm", type=Path)
    arguments = parser.parse_args()

    texts = AWKWARD + random_texts(300)
    golden_path = FOLDER / "golden.json"
    old = json.loads(golden_path.read_text()) if golden_path.exists() else {}
    golden = {"texts": texts, "ids": {}}

    for name, make in [("uncased", make_uncased), ("cased", make_cased), ("accented", make_accented)]:
        tokenizer = make()
        (FOLDER / name).mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(FOLDER / name / "tokenizer.json"))
        golden["ids"][name] = ids(tokenizer, texts)

    folder = FOLDER / "vocabulary"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("".join(token + "\n" for token in vocabulary([])), encoding="utf-8")
    settings = {
        "do_lower_case": True,
        "strip_accents": False,
        "tokenize_chinese_chars": False,
        "mask_token": {"content": "[MASK]"},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    golden["ids"]["vocabulary"] = ids(make_from_vocabulary(folder / "vocab.txt"), texts)

    if arguments.minilm:
        golden["ids"]["minilm"] = ids(Tokenizer.from_file(str(arguments.minilm / "tokenizer.json")), texts)
    elif old.get("texts") == texts and "minilm" in old["ids"]:
        golden["ids"]["minilm"] = old["ids"]["minilm"]
    golden_path.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(f"{len(texts)} texts, tokenizers: {', '.join(golden['ids'])}")


if __name__ == "__main__":
    main()
