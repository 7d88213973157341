"""Opens what a session needs: the engines of a folder, the target of a file or picture. Runs no loop."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from engines.cuda_chain import CudaChain
from engines.device_chain import DeviceChain
from engines.errors import BadInputError, EngineError, in_command, name_of
from engines.execution import ChainInfo, CpuChain, read_chain
from engines.geometry import fit_letterbox
from engines.gpu import choose_backend, find_gpu
from engines.host_sampling import letterbox
from engines.int8 import DEFAULT_INT8, choose_int8
from engines.manifest import built_again
from engines.tensorrt_engine import open_tensorrt
from engines.weights_registry import OWN_NAME, OWN_WEIGHTS, SHIPPED_ENGINES
from realtime.cuda_executor import CudaExecutor, device_rows
from realtime.device_tracking import DeviceTracker
from realtime.executor import Chain, CpuExecutor, Floats, find_pose
from realtime.file_kinds import picture_problem
from realtime.frames import MonotonicClock, Picture, decode_picture, is_picture
from realtime.pipeline import BAR_GREY
from realtime.pose import PERSON_OPTION, Target, choose_person, read_target, target_from_joints
from realtime.routine import Routine, read_routine
from realtime.scoring import require_masked
from realtime.tracking import Tracker
from realtime.verdict import Judge
from realtime.watchdog import CLOSE_SECONDS, OPEN_SECONDS, Deadline, Watchdog, opening

BUILT = Path("engines/built")
ORDER = "from left to right"
"""Of the people in a picture."""


def engines_folder(given: str | None) -> Path:
    """The folder that `--engines` stands for: the given one, else the built one if it exists, else quickstart."""
    if given is None:
        return BUILT if BUILT.is_dir() else SHIPPED_ENGINES
    return SHIPPED_ENGINES if given == OWN_NAME else Path(given)


def open_chain(
    folder: Path,
    encoder: str,
    backend: str,
    seconds: float = OPEN_SECONDS,
    int8: str = DEFAULT_INT8,
    threads: int | None = None,
) -> tuple[Chain, str]:
    """The engines in `folder`, and a sentence that says what they run on.

    `int8` is as in `engines.int8.choose_int8`, `threads` as in `engines.execution.CpuChain`. A GPU that does not answer
    for `seconds` ends the program: see `realtime.watchdog.Deadline`.

    Raises:
        EngineError: missing, bad, unreadable, or not for this machine.
    """
    try:
        return opened_chain(folder, encoder, backend, seconds, int8, threads)
    except OSError as error:
        raise EngineError(
            f"{error.filename or folder} cannot be read ({error.strerror})",
            "a folder written by build_engines.py is needed",
            f"check its rights, or {built_again(folder)}",
        ) from error


def opened_chain(
    folder: Path, encoder: str, backend: str, seconds: float, int8: str, threads: int | None
) -> tuple[Chain, str]:
    """See `open_chain`; raises OSError too."""
    if backend != "onnx":
        with opening("its driver was asked for it", seconds):
            gpu = find_gpu()
    in_int8, form = choose_int8(folder, int8)
    info = read_chain(folder, encoder, int8=in_int8)
    if info.backend != "onnx":
        if backend == "onnx":
            raise EngineError(
                f"the engines in {folder} are of {info.backend}",
                "--backend onnx needs ONNX graphs",
                f"run build_engines.py --backend onnx --out {in_command(folder)}",
            )
        with opening(f"the engines in {folder} were opened", seconds):
            chain, warnings = open_tensorrt(info, gpu)
        return chain, "; ".join([f"{info.backend} on {gpu.name}", *warnings])
    if backend == "tensorrt":
        choose_backend("tensorrt", gpu)
        raise EngineError(
            f"the engines in {folder} are ONNX graphs",
            "--backend tensorrt needs TensorRT engines",
            f"run build_engines.py --backend tensorrt --out {in_command(folder)}",
        )
    why = f", because {gpu.reason}" if backend == "auto" and gpu.reason else ""
    cpu_chain = CpuChain(info, threads=threads)
    count = "one thread" if cpu_chain.threads == 1 else f"{cpu_chain.threads} threads"
    return cpu_chain, "; ".join(filter(None, (f"ONNX Runtime on the CPU{why}", form, count)))


def answering(chain: Chain, doing: str, seconds: float) -> contextlib.AbstractContextManager[object]:
    """Ends the program when its block, which asks the engines for something, takes longer and they are on a GPU."""
    return opening(doing, seconds) if isinstance(chain, DeviceChain) else contextlib.nullcontext()


def of_own_networks(info: ChainInfo) -> bool:
    """Whether engines are of the compact networks that ship, wherever they were built and in either form."""
    return all(
        info.manifests[engine].network.startswith(OWN_WEIGHTS[kind].stem)
        for engine, kind in (("detect", "detector"), ("pose", "pose"))
    )


@contextlib.contextmanager
def opened_executor(
    chain: Chain,
    target: Target | None,
    *,
    detect_every: int | None,
    smoothing: bool,
    stills: bool,
    scored: int = 1,
    seconds: float = OPEN_SECONDS,
) -> Iterator[CpuExecutor | CudaExecutor]:
    """What runs frames through a chain and judges them. A chain on a GPU is handed over: it is closed with it.

    A GPU that does not answer for `seconds` while it is made ready ends the program: see `realtime.watchdog.Deadline`.

    Raises:
        EngineError: more people are to be scored than the engines hold.
    """
    people = chain.info.people
    if scored > people:
        folder = BUILT if chain.info.directory.resolve() == SHIPPED_ENGINES else chain.info.directory
        networks = f"--detector {OWN_NAME} --pose {OWN_NAME} " if of_own_networks(chain.info) else ""
        raise EngineError(
            f"--people {scored} came with engines of {people}",
            f"the engines in {chain.info.directory} hold {people} of 1 to 8 people",
            f"run build_engines.py --people {scored} {networks}--out {in_command(folder)}",
        )
    if not isinstance(chain, DeviceChain):
        tracker = Tracker(
            people,
            detect_every=detect_every,
            smoothing=smoothing,
            visible_confidence=chain.info.visible_confidence,
        )
        yield CpuExecutor(chain, target, tracker, stills=stills, scored=scored)
        return
    with contextlib.ExitStack() as last, chain:
        judge = Judge(chain.info, target, scored)
        past = smoothing and not stills
        following = DeviceTracker(
            people, detect_every=detect_every, stills=stills, visible_confidence=chain.info.visible_confidence
        )
        with opening("the engines were warmed up", seconds):
            cuda_chain = CudaChain(chain.info, chain.device, chain.engines, device_rows(judge), smoothing=past)
        with cuda_chain:
            watchdog = Watchdog(MonotonicClock())
            try:
                yield CudaExecutor(cuda_chain, judge, following, chain.device.attach, scored=scored, watchdog=watchdog)
            finally:
                last.enter_context(Deadline("the engines were closed", CLOSE_SECONDS))


def open_target(
    path: Path,
    chain: Chain,
    *,
    ignore: Sequence[str],
    person: int | None,
    person_option: str = PERSON_OPTION,
    say: Callable[[str], None] = lambda sentence: None,
) -> Target:
    """A target from a JSON file of any known format, or from a picture of a person, found with the engines.

    The arguments are those of `realtime.pose.read_target`; a picture's people are numbered from left to right.

    Raises:
        BadInputError: see `realtime.pose.read_target`; or a picture that cannot be decoded or shows nobody.
    """
    if is_picture(path):
        image, source = picture_of(path, "target"), f"target {path}"
        return target_in_picture(
            image, source, path.stem, chain, ignore=ignore, person=person, person_option=person_option, say=say
        )
    visible = chain.info.visible_confidence
    return read_target(
        path, ignore=ignore, person=person, person_option=person_option, visible_confidence=visible, say=say
    )


def target_in_picture(
    image: Picture,
    source: str,
    name: str,
    chain: Chain,
    *,
    ignore: Sequence[str],
    person: int | None,
    person_option: str = PERSON_OPTION,
    say: Callable[[str], None] = lambda sentence: None,
) -> Target:
    """A target from a picture uint8 [h, w, 3] of a person.

    Args:
        image: the picture.
        source: where it is from, as errors name it.
        name: of the target.
        chain: the engines that find the person.
        ignore: joint names that do not count.
        person: which of several, from 1, from left to right; None for the largest whole one.
        person_option: what chooses a person, as errors name it; empty where nothing does.
        say: tells the user whom of several was taken.

    Raises:
        BadInputError: nobody is in it, or a joint that counts is not visible.
    """
    visible = chain.info.visible_confidence
    joints = people_in_image(image, source, chain)
    chosen = choose_person(
        joints, person, source, option=person_option, ignore=ignore, visible_confidence=visible, order=ORDER, say=say
    )
    size = (image.shape[1], image.shape[0])
    return target_from_joints(joints[chosen], size, name, source, ignore=ignore, visible_confidence=visible)


def people_in_picture(path: Path, chain: Chain, what: str = "target") -> tuple[Picture, Floats]:
    """Everybody in a picture file, found with the engines.

    Args:
        path: the file.
        chain: the engines.
        what: what the picture is for, as errors call it.

    Returns:
        The picture uint8 [h, w, 3] BGR, and joints float32 [P, 15, 3] in its own px, from left to right.

    Raises:
        BadInputError: the file cannot be read or decoded, or shows nobody.
    """
    image = picture_of(path, what)
    return image, people_in_image(image, f"{what} {path}", chain)


def people_in_image(image: Picture, source: str, chain: Chain) -> Floats:
    """Everybody in a picture uint8 [h, w, 3], as `people_in_picture` gives and refuses them."""
    width, height = chain.info.frame_size
    people = find_pose(chain, letterbox(image, (height, width), grey=BAR_GREY))
    if not people:
        raise BadInputError(
            f"{source} shows no person that the engines can find",
            "a picture with one whole person, well lit and not small, is needed",
            "give another picture, or keypoints as JSON",
        )
    fit = fit_letterbox((image.shape[0], image.shape[1]), (height, width))
    joints = np.stack(people)
    joints[..., :2] = (joints[..., :2] - (fit.left, fit.top)) / fit.scale
    return from_left_to_right(joints, chain.info.visible_confidence)


def from_left_to_right(joints: Floats, visible_confidence: float) -> Floats:
    """People's joints float32 [P, 15, 3] in the order of the middles of their visible joints' bounds, x px."""
    visible = joints[..., 2] >= visible_confidence
    low = np.where(visible, joints[..., 0], np.inf).min(1)
    high = np.where(visible, joints[..., 0], -np.inf).max(1)
    return joints[np.argsort(low + high, kind="stable")]


def picture_of(path: Path, what: str) -> Picture:
    """The picture in a file, uint8 [h, w, 3] BGR; raises as `people_in_picture`."""
    image = decode_picture(read_picture(path, what))
    if image is None:
        if problem := picture_problem(path):
            seen, *more = problem
            raise BadInputError(f"{what} {seen}", *more)
        raise BadInputError(f"{what} {path} holds no picture", "a complete image file is needed", "check that it opens")
    return image


def open_routine(
    path: Path, chain: Chain, *, ignore: Sequence[str], say: Callable[[str], None] = lambda sentence: None
) -> Routine:
    """A routine with all its targets, each of any form that `open_target` knows; `say` as there.

    Raises:
        BadInputError: see `realtime.routine.read_routine`; or a target that the encoder cannot score.
    """

    def opened(file: Path) -> Target:
        def named(sentence: str) -> None:
            say(f"target {name_of(file)}: {sentence}")

        return open_target(file, chain, ignore=ignore, person=None, person_option="", say=named)

    routine = read_routine(path, opened)
    for target in routine.targets:
        require_masked(target, chain.info.encoder, chain.info.masked)
    return routine


def read_picture(path: Path, what: str) -> bytes:
    """The bytes of a picture file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInputError(
            f"{what} {path} cannot be read ({error.strerror})", "a readable file is needed", "check the path"
        ) from error
    if not data:
        raise BadInputError(f"{what} {path} is empty", "a picture of a person is needed", "give another file")
    return data
