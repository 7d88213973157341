"""MediaPipe Pose 0.10.21, the full model of its wheel, following a person as it does by default."""

import cv2
import mediapipe
from common import measure, options

arguments = options()
pose = mediapipe.solutions.pose.Pose(model_complexity=1)
measure(arguments.clip, arguments.frames, lambda picture: pose.process(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)))
