"""The work of a run: prepare the experiment, search, keep the record, write the result."""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Any

import torch

from deepenough.distribution.follower import share_images
from deepenough.distribution.process_executor import ProcessExecutor
from deepenough.distribution.ray_executor import ray_executor
from deepenough.errors import DeepenoughError
from deepenough.experiment.estimate import estimate, estimate_text, seconds_of_epoch
from deepenough.experiment.recording import candidate_record, data_record, environment
from deepenough.experiment.result import write_result
from deepenough.experiment.setup import Experiment, RunRequest, prepare_experiment
from deepenough.full_disk import full_disk
from deepenough.record import FILE, Plan, Record, save
from deepenough.record.networks import ArchitectureRecord
from deepenough.record.schema import (
    DecisionImages,
    EventRecord,
    QuestionRecord,
    RunStatus,
)
from deepenough.search.question import DecisionBasis
from deepenough.search.search import Search
from deepenough.search.statistics import CONFIDENCE
from deepenough.search.verdict import Verdict
from deepenough.training.device import choose_device
from deepenough.training.executor import Executor
from deepenough.training.interrupt import Interrupted, Stop
from deepenough.training.out_of_memory import OutOfMemoryInGroupError
from deepenough.training.process_group import EndedError, LostError
from deepenough.training.result import Trained


def perform_run(request: RunRequest) -> Record:
    """Do a run, new or resumed, from its images to its report. Where a disk is full, say which, and how to go on."""
    try:
        return _perform_run(request)
    except Exception as error:
        full = full_disk(error, request.folder)
        if full is None:
            raise
        begun = (request.folder / FILE).is_file()
        todo = f"go on with: deepenough fit --resume {request.folder}" if begun else "start again"
        raise DeepenoughError(f"{full}; make room there, then {todo}") from None


def _perform_run(request: RunRequest) -> Record:
    if request.ray is not None and request.group.size > 1:
        raise DeepenoughError("--ray and torchrun cannot be combined: use one of them")
    experiment = prepare_experiment(request)
    trainer = experiment.trainer
    experiment.check_shares(request.ray.processes if request.ray else request.group.size)
    # Threads are what each training is given beside others, and its process would compile for itself.
    trainer.tunable -= {"threads", "compiled"} if request.ray or trainer.jobs > 1 else set()
    share_images(request.group, request.asked, experiment.images)
    record = _new_record(request, experiment)

    def changed(search: Search) -> None:
        record.candidates = [
            candidate_record(
                each, trainer.tuned(each.architecture), trainer.step_macs(each.architecture), trainer.recipe.freeze
            )
            for each in search.tried
        ]
        record.steps = [EventRecord.model_validate(event) for event in search.events]
        save(record, request.folder)

    search = experiment.search(changed)
    verdict, final = _search(request, experiment, search, record)
    changed(search)
    write_result(record, search, verdict, final, request.folder, experiment.time_limit)
    if experiment.time_limit and (overrun := experiment.time_limit.overrun):
        request.reporter.say(overrun)
    return record


def _search(
    request: RunRequest, experiment: Experiment, search: Search, record: Record
) -> tuple[Verdict, tuple[Trained, ...]]:
    """Answer the question; where folds decide, train the chosen network once more on all images but test."""
    folder, trainer, ray = request.folder, experiment.trainer, request.ray
    threads, device = torch.get_num_threads(), experiment.recipe.device
    executor: AbstractContextManager[Executor] = nullcontext(trainer.executor)
    if ray:
        executor = ray_executor(ray, trainer.images, threads, device)
    elif trainer.jobs > 1:
        executor = ProcessExecutor(trainer.images, count=trainer.jobs)
    with Stop() as stop, executor as trainer.executor:
        trainer.stop = stop
        folder.mkdir(parents=True, exist_ok=True)
        save(record, folder)  # before anything takes long: whatever happens from here on, the run goes on
        try:
            if record.plan is None:
                record.plan = estimate_plan(request, experiment)
                save(record, folder)
            request.reporter.say(_introduction(record))
            if request.ray:  # all configurations are measured now, before workers take the machine
                experiment.measure_ahead()
            verdict = search.run()
            again = trainer.folds.kind is DecisionBasis.OUT_OF_FOLD and verdict.chosen.finished
            return verdict, trainer.retrain(verdict.chosen, request.asked.seed) if again else ()
        except (Interrupted, KeyboardInterrupt):
            record.status = RunStatus.INTERRUPTED
            save(record, folder)
            kept = "finished trainings are kept, unfinished ones start over" if request.ray else "nothing is lost"
            raise Interrupted(f"stopped, {kept}; go on with: deepenough fit --resume {folder}") from None
        except (LostError, EndedError, OutOfMemoryInGroupError):  # of the processes, and not of what was asked for
            raise
        except DeepenoughError:
            if record.plan is None and request.before is None:  # the question can't be answered: nothing to go on with
                shutil.rmtree(folder, ignore_errors=True)
            raise


def estimate_plan(request: RunRequest, experiment: Experiment) -> Plan:
    """Estimate the time and memory of a search from a few training steps; say it where even the least takes longer
    than the time limit."""
    with request.reporter.task("measuring") as advance:
        plan = estimate(
            experiment.question,
            experiment.search_space,
            experiment.trainer,
            experiment.first_trained,
        )
        advance(1, 1)
    if experiment.time_limit:
        first = experiment.first_trained[0]
        epoch = seconds_of_epoch(plan, first, experiment.trainer)
        if foreseen := experiment.time_limit.foreseen(first.name, epoch):
            request.reporter.say(foreseen)
    return plan


def _new_record(request: RunRequest, experiment: Experiment) -> Record:
    """The record as it stands before the first training."""
    asked, before, trainer, folds = request.asked, request.before, experiment.trainer, experiment.trainer.folds
    device = choose_device(experiment.recipe.device).type
    machine = environment(
        torch.get_num_threads(), device, request.group.size, jobs=trainer.jobs, all_threads=trainer.all_threads
    )
    return Record(
        version=machine["deepenough"],
        status=RunStatus.RUNNING,
        created=before.created if before else datetime.now(UTC).isoformat(timespec="seconds"),
        command=before.command if before else request.call.command,
        seed=asked.seed,
        environment=machine,
        options=asked.to_json(),
        question=QuestionRecord.of(experiment.question, confidence=CONFIDENCE, time_limit=asked.time_limit),
        data=data_record(experiment.images),
        decision_images=DecisionImages.of(folds, count=len(folds.images), folds=len(folds.folds)),
        recipe=experiment.recipe.to_json(),
        search_space=[
            ArchitectureRecord.of(each, planned_cost=trainer.planned(each)) for each in experiment.search_space
        ],
        limits=experiment.limits,
        latency=experiment.latency,
        mirroring=experiment.mirroring,
        plan=before.plan if before else None,
        **_probing_records(experiment),
    )


def _probing_records(experiment: Experiment) -> dict[str, Any]:
    """The fields of the record that say what the probes of pretrained networks found."""
    if experiment.pretrained is None:
        return {}
    first, *others = (each.record for each in experiment.pretrained.probings)
    return {"probing": first, "further_probings": others, "joined_probes": experiment.pretrained.joined}


def _introduction(record: Record) -> str:
    """Sum up the images, the search space, the decision images and the estimate, a line each."""
    data, question = record.data, record.question
    height, width = data.size
    findings = len(data.findings)
    problems = f"; {findings:,} {'finding' if findings == 1 else 'findings'} about the images" if findings else ""
    counts = ", ".join(f"{sum(counts):,} {name}" for name, counts in data.counts.items())
    depths = ", ".join(str(step.depth) for step in record.search_space)
    space = f"search space: {'/'.join(question.families)} of depth {depths}"
    mirroring = f"{record.mirroring.text}\n" if record.mirroring else ""
    probes = [f"{each.network}: {each.text}" for each in record.probings] if record.joined_probes else []
    probes += [each.text for each in (record.joined_probes or record.probing,) if each]
    told = "\n".join(probes) or space
    return (
        f"{data.source}: {len(data.classes)} classes; {counts} images of {data.channels}x{height}x{width}{problems}\n"
        f"{told}\n"
        f"decided on {record.decision_images.why}\n"
        f"{mirroring}"
        f"{estimate_text(record.plan)}"
    )
