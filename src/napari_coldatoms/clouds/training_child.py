"""The process of a training: ``python -m napari_coldatoms.clouds.training_child``.

torch must not be loaded beside a window, see `server`; and a training that is asked for in a window
leaves that smooth. The process reads one request, a line of JSON, from its standard input, and
writes what happens to its standard output, see `training_messages`. The word ``cancel``, or the end
of its input, which comes with the end of its session, make it stop at the next step, with a
checkpoint.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import traceback
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import Any

from napari_coldatoms.clouds.dataset import Sample, Samples
from napari_coldatoms.clouds.mixing import TrainingData, training_data
from napari_coldatoms.clouds.recipe import Recipe
from napari_coldatoms.clouds.server import take_pipes
from napari_coldatoms.clouds.training import Progress, Training
from napari_coldatoms.clouds.training_folder import so_far
from napari_coldatoms.clouds.training_messages import Message, Plan, Stage, encoded, failure_of
from napari_coldatoms.clouds.training_request import TrainingRequest

# the window goes first where both want the processor
_NICENESS = 5


class _Stopped(BaseException):
    """Told to stop where nothing would be lost."""


class Talk:
    """The pipes to the session: what it wants, and what it is told."""

    def __init__(self, requests: RawIOBase, replies: RawIOBase) -> None:
        self._requests, self._replies = BufferedReader(requests), replies
        self._writing = threading.Lock()
        self.request = TrainingRequest.from_dict(json.loads(self._requests.readline()))
        self.stopped = threading.Event()
        """Set when the training shall stop."""
        self.stepping = threading.Event()
        """Set once there is something to be kept when it stops."""
        threading.Thread(target=self._listen, daemon=True).start()

    def tell(self, message: Message) -> None:
        """Write a message; where nobody reads, stop."""
        line = memoryview(encoded(message))
        with self._writing:
            while line:
                try:
                    line = line[self._replies.write(line) or 0 :]
                except OSError:
                    self.stopped.set()
                    return

    def _listen(self) -> None:
        # both the word and the end of the pipe
        self._requests.readline()
        self.stopped.set()
        if not self.stepping.is_set():
            self.tell(so_far(self.request.output))
            os._exit(0)


class Judged:
    """Samples that tell when they are looked at, and of which none is given after a stop."""

    def __init__(self, samples: Samples, talk: Talk) -> None:
        self._samples, self._talk = samples, talk

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index: int, /) -> Sample:
        # a checkpoint was written before
        if self._talk.stopped.is_set():
            raise _Stopped
        self._talk.tell(Stage("judging", index, len(self)))
        return self._samples[index]


def work(talk: Talk) -> Training:
    """Train as it is asked for."""
    from napari_coldatoms.clouds.train import train

    request = talk.request

    def stepped(progress: Progress) -> None:
        talk.stepping.set()
        talk.tell(progress)

    if request.simulated:
        talk.tell(Stage("frames", 0, request.simulated))
    data = training_data(
        request.dataset,
        simulated=request.simulated,
        frames=request.output / "frames",
        progress=lambda done, total: talk.tell(Stage("frames", done, total)),
    )
    talk.tell(Stage("weights"))
    talk.tell(_plan(data, request.recipe))
    return train(
        data.training,
        Judged(data.validation, talk),
        request.recipe,
        output=request.output,
        labels=data.labels,
        start_weights=request.start_weights,
        device=request.device,
        about=_about(request, data),
        progress=stepped,
        cancelled=talk.stopped.is_set,
        resume=request.resume,
    )


def _plan(data: TrainingData, recipe: Recipe) -> Plan:
    from napari_coldatoms.clouds.batches import plan

    steps = plan(len(data.training), recipe)
    ends = {step.epoch: step.number + 1 for step in steps}
    return Plan(data.labels, data.own, data.simulated, len(data.validation), tuple(ends.values()))


def _about(request: TrainingRequest, data: TrainingData) -> dict[str, Any]:
    return {
        "training data": request.dataset.name,
        "own pictures": data.own,
        "simulated frames": data.simulated,
        # a whole path is nobody's business where the weights go
        "start weights": Path(request.start).name,
    }


def main() -> None:
    """Answer one request."""
    # Ctrl-C in a terminal goes to both processes, and is the session's business
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    talk = Talk(*take_pipes())
    try:
        talk.tell(work(talk))
    except _Stopped:
        talk.tell(so_far(talk.request.output))
    except Exception as error:
        talk.tell(failure_of(error, traceback.format_exc()))
    # what torch leaves behind is of no use
    os._exit(0)


if __name__ == "__main__":
    main()
