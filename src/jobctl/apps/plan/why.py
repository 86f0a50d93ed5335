"""What decides a plan: the promises it is held to, the fleet that they are made for, and why its limit binds."""

from __future__ import annotations

from jobctl.apps.plan.words import count_of
from jobctl.core.plans import Binding, Fleet, Plan

__all__ = ["day_of", "is_spared", "promises_of", "why_it_binds"]


def promises_of(plan: Plan) -> str:
    """The promises in quotes."""
    *others, last = (f'"{promise}"' for promise in plan.demand.promises)
    return f"{', '.join(others)} and {last}" if others else last


def is_spared(plan: Plan) -> bool:
    """Whether the answer has to hold with the spare gone."""
    return Binding.REDUNDANCY in plan.required and plan.demand.spare > 0


def day_of(plan: Plan) -> Fleet | None:
    """The fleet whose day is shown: the one that the promise is made for, so without the spare where that may go."""
    fleets = (plan.spare_gone, plan.all_running) if is_spared(plan) else (plan.all_running,)
    return next((fleet for fleet in fleets if fleet is not None and fleet.hours), None)


def why_it_binds(plan: Plan) -> str:
    """Why it is this limit that decides, without a full stop.

    An answer that does is explained by one replica fewer, with as many gone as the answer allows for; one that will
    not do by what it breaks.
    """
    if not plan.feasible:
        return _why_not(plan)
    if plan.edge is not None:
        return "two numbers are too close to be told apart"
    fewer = plan.all_running.replicas - 1
    gone = f" with {plan.demand.spare} gone" if is_spared(plan) else ""
    if plan.binding is Binding.REDUNDANCY:
        return "1 replica carries the load, the rest is spare"
    if fewer < 1:
        return "there is no fewer than one replica"
    who = f"{count_of(fewer, 'replica')}{gone}"
    promises = promises_of(plan) if len(plan.demand.promises) == 1 else "a promise"
    return {
        Binding.NONE: f"{who} would {'do' if Binding.OBJECTIVE in plan.required else 'keep up'} as well",
        Binding.SLOTS: f"{who} could not keep up",
        Binding.OBJECTIVE: f"{who} would break {promises}",
        Binding.UPSTREAM: "it is what fills first",
        Binding.DATABASE: "connections leave fewer slots on each replica",
        Binding.CPU: "an interpreter's CPU leaves fewer slots on each replica",
        Binding.PLATFORM: "there may be no more replicas",
    }[plan.binding]


def _why_not(plan: Plan) -> str:
    if plan.on_edge and plan.binding in {Binding.OBJECTIVE, Binding.REDUNDANCY}:
        return "it is too close to be told"
    spare = plan.demand.spare
    return {
        Binding.NONE: "nothing is broken",
        Binding.SLOTS: "the load fills more slots than there are",
        Binding.OBJECTIVE: "the slots keep up, but a promise is broken",
        Binding.UPSTREAM: "it admits too few jobs, or makes them wait, however many replicas there are",
        Binding.DATABASE: "its connections allow fewer slots or replicas",
        Binding.CPU: "an interpreter's CPU leaves too few slots on each replica",
        Binding.PLATFORM: "fewer replicas may be had",
        Binding.REDUNDANCY: f"it holds, until {spare} {'is' if spare == 1 else 'are'} gone",
    }[plan.binding]
