#!/usr/bin/env python3
"""Makes the BPE tokenizers and what is expected of them under Tests/Golden/bpe with Hugging Face's `tokenizers`.

    python3 Tests/Golden/bpe_golden.py

Needs `pip install tokenizers transformers sentencepiece gguf jinja2 numpy` (written with 0.23.3, 5.24, 0.2, 0.19).
"""

import json
import shutil
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from wordpiece_golden import AWKWARD, random_texts

FOLDER = Path(__file__).parent / "bpe"
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")

MORE = [
    # Contractions, in either case, with the long s that ignores it, and broken ones.
    "it's we'll they've I'm you're he'd can't", "IT'S WE'LL THEY'VE I'M YOU'RE HE'D CAN'T", "'S 'ſ 'ſs ''s 'l 'lL 'Ll 'v 'r",
    "o'clock rock'n'roll 'tis 's", "a's's's", "'", "''", "'s", "x'", " 's",
    # Spaces and line ends of every kind before words, signs and nothing.
    "a  b   c    d", "  a", "a  ", "a \n b", "a\n\n\nb", "a \n \n b", " \r\n\r\n x", "\t\ta\t b", "a\n", "\n a", "\n  a", "  \n",
    "   \n   ", "a  !", "a !\n\n", "!\n!", "!!\r\n\r\n  !!", "a\u00a0b\u00a0\u00a0c", "\u2003\u2003a", "a\u3000b", "a \u00a0 b", "\x0b\x0ca",
    "def f(x):\n    return x\n\n\n    y = 1\n",
    # Digits: runs of every length, of other scripts, beside letters.
    "1 12 123 1234 12345 123456 1234567", "a1b22c333d4444", "١٢٣٤٥", "½⅓ⅷ①²³", "3.14159, 1,000,000", "1st 2nd 3rd", "x 1 y",
    "\U00011de0\U00011de1 \U00016ff4", "\u088f\u0c5c \U00010940",
    # Added tokens: nested, stripped, single words, special ones in the text.
    "<s> a </s>", "<unk>", "a<s>b", "<s><s>", " <s> ", "<|start|>", "a <|start|> b", "<|start|>\n", "x  <strip>  y", "<strip>",
    "<word> a<word> <word>b (<word>)", "<norm> a<norm>b", "<NORM>", "<|start|><strip><word>", "▁", "a▁b", "▁▁ a", " ▁ ", "<0x41>",
    "<0x0A>", "a<0x0A>b",
    # Composition: orders of marks, blocked marks, exclusions, jamo, singletons.
    "e\u0301\u0323 e\u0323\u0301 a\u0308\u0301", "\u0958 \u0344 \u2126 \u212b", "\u1100\u1161\u11a8 \u1100\u1161 \uac00\u11a8",
    "\u0061\u0315\u0300\u05ae\u0300\u0062", "\u0041\u030a \u00c5", "\u1e9b\u0323", "q\u0307\u0323", "\u0cc6\u0cc2\u0cd5", "\u09c7\u09be",
    "\u0f71\u0f72\u0f71\u0f74", "a\u07fd\u0323b", "\U00011935\U00011930", "\u0dd9\u0dcf\u0dca", "\u1112\u1161\u1161\u11ab", "\u0300a\u0301",
    "s\u0323\u0307s\u0307\u0323",
    # Words that merge through many levels, and ties.
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "ababababababab", "abcabcabcabcabcabcabc", "the" * 40, "lowlowerlowestnewnewer", " " * 37,
    "hello hello hello", "supercalifragilisticexpialidocious", "\n" * 9, "-" * 33 + "=" * 17,
]

STORIES = """Once upon a time there was a little film that nobody watched. It was green, and it lived on a table in Istanbul.
It's the user's item; we'll see what they've read, and I'm sure you're glad that he'd come. Can't you?
In 1999 and 2001, 12345 people watched The Matrix (1999) for $9.99 each: 3.14159 times, or 1,000,000.
def recommend(user, items):
    return sorted(items, key=lambda item: -score(user, item))[:10]

Der Straßenfeger fährt über die Brücke. El Niño naïve café résumé. Ångström. Το δέντρο. Дерево. 木 は 緑 です。 한글 나무.
low lower lowest new newer newest wide wider widest; aaa abab abcabc hello world !!! ... --- ??? <html> </html> {"a": [1, 2]}
the cat and the dog and the tree and the book and the coffee and the tea and the grocery and the embedding of the graph
""".splitlines() * 3


def special(tokenizer, names):
    tokenizer.add_special_tokens([AddedToken(name, normalized=False) for name in names])


def train(tokenizer, size, names, alphabet=None):
    alphabet = pre_tokenizers.ByteLevel.alphabet() if alphabet is None else alphabet
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=names, initial_alphabet=alphabet, show_progress=False, limit_alphabet=200
    )
    tokenizer.train_from_iterator(STORIES, trainer)
    return tokenizer


def add_odd_tokens(tokenizer):
    tokenizer.add_tokens(
        [
            AddedToken("<strip>", lstrip=True, rstrip=True, normalized=False),
            AddedToken("<word>", single_word=True, normalized=False),
            AddedToken("<norm>", normalized=True),
        ]
    )


def gpt2():
    """GPT-2: the ByteLevel step cuts and puts a space before."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    train(tokenizer, 420, ["<|start|>"])
    add_odd_tokens(tokenizer)
    return tokenizer, {"bos_token": "<|start|>", "eos_token": "<|start|>"}


def llama3():
    """Llama 3: words that are tokens are taken whole, and the file says what stands before a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(LLAMA3), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, 480, ["<|start|>", "<|end|>"])
    data = json.loads(tokenizer.to_str())
    data["model"]["ignore_merges"] = True
    # A token that no merge makes.
    data["model"]["vocab"]["supercalifragilisticexpialidocious"] = len(data["model"]["vocab"])
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(single="<|start|> $A", special_tokens=[("<|start|>", 0)]),
        ]
    )
    return tokenizer, {"bos_token": "<|start|>", "eos_token": "<|end|>"}


def qwen2():
    """Qwen2: text is composed first."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    train(tokenizer, 450, ["<|start|>", "<|end|>"])
    add_odd_tokens(tokenizer)
    return tokenizer, {"bos_token": None, "eos_token": "<|end|>", "pad_token": "<|start|>", "add_bos_token": False}


def smollm2():
    """SmolLM2: every digit by itself."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    train(tokenizer, 430, ["<|start|>", "<|end|>"])
    return tokenizer, {"bos_token": "<|start|>", "eos_token": {"content": "<|end|>"}, "unk_token": "<|start|>"}


def pieces(fallback=True):
    """Trained as SentencePiece does: spaces are U+2581, characters that are no tokens are bytes, or unknown."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=fallback))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", behavior="merged_with_next")
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)] if fallback else []
    train(tokenizer, 380 if fallback else 180, ["<unk>", "<s>", "</s>"] + bytes_, alphabet=["▁"])
    data = json.loads(tokenizer.to_str())
    data["pre_tokenizer"] = None
    data["added_tokens"] = [token for token in data["added_tokens"] if token["id"] < 3]
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return tokenizer


NAMES = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}


def llama2():
    """Llama 2, with tokens added."""
    tokenizer = pieces()
    add_odd_tokens(tokenizer)
    return tokenizer, NAMES


def mistral():
    """Llama 2 and Mistral as newer files have them: the Metaspace step, at the start of the text only."""
    tokenizer = pieces()
    tokenizer.normalizer = None
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="first", split=False)
    add_odd_tokens(tokenizer)
    return tokenizer, NAMES


def metaspace():
    """No bytes; unknown characters one by one, words cut at U+2581, the Metaspace decoder."""
    tokenizer = pieces(fallback=False)
    data = json.loads(tokenizer.to_str())
    data["normalizer"] = None
    data["model"]["fuse_unk"] = False
    tokenizer = Tokenizer.from_str(json.dumps(data))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme="always", split=True)
    tokenizer.decoder = decoders.Metaspace("▁", prepend_scheme="always")
    return tokenizer, NAMES


FAMILIES = [gpt2, llama3, qwen2, smollm2, llama2, mistral, metaspace]


def random_ids(size):
    import random

    rng = random.Random(7)
    return [[rng.randrange(size) for _ in range(rng.randrange(1, 12))] for _ in range(150)]


def write_tokenizers(golden):
    for make in FAMILIES:
        name = make.__name__
        tokenizer, names = make()
        folder = FOLDER / name
        folder.mkdir(parents=True, exist_ok=True)
        data = json.loads(tokenizer.to_str())
        (folder / "tokenizer.json").write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n")
        (folder / "tokenizer_config.json").write_text(json.dumps(names) + "\n")
        ids = [tokenizer.encode(text, add_special_tokens=False).ids for text in golden["texts"]]
        draws = random_ids(tokenizer.get_vocab_size())
        golden["tokenizers"][name] = {
            "ids": ids,
            "decoded": [tokenizer.decode(line) for line in ids],
            "random": draws,
            "randomDecoded": [tokenizer.decode(line) for line in draws],
            "around": tokenizer.encode("", add_special_tokens=True).ids,
        }


# MARK: GGUF


def write_gguf(path, data, model, pre, extra):
    """The vocabulary of a tokenizer.json as llama.cpp's converter writes it, and nothing else."""
    import gguf

    vocab = sorted(data["model"]["vocab"].items(), key=lambda item: item[1])
    added = {token["id"]: token for token in data["added_tokens"]}
    names = dict((id, token) for token, id in vocab) | {id: token["content"] for id, token in added.items()}
    tokens = [names[id] for id in range(max(names) + 1)]
    kinds = []
    for id, token in enumerate(tokens):
        if token == "<unk>":
            kinds.append(gguf.TokenType.UNKNOWN)
        elif id in added:
            kinds.append(gguf.TokenType.CONTROL if added[id]["special"] else gguf.TokenType.USER_DEFINED)
        elif model == "llama" and token.startswith("<0x") and len(token) == 6:
            kinds.append(gguf.TokenType.BYTE)
        else:
            kinds.append(gguf.TokenType.NORMAL)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(model)
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    merges = [" ".join(merge) for merge in data["model"]["merges"]]
    if model == "gpt2":
        writer.add_token_merges(merges)
    else:
        # SentencePiece numbers its pieces in the order in which merges make them: the score is that number.
        order = {left + right: -rank for rank, (left, right) in reversed(list(enumerate(data["model"]["merges"])))}
        writer.add_token_scores([float(order.get(token, -len(tokens) - id)) for id, token in enumerate(tokens)])
    for name, id in extra.items():
        getattr(writer, "add_" + name)(id)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_ggufs():
    for name, model, pre, extra in [
        ("llama2", "llama", "default", {"bos_token_id": 1, "eos_token_id": 2, "unk_token_id": 0}),
        ("llama3", "gpt2", "llama-bpe", {"bos_token_id": 0, "eos_token_id": 1}),
        ("qwen2", "gpt2", "qwen2", {"eos_token_id": 1, "add_bos_token": False}),
        ("smollm2", "gpt2", "smollm", {"bos_token_id": 0, "eos_token_id": 1, "add_bos_token": False}),
    ]:
        data = json.loads((FOLDER / name / "tokenizer.json").read_text())
        # A GGUF file has no words for tokens that strip spaces or stand alone.
        data["added_tokens"] = [token for token in data["added_tokens"] if token["special"]]
        write_gguf(FOLDER / f"{name}.gguf", data, model, pre, extra)


def write_wordpiece(golden):
    """What WordPiece ids read as, with the fixtures' decoder, which is none, and with BERT's."""
    tokenizer = Tokenizer.from_file(str(FOLDER.parent / "wordpiece" / "uncased" / "tokenizer.json"))
    draws = random_ids(tokenizer.get_vocab_size())
    entries = {"ids": draws, "plain": [tokenizer.decode(line) for line in draws]}
    tokenizer.decoder = decoders.WordPiece()
    entries["joined"] = [tokenizer.decode(line) for line in draws]
    tokenizer.no_padding()
    tokenizer.no_truncation()
    texts = ["It's a film, isn't it? I'm sure!", "unaffable tokenization . . .", "they 've [MASK] we 're"]
    entries["texts"] = [tokenizer.decode(tokenizer.encode(text).ids) for text in texts]
    golden["wordpiece"] = entries | {"encoded": [tokenizer.encode(text).ids for text in texts]}


def main():
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    golden = {"texts": AWKWARD + MORE + random_texts(150), "tokenizers": {}}
    write_tokenizers(golden)
    write_ggufs()
    write_wordpiece(golden)
    (FOLDER / "golden.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")
    print(f"{len(golden['texts'])} texts, tokenizers: {', '.join(golden['tokenizers'])}")


if __name__ == "__main__":
    main()
