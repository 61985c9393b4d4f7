"""Convert a tiny Llama with a byte-level BPE tokenizer to GGUF, the file of llama.cpp; all tensors in float32."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

LAYER_TENSORS = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}


def write_gguf(folder: Path, path: Path) -> None:
    """Convert the model in a folder, with its chat template."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    writer = gguf.GGUFWriter(path, "llama")
    _add_shape(writer, config)
    _add_tokenizer(writer, folder, config)
    for name, tensor in load_file(folder / "model.safetensors").items():
        writer.add_tensor(*_converted(name, tensor, config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: Any, config: dict[str, Any]) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])


def _add_tokenizer(writer: Any, folder: Path, config: dict[str, Any]) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    special = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}
    by_id = {number: token for token, number in tokenizer["model"]["vocab"].items()} | special
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list([by_id[number] for number in range(config["vocab_size"])])
    kinds = gguf.TokenType
    writer.add_token_types(
        [kinds.CONTROL if number in special else kinds.NORMAL for number in range(config["vocab_size"])]
    )
    writer.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    writer.add_bos_token_id(config["bos_token_id"])
    writer.add_eos_token_id(config["eos_token_id"])
    writer.add_add_bos_token(True)
    template = folder / "chat_template.jinja"
    if template.is_file():
        writer.add_chat_template(template.read_text(encoding="utf-8"))


def _converted(
    name: str, tensor: NDArray[np.float32], config: dict[str, Any]
) -> tuple[str, NDArray[np.float32]]:
    """The tensor under llama.cpp's name and in its layout."""
    name = name.removeprefix("model.")
    if name == "embed_tokens.weight":
        return "token_embd.weight", tensor
    if name == "norm.weight":
        return "output_norm.weight", tensor
    if name == "lm_head.weight":
        return "output.weight", tensor
    _, number, part = name.removesuffix(".weight").split(".", 2)
    if part in ("self_attn.q_proj", "self_attn.k_proj"):
        # llama.cpp rotates neighbouring pairs, transformers the two halves of a head.
        heads = config["num_attention_heads" if "q_proj" in part else "num_key_value_heads"]
        rows, columns = tensor.shape
        halves = tensor.reshape(heads, 2, rows // heads // 2, columns)
        tensor = np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))
    return f"blk.{number}.{LAYER_TENSORS[part]}.weight", tensor
