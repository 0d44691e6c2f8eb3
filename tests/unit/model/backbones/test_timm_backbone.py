"""Backbones by name, from local files, and without a network."""

import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from model.backbones import timm_backbone
from model.backbones.timm_backbone import check_backbone_name, create_backbone, normalisation, read_weights
from utils.errors import UserError

NAME = "resnet10t"


@pytest.fixture(scope="module")
def classifier_weights():
    import timm

    torch.manual_seed(1)
    return {key: value.clone() for key, value in timm.create_model(NAME, num_classes=7).state_dict().items()}


def assert_holds(backbone, weights):
    assert all(torch.equal(value, weights[key]) for key, value in backbone.state_dict().items())


# Names --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [NAME, "tf_efficientnetv2_s.in21k_ft_in1k", "vit_base_patch16_224"])
def test_names_of_timm_are_known_with_and_without_a_tag(name):
    assert check_backbone_name(name) is None


def test_an_unknown_name_is_answered_with_the_nearest():
    problem = check_backbone_name("efficentnetv2_s.in1k")

    assert problem.startswith('found "efficentnetv2_s.in1k" (did you mean "efficientnetv2_s"?); allowed: timm\'s 1,')
    assert problem.endswith("models (see timm.list_models())")


def test_the_names_read_from_the_source_are_all_that_timm_registers():
    import timm

    assert timm_backbone._declared_names() == set(timm.list_models())


def test_nothing_is_said_of_a_name_where_the_source_cannot_be_read(monkeypatch):
    monkeypatch.setattr(timm_backbone, "_declared_names", frozenset)

    assert check_backbone_name("whatever") is None


def test_checking_a_name_does_not_import_timm():
    code = "import sys, model.backbones.timm_backbone as m; m.check_backbone_name('x'); sys.exit('timm' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_cannot_be_built():
    with pytest.raises(UserError, match=r'^arch.args.backbone: found "resnet_10t" \(did you mean "resnet10t"\?\); allowed: timm'):
        create_backbone("resnet_10t")


def test_an_unknown_tag_is_answered_with_the_known_ones():
    with pytest.raises(UserError, match=r'found "resnet10t.c4_in1k" \(did you mean .*\); allowed: resnet10t, resnet10t.c3_in1k$'):
        create_backbone("resnet10t.c4_in1k")


# Networks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [NAME, "mobilenetv3_small_050", "test_vit"])
def test_the_number_of_features_is_that_of_the_output(name):
    backbone, width = create_backbone(name)
    size = backbone.pretrained_cfg["input_size"] if "vit" in name else (3, 32, 32)

    assert backbone.eval()(torch.zeros(1, *size)).shape == (1, width)


def test_drop_path_reaches_the_blocks():
    backbone, _ = create_backbone(NAME, drop_path_rate=0.3)

    assert max(getattr(module, "drop_prob", 0) or 0 for module in backbone.modules()) == pytest.approx(0.3)


def test_a_network_without_paths_refuses_to_drop_them():
    with pytest.raises(UserError, match=r'^arch.args.drop_path_rate: found 0.1; "vgg11" has no paths to drop, allowed: 0$'):
        create_backbone("vgg11", drop_path_rate=0.1)


def test_normalisation_is_that_of_the_weights():
    backbone, _ = create_backbone("test_vit")

    assert normalisation(backbone) == {key: backbone.pretrained_cfg[key] for key in ("mean", "std")}


# Local files --------------------------------------------------------------------------------------------------------


def save(weights, path):
    save_file(weights, path) if path.suffix == ".safetensors" else torch.save(weights, path)
    return str(path)


@pytest.mark.parametrize("name", ["w.pth", "w.pt", "w.safetensors"])
def test_a_local_file_is_loaded_without_its_classifier(tmp_path, classifier_weights, name):
    backbone, _ = create_backbone(NAME, save(classifier_weights, tmp_path / name))

    assert_holds(backbone, classifier_weights)


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
@pytest.mark.parametrize("prefix", ["", "module.", "backbone.", "model."])
def test_weights_within_a_checkpoint_are_found(tmp_path, classifier_weights, wrapper, prefix):
    state = {prefix + key: value for key, value in classifier_weights.items()}
    backbone, _ = create_backbone(NAME, save({wrapper: state, "epoch": 3}, tmp_path / "w.pth"))

    assert_holds(backbone, classifier_weights)


def test_the_averaged_weights_of_a_checkpoint_are_preferred(tmp_path, classifier_weights):
    others = {key: torch.zeros_like(value) for key, value in classifier_weights.items()}
    backbone, _ = create_backbone(NAME, save({"model": others, "ema": classifier_weights}, tmp_path / "best.pth"))

    assert_holds(backbone, classifier_weights)


def test_a_checkpoint_without_averaged_weights_gives_its_own(tmp_path, classifier_weights):
    backbone, _ = create_backbone(NAME, save({"model": classifier_weights, "ema": None}, tmp_path / "best.pth"))

    assert_holds(backbone, classifier_weights)


def test_heads_beside_the_backbone_of_a_checkpoint_are_left_out(tmp_path, classifier_weights):
    state = {f"backbone.{key}": value for key, value in classifier_weights.items()}
    path = save({"model": {**state, "heads.mask_head.weight": torch.ones(3, 512)}}, tmp_path / "w.pth")

    assert_holds(create_backbone(NAME, path)[0], classifier_weights)


def test_batch_norm_counters_may_be_missing(tmp_path, classifier_weights):
    state = {key: value for key, value in classifier_weights.items() if not key.endswith("num_batches_tracked")}
    backbone, _ = create_backbone(NAME, save(state, tmp_path / "w.pth"))

    assert torch.equal(backbone.state_dict()["conv1.0.weight"], state["conv1.0.weight"])


def test_a_missing_weight_is_refused_with_counts(tmp_path, classifier_weights):
    state = {key: value for key, value in classifier_weights.items() if key != "conv1.0.weight"}
    tensors = len(classifier_weights) - 2
    text = (
        f"{tensors - 1} of the backbone's {tensors} tensors fit; 1 are missing, 0 have another shape, 0 are not the "
        r"backbone's \(conv1.0.weight, …\); give weights of this very backbone, or false$"
    )
    with pytest.raises(UserError, match=text):
        create_backbone(NAME, save(state, tmp_path / "w.pth"))


def test_a_weight_of_another_shape_is_refused_with_counts(tmp_path, classifier_weights):
    state = {**classifier_weights, "conv1.0.weight": torch.ones(2, 2)}

    with pytest.raises(UserError, match=r"; 0 are missing, 1 have another shape, 0 are not the backbone's \(conv1.0.weight"):
        create_backbone(NAME, save(state, tmp_path / "w.pth"))


def test_a_weight_that_the_backbone_lacks_is_refused_with_counts(tmp_path, classifier_weights):
    with pytest.raises(UserError, match=r"; 0 are missing, 0 have another shape, 1 are not the backbone's \(extra, …\)"):
        create_backbone(NAME, save({**classifier_weights, "extra": torch.ones(2)}, tmp_path / "w.pth"))


def test_weights_of_another_network_do_not_fit_at_all(tmp_path):
    with pytest.raises(UserError, match=r"w.safetensors: 0 of the backbone's \d+ tensors fit; \d+ are missing"):
        create_backbone(NAME, save({"a": torch.ones(2)}, tmp_path / "w.safetensors"))


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_file_that_is_not_there_is_named(tmp_path, name):
    with pytest.raises(UserError, match=rf"^arch.args.pretrained: .*{name}: cannot be read \(.*\); give a local file \(\.pth"):
        read_weights(tmp_path / name)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_a_damaged_file_is_one_line(tmp_path, name):
    (tmp_path / name).write_bytes(b"not weights")
    with pytest.raises(UserError, match="cannot be read") as caught:
        read_weights(tmp_path / name)

    assert "\n" not in str(caught.value)


def test_a_file_that_would_call_something_is_refused_and_calls_nothing(tmp_path):
    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / "called"), "w")

    torch.save({"w": Trap()}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="cannot be read"):
        read_weights(tmp_path / "w.pth")

    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, torch.ones(2)])
def test_a_file_without_a_state_dict_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")

    with pytest.raises(UserError, match=r"w.pth: holds no state dict \(tensors by name\); give a local file"):
        read_weights(tmp_path / "w.pth")


# Downloads ----------------------------------------------------------------------------------------------------------


def test_without_a_connection_one_line_says_what_to_do(monkeypatch):
    def unreachable(name):
        raise ConnectionError("no route to host\nand more")

    monkeypatch.setattr(timm_backbone, "_ask_hub", unreachable)
    text = (
        r'^arch.args.pretrained: the weights of "resnet10t" cannot be downloaded \(no route to host\); '
        r"give a local file \(\.pth, \.pt or \.safetensors\), or false$"
    )
    with pytest.raises(UserError, match=text):
        create_backbone(NAME, True)


def test_the_hub_is_asked_once_before_a_download(monkeypatch):
    import huggingface_hub

    class Session:
        def head(self, url, timeout):
            raise OSError("offline")

    monkeypatch.setattr(huggingface_hub, "get_session", Session)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda repo, file: None)
    with pytest.raises(UserError, match=r"cannot be downloaded \(offline\)"):
        create_backbone(NAME, True)


def test_the_hub_is_not_asked_for_weights_in_the_cache(monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "get_session", lambda: pytest.fail("asked"))
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda repo, file: "/cache/model.safetensors")

    timm_backbone._ask_hub(NAME)


def test_a_download_is_what_timm_gives(monkeypatch):
    import timm

    asked = []
    create = timm.create_model
    monkeypatch.setattr(timm_backbone, "_ask_hub", lambda name: None)
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained, **rest: asked.append(pretrained) or create(name, **rest))
    create_backbone(NAME, True)

    assert asked == [True]


def test_a_network_without_weights_in_timm_says_so():
    with pytest.raises(UserError, match=r'^arch.args.pretrained: found true; timm has no weights for "mobilenetv2_035": give'):
        create_backbone("mobilenetv2_035", True)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tf_efficientnet_b4_ns", "tf_efficientnet_b4.ns_jft_in1k"),
        ("tv_resnet50", "resnet50.tv_in1k"),
        ("convnext_tiny_in22ft1k", "convnext_tiny.fb_in22k_ft_in1k"),
    ],
)
def test_an_old_name_of_timm_proposes_the_name_with_the_same_weights(old, new):
    problem = check_backbone_name(old)
    assert problem == f'found "{old}", an old name of timm\'s for "{new}"; allowed: the new one, which has the same weights'
    assert check_backbone_name(new) is None
