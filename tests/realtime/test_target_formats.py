"""OpenPose, COCO and MediaPipe files as targets, and the refusal of what is not quite one."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import BadInputError, PosemirrorError
from engines.skeleton import KEYPOINTS, joints_from_keypoints
from realtime.pose import Target, read_target
from realtime.target_formats import read_people

steady = settings(derandomize=True, deadline=None)
SIZE = (640, 480)
BODY_25 = [
    "Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "MidHip", "RHip", "RKnee",
    "RAnkle", "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar", "LBigToe", "LSmallToe", "LHeel", "RBigToe",
    "RSmallToe", "RHeel",
]  # fmt: skip
COCO_18 = [
    "Nose", "Neck", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist", "RHip", "RKnee", "RAnkle",
    "LHip", "LKnee", "LAnkle", "REye", "LEye", "REar", "LEar",
]  # fmt: skip
BLAZEPOSE = [
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index",
    "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
]  # fmt: skip


def standing(scale: float = 1.0, left: float = 0.0) -> npt.NDArray[np.float32]:
    """17 keypoints of a person, each at its own place, in float32."""
    rng = np.random.default_rng(7)
    points = rng.uniform((40, 40, 0.5), (200, 300, 1), (17, 3)).astype(np.float32)
    points[:, :2] *= scale
    points[:, 0] += left
    return points


def openpose_name(coco_name: str) -> str:
    side, _, part = coco_name.partition("_")
    return "Nose" if coco_name == "nose" else side[0].upper() + part.capitalize()


def openpose_person(points: npt.NDArray[np.float32], order: list[str]) -> list[float]:
    values = {openpose_name(name): point.tolist() for name, point in zip(KEYPOINTS, points, strict=True)}
    return [value for name in order for value in values.get(name, [1.0, 1.0, 0.9])]


def openpose(*people: npt.NDArray[np.float32], order: list[str] = BODY_25) -> dict[str, object]:
    persons = [{"person_id": [-1], "pose_keypoints_2d": openpose_person(points, order)} for points in people]
    return {"version": 1.3, "people": persons}


def coco_annotations(points: npt.NDArray[np.float32], flag: int = 2) -> dict[str, object]:
    keypoints = [value for x, y, _ in points.tolist() for value in (x, y, flag)]
    return {
        "images": [{"id": 5, "width": SIZE[0], "height": SIZE[1], "file_name": "a.jpg"}],
        "annotations": [{"id": 1, "image_id": 5, "keypoints": keypoints, "num_keypoints": 17}],
    }


def mediapipe_landmarks(points: npt.NDArray[np.float32]) -> list[dict[str, float]]:
    known = dict(zip(KEYPOINTS, points.tolist(), strict=True))
    rows = [known.get(name, [1.0, 1.0, 0.5]) for name in BLAZEPOSE]
    return [{"x": x / SIZE[0], "y": y / SIZE[1], "z": -0.1, "visibility": c} for x, y, c in rows]


def read(document: object, tmp_path: Path, **options: object) -> Target:
    path = tmp_path / "pose of someone.json"
    path.write_text(json.dumps(document))
    return read_target(path, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("order", [BODY_25, COCO_18], ids=["BODY_25", "COCO-18"])
def test_openpose_keypoints_become_the_same_joints_as_coco_keypoints(tmp_path: Path, order: list[str]) -> None:
    target = read(openpose(standing(), order=order), tmp_path)
    np.testing.assert_array_equal(target.joints, joints_from_keypoints(standing()))
    assert target.name == "pose of someone" and target.ignore == ()
    assert all(target.joints[:, axis].max() <= target.image_size[axis] for axis in (0, 1))


def test_openpose_uses_the_image_size_when_the_file_has_one(tmp_path: Path) -> None:
    assert read({**openpose(standing()), "image_size": [640, 480]}, tmp_path).image_size == SIZE
    assert read({**openpose(standing()), "image_width": 640, "image_height": 480}, tmp_path).image_size == SIZE


def test_openpose_points_outside_the_picture_are_missing(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"lacks .*left_knee"):
        read({**openpose(standing(scale=3)), "image_size": [300, 300]}, tmp_path)


def test_normalised_openpose_coordinates_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BadInputError, match=r"people\[0\].pose_keypoints_2d has no coordinate above 1;.*keypoint_scale"
    ):
        read(openpose(standing(scale=1 / 400), order=COCO_18), tmp_path)


@pytest.mark.parametrize(("flag", "confidence"), [(1, 0.5), (2, 1.0)])
def test_coco_annotations_are_read_with_flags_as_confidence(tmp_path: Path, flag: int, confidence: float) -> None:
    target = read(coco_annotations(standing(), flag), tmp_path)
    expected = standing()
    expected[:, 2] = confidence
    np.testing.assert_array_equal(target.joints, joints_from_keypoints(expected))
    assert target.image_size == SIZE


def test_coco_keypoints_that_are_not_labelled_are_missing(tmp_path: Path) -> None:
    document = coco_annotations(standing())
    document["annotations"][0]["keypoints"][27:30] = [0, 0, 0]  # type: ignore[index]
    with pytest.raises(BadInputError, match=r"lacks left_wrist; .*--ignore left_wrist\.$"):
        read(document, tmp_path)
    target = read(document, tmp_path, ignore=("left_wrist",))
    assert target.ignore == ("left_wrist",) and not target.joints[13].any()


def test_coco_results_keep_their_confidences(tmp_path: Path) -> None:
    results = [{"image_id": 5, "category_id": 1, "keypoints": standing().ravel().tolist(), "score": 0.9}]
    np.testing.assert_array_equal(read(results, tmp_path).joints, joints_from_keypoints(standing()))


def test_coco_results_with_flags_are_read_as_flags(tmp_path: Path) -> None:
    results = coco_annotations(standing())["annotations"]
    assert set(read(results, tmp_path).joints[:, 2]) == {1.0}


def test_confidences_above_one_are_cut(tmp_path: Path) -> None:
    points = standing()
    points[:, 2] += 1
    assert set(read(openpose(points), tmp_path).joints[:, 2]) == {1.0}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda marks: {"landmarks": marks},
        lambda marks: {"pose_landmarks": marks},
        lambda marks: {"poseLandmarks": marks},
        lambda marks: {"pose_landmarks": [marks]},
        lambda marks: {"pose_landmarks": {"landmark": marks}},
    ],
)
def test_mediapipe_landmarks_are_scaled_by_the_image_size(tmp_path: Path, wrap: object) -> None:
    document = {"image_size": list(SIZE), **wrap(mediapipe_landmarks(standing()))}  # type: ignore[operator]
    target = read(document, tmp_path)
    np.testing.assert_allclose(target.joints, joints_from_keypoints(standing()), atol=1e-4)
    assert target.image_size == SIZE


@pytest.mark.parametrize("bare", [True, False])
def test_mediapipe_landmarks_without_image_size_are_refused_with_the_way_out(tmp_path: Path, bare: bool) -> None:
    marks = mediapipe_landmarks(standing())
    with pytest.raises(BadInputError, match=r'has no image_size; .*\{"image_size": \[WIDTH, HEIGHT\], "landmarks"'):
        read(marks if bare else {"landmarks": marks}, tmp_path)


def test_the_most_visible_person_is_taken_and_of_those_the_largest(tmp_path: Path) -> None:
    large_but_cut = standing(scale=2, left=300)
    large_but_cut[15] = 0
    document = openpose(standing(scale=0.5), large_but_cut, standing(left=200))
    target = read(document, tmp_path)
    np.testing.assert_array_equal(target.joints, joints_from_keypoints(standing(left=200)))


def test_persons_are_chosen_by_number_from_one(tmp_path: Path) -> None:
    document = openpose(standing(), standing(left=200))
    np.testing.assert_array_equal(read(document, tmp_path, person=1).joints, joints_from_keypoints(standing()))
    np.testing.assert_array_equal(read(document, tmp_path, person=2).joints, joints_from_keypoints(standing(left=200)))
    for person in (0, 3, -1):
        with pytest.raises(
            BadInputError, match=f"--target-person is {person}; .* holds 2 persons; give .* from 1 to 2"
        ):
            read(document, tmp_path, person=person)


def test_whom_of_a_files_persons_was_taken_is_said_in_the_files_order(tmp_path: Path) -> None:
    said: list[str] = []
    document = openpose(standing(left=200), standing(scale=0.5))
    read(document, tmp_path, say=said.append)
    read(document, tmp_path, person=2, say=said.append)
    read(openpose(standing()), tmp_path, say=said.append)
    assert said == [
        "took person 1 of 2, in the file's order: choose another with --target-person N",
        "took person 2 of 2, in the file's order",
    ]


def test_persons_of_different_pictures_need_a_choice(tmp_path: Path) -> None:
    document = coco_annotations(standing())
    other = {**document["annotations"][0], "image_id": 6}  # type: ignore[index]
    document["annotations"].append(other)  # type: ignore[attr-defined]
    with pytest.raises(BadInputError, match=r"holds 2 persons of different pictures; .*--target-person 1 to 2"):
        read(document, tmp_path)
    assert read(document, tmp_path, person=1).image_size == SIZE
    assert read(document, tmp_path, person=2).image_size != SIZE


@pytest.mark.parametrize("document", [openpose(), {"annotations": []}, {"image_size": [9, 9], "landmarks": [[]]}])
def test_a_file_without_a_person_is_refused(tmp_path: Path, document: object) -> None:
    with pytest.raises(BadInputError, match=r"holds no person|landmarks\[0\] is a list of 0; it must be a list of 33"):
        read(document, tmp_path)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"people": 3}, "people is 3; it must be a list"),
        ({"people": [3]}, r"people\[0\] is 3; it must be an object"),
        ({"people": [{}]}, r"people\[0\].pose_keypoints_2d is null; it must be a list of 75 numbers"),
        (
            {"people": [{"pose_keypoints_2d": [1] * 74}]},
            "is a list of 74; it must be a list of 75 numbers .BODY_25. or",
        ),
        ({"people": [{"pose_keypoints_2d": [1] * 74 + ["a"]}]}, r'pose_keypoints_2d\[74\] is "a"; it must be a number'),
        ({"people": [{"pose_keypoints_2d": [True] * 75}]}, r"pose_keypoints_2d\[0\] is true; it must be a number"),
        ({"people": [{"pose_keypoints_2d": [1e9] * 75}]}, r"pose_keypoints_2d\[0\] is 1000000000.0; it must be"),
        ({"people": [{"pose_keypoints_2d": [9, 9, -1] * 25}]}, r"pose_keypoints_2d\[2\] is -1; it must be"),
        ({"people": [], "image_size": [0, 5]}, "image_size is 0; it must be a number from 1 to 65535"),
        ({"people": [], "image_width": 5}, "image_width, image_height is null; it must be a number"),
        ({"annotations": [{}]}, r"annotations\[0\].keypoints is null; it must be a list of 51"),
        ({"annotations": [{"keypoints": [1] * 48}]}, r"keypoints is a list of 48; it must be a list of 51"),
        ({"annotations": [{"keypoints": [9, 9, 3] * 17}]}, r"keypoints\[2\] is 3; it must be a number from 0 to 2"),
        ({"annotations": [{"keypoints": [9, 9, 0.5] * 17}]}, r"keypoints\[2\] is 0.5; COCO's v is 0, 1 or 2"),
        ({"annotations": [{"keypoints": [9, 9, 2] * 17, "image_id": []}]}, "image_id is a list of 0; it must be"),
        ({"annotations": [], "images": [{"id": 1, "width": 5}]}, r"images\[0\] size is null; it must be a number"),
        ([{"keypoints": [1] * 50}], r"\[0\].keypoints is a list of 50; it must be a list of 51"),
        ({"image_size": [9, 9], "landmarks": [{}] * 32}, r"landmarks\[0\] is a list of 32; it must be a list of 33"),
        ({"image_size": [9, 9], "landmarks": [{}] * 33}, r"landmarks\[0\]\[0\].x is null; it must be a number"),
        (
            {"image_size": [9, 9], "landmarks": [{"x": 1, "y": 1}] * 33},
            "visibility is null; it must be a number from 0",
        ),
        ({"image_size": [9, 9], "landmarks": 5}, "landmarks is 5; it must be a list"),
        ({"image_size": [9, 9.5], "landmarks": []}, "a size is in whole pixels"),
        ({"boxes": 1}, 'is an object with the keys "boxes"; a target is'),
        ([1, 2], "is a list that begins with 1; a target is"),
        ([], "holds a list of 0; a target is"),
        ("text", 'holds "text"; a target is'),
        (None, "holds null; a target is"),
    ],
)
def test_a_field_that_does_not_fit_is_named_with_its_value(tmp_path: Path, document: object, words: str) -> None:
    with pytest.raises(BadInputError, match=words) as refusal:
        read(document, tmp_path)
    assert "pose of someone.json" in str(refusal.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["people", "pose_keypoints_2d", "annotations", "keypoints", "landmarks", "image_size", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@steady
@given(JSON)
def test_any_document_gives_persons_or_an_error_of_ours(document: object) -> None:
    try:
        people = read_people(document, "file.json")
    except PosemirrorError:
        return
    for person in people:
        assert person.keypoints.shape == (17, 3) and np.isfinite(person.keypoints).all()


@steady
@given(st.integers(0, 74), JSON)
def test_one_strange_value_among_the_numbers_never_breaks_the_reader(index: int, value: object) -> None:
    document = openpose(standing())
    document["people"][0]["pose_keypoints_2d"][index] = value  # type: ignore[index]
    try:
        (person,) = read_people(document, "file.json")
    except PosemirrorError as error:
        assert f"pose_keypoints_2d[{index}]" in str(error)
    else:
        assert np.isfinite(person.keypoints).all()
