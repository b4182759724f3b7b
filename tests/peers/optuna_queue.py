"""How many trials of no length Optuna asks for and tells of in some seconds: `optuna_queue.py sqlite|journal FILE
PROCESSES SECONDS`. Prints JSON."""

import json
import multiprocessing
import sys
import time

import optuna
from optuna.storages import JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend


def storage(kind, file):
    if kind == "journal":
        return JournalStorage(JournalFileBackend(file))
    # As patient with a locked file as Motif's connections.
    return RDBStorage(f"sqlite:///{file}", engine_kwargs={"connect_args": {"timeout": 5}})


def play(kind, file, seconds, begin, told):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    # The sampler that computes nothing: only the queue is measured.
    study = optuna.load_study(study_name="bench", storage=storage(kind, file), sampler=optuna.samplers.RandomSampler())
    begin.wait()
    end = time.monotonic() + seconds
    trials = errors = 0
    while time.monotonic() < end:
        try:
            study.tell(study.ask(), 0.5)
            trials += 1
        except Exception:
            errors += 1
    told.put((trials, errors))


def main():
    kind, file, processes, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    optuna.create_study(study_name="bench", storage=storage(kind, file))
    context = multiprocessing.get_context("spawn")
    begin, told = context.Barrier(processes), context.Queue()
    players = [context.Process(target=play, args=(kind, file, seconds, begin, told)) for _ in range(processes)]
    for player in players:
        player.start()
    counts = [told.get() for _ in players]
    for player in players:
        player.join()
    trials, errors = (sum(column) for column in zip(*counts))
    print(json.dumps({"optuna": optuna.__version__, "trials_per_s": trials / seconds, "errors": errors}))


if __name__ == "__main__":
    main()
