"""What people call classes: by `names.json`, else by WordNet for ImageNet's ids, else as they are."""

import dataclasses
import json
import pathlib

import pytest

from ofa_tf import data, zoo
from ofa_tf.common import InputError
from ofa_tf.data import names
from ofa_tf.data.names import label_facts
from tests.data.image_files import write_folder


@pytest.fixture
def photos(tmp_path):
    write_folder(tmp_path / "train", {"dog": 4, "n01440764": 4, "n02102040": 4})
    return tmp_path


def test_an_id_of_imagenet_is_read_as_its_word(photos):
    dataset = data.load("folder", photos, validation=3)
    labels = ["dog", "n01440764", "n02102040"]
    assert label_facts(dataset) == {"labels": labels, "names": ["dog", "tench", "English springer"]}


def test_names_json_counts_before(photos):
    (photos / "names.json").write_text('{"dog": "a dog", "n01440764": "fish", "cat": "a cat"}')
    assert label_facts(data.load("folder", photos, validation=3))["names"] == ["a dog", "fish", "English springer"]


def test_letters_that_another_system_composes_are_the_same(tmp_path):
    """Folders and files of an old Mac have accents of their own; two names for one class are refused."""
    write_folder(tmp_path / "train", {"caf\u00e9": 4, "bar": 4})
    dataset = data.load("folder", tmp_path, validation=2)
    (tmp_path / "names.json").write_text(json.dumps({"cafe\u0301": "a coffee house"}))
    assert label_facts(dataset)["names"] == ["bar", "a coffee house"]
    (tmp_path / "names.json").write_text(json.dumps({"cafe\u0301": "one", "caf\u00e9": "two"}))
    with pytest.raises(InputError, match="two entries name class caf"):
        label_facts(dataset)


def test_a_folder_name_of_several_lines_becomes_one():
    """Labels of the standard stand one to a line: a class folder's name must not end an export."""
    dataset = data.load("digits")
    odd = dataclasses.replace(dataset, class_names=("a\nb", "c\u2028 d", *dataset.class_names[2:]))
    assert label_facts(odd)["names"][:2] == ["a b", "c d"]
    assert label_facts(odd)["labels"][:2] == ["a\nb", "c\u2028 d"]


def test_what_is_no_folder_keeps_its_names():
    assert label_facts(data.load("digits"))["names"] == list("0123456789")


def test_every_class_of_imagenet_has_a_name_of_its_own():
    """Protects the list; and the names beside the photos that ship from saying something else."""
    folder = pathlib.Path(names.__file__).parent
    listed = json.loads((folder / "imagenet_names.json").read_text(encoding="utf-8"))
    assert len(listed) == len(set(listed.values())) == 1000
    beside = json.loads((zoo.photos("ofa_imagenette_mbv3") / "names.json").read_text(encoding="utf-8"))
    assert beside == {label: listed[label] for label in beside}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"dog": "a\\nb"}', "class dog is called"),
        ("[]", "expected an object"),
        ("{", r"names\.json"),
        ('{"0": "a dog"}', "names none of the classes: it has 0, .*, the images have "),
    ],
)
def test_mistakes_are_named(photos, text, words):
    (photos / "names.json").write_text(text)
    dataset = data.load("folder", photos, validation=3)
    with pytest.raises(InputError, match=words):
        label_facts(dataset)
