"""Every reader of the project, with the files that it is tried on. Each gives what it read or a documented error."""

from tests.fuzz.dataset_files import DATASET_READERS
from tests.fuzz.engine_files import ENGINE_READERS
from tests.fuzz.live_files import LIVE_READERS

READERS = LIVE_READERS | ENGINE_READERS | DATASET_READERS
