"""A training or a tuning in words: what it is at, and what it came to."""

from __future__ import annotations

import math

from napari_coldatoms.clouds.training_messages import Plan, Stage
from napari_coldatoms.clouds.tuning import Tuning
from napari_coldatoms.widgets.training_course import Course, duration
from napari_coldatoms.widgets.tuning_course import TuningCourse

_STAGES = {
    "frames": "simulating frames",
    "weights": "loading the weights",
    "judging": "judging the validation pictures",
    "choosing": "choosing the next trial",
}


def stage_words(stage: Stage) -> str:
    """Say what is done beside the steps."""
    part = f", {stage.done} of {stage.total}" if stage.total else ""
    return f"{_STAGES[stage.what]}{part}"


def course_words(course: Course, tuning: TuningCourse, stage: str) -> str:
    """Say what a training, or the trial of a tuning, is at.

    Parameters
    ----------
    course : Course
        Of the training.
    tuning : TuningCourse
        Of the tuning that it belongs to; none is under way where no trials are wanted.
    stage : str
        What is done beside the steps, if anything.
    """
    if course.plan is None or (tuning.wanted and tuning.number is None):
        return _sentence(f"{stage} …")
    words, left = f"epoch {course.epoch} of {len(course.plan.ends)}", course.left()
    if tuning.number is not None:
        words = f"trial {tuning.number + 1} of {tuning.wanted}, {words}"
        left = tuning.left(left)
    if stage:
        return _sentence(f"{words}: {stage} …")
    return _sentence(words + ("." if math.isnan(left) else f", {duration(left)} left."))


def training_words(course: Course, *, finished: bool) -> str:
    """Say what a training came to."""
    plan, best = course.plan, course.best
    words = ["Done." if finished else "Stopped; “Train” goes on from there."]
    if plan is not None:
        words.append(_pictures(plan))
    if best is not None and best.overall == best.overall:
        words.append(
            f"Best epoch: {best.number}, mAP of boxes {best.box:.2f}, of masks {best.mask:.2f}."
        )
    return " ".join(words)


def tuning_words(found: Tuning) -> str:
    """Say in words what a tuning came to."""
    done, best = len(found.done), found.best
    running = sum(each.state == "running" for each in found.trials)
    failed = sum(each.state == "failed" for each in found.trials)
    if found.finished:
        words = ["Done."]
    elif running:
        words = [f"Other processes are at work on {_counted(running)}."]
    else:
        words = ["Stopped; “Tune” goes on where it was."]
    if best is not None:
        words.append(f"Best of {_counted(done)}: number {best.number + 1}, mAP {best.value:.3f}.")
    if failed:
        words.append(f"{_counted(failed)} failed.")
    return " ".join(words)


def _sentence(words: str) -> str:
    """Return words with a capital at their beginning; names within keep theirs."""
    return f"{words[:1].upper()}{words[1:]}"


def _counted(trials: int) -> str:
    return f"{trials} trial{'' if trials == 1 else 's'}"


def _pictures(plan: Plan) -> str:
    words = f"Trained on {plan.own} pictures"
    if plan.simulated:
        words += f" and {plan.simulated} simulated frames"
    return f"{words}, judged by {plan.validation}."
