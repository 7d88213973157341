"""What several tests of the engines share. Heavy packages are imported by the fixtures that need them."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.engines.pose_posts import Posts


@pytest.fixture(scope="session")
def posts() -> "Posts":
    """The pose graph's post-processing, by number of people."""
    from tests.engines.pose_posts import opened_posts

    return opened_posts()
