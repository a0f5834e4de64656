#!/usr/bin/env python3
"""Makes tiny random Llama-class decoders and the expected values of their passes, with PyTorch and transformers.

    python3 Tests/Golden/decoder_golden.py

Writes Hugging Face directories under Tests/Golden with a golden.safetensors each: llama-tiny (grouped queries, a head of
its own), qwen2-tiny (biases, tied), qwen3-tiny (norms of queries and keys, heads wider than hidden / heads, a sliding
window in some layers), llama3-rope-tiny, yarn-tiny and dynamic-tiny (scaled rotary positions; the last two are
mistral's, without and with a window). Tensors of a golden file, n = 0, 1, ...:

    n.ids             i32 [L]     token ids
    n.logits          f32 [L, V]  of them; the last four rows of a long sequence
    n.embeds          f32 [L, H]  given inputs_embeds
    n.embeds_hidden   f32 [L, H]  last_hidden_state of these
    n.cotangent       f32 [L, H]
    n.gradient        f32 [L, H]  of sum(embeds_hidden * cotangent), with respect to embeds
    n.greedy          i32 [G]     what `generate` appends to ids

Passes run in double precision, so that the goldens are exact to the last bit of f32 or nearly; greedy continuations are
those of double precision, of prompts whose best two logits are well apart at every step.
Needs `pip install torch transformers safetensors` (written with torch 2.15 and transformers 5.24).
"""

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, LlamaConfig, MistralConfig, Qwen2Config, Qwen3Config

FOLDER = Path(__file__).parent
LENGTHS = [1, 7, 33]
GREEDY = 24


def make_tiny(seed, config):
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Larger than at initialisation: attention that is not uniform, activations on both sides of their bends.
            if "norm" in name:
                parameter.copy_(1 + 0.3 * torch.randn_like(parameter))
            elif name.endswith("bias"):
                parameter.copy_(0.3 * torch.randn_like(parameter))
            elif "embed" in name:
                parameter.copy_(0.7 * torch.randn_like(parameter))
            else:
                parameter.copy_(1.3 * torch.randn_like(parameter) / parameter.shape[1] ** 0.5)
    return model


def margin(model, ids, count):
    """The least distance between the best two logits of a greedy continuation, and the continuation."""
    least = float("inf")
    with torch.no_grad():
        for _ in range(count):
            best = model(input_ids=ids[None]).logits[0, -1].topk(2)
            least = min(least, float(best.values[0] - best.values[1]))
            ids = torch.cat([ids, best.indices[:1]])
    return least, ids[-count:]


def write_tiny(name, seed, config, lengths=LENGTHS, greedy=GREEDY):
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    make_tiny(seed, config).save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval().double()
    width, vocabulary = model.config.hidden_size, model.config.vocab_size
    golden = {}
    for index, length in enumerate(lengths):
        for _ in range(100):
            ids = torch.randint(vocabulary, (length,))
            least, continuation = margin(model, ids, greedy if length < 100 else 1)
            if least > 1e-2:
                break
        else:
            raise SystemExit(f"{name}: no prompt with a clear continuation")
        generated = model.generate(
            ids[None], attention_mask=torch.ones(1, length), max_new_tokens=len(continuation), do_sample=False,
            eos_token_id=None, pad_token_id=0)[0, length:]
        # A cache that grows keeps the angles of shorter sequences under dynamic scaling: then the two differ.
        if name != "dynamic-tiny":
            assert torch.equal(generated, continuation), (name, generated, continuation)
        embeds, cotangent = torch.randn(length, width), torch.randn(length, width)
        with torch.no_grad():
            logits = model(input_ids=ids[None]).logits[0]
        inputs = embeds.double().requires_grad_()
        hidden = model.model(inputs_embeds=inputs[None]).last_hidden_state[0]
        (gradient,) = torch.autograd.grad((hidden * cotangent.double()).sum(), inputs)
        golden |= {
            f"{index}.ids": ids.int(),
            f"{index}.greedy": continuation.int(),
            f"{index}.logits": logits.float() if length < 100 else logits[-4:].float(),
            f"{index}.embeds": embeds,
            f"{index}.embeds_hidden": hidden.detach().float(),
            f"{index}.cotangent": cotangent,
            f"{index}.gradient": gradient.float(),
        }
    path = folder / "golden.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in golden.items()}, path)
    print(f"{path.relative_to(FOLDER)}: {path.stat().st_size} bytes")


def main():
    common = dict(vocab_size=96, bos_token_id=1, eos_token_id=2, max_position_embeddings=256)
    write_tiny("llama-tiny", 1, LlamaConfig(
        **common, hidden_size=48, num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2,
        intermediate_size=56, rms_norm_eps=1e-5), lengths=[1, 7, 33, 150])
    write_tiny("qwen2-tiny", 2, Qwen2Config(
        **common, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=56, tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6}))
    write_tiny("qwen3-tiny", 3, Qwen3Config(
        **common, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=1, head_dim=20,
        intermediate_size=40, tie_word_embeddings=False, use_sliding_window=True, sliding_window=19,
        max_window_layers=1), lengths=[1, 7, 140])
    write_tiny("llama3-rope-tiny", 4, LlamaConfig(
        **common, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=2,
        intermediate_size=40, tie_word_embeddings=True, attention_bias=True, mlp_bias=True,
        rope_parameters={
            "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64}))
    write_tiny("yarn-tiny", 5, MistralConfig(
        **common, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        intermediate_size=40, sliding_window=None,
        rope_parameters={
            "rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 64}))
    write_tiny("dynamic-tiny", 6, MistralConfig(
        **(common | {"max_position_embeddings": 64}), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, intermediate_size=40, sliding_window=48,
        rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}), lengths=[7, 33, 150], greedy=20)


if __name__ == "__main__":
    main()
