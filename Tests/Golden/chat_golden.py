#!/usr/bin/env python3
"""Makes the conversations of Tests/Golden/chat/golden.json with transformers' `apply_chat_template`.

    python3 Tests/Golden/chat_golden.py [--published FOLDER OUT.json]

The templates here write what those of each family write. As their makers published them, they are not ours to keep: put
them into a folder as NAME.jinja, and --published makes the same conversations of them, for the test that reads the file
which $GLTA_CHAT_TEMPLATES names. Needs `pip install transformers jinja2` (written with 5.24).
"""

import argparse
import json
from pathlib import Path

from transformers import PreTrainedTokenizerFast

FOLDER = Path(__file__).parent

TEMPLATES = {
    "smollm2": "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "qwen2": "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "chatml": "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}",
    "llama2": "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}"
    "{% set system_message = messages[0]['content'] %}{% else %}{% set loop_messages = messages %}"
    "{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}{% else %}"
    "{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "llama3": "{% set loop_messages = messages %}{% for message in loop_messages %}"
    "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}"
    "{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
    "mistral": "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token}}{% else %}"
    "{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}",
    # Mistral 7B v0.2 put a space after answers.
    "mistralSpaced": "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}"
    "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ message['content'] + eos_token + ' ' }}{% else %}"
    "{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}",
    # What later versions of each family write, in templates that are ours: without tools, with the markers of theirs.
    "qwen2.5": "{%- if messages[0].role != 'system' %}{{- '<|im_start|>system\\nYou are Qwen.<|im_end|>\\n' }}{%- endif %}"
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}",
    "qwen3": "{%- set ns = namespace(last_query_index=messages|length - 1) %}{%- for message in messages %}"
    "{%- if message.role == 'user' %}{%- set ns.last_query_index = loop.index0 %}{%- endif %}{%- endfor %}"
    "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' }}{%- set said = message.content %}"
    "{%- if message.role == 'assistant' %}{%- set thought = '' %}{%- if '</think>' in said %}"
    "{%- set thought = said.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}"
    "{%- set said = said.split('</think>')[-1].lstrip('\\n') %}{%- endif %}"
    "{%- if loop.index0 > ns.last_query_index and (loop.last or thought) %}"
    "{{- '<think>\\n' + thought.strip('\\n') + '\\n</think>\\n\\n' }}{%- set said = said.lstrip('\\n') %}{%- endif %}{%- endif %}"
    "{{- said + '<|im_end|>\\n' }}{%- endfor %}{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}",
    "llama3.1": "{{- bos_token }}{%- set day = date_string if date_string is defined else '26 Jul 2024' %}{%- set system = '' %}"
    "{%- if messages[0].role == 'system' %}{%- set system = messages[0].content | trim %}{%- set messages = messages[1:] %}"
    "{%- endif %}{{- '<|start_header_id|>system<|end_header_id|>\\n\\nCutting Knowledge Date: December 2023\\n' }}"
    "{{- 'Today Date: ' + day + '\\n\\n' + system + '<|eot_id|>' }}{%- for message in messages %}"
    "{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' + message.content | trim + '<|eot_id|>' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{%- endif %}",
} | {
    name: "{%- if messages[0].role == 'system' %}{%- set system_message = messages[0].content %}{%- set messages = messages[1:] %}"
    "{%- endif %}{%- set asked = messages | selectattr('role', 'equalto', 'user') | list %}{{- bos_token }}"
    "{%- for message in messages %}{%- if (message.role == 'user') != (loop.index0 % 2 == 0) or message.role == 'system' %}"
    "{{- raise_exception('turns alternate') }}{%- endif %}{%- if message.role == 'user' %}"
    f"{{%- if {place} and system_message is defined %}}{{{{- '{opening}' + system_message + '\\n\\n' + message['content'] + '{closing}' }}}}"
    f"{{%- else %}}{{{{- '{opening}' + message['content'] + '{closing}' }}}}{{%- endif %}}"
    f"{{%- else %}}{{{{- {answer} + eos_token }}}}{{%- endif %}}{{%- endfor %}}"
    for name, place, opening, closing, answer in [
        ("mistral1", "loop.first", " [INST] ", " [/INST]", "' ' + message['content']"),
        ("mistral3", "loop.last", "[INST] ", "[/INST]", "' ' + message['content']|trim"),
        ("mistral3Asked", "(message == asked[-1])", "[INST] ", "[/INST]", "' ' + message['content']|trim"),
        ("mistralNemo", "loop.last", "[INST]", "[/INST]", "message['content']"),
    ]
}

CONVERSATIONS = [
    [("user", "What is a film?")],
    [("system", "Be short."), ("user", " What is a film? \n")],
    [("user", "Hi"), ("assistant", " Hello. "), ("user", "More\u00a0please\n")],
    [("system", " Rank items.\n"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")],
    [("user", "[INST] <|im_end|> \u2003x")],
    [("system", ""), ("user", "")],
    [("assistant", "First")],
    [("system", "Only.")],
    [("user", "a"), ("assistant", "<think>\n\nhm\n</think>\n\nb\n")],
    [("user", "a"), ("assistant", "x<think>hm\r\n</think>b"), ("user", "a"), ("assistant", "\nd"), ("user", "c")],
    [("system", "Be short."), ("user", "a"), ("assistant", "b</think>c"), ("assistant", "d")],
    [("system", "Twice."), ("user", "a"), ("system", "b")],
    [("system", "Again."), ("user", "a"), ("assistant", "b"), ("user", "a")],
]


def rendered(tokenizer, template, conversation, prompt, thinking):
    messages = [{"role": role, "content": content} for role, content in conversation]
    try:
        # Some templates ask the clock for the day unless they are told.
        return tokenizer.apply_chat_template(
            messages, chat_template=template, tokenize=False, add_generation_prompt=prompt, enable_thinking=thinking,
            date_string="26 Jul 2024")
    except Exception:  # the template's own
        return None


def golden(templates):
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(FOLDER / "bpe" / "llama2" / "tokenizer.json"), bos_token="<s>", eos_token="</s>")
    chats = []
    for name, template in templates.items():
        for conversation in CONVERSATIONS:
            for prompt, thinking in [(False, True), (True, True), (True, False)]:
                if thinking or "enable_thinking" in template:
                    text = rendered(tokenizer, template, conversation, prompt, thinking)
                    chats.append(
                        {"family": name, "messages": conversation, "prompt": prompt, "thinking": thinking, "text": text})
    return {"templates": templates, "chats": chats}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--published", nargs=2, type=Path, metavar=("FOLDER", "OUT"))
    options = parser.parse_args()
    out, templates = FOLDER / "chat" / "golden.json", TEMPLATES
    if options.published:
        folder, out = options.published
        templates = {path.stem: path.read_text() for path in sorted(folder.glob("*.jinja"))}
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(golden(templates), separators=(",", ":")) + "\n")
    print(f"{len(templates)} templates, {len(CONVERSATIONS)} conversations")


if __name__ == "__main__":
    main()
