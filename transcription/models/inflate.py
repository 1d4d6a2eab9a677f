"""The bundled model with the dimensions, and so the cost, of Whisper tiny, base or small, and its own output.

So speed is measured at its real price while the text can still be checked, and nothing is fetched.
It stays the same function, with k = width / the small width, because

* every hidden vector is the small one k times over, which changes neither mean nor variance, so
  that the layer norms do to each copy what they did to the original;
* a linear map is repeated both ways and divided by k. Quantized weights are integers with a scale to
  divide by: the integers are repeated and the scale is multiplied, and nothing is rounded anew;
* attention heads keep their 64 dimensions and are repeated, as is the inner layer;
* the last decoder norm is divided by k, because the tied output projection sums over all copies;
* further layers add nothing: their output projections are zero;
* real tokens move to the ids that stock English models give them. The other ids get a constant, very
  low logit: two copies of the last hidden vector carry +offset and -offset, which cancel against the
  repeated embedding of a real token and add up against theirs, whose two copies have opposite signs.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from transcription.models.model_file import Array, ModelFile, read_model, write_model


class Size(Struct, frozen=True):
    """Dimensions of a stock Whisper model, encoder and decoder alike."""

    width: int
    layers: int


SIZES = {"tiny": Size(384, 4), "base": Size(512, 6), "small": Size(768, 12)}

STOCK_VOCABULARY = 51_864
STOCK_IDS = {  # of the English-only models
    "<|endoftext|>": 50_256,
    "<|startoftranscript|>": 50_257,
    "<|en|>": 50_258,
    "<|translate|>": 50_357,
    "<|transcribe|>": 50_358,
    "<|startoflm|>": 50_359,
    "<|startofprev|>": 50_360,
    "<|nospeech|>": 50_361,
    "<|notimestamps|>": 50_362,
}
FIRST_TIMESTAMP = 50_363
TIMESTAMP_SECONDS = 0.02
DEAD_LOGIT = -200.0
"""Of the ids that no real token has."""

JOINED = {"self_attention/linear_0": 3, "attention/linear_1": 2}
"""Linear maps that are several on top of each other: queries, keys and values; keys and values."""
LAYER_OUTPUTS = ("self_attention/linear_1", "attention/linear_2", "ffn/linear_1")
"""What a layer adds to the hidden vector."""


def inflate(small: Path, size: str, folder: Path) -> None:
    """Write the model in ``small``, an English CTranslate2 Whisper, to ``folder`` in a stock size."""
    tokens = json.loads((small / "vocabulary.json").read_text())
    ids = [_stock_id(number, token) for number, token in enumerate(tokens)]
    write_model(_widened(read_model(small / "model.bin"), SIZES[size], ids), folder / "model.bin")
    vocabulary = [f"<|unused{number}|>" for number in range(STOCK_VOCABULARY)]
    for number, token in zip(ids, tokens, strict=True):
        vocabulary[number] = token
    _write_json(vocabulary, folder / "vocabulary.json")
    _write_json(_tokenizer(small, ids), folder / "tokenizer.json")
    config = json.loads((small / "config.json").read_text())
    _write_json(config | {"lang_ids": [STOCK_IDS["<|en|>"]]}, folder / "config.json")
    shutil.copyfile(small / "preprocessor_config.json", folder / "preprocessor_config.json")


def _stock_id(number: int, token: str) -> int:
    """Where a token of the small model stands in the stock vocabulary."""
    if token in STOCK_IDS:
        return STOCK_IDS[token]
    if token.startswith("<|"):  # a timestamp, as in <|1.24|>
        return FIRST_TIMESTAMP + round(float(token[2:-2]) / TIMESTAMP_SECONDS)
    return number


def _tokenizer(small: Path, ids: list[int]) -> Any:
    tokenizer = json.loads((small / "tokenizer.json").read_text())
    for token in tokenizer["added_tokens"]:
        token["id"] = ids[token["id"]]
        # The tokenizers library numbers added tokens one after the other unless its vocabulary has them.
        tokenizer["model"]["vocab"][token["content"]] = token["id"]
    return tokenizer


def _widened(small: ModelFile, size: Size, ids: list[int]) -> ModelFile:
    width = len(small.variables["decoder/layer_norm/gamma"])
    copies, rest = divmod(size.width, width)
    if rest or copies < 2:
        raise ValueError(f"a model {width} wide cannot be made {size.width} wide")
    variables = {name: _repeated(name, value, copies) for name, value in small.variables.items()}
    _deepen(variables, size.layers)
    _set_apart(variables, width, copies, ids)
    return ModelFile(small.specification, small.revision, dict(sorted(variables.items())), small.aliases)


def _repeated(name: str, value: Array, copies: int) -> Array:
    """A variable of the wide model. ``value`` is float32, or int8 with its scales in a variable beside it."""
    layer, _, kind = name.rpartition("/")
    if value.ndim == 0:
        return value * np.array(copies, value.dtype) if kind == "num_heads" else value
    if layer == "decoder/embeddings":
        return np.tile(value, (1, copies)) if kind == "weight" else value
    if kind == "encodings":
        return np.tile(value, (1, copies))
    same_input = layer == "encoder/conv1"  # the mel bins are not repeated
    parts = next((count for end, count in JOINED.items() if layer.endswith(f"/{end}")), 1)
    # By parts, or the copies of the queries would stand where the keys have to.
    split = value.reshape(parts, -1, *value.shape[1:])
    times = (1, copies, *([1 if same_input else copies, 1][: value.ndim - 1]))
    wide = np.tile(split, times)
    wide = wide.reshape(-1, *wide.shape[2:])
    return wide * np.float32(copies) if kind == "weight_scale" and not same_input else wide


def _deepen(variables: dict[str, Array], layers: int) -> None:
    """Add layers that are copies of the first ones in everything but that nothing comes out of them."""
    for stack in ("encoder", "decoder"):
        have = sum(
            name.startswith(f"{stack}/layer_") and name.endswith("/ffn/linear_0/bias") for name in variables
        )
        for new in range(have, layers):
            old = f"{stack}/layer_{new % have}/"
            for name in [name for name in variables if name.startswith(old)]:
                value = variables[name]
                layer, _, kind = name.removeprefix(old).rpartition("/")
                silent = layer in LAYER_OUTPUTS and kind in ("weight", "bias")
                variables[f"{stack}/layer_{new}/{layer}/{kind}"] = np.zeros_like(value) if silent else value


def _set_apart(variables: dict[str, Array], width: int, copies: int, ids: list[int]) -> None:
    """Real tokens to their stock ids, and the others out of reach."""
    gamma, beta = variables["decoder/layer_norm/gamma"], variables["decoder/layer_norm/beta"]
    # Well below the hidden values, whose largest one sets the step they are rounded in.
    offset = float(np.abs(gamma).mean()) / copies / 4
    signs = np.zeros(copies * width, np.float32)
    signs[:width], signs[width : 2 * width] = 1, -1
    variables["decoder/layer_norm/gamma"] = gamma / np.float32(copies)
    variables["decoder/layer_norm/beta"] = beta / np.float32(copies) + np.float32(offset) * signs
    weight = np.tile((-127 * signs).astype(np.int8), (STOCK_VOCABULARY, 1))
    scale = np.full(STOCK_VOCABULARY, 127 * 2 * width * offset / -DEAD_LOGIT, np.float32)
    weight[ids] = variables["decoder/embeddings/weight"]
    scale[ids] = variables["decoder/embeddings/weight_scale"]
    variables["decoder/embeddings/weight"] = weight
    variables["decoder/embeddings/weight_scale"] = scale


def _write_json(document: Any, path: Path) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False))
