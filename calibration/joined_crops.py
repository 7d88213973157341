"""Several sets of person crops as one, with their people's outlines where there are any. Knows no network."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from calibration.composites import Crop
from calibration.crops import CropSet, Image, PoseLabels
from calibration.cutouts import Cutout, CutoutSet
from engines.errors import BadInputError


class JoinedCrops:
    """Several crop sets as one, with their pictures decoded into files on first use.

    Args:
        stems: paths of the sets, without suffix.
        cache: folder for the decoded pictures; without one they are decoded whenever asked for.
        cutouts: paths of what `calibration.cutouts` made of some of these sets, without suffix.

    Raises:
        BadInputError: a file is missing, or cutouts are of none of these crops.
    """

    def __init__(self, stems: Sequence[Path], cache: Path | None, cutouts: Sequence[Path] = ()) -> None:
        self._sets = [CropSet(stem) for stem in stems]
        self._pictures = [crops.cached(cache) for crops in self._sets] if cache else None
        self._places = [(number, index) for number, crops in enumerate(self._sets) for index in range(len(crops))]
        labels = [crops.labels for crops in self._sets]
        self.labels = PoseLabels(
            np.concatenate([one.places for one in labels]),
            np.concatenate([one.shares for one in labels]),
            np.concatenate([one.visible for one in labels]),
        )
        self.hashes = {name: value for crops in self._sets for name, value in crops.hashes.items()}
        self._cutouts: dict[int, CutoutSet] = {}
        keys = [crops.hashes_key() for crops in self._sets]
        for stem in cutouts:
            outlines = CutoutSet(stem)
            if outlines.crops_key not in keys:
                raise BadInputError(
                    f"{stem} was cut out of other crops",
                    "cutouts belong to the crops trained on",
                    "run python -m calibration.cutouts on these crops",
                )
            self._cutouts |= {number: outlines for number, key in enumerate(keys) if key == outlines.crops_key}
            self.hashes |= outlines.hashes

    def __len__(self) -> int:
        return len(self._places)

    def has_mask(self, index: int) -> bool:
        """Whether the person of crop `index` could be cut out."""
        number, place = self._places[index]
        return number in self._cutouts and place in self._cutouts[number]

    def mask(self, index: int) -> Image | None:
        """Opacity `uint8 [320, 240]` of the person of crop `index`, where they could be cut out."""
        number, place = self._places[index]
        return self._cutouts[number].mask(place) if number in self._cutouts else None

    def crop(self, index: int) -> Crop:
        """Crop `index`, its real pixels and its person's outline; its picture is not to be written to."""
        number, place = self._places[index]
        crops = self._sets[number]
        picture = np.asarray(self._pictures[number][place]) if self._pictures else crops.picture(place)
        return Crop(picture, crops.image_rect(place), self.mask(index))

    def whole_people(self) -> list[Cutout]:
        """Everybody who could be cut out and was not cut off by the edge of their picture."""
        found = (self.crop(index).cutout() for index in range(len(self)) if self.has_mask(index))
        return [person for person in found if person is not None and person.whole]
