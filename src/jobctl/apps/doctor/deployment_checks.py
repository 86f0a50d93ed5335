"""Whether the platform starts, stops and restarts workers as they need it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Final

from jobctl.apps.doctor.findings import Check, Finding, Group, answering, fail, ok, on, unchecked, warn
from jobctl.apps.doctor.set_up import SetUp
from jobctl.apps.doctor.words import listed
from jobctl.core.facts import RailwayFacts, Unreachable
from jobctl.core.operations import needed_draining_s
from jobctl.core.railway import CUT_OFF, PRODUCTION, find_work, short_draining
from jobctl.core.words import count_of

__all__ = ["CHECKS"]

_MISSING: Final = unchecked("there is no railway.json", "give --railway FILE")
#: What answers at ``--metrics-port`` when all is well; Railway calls a deployment active once it was told 200.
_ANSWERED: Final = ("/readyz", "/healthz", "/metrics")
_RENDER: Final = "run `jobctl deploy render`"
_CUT_OFF: Final = date.fromisoformat(CUT_OFF)


def _types(set_up: SetUp, railway: RailwayFacts) -> Finding:
    if not railway.faults:
        return ok("fields of the right type")
    first, others = railway.faults[0], len(railway.faults) - 1
    more = f" (and {count_of(others, 'field')} more)" if others else ""
    return fail(f"{first.path} {first.problem}{more}", first.remedy)


def _starts(set_up: SetUp, railway: RailwayFacts) -> Finding:
    command = railway.deploy.start_command
    if command is None:
        return unchecked("it has no start command", "name it there if the image has none")
    if not find_work(command):
        return warn(
            "the start command runs no `jobctl work`",
            "start `jobctl work` there; `jobctl deploy render` leaves another command alone, and says the options",
        )
    if railway.deploy.exec_form and "$" in command:
        return fail(
            "the start command has a variable, and no shell reads the command of an image: it stays as it is written",
            "write its value, or sh -c 'exec jobctl work ...'",
        )
    heard = railway.deploy.queues
    missing = [] if heard is None else [name for name in set_up.intent.queues or () if name not in heard]
    if missing:
        return warn(f"its workers do not listen to {listed(missing)}", "name it in --queues of the start command")
    return ok("starts `jobctl work`")


def _draining(set_up: SetUp, railway: RailwayFacts) -> Finding:
    drain_s = set_up.intent.drain_timeout_s
    short = short_draining(railway.deploy, drain_s)
    if short is not None:
        return fail(f"{short.problem}: jobs are cut off at each deploy", short.remedy)
    waits_s = drain_s if railway.deploy.drain_timeout_s is None else railway.deploy.drain_timeout_s
    return ok(f"{railway.deploy.draining_s} s to stop, {needed_draining_s(waits_s)} s needed")


def _replicas(set_up: SetUp, railway: RailwayFacts) -> Finding:
    planned, there = set_up.intent.replicas, 1 if railway.deploy.replicas is None else railway.deploy.replicas
    if planned is None:
        return unchecked("the number of replicas is not known", "give --planned-replicas, or slo.toml's [fleet]")
    if there < planned:
        return fail(f"{count_of(there, 'replica')}, and planned are {planned}", f"write numReplicas {planned}")
    if there > planned:
        return warn(f"{count_of(there, 'replica')}, and planned are {planned}", "plan anew, or run fewer")
    return ok(count_of(there, "replica"))


def _health(set_up: SetUp, railway: RailwayFacts) -> Finding:
    deploy = railway.deploy
    if deploy.healthcheck_path is None:
        return warn(
            "no health check: a deploy counts as done before its workers reach Redis",
            'write "healthcheckPath": "/readyz", and give workers --metrics-port',
        )
    if deploy.start_command is None or not find_work(deploy.start_command):
        return ok(f"health check {deploy.healthcheck_path}")
    if deploy.healthcheck_path not in _ANSWERED:
        return fail(
            f"no worker answers at {deploy.healthcheck_path}: no deploy becomes active",
            'write "healthcheckPath": "/readyz"',
        )
    if deploy.metrics_port is None and "--metrics-port" not in deploy.start_command:
        return warn(
            f"without --metrics-port or the variable JOB_METRICS_PORT nothing answers at {deploy.healthcheck_path}: "
            "no deploy becomes active",
            "give `jobctl work` --metrics-port 9100, and the service the variable PORT 9100",
        )
    return ok(f"health check {deploy.healthcheck_path}")


def _restart(set_up: SetUp, railway: RailwayFacts) -> Finding:
    policy = railway.deploy.restart_policy
    if railway.deploy.cron_schedule is not None:
        return fail("cronSchedule: Railway starts it by the clock, and waits for its end", "take cronSchedule out")
    if policy is None or policy.upper() != "ALWAYS":
        said = "no restart policy: Railway gives up after ten crashes" if policy is None else policy
        return warn(
            f"{said}; a worker that ends is to be started again whatever its exit code",
            'write "restartPolicyType": "ALWAYS"',
        )
    return ok("restarted always")


def _cut_off(set_up: SetUp, railway: RailwayFacts) -> Finding:
    if set_up.successor is not None:
        return ok(".railway/ is there")
    today, name = set_up.intent.today, railway.path
    if today >= _CUT_OFF:
        return fail(f"Railway has not read {name} since {CUT_OFF}, and there is no .railway/", _RENDER)
    left = count_of((_CUT_OFF - today).days, "day")
    return warn(f"Railway reads {name} until {CUT_OFF}, {left} from now, and there is no .railway/", _RENDER)


def _successor(set_up: SetUp) -> Finding:
    """Whether the file of ours is as ``slo.toml`` makes it. It is code, and is compared, never run."""
    successor = set_up.successor
    if isinstance(successor, Unreachable):
        return fail(successor.problem, successor.remedy)
    if successor is None:
        return unchecked("there is no .railway/", _RENDER)
    if len(successor.paths) > 1:
        return fail(f"{listed(successor.paths)}: Railway reads one of them only", "leave one")
    (path,) = successor.paths
    if not successor.ours:
        return unchecked(f"{path} is yours", "compare it with what `jobctl deploy render` says that it needs")
    if successor.drift is None:
        return unchecked(f"what {path} should say is not known", "give --slo-file")
    drifted = f"{path} is not what slo.toml makes of it: {successor.drift}"
    return fail(drifted, _RENDER) if successor.drift else ok(f"{path} is what slo.toml makes of it")


def _railway(set_up: SetUp) -> RailwayFacts | Unreachable | None:
    return set_up.railway


def _placed(judge: Callable[[SetUp, RailwayFacts], Finding]) -> Callable[[SetUp, RailwayFacts], Finding]:
    """A check of fields that an environment may set for itself: what is wrong is told with the place."""

    def judged(set_up: SetUp, railway: RailwayFacts) -> Finding:
        finding = judge(set_up, railway)
        if railway.deploy.in_production and finding.remedy:
            return replace(finding, detail=f"in environment {PRODUCTION}: {finding.detail}")
        return finding

    return judged


def _check(name: str, title: str, judge: Callable[[SetUp, RailwayFacts], Finding]) -> Check:
    return Check(name, Group.DEPLOYMENT, title, on(_railway, "railway.json", _MISSING, judge))


CHECKS: Final = (
    Check(
        "railway-file",
        Group.DEPLOYMENT,
        "railway.json",
        answering(_railway, _MISSING, lambda railway: railway.path),
    ),
    _check("railway-types", "types of fields", _types),
    _check("railway-command", "start command", _placed(_starts)),
    _check("railway-draining", "time to stop", _placed(_draining)),
    _check("railway-replicas", "replicas", _placed(_replicas)),
    _check("railway-health", "health check", _placed(_health)),
    _check("railway-restart", "restart policy", _placed(_restart)),
    _check("railway-cut-off", "cut-off date", _cut_off),
    Check("railway-successor", Group.DEPLOYMENT, ".railway/", _successor),
)
