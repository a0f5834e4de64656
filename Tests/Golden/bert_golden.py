#!/usr/bin/env python3
"""Makes tiny random BERTs and the expected values of their passes under Tests/Golden, with PyTorch and transformers.

    python3 Tests/Golden/bert_golden.py [--minilm DIR]

Writes bert-tiny/ and bert-tiny-odd/, Hugging Face directories with a golden.safetensors each, and, given the directory
of all-MiniLM-L6-v2, bert-minilm/golden.safetensors. Tensors of a golden file, n = 0, 1, ...:

    n.ids             i32 [L]     token ids
    n.hidden          f32 [L, H]  last_hidden_state of them
    n.embeds          f32 [L, H]  given inputs_embeds
    n.embeds_hidden   f32 [L, H]  last_hidden_state of these
    n.cotangent       f32 [L, H]
    n.gradient        f32 [L, H]  of sum(embeds_hidden * cotangent), with respect to embeds
    n.positions       i32 [P]     MiniLM: the positions that n.hidden holds

Passes run in double precision, so that the goldens are exact to the last bit of f32 or nearly.
Needs `pip install torch transformers safetensors` (written with torch 2.15 and transformers 5.23).
"""

import argparse
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoTokenizer, BertConfig, BertModel

FOLDER = Path(__file__).parent
LENGTHS = [1, 7, 33, 64]

# 120 tokens with which the tiny models can spell any English text.
VOCABULARY = (
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    + list("abcdefghijklmnopqrstuvwxyz0123456789.,:;!?'\"()-&/")
    + ["##" + letter for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]
    + "the of and to in is user item likes film book love war star 19 20 200 ##er ##ed ##ing".split()
    + "items users select that tags interest order description with for".split()
)

TEXTS = [
    "a love story",
    "A programmer discovers that the world he lives in is a simulation and joins the rebels who fight the machines "
    "behind it; a science fiction classic of 1999.",
    "Two rival stationery shops on the same street sell notebooks, fountain pens, inks in forty colours, label makers, "
    "staplers and binders. " * 4,
    "The old bookseller remembers every reader by what they bought: mysteries in winter, poems in spring, travel "
    "books before the summer, cookbooks in autumn, and always, in the last week of the year, the same novel about the sea. " * 7,
]


def make_tiny(seed, **settings):
    torch.manual_seed(seed)
    config = BertConfig(vocab_size=len(VOCABULARY), max_position_embeddings=64, **settings)
    model = BertModel(config, add_pooling_layer=False).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Larger than at initialisation: attention that is not uniform, activations on both sides of their bends.
            if name.endswith("LayerNorm.weight"):
                parameter.copy_(1 + 0.3 * torch.randn_like(parameter))
            elif name.endswith("bias"):
                parameter.copy_(0.2 * torch.randn_like(parameter))
            elif "embeddings" in name:
                parameter.copy_(0.7 * torch.randn_like(parameter))
            else:
                parameter.copy_(1.5 * torch.randn_like(parameter) / parameter.shape[1] ** 0.5)
    assert len(VOCABULARY) == len(set(VOCABULARY)) == 120
    return model


def passes(model, ids, embeds, cotangent):
    """last_hidden_state of ids; last_hidden_state of embeds and the gradient of its dot product with cotangent."""
    with torch.no_grad():
        hidden = model(input_ids=ids[None]).last_hidden_state[0]
    embeds = embeds.clone().requires_grad_()
    embeds_hidden = model(inputs_embeds=embeds[None]).last_hidden_state[0]
    (gradient,) = torch.autograd.grad((embeds_hidden * cotangent).sum(), embeds)
    return hidden, embeds_hidden.detach(), gradient


def write_tiny(name, seed, **settings):
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    model = make_tiny(seed, **settings)
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("".join(token + "\n" for token in VOCABULARY))
    model = BertModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="eager").eval().double()
    width = model.config.hidden_size
    golden = {}
    for index, length in enumerate(LENGTHS):
        ids = torch.randint(model.config.vocab_size, (length,))
        embeds, cotangent = torch.randn(length, width), torch.randn(length, width)
        hidden, embeds_hidden, gradient = passes(model, ids, embeds.double(), cotangent.double())
        golden |= {
            f"{index}.ids": ids.int(),
            f"{index}.hidden": hidden.float(),
            f"{index}.embeds": embeds,
            f"{index}.embeds_hidden": embeds_hidden.float(),
            f"{index}.cotangent": cotangent,
            f"{index}.gradient": gradient.float(),
        }
    save(golden, folder / "golden.safetensors")


def write_minilm(directory):
    """Hidden states of texts at a few positions; a gradient for one text, its embeddings being those of its tokens."""
    torch.manual_seed(3)
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = BertModel.from_pretrained(directory, add_pooling_layer=False, attn_implementation="eager").eval().double()
    golden = {}
    for index, text in enumerate(TEXTS):
        ids = torch.tensor(tokenizer(text, truncation=False)["input_ids"])
        with torch.no_grad():
            hidden = model(input_ids=ids[None]).last_hidden_state[0]
        positions = torch.unique(torch.linspace(0, len(ids) - 1, 16).round().long())
        golden |= {
            f"{index}.ids": ids.int(),
            f"{index}.positions": positions.int(),
            f"{index}.hidden": hidden[positions].float(),
        }
    ids = golden["1.ids"].long()
    with torch.no_grad():
        embeds = model.embeddings.word_embeddings(ids)
    cotangent = torch.randn(embeds.shape)
    _, embeds_hidden, gradient = passes(model, ids, embeds, cotangent.double())
    golden |= {"1.cotangent": cotangent, "1.gradient": gradient.float()}
    (FOLDER / "bert-minilm").mkdir(exist_ok=True)
    save(golden, FOLDER / "bert-minilm" / "golden.safetensors")


def save(golden, path):
    save_file({name: tensor.contiguous() for name, tensor in golden.items()}, path)
    lengths = [len(tensor) for name, tensor in golden.items() if name.endswith(".ids")]
    print(f"{path.relative_to(FOLDER)}: {path.stat().st_size} bytes, lengths {lengths}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minilm", type=Path)
    arguments = parser.parse_args()
    write_tiny(
        "bert-tiny",
        1,
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=80,
        hidden_act="gelu",
    )
    write_tiny(
        "bert-tiny-odd",
        2,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=3,
        intermediate_size=56,
        hidden_act="gelu_new",
        layer_norm_eps=1e-5,
    )
    if arguments.minilm:
        write_minilm(arguments.minilm)


if __name__ == "__main__":
    main()
