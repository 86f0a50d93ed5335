"""Grafana's JSON of a dashboard. There is no Grafana to run: its own SDK reads the JSON back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import units

from jobctl.adapters.grafana import dashboard_json
from jobctl.apps.monitoring.panels import dashboard
from jobctl.core.operations import Notify, Operations
from jobctl.core.panels import Dashboard, Form, Mark, Panel, Query, Row, State, Step, Tone, Unit, Variable
from jobctl.core.slo import Objective

PROVISIONING = Path(__file__).resolve().parents[2] / "monitoring" / "grafana" / "provisioning"
WHOLE = dashboard(
    Operations(
        promises=(Objective("wait", 0.95, 1.0),),
        error_rate=0.01,
        notify=Notify(runbook="https://runbook.example.com/"),
    ),
    1.0,
)
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def _shown(*panels: Panel, **others: Any) -> dict[str, Any]:
    shown = Dashboard("uid-of-it", "title", "what for", (Row("a row", panels),), **others)
    document: dict[str, Any] = json.loads(dashboard_json(shown))
    return document


def _panel(**others: Any) -> dict[str, Any]:
    panel = Panel("a title", "how to read it", (Query("up", "{{job}}"), Query("vector(1)", "one", True)), **others)
    found: dict[str, Any] = _shown(panel)["panels"][1]
    return found


def test_the_same_dashboard_gives_the_same_text() -> None:
    assert dashboard_json(WHOLE) == dashboard_json(WHOLE)


def test_grafanas_own_types_read_it_and_write_the_same() -> None:
    register_default_plugins()
    written = json.loads(dashboard_json(WHOLE))

    read = json.loads(json.dumps(models.Dashboard.from_json(written), cls=JSONEncoder))

    for mark in written["annotations"]["list"]:  # fields of Prometheus' plugin, of which the SDK does not know
        assert mark.pop("useValueForTime") is True
        assert mark.pop("titleFormat")
        assert mark.pop("textFormat")
    assert read == written


def test_it_is_of_the_schema_of_the_grafana_that_is_pinned() -> None:
    document = json.loads(dashboard_json(WHOLE))

    assert document["schemaVersion"] == models.Dashboard().schema_version == 41  # Grafana 11.6
    assert document["uid"] == "jobctl-fleet"
    assert document["timezone"] == "browser"
    assert document["refresh"] == "30s"
    assert "id" not in document
    assert document["editable"] is False


def test_ids_are_unique_and_a_panels_own() -> None:
    ids = [panel["id"] for panel in json.loads(dashboard_json(WHOLE))["panels"]]

    assert len(set(ids)) == len(ids)
    assert all(0 < number < 2**31 for number in ids)
    one = Panel("one", "", (Query("up", ""),), Unit.COUNT)
    two = Panel("two", "", (Query("up", ""),), Unit.COUNT)
    assert _shown(one, two)["panels"][1]["id"] == _shown(two, one)["panels"][2]["id"]


def test_panels_lie_side_by_side_in_full_lines_of_24() -> None:
    document = json.loads(dashboard_json(WHOLE))

    widths: dict[int, int] = {}
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in document["panels"]):
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken
        taken |= cells
        for y in range(place["y"], place["y"] + place["h"]):
            widths[y] = widths.get(y, 0) + place["w"]
    assert set(widths.values()) == {24}
    assert sorted(widths) == list(range(len(widths)))  # no gap between lines either


def test_every_unit_is_one_that_grafana_knows() -> None:
    known = {value for name, value in vars(units).items() if name[0].isupper()}

    for unit in Unit:
        shown = _panel(unit=unit)["fieldConfig"]["defaults"]["unit"]
        assert shown in known or shown.startswith("suffix: "), shown


def test_everything_asks_the_source_that_was_chosen() -> None:
    document = json.loads(dashboard_json(WHOLE))

    asked = [target["datasource"] for panel in document["panels"] for target in panel.get("targets", [])]
    asked += [panel["datasource"] for panel in document["panels"] if panel["type"] != "row"]
    asked += [mark["datasource"] for mark in document["annotations"]["list"]]
    asked += [one["datasource"] for one in document["templating"]["list"][1:]]
    assert asked
    assert all(source == SOURCE for source in asked)
    assert document["templating"]["list"][0]["type"] == "datasource"
    assert document["templating"]["list"][0]["query"] == "prometheus"


def test_a_variable_takes_any_number_of_values_and_all_at_first() -> None:
    variable = Variable("queue", "Queue", "label_values(jobctl_queue_depth, queue)", "which")

    made = _shown(variables=(variable,))["templating"]["list"][1]

    assert made["query"]["query"] == variable.values
    assert made["multi"] is made["includeAll"] is True
    assert made["allValue"] == ".*"
    assert made["current"]["value"] == ["$__all"]


def test_a_mark_is_where_its_value_says() -> None:
    mark = Mark("Starts", "started * 1000", "{{instance}} started", Tone.PLAIN)

    made = _shown(marks=(mark,))["annotations"]["list"][0]

    assert made["expr"] == "started * 1000"
    assert made["textFormat"] == "{{instance}} started"
    assert made["useValueForTime"] is True


def test_the_runbook_is_linked_if_there_is_one() -> None:
    assert _shown(runbook="https://runbook.example.com/")["links"][0]["url"] == "https://runbook.example.com/"
    assert _shown()["links"] == []


def test_lines_that_others_are_held_against_are_dashed_and_not_stacked() -> None:
    panel = _panel(unit=Unit.COUNT, stacked=True)

    assert panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    (override,) = panel["fieldConfig"]["overrides"]
    assert override["matcher"] == {"id": "byFrameRefID", "options": "B"}
    drawn = {one["id"]: one["value"] for one in override["properties"]}
    assert drawn["custom.lineStyle"]["fill"] == "dash"
    assert drawn["custom.stacking"]["mode"] == "none"


def test_lines_are_drawn_where_numbers_begin_to_be_bad() -> None:
    panel = _panel(unit=Unit.SHARE, steps=(Step(None, Tone.GOOD), Step(0.8, Tone.ALARM)), ceiling=1.0)

    defaults = panel["fieldConfig"]["defaults"]
    assert defaults["thresholds"]["steps"] == [{"value": None, "color": "green"}, {"value": 0.8, "color": "red"}]
    assert defaults["custom"]["thresholdsStyle"]["mode"] == "dashed"
    assert defaults["custom"]["axisSoftMax"] == 1.0
    assert defaults["min"] == 0.0
    assert "min" not in _panel(unit=Unit.SHARE, floor=None)["fieldConfig"]["defaults"]


def test_a_figure_is_the_newest_value_and_no_old_one() -> None:
    panel = Panel("a", "b", (Query("up", "x"),), Unit.COUNT, form=Form.FIGURE, nothing="not known")

    made = _shown(panel)["panels"][1]

    assert made["type"] == "stat"
    assert made["targets"][0]["instant"] is True
    assert made["targets"][0]["range"] is False
    assert made["fieldConfig"]["defaults"]["noValue"] == "not known"


def test_states_have_names_and_colours() -> None:
    states = (State(0, "closed", Tone.GOOD), State(1, "open", Tone.ALARM))
    panel = Panel("a", "b", (Query("up", "x"),), Unit.COUNT, form=Form.STATES, states=states)

    made = _shown(panel)["panels"][1]

    assert made["type"] == "state-timeline"
    assert made["fieldConfig"]["defaults"]["mappings"] == [
        {
            "type": "value",
            "options": {
                "0": {"text": "closed", "color": "green", "index": 0},
                "1": {"text": "open", "color": "red", "index": 1},
            },
        }
    ]


def test_grafana_is_given_a_source_of_that_kind_and_reads_the_dashboards_directory() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yml").read_text("utf-8"))["datasources"]
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "jobctl.yml").read_text("utf-8"))["providers"]
    compose = yaml.safe_load((PROVISIONING.parents[1] / "docker-compose.yml").read_text("utf-8"))

    assert source["type"] == SOURCE["type"]
    assert source["uid"] == "jobctl-prometheus"
    assert source["url"] == "http://prometheus:9090"
    assert source["isDefault"] is True
    assert "prometheus" in compose["services"]
    mounted = [volume.split(":")[1] for volume in compose["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in mounted
    assert "/etc/grafana/provisioning" in mounted


def test_a_panel_of_many_queries_has_all_of_them_each_under_its_own_name() -> None:
    panel = Panel(
        "a title", "how to read it", tuple(Query(f"vector({number})", "") for number in range(53)), Unit.COUNT
    )
    targets = _shown(panel)["panels"][1]["targets"]

    assert [target["expr"] for target in targets] == [f"vector({number})" for number in range(53)]
    names = [target["refId"] for target in targets]
    assert (names[0], *names[25:28], *names[51:]) == ("A", "Z", "AA", "AB", "AZ", "BA")
