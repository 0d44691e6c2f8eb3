"""Views: what they show, and that coordinates find their way back."""

import pytest
import torch

from base.base_view import VIEWS
from model.views import FlipView, ScaleView, ShiftView

EVERY_VIEW = [FlipView(), ScaleView(2.0), ScaleView(0.5, multiple_of=4), ShiftView(3, -2)]


def marked(x, y):
    """A picture (1, 3, 24, 32) with a white square of 4 x 4 pixels whose corner is at (x, y)."""
    image = torch.zeros(1, 3, 24, 32, dtype=torch.uint8)
    image[:, :, y : y + 4, x : x + 4] = 255
    return image


def centre(image):
    """(x, y) of what is white, in pixels whose first one covers 0 to 1."""
    weight = image[0, 0].double()
    rows, columns = torch.arange(image.shape[2]) + 0.5, torch.arange(image.shape[3]) + 0.5
    return (weight.sum(0) @ columns.double() / weight.sum()).item(), (weight.sum(1) @ rows.double() / weight.sum()).item()


@pytest.mark.parametrize("view", EVERY_VIEW, ids=lambda view: type(view).__name__)
@pytest.mark.parametrize("corner", [(8, 8), (20, 12)])
def test_the_affine_leads_from_the_view_back_to_the_picture(view, corner):
    image = marked(*corner)
    seen, affine = view.apply(image)
    back = affine.double() @ torch.tensor([*centre(seen), 1.0], dtype=torch.float64)
    assert back.tolist() == pytest.approx(centre(image), abs=0.05)


@pytest.mark.parametrize("view", EVERY_VIEW, ids=lambda view: type(view).__name__)
def test_a_view_gives_bytes_that_do_not_depend_on_the_other_pictures(view):
    pictures = torch.randint(0, 256, (3, 3, 24, 32), dtype=torch.uint8)
    alone, _ = view.apply(pictures[:1])
    assert alone.dtype == torch.uint8
    assert torch.equal(view.apply(pictures)[0][:1], alone)


def test_sides_are_rounded_to_a_multiple_and_the_affine_knows():
    seen, affine = ScaleView(1.1, multiple_of=16).apply(torch.zeros(1, 3, 24, 32, dtype=torch.uint8))
    assert seen.shape[2:] == (32, 32)
    assert affine.tolist() == [[1.0, 0.0, 0.0], [0.0, 0.75, 0.0]]


def test_a_flip_twice_is_the_picture():
    image = torch.randint(0, 256, (1, 3, 5, 7), dtype=torch.uint8)
    assert torch.equal(FlipView().apply(FlipView().apply(image)[0])[0], image)


def test_every_registered_view_is_tested_here():
    assert {type(view).__name__ for view in EVERY_VIEW} == set(VIEWS.classes)
