"""Contact sheets: what they show, and that nothing of a dataset becomes markup or stops them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from user_data import CLASSIFIED, MASKED, write_card, write_picture

from medpt import phantom
from medpt.data import open_dataset, open_with_problems
from medpt.data.__main__ import main
from medpt.data.contact_sheet import COLOURS, SIDE, choose, overlay, write_preview
from medpt.errors import InputError


def clinic(folder: Path, images: int = 6) -> Path:
    rows = [f"{n},{('healthy', 'glaucoma')[n % 3 == 0]},p{n}" for n in range(images)]
    for number in range(images):
        write_picture(folder / "images" / f"{number}.png")
    return write_card(folder, CLASSIFIED, "\n".join(["image,label,patient", *rows]))


def test_chosen_images_are_of_all_classes_in_turn(tmp_path: Path) -> None:
    chosen = choose(open_dataset("Clinic", clinic(tmp_path, 30)), most=4)
    assert [record.label for record in chosen] == [1, 0, 1, 0]
    assert len({record.id for record in choose(open_dataset("Clinic", tmp_path), most=99)}) == 30


def test_overlay_colours_classes_and_keeps_the_background() -> None:
    image = np.full((2, 3, 3), 100, np.uint8)
    drawn = overlay(image, np.array([[0, 1, 2], [255, 11, 0]], np.uint8))
    assert (drawn[0, 0] == 100).all()
    for at, colour in {
        (0, 1): COLOURS[0],
        (0, 2): COLOURS[1],
        (1, 0): (255, 255, 255),
        (1, 1): COLOURS[0],
    }.items():
        assert np.abs(drawn[at] - (0.5 * 100 + 0.5 * np.array(colour))).max() <= 0.5


@pytest.mark.parametrize("name", ["DRIVE", "CHAOS-CT", "CHAOS-MRI", "CheXpert"])
def test_preview_of_any_kind_of_pixels_is_a_picture(name: str, tmp_path: Path) -> None:
    dataset = open_dataset(name, phantom.write(name, tmp_path / name))
    write_preview(dataset, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > SIDE
        assert len(set(sheet.convert("L").histogram())) > 20


def test_check_writes_the_preview_also_of_faulty_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    top = clinic(tmp_path / "x")
    (top / "images" / "2.png").write_bytes(b"no picture")
    assert main(["check", "Clinic", str(top), "--preview", str(tmp_path / "sheet.html")]) == 2
    page = (tmp_path / "sheet.html").read_text()
    assert page.count("<figure>") == 5
    assert "glaucoma" in page
    assert "sheet.html" in capsys.readouterr().out


def test_names_are_no_markup(tmp_path: Path) -> None:
    top = write_card(tmp_path, MASKED | {"classes": "[background, <b>]"})
    name = "<script>alert(1)</script".replace("/", "")
    write_picture(top / "images" / f"{name}.png")
    write_picture(top / "masks" / f"{name}.png", np.eye(6, 8, dtype=np.uint8))
    write_preview(open_with_problems("Clinic", top), tmp_path / "sheet.html")
    page = (tmp_path / "sheet.html").read_text()
    assert "<script" not in page
    assert "<b>" not in page


@pytest.mark.parametrize("name", ["sheet.pdf", "sheet"])
def test_other_suffixes_are_refused_before_anything_is_read(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "DRIVE", "absent", "--preview", name]) == 2
    assert "accepted: .png, .html, .htm" in capsys.readouterr().err


def test_slides_have_no_preview(tmp_path: Path) -> None:
    dataset = open_dataset("TCGA-LGG", phantom.write("TCGA-LGG", tmp_path / "slides"))
    with pytest.raises(InputError, match="no image of TCGA-LGG can be read"):
        write_preview(dataset, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()
