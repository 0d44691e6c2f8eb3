"""Any network of timm without its classifier: with random weights, timm's weights, or the weights in a local file.

timm takes seconds to import: only the functions that build a network import it.
"""

from __future__ import annotations

import ast
import importlib.util
import io
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from base.types import NotAllShare
from utils import foreign
from utils.config import did_you_mean, show
from utils.errors import UserError

Backbone = Annotated[
    str, Field(description='name of a timm model, with or without a tag for its weights ("tf_efficientnetv2_s.in21k_ft_in1k")')
]
Pretrained = Annotated[
    bool | str,
    Field(description="true for timm's weights, a local file (.pth, .pt, .safetensors), or false for random weights"),
]
DropPathRate = Annotated[
    NotAllShare, Field(description="stochastic depth within the backbone (of timm): share of the blocks that a sample skips")
]
_DECLARED = re.compile(r"^@register_model\s*\ndef (\w+)\(", re.MULTILINE)
_DEPRECATED = re.compile(r"^register_model_deprecations\(__name__, (\{.*?\})\)", re.MULTILINE | re.DOTALL)
_WRAPPERS = ("state_dict", "ema", "model")  # keys under which training scripts, ours too, store the weights
_PREFIXES = ("", "backbone.", "module.", "model.")  # prefixes that training scripts put before a backbone's names
_INSTEAD = "give a local file (.pth, .pt or .safetensors), or false"


def create_backbone(
    name: str, pretrained: bool | str = False, drop_path_rate: float = 0.0, image_size: tuple[int, int] | None = None
) -> tuple[nn.Module, int]:
    """Return a network from images (B, 3, H, W) float to features (B, width) float, and the width.

    pretrained: true for timm's weights (downloaded, or from its cache), a local file, or false for random weights.

    drop_path_rate: stochastic depth (Huang et al. 2016), the rate of the last block.

    image_size: height and width in pixels, for networks that are built for one size; other networks take any size.

    Raises UserError for an unknown name or tag, if there is no connection or no such weights, or if a file does not fit.
    """
    problem = check_backbone_name(name)
    if problem:
        raise UserError(f"arch.args.backbone: {problem}")
    _require_tag(name)
    options = _options(name, drop_path_rate, image_size)
    backbone = _download(name, options) if pretrained is True else _build(name, options)
    if isinstance(pretrained, str):
        load_weights(backbone, Path(pretrained))
    return backbone, int(getattr(backbone, "head_hidden_size", None) or backbone.num_features)  # type: ignore[arg-type]


def normalisation(backbone: nn.Module) -> dict[str, tuple[float, float, float]]:
    """Return `mean` and `std` of the pictures that timm's weights for this network were trained on, in the 0..1 scale."""
    config: Any = backbone.pretrained_cfg
    return {key: tuple(config[key]) for key in ("mean", "std")}


def stages(backbone: nn.Module) -> list[list[nn.Parameter]]:
    """Return a backbone's parameters from the picture on: stem, stages, last layers; empty if timm has no order for them."""
    if not hasattr(backbone, "group_matcher"):
        return []
    from timm.models import group_parameters

    matcher: Any = backbone.group_matcher
    groups: dict[int, Any] = group_parameters(backbone, matcher(coarse=True), return_values=True)
    return [groups[number] for number in sorted(groups)]


def picture_size(name: str) -> tuple[int, int] | None:
    """Return height and width in pixels of the pictures that a network of timm is built for; None if it takes other sizes too."""
    import timm

    config = timm.get_pretrained_cfg(name.partition(".")[0])
    if config is None or not config.fixed_input_size:
        return None
    height, width = config.input_size[1:]
    return height, width


def check_backbone_name(name: str) -> str | None:
    """Return the problem with a backbone's name, or None. A weights tag behind a dot is not checked."""
    known = _declared_names()
    model = name.partition(".")[0]
    if not known or model in known:
        return None
    if new := _renamed().get(model):
        return f"found {show(name)}, an old name of timm's for {show(new)}; allowed: the new one, which has the same weights"
    return f"found {show(name)}{did_you_mean(model, known)}; allowed: timm's {len(known):,} models (see timm.list_models())"


@cache
def _declared_names() -> frozenset[str]:
    """Return the names of the models in timm's source, read as text; empty if there is no source to read."""
    return frozenset(name for source in _sources() for name in _DECLARED.findall(source))


def _sources() -> Iterator[str]:
    """Yield the text of every file of timm's models."""
    package = importlib.util.find_spec("timm")
    folders = (package.submodule_search_locations if package else None) or []
    yield from (path.read_text("utf-8") for folder in folders for path in Path(folder, "models").glob("*.py"))


@cache
def _renamed() -> dict[str, str]:
    """Return old name -> new name with its tag, as timm's source maps them."""
    tables = [ast.literal_eval(found) for source in _sources() for found in _DEPRECATED.findall(source)]
    return {old: new for table in tables for old, new in table.items() if new}


def _require_tag(name: str) -> None:
    import timm

    model, dot, _ = name.partition(".")
    if dot and name not in (tagged := timm.list_models(f"{model}.*", include_tags=True)):
        raise UserError(
            f"arch.args.backbone: found {show(name)}{did_you_mean(name, tagged)}; allowed: {', '.join([model, *tagged])}"
        )


def _options(name: str, drop_path_rate: float, image_size: tuple[int, int] | None) -> dict[str, Any]:
    """Return the arguments that only some networks take."""
    import timm

    config = timm.get_pretrained_cfg(name)
    fixed = config is not None and config.fixed_input_size and image_size is not None
    return ({"drop_path_rate": drop_path_rate} if drop_path_rate else {}) | ({"img_size": image_size} if fixed else {})


def _build(name: str, options: dict[str, Any], pretrained: bool = False) -> nn.Module:
    import timm

    try:
        backbone: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
    except TypeError as error:
        if "drop_path_rate" not in str(error):
            raise
        rate = options["drop_path_rate"]
        raise UserError(f'arch.args.drop_path_rate: found {rate}; "{name}" has no paths to drop, allowed: 0') from None
    return backbone


def _download(name: str, options: dict[str, Any]) -> nn.Module:
    try:
        _ask_hub(name)
        return _build(name, options, pretrained=True)
    except UserError:
        raise
    except Exception as error:  # each client raises its own kinds if there is no network, and the kinds change with versions
        raise UserError(
            f'arch.args.pretrained: the weights of "{name}" cannot be downloaded ({_first_line(error)}); {_INSTEAD}'
        ) from error


def _ask_hub(name: str) -> None:
    """Fail within seconds if the hub cannot be reached: its own client would try for most of a minute, and log every try.

    Raises UserError if timm has no weights for the network.
    """
    import huggingface_hub as hub
    import timm

    config = timm.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        raise UserError(f'arch.args.pretrained: found true; timm has no weights for "{name}": {_INSTEAD}')
    files = (config.hf_hub_filename or "model.safetensors", "pytorch_model.bin")
    if config.hf_hub_id and not any(isinstance(hub.try_to_load_from_cache(config.hf_hub_id, file), str) for file in files):
        hub.get_session().head(hub.constants.ENDPOINT, timeout=10)


def load_weights(backbone: nn.Module, path: Path) -> None:
    """Load a state dict of exactly this network into it, without the classifier's weights.

    Names may have a prefix, as in a checkpoint of a whole model; weights outside the backbone are ignored there. Raises
    UserError if a weight is missing, has another shape, or is not the network's.
    """
    wanted = backbone.state_dict()
    loaded = _without_prefix(read_weights(path), wanted)
    loaded = {key: value for key, value in loaded.items() if key in wanted or not key.startswith(_classifiers(backbone))}
    # PyTorch 0.4.1 added the counters of batch norm: older files lack them, and nothing reads them.
    missing = [key for key in wanted if key not in loaded and not key.endswith("num_batches_tracked")]
    unknown = [key for key in loaded if key not in wanted]
    reshaped = [key for key in loaded if key in wanted and loaded[key].shape != wanted[key].shape]
    wrong = [*missing, *reshaped, *unknown]
    if wrong:
        fit = len(loaded) - len(unknown) - len(reshaped)
        raise UserError(
            f"arch.args.pretrained: {path}: {fit} of the backbone's {len(wanted)} tensors fit; {len(missing)} are missing, "
            f"{len(reshaped)} have another shape, {len(unknown)} are not the backbone's ({wrong[0]}, …); "
            "give weights of this very backbone, or false"
        )
    backbone.load_state_dict(loaded, strict=False)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the state dict in a .safetensors file, or in a torch.save file that holds tensors and plain values only.

    Raises UserError for any other file; nothing in the file is executed.
    """
    from safetensors.torch import load

    try:
        content = foreign.read(path)
        if path.suffix == ".safetensors":
            state: Any = load(content)
        else:
            if content.startswith(b"PK"):  # files of torch before 1.6 are no zip
                foreign.refuse_shared_tuples(foreign.torch_pickle(content, str(path)), str(path))
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except UserError as error:
        raise UserError(f"arch.args.pretrained: {error}; {_INSTEAD}") from None
    except Exception as error:  # both libraries raise many kinds for a malformed file
        raise UserError(f"arch.args.pretrained: {path}: cannot be read ({_first_line(error)}); {_INSTEAD}") from error
    for key in _WRAPPERS:
        inner = state.get(key) if isinstance(state, dict) else None
        state = inner if isinstance(inner, dict) else state
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError(f"arch.args.pretrained: {path}: holds no state dict (tensors by name); {_INSTEAD}")
    return state


def _without_prefix(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights behind the prefix that matches the most wanted names."""
    prefix = max(_PREFIXES, key=lambda prefix: sum(prefix + key in state for key in wanted))
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _classifiers(backbone: nn.Module) -> tuple[str, ...]:
    """Return the prefixes of the names of the classifier's weights."""
    config: Any = backbone.pretrained_cfg
    names = config.get("classifier") or ()
    return tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
